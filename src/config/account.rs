//! The meaning of the configuration: defaults filled in, every value checked before anything else
//! happens.

use super::keys::{self, Auth, ConfigFile, Keys, LayoutSetting, SearchWith};
use super::mistakes::{Mistake, mistakes};
use super::places::{control_socket, expand, resolved, state_dir, usual_config, usual_state_dir};
use super::policy::{Hooks, hooks, policy};
use super::secret::SecretSource;
use super::{ConfigError, guarded};
use crate::reconcile::Policy;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The path of its file, links resolved.
    pub path: PathBuf,
    /// The directory of the state databases.
    pub state_dir: PathBuf,
    /// The directory in which an older version kept them, if another.
    pub former_state_dir: Option<PathBuf>,
    /// Directories of state databases by account, where it is another.
    pub state_dirs: BTreeMap<String, PathBuf>,
    /// The path of the control socket.
    pub control_socket: PathBuf,
    /// The path of the metrics; `None`: none are written.
    pub metrics_file: Option<PathBuf>,
    /// The accounts by name.
    pub accounts: BTreeMap<String, Account>,
}

impl Config {
    /// Returns the directory of an account's state database.
    pub fn state_dir_of(&self, account: &str) -> &Path {
        let elsewhere = self.state_dirs.get(account);
        elsewhere.unwrap_or(&self.state_dir)
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// The server's host name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user name.
    pub user: String,
    /// The protection of the connection.
    pub security: Security,
    /// A file of certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Hashes of public keys to accept.
    pub pins: Vec<[u8; 32]>,
    /// Whether plaintext may be sent beyond loopback.
    pub allow_plaintext: bool,
    /// The login mechanism.
    pub auth: Auth,
    /// The source of the password or token.
    pub secret: SecretSource,
    /// The path of the Maildir.
    pub maildir: PathBuf,
    /// Accounts whose Maildir is the same, above or below this one by links.
    pub shares: Vec<String>,
    /// The layout of mailboxes on disk.
    pub layout: LayoutSetting,
    /// The policy: directions, patterns, limits.
    pub policy: Policy,
    /// The trash mailbox on the server; `None`: local deletions are expunged.
    pub trash: Option<String>,
    /// Days that deleted messages stay in quarantine.
    pub quarantine_days: u32,
    /// Most connections at once.
    pub connections: usize,
    /// Extensions not to use, in upper case.
    pub disable_extensions: Vec<String>,
    /// Mailboxes with an IDLE connection beside INBOX, where the server has no NOTIFY.
    pub idle_mailboxes: Vec<String>,
    /// The time after which IDLE is renewed.
    pub idle_renew: Duration,
    /// The interval of polls for changes without notifications.
    pub poll_interval: Duration,
    /// The interval of full cycles.
    pub full_interval: Duration,
    /// The hooks.
    pub hooks: Hooks,
    /// The time limit of any response.
    pub timeout: Duration,
    /// Whether to use COMPRESS.
    pub compress: bool,
    /// Whether to pipeline commands.
    pub pipelining: bool,
    /// Whether the watcher keeps a search index.
    pub index: bool,
    /// What answers a search in the mail here.
    pub search_with: SearchWith,
}

/// The protection of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS.
    StartTls,
    /// None.
    None,
}

impl Account {
    /// Returns the settings that identify mailboxes or permit deletions, as one text (guard G6).
    pub fn fingerprint(&self) -> String {
        let policy = &self.policy;
        format!(
            "{} port {} direction {:?} delete {:?} delete_mailboxes {:?} trash {:?}",
            self.short_fingerprint(),
            self.port,
            policy.direction,
            policy.delete,
            policy.delete_mailboxes,
            self.trash
        )
    }

    /// Returns the same text as before schema 10, which lacks the newer settings.
    pub fn short_fingerprint(&self) -> String {
        format!(
            "{} {} {} {:?} {:?}",
            self.host,
            self.user,
            self.maildir.display(),
            self.layout,
            self.policy.mailboxes
        )
    }
}

/// Returns the path of the configuration; `None`: the default path.
pub fn path(path: Option<&Path>) -> PathBuf {
    match path {
        Some(path) => path.to_owned(),
        None => usual_config(),
    }
}

/// Reads the configuration; `None`: from the default path.
pub fn load(at: Option<&Path>) -> Result<Config, ConfigError> {
    let path = path(at);
    let file_error = |source: std::io::Error| {
        let hint = match source.kind() {
            std::io::ErrorKind::NotFound => {
                " (write one, or say --config FILE; docs/configuration.md shows how)".into()
            }
            _ => String::new(),
        };
        ConfigError::File {
            path: path.clone(),
            source,
            hint,
        }
    };
    let mut opened = std::fs::File::open(&path).map_err(file_error)?;
    let about = opened.metadata().map_err(file_error)?;
    let mode = about.mode();
    guarded::file(&path, &about).map_err(ConfigError::Unsafe)?;
    let mut text = String::new();
    opened.read_to_string(&mut text).map_err(file_error)?;
    let reader = KeyReader {
        path: path.clone(),
        text,
    };
    let found = mistakes(&reader.text);
    if !found.is_empty() {
        let wrong = |one: Mistake| reader.wrong(one.at, one.what);
        return Err(ConfigError::all(found.into_iter().map(wrong).collect()));
    }
    let file: ConfigFile = toml::from_str(&reader.text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        reader.wrong(at, error.message().to_owned())
    })?;
    if holds_password(&file) && mode & 0o077 != 0 {
        let what = "holds a password and can be read by others; run: chmod 600";
        return Err(reader.wrong(0, format!("the file {what} {}", path.display())));
    }
    if file.accounts.is_empty() {
        let what = "there is no account; write an [accounts.NAME] section".to_owned();
        return Err(reader.wrong(0, what));
    }
    let mut accounts = reader.accounts(file.accounts, file.defaults)?;
    note_shared(&mut accounts);
    let path = resolved(&path);
    let named = file.state_dir.as_deref().map(expand);
    let (usual, own) = (usual_state_dir(), state_dir(&path));
    let former_state_dir = Some(usual).filter(|usual| named.is_none() && *usual != own);
    let state_dir = named.unwrap_or(own);
    let control_socket = match file.control_socket {
        Some(path) => expand(&path),
        None => control_socket(&path, &state_dir),
    };
    Ok(Config {
        path,
        state_dir,
        former_state_dir,
        state_dirs: BTreeMap::new(),
        control_socket,
        metrics_file: file.metrics_file.as_deref().map(expand),
        accounts,
    })
}

fn holds_password(file: &ConfigFile) -> bool {
    let mut all = file.accounts.values().chain(&file.defaults);
    all.any(|keys| keys.get_ref().password.is_some())
}

/// Records which accounts share a directory by links although their paths differ.
fn note_shared(accounts: &mut BTreeMap<String, Account>) {
    let places: Vec<(String, PathBuf)> = accounts
        .values()
        .map(|account| (account.name.clone(), resolved(&account.maildir)))
        .collect();
    for account in accounts.values_mut() {
        let mine = resolved(&account.maildir);
        let overlaps = |(name, other): &&(String, PathBuf)| {
            *name != account.name && (other.starts_with(&mine) || mine.starts_with(other))
        };
        let shares = places.iter().filter(overlaps).map(|(name, _)| name.clone());
        account.shares = shares.collect();
    }
}

const NAME: &str = "the name of an account may hold letters, digits and ._@+- only";

struct KeyReader {
    path: PathBuf,
    text: String,
}

impl KeyReader {
    fn wrong(&self, at: usize, what: String) -> ConfigError {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        ConfigError::Wrong {
            path: self.path.clone(),
            line,
            what,
        }
    }

    /// Returns the position of a key in the table that begins at `at`, or of the table.
    fn key_at(&self, at: usize, key: &str) -> usize {
        let table = self.text.get(at..).unwrap_or_default();
        let mut offset = at;
        for (n, line) in table.split_inclusive('\n').enumerate() {
            if n > 0 && line.trim_start().starts_with('[') {
                break;
            }
            if line
                .split('=')
                .next()
                .is_some_and(|name| name.trim() == key)
            {
                return offset;
            }
            offset += line.len();
        }
        at
    }

    /// Reads all accounts; the error has the first one of each.
    fn accounts(
        &self,
        sections: BTreeMap<String, Spanned<Keys>>,
        defaults: Option<Spanned<Keys>>,
    ) -> Result<BTreeMap<String, Account>, ConfigError> {
        let defaults = defaults.map(Spanned::into_inner).unwrap_or_default();
        let (mut accounts, mut wrong) = (BTreeMap::new(), Vec::new());
        for (name, keys) in sections {
            let at = keys.span().start;
            let read = self.account(&name, keys.into_inner().or(&defaults), at);
            let read = read.and_then(|account| {
                self.no_overlap(&accounts, &account, at)?;
                guarded::account(&account)?;
                Ok(account)
            });
            match read {
                Ok(account) => drop(accounts.insert(name, account)),
                Err(error) => wrong.push(error),
            }
        }
        match wrong.is_empty() {
            true => Ok(accounts),
            false => Err(ConfigError::all(wrong)),
        }
    }

    fn account(&self, name: &str, keys: Keys, at: usize) -> Result<Account, ConfigError> {
        let wrong = |key: &str, what: String| {
            self.wrong(self.key_at(at, key), format!("account {name}: {what}"))
        };
        let missing = |key: &str| wrong(key, format!("{key} is missing"));
        let plain = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(wrong("", NAME.into()));
        }
        let security = match keys.tls.unwrap_or(keys::Protection::Implicit) {
            keys::Protection::Implicit => Security::Implicit,
            keys::Protection::StartTls => Security::StartTls,
            keys::Protection::None => Security::None,
        };
        let standard_port = match security {
            Security::Implicit => 993_u16,
            Security::StartTls | Security::None => 143,
        };
        let maildir = expand(&keys.maildir.clone().ok_or_else(|| missing("maildir"))?);
        if !maildir.is_absolute() {
            return Err(wrong("maildir", "maildir must begin with / or ~/".into()));
        }
        let timeout = keys.timeout.unwrap_or(60);
        let connections = keys.connections.unwrap_or(3);
        let poll = keys.poll_interval.unwrap_or(300);
        let full = keys.full_interval.unwrap_or(3600);
        let renew = keys.idle_renew.unwrap_or(540);
        for (key, value) in [
            ("port", keys.port.unwrap_or(standard_port).into()),
            ("timeout", timeout),
            ("connections", connections as u64),
            ("poll_interval", poll),
            ("full_interval", full),
            ("idle_renew", renew),
        ] {
            if value == 0 {
                return Err(wrong(key, format!("{key} must be at least 1")));
            }
        }
        Ok(Account {
            name: name.to_owned(),
            host: self.host(&keys, at, name)?,
            port: keys.port.unwrap_or(standard_port),
            user: keys.user.clone().ok_or_else(|| missing("user"))?,
            security,
            ca_file: keys.tls_ca_file.as_deref().map(expand),
            pins: self.pins(&keys, at, name)?,
            allow_plaintext: keys.allow_plaintext.unwrap_or(false),
            auth: keys.auth.unwrap_or(Auth::Password),
            secret: self.secret(&keys, at, name)?,
            maildir,
            shares: Vec::new(),
            layout: keys.layout.unwrap_or(LayoutSetting::Nested),
            policy: policy(&keys),
            trash: keys.trash.clone().filter(|trash| !trash.is_empty()),
            quarantine_days: keys.quarantine_days.unwrap_or(30),
            connections,
            disable_extensions: upper(keys.disable_extensions.clone().unwrap_or_default()),
            idle_mailboxes: keys.idle_mailboxes.clone().unwrap_or_default(),
            idle_renew: Duration::from_secs(renew),
            poll_interval: Duration::from_secs(poll),
            full_interval: Duration::from_secs(full),
            hooks: hooks(&keys),
            timeout: Duration::from_secs(timeout),
            compress: keys.compress.unwrap_or(false),
            pipelining: keys.pipelining.unwrap_or(true),
            index: keys.index.unwrap_or(false),
            search_with: keys.search_with.unwrap_or_default(),
        })
    }

    fn host(&self, keys: &Keys, at: usize, name: &str) -> Result<String, ConfigError> {
        let host = keys.host.as_deref().ok_or_else(|| "host is missing".into());
        let host = host.and_then(super::host::read);
        host.map_err(|what| self.wrong(self.key_at(at, "host"), format!("account {name}: {what}")))
    }

    fn secret(&self, keys: &Keys, at: usize, name: &str) -> Result<SecretSource, ConfigError> {
        let wrong = |key: &str, what: String| {
            self.wrong(self.key_at(at, key), format!("account {name}: {what}"))
        };
        match keys.secrets().as_slice() {
            [] => Err(wrong(
                "",
                "no secret: set password_command, password_file, credential or password".into(),
            )),
            [first, second, ..] => Err(wrong(
                second,
                format!("{first} and {second} are both set; keep one"),
            )),
            [_] => Ok(if let Some(secret) = &keys.password {
                SecretSource::Inline(secret.clone())
            } else if let Some(argv) = &keys.password_command {
                if argv.is_empty() {
                    let what = "password_command is empty; give program and arguments";
                    return Err(wrong("password_command", what.into()));
                }
                SecretSource::Command(argv.clone())
            } else if let Some(path) = &keys.password_file {
                SecretSource::File(expand(path))
            } else {
                SecretSource::Credential(keys.credential.clone().unwrap_or_default())
            }),
        }
    }

    fn pins(&self, keys: &Keys, at: usize, name: &str) -> Result<Vec<[u8; 32]>, ConfigError> {
        let pins = keys.tls_pin_sha256.iter().flatten();
        pins.map(|text| {
            pin(text).ok_or_else(|| {
                let what = format!(
                    "account {name}: tls_pin_sha256 holds \"{text}\", which is not 64 hex digits"
                );
                self.wrong(self.key_at(at, "tls_pin_sha256"), what)
            })
        })
        .collect()
    }

    fn no_overlap(
        &self,
        others: &BTreeMap<String, Account>,
        account: &Account,
        at: usize,
    ) -> Result<(), ConfigError> {
        let mine = &account.maildir;
        let overlaps =
            |other: &&Account| other.maildir.starts_with(mine) || mine.starts_with(&other.maildir);
        match others.values().find(overlaps) {
            None => Ok(()),
            Some(other) => {
                let what = format!(
                    "account {}: its maildir overlaps with that of account {}; each account \
                     needs its own",
                    account.name, other.name
                );
                Err(self.wrong(self.key_at(at, "maildir"), what))
            }
        }
    }
}

fn upper(names: Vec<String>) -> Vec<String> {
    names
        .into_iter()
        .map(|name| name.to_ascii_uppercase())
        .collect()
}

fn pin(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}
