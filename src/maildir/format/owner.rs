//! The owner of a Maildir, as its marker names it: an account on a server and its state database.
//! Values and decisions; [`crate::maildir::format::marker`] reads the file.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// An account on a server with its state database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The name of the account in its configuration.
    pub account: String,
    /// The user name on the server.
    pub user: String,
    /// The server's host name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path of the state database, links resolved.
    pub state: PathBuf,
    /// The machine of that database.
    pub machine: String,
}

impl Owner {
    /// Whether both name one server. Host names have no case, and may end in a dot (RFC 1035).
    fn same_server(&self, other: &Owner) -> bool {
        let host = |owner: &Owner| owner.host.trim_end_matches('.').to_ascii_lowercase();
        host(self) == host(other) && self.port == other.port && self.user == other.user
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "account {} ({} at {}:{}, state database {}",
            self.account,
            self.user,
            self.host,
            self.port,
            self.state.display()
        )?;
        match self.machine.split_whitespace().next() {
            Some(machine) => write!(f, " on {machine})"),
            None => write!(f, ")"),
        }
    }
}

/// The marker of a Maildir.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marker {
    /// The id, equal to that in the state database.
    pub uuid: String,
    /// The generation; `None`: it has none.
    pub generation: Option<u64>,
    /// The owner; `None`: an older version wrote it.
    pub owner: Option<Owner>,
    /// The path of the Maildir when the marker was written, links resolved.
    pub root: Option<PathBuf>,
}

impl Marker {
    /// Parses the file.
    pub fn read(bytes: &[u8]) -> Marker {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let mut text = || lines.next().map(|line| String::from_utf8_lossy(line));
        let uuid = text().unwrap_or_default().trim().to_owned();
        let generation = text().and_then(|line| line.trim().parse().ok());
        let (mut owner, mut named, mut root) = (Owner::default(), 0, None);
        for line in bytes.split(|byte| *byte == b'\n').skip(2) {
            let mut parts = line.splitn(2, |byte| *byte == b' ');
            let (key, value) = (parts.next().unwrap_or_default(), parts.next());
            let value = unescape(value.unwrap_or_default());
            let text = || String::from_utf8_lossy(&value).into_owned();
            match key {
                b"account" => owner.account = text(),
                b"user" => owner.user = text(),
                b"host" => owner.host = text(),
                b"port" => owner.port = text().parse().unwrap_or(0),
                b"state" => owner.state = path(&value),
                b"machine" => owner.machine = text(),
                b"maildir" => root = Some(path(&value)),
                _ => continue,
            }
            named += usize::from(key != b"maildir");
        }
        Marker {
            uuid,
            generation,
            owner: (named > 0).then_some(owner),
            root,
        }
    }

    /// Whether mailtide wrote it.
    pub fn is_ours(&self) -> bool {
        let hex = |c: char| c.is_ascii_hexdigit();
        self.owner.is_some() || (self.uuid.len() == 32 && self.uuid.chars().all(hex))
    }

    /// Returns the file. Older versions read the first two lines only.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\n{}\n", self.uuid, self.generation.unwrap_or(0));
        if let Some(owner) = &self.owner {
            let port = owner.port.to_string();
            for (key, value) in [
                ("account", owner.account.as_bytes()),
                ("user", owner.user.as_bytes()),
                ("host", owner.host.as_bytes()),
                ("port", port.as_bytes()),
                ("state", owner.state.as_os_str().as_bytes()),
                ("machine", owner.machine.as_bytes()),
            ] {
                text.push_str(&format!("{key} {}\n", escape(value)));
            }
        }
        if let Some(root) = &self.root {
            let root = escape(root.as_os_str().as_bytes());
            text.push_str(&format!("maildir {root}\n"));
        }
        text.into_bytes()
    }
}

/// The comparison of the paths in a marker with the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkerPaths {
    /// Whether the named state database exists and is not ours.
    pub other_state: bool,
    /// Whether the named Maildir exists elsewhere and has the same id.
    pub other_root: bool,
}

/// Why a Maildir does not belong to this account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Another account, server or user owns it.
    Account,
    /// It has the other layout.
    Layout,
    /// An older version wrote the marker, and our state does not know it.
    Unnamed,
    /// Another state database owns it.
    State,
    /// Our state database is a copy of the owning one.
    CopiedState,
    /// It is a copy of the Maildir of our state database.
    CopiedMaildir,
}

/// Why the Maildir with this marker does not belong to us; `None`: it does. `uuid` is the id in our
/// state, `knows` tells whether that state has mailboxes.
///
/// An empty state at the named path was lost. Before the first change the server may be corrected.
pub fn foreign(
    own: &Owner,
    uuid: &str,
    knows: bool,
    found: (&Marker, MarkerPaths),
) -> Option<Foreign> {
    let (marker, places) = found;
    let same = marker.uuid == uuid;
    let Some(owner) = &marker.owner else {
        return (!same).then_some(Foreign::Unnamed);
    };
    let lost = !knows && owner.state == own.state && owner.machine == own.machine;
    let unused = same && !knows && marker.generation == Some(0);
    if !unused && (owner.account != own.account || !owner.same_server(own)) {
        Some(Foreign::Account)
    } else if !same && !lost {
        Some(Foreign::State)
    } else if places.other_state {
        Some(Foreign::CopiedState)
    } else if places.other_root {
        Some(Foreign::CopiedMaildir)
    } else {
        None
    }
}

/// Encodes a value as a line: control characters, `%` and bytes that are not UTF-8 as `%XX`.
fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '%' {
                let mut room = [0; 4];
                let bytes = c.encode_utf8(&mut room).bytes();
                bytes.for_each(|byte| text.push_str(&format!("%{byte:02X}")));
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = match code {
            Some(_) => tail.get(2..).unwrap_or_default(),
            None => tail,
        };
    }
    bytes
}

fn path(bytes: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(bytes)).to_owned()
}

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
