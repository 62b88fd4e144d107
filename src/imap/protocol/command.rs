//! Encodes commands; no other module makes their text. It cannot express EXPUNGE without UIDs,
//! CLOSE, or STORE FLAGS (which would overwrite changes of others), and a name cannot end a line.

mod search;

use crate::imap::protocol::uid_set::UidSet;
use crate::model::{Flags, Keyword, SystemFlag, Timestamp, UidValidity};
use crate::store::StoreError;
pub use search::{CommandPieces, is_quotable};

/// A command without tag and line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    text: Vec<u8>,
    opens: Option<MailboxRef>,
}

/// A mailbox and its mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxRef {
    /// Its wire name.
    pub name: Vec<u8>,
    /// Its mode.
    pub access: Access,
}

/// Read-only or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// SELECT.
    ReadWrite,
    /// EXAMINE, which permits no change.
    ReadOnly,
}

/// The parameters of SELECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// None.
    Nothing,
    /// HIGHESTMODSEQ (RFC 7162, 3.1.8).
    CondStore,
    /// QRESYNC (RFC 7162, 3.2.5). One parameter only: some servers refuse two.
    QResync(UidValidity, u64),
}

impl Since {
    /// Returns the same without QRESYNC.
    pub fn anew(self) -> Since {
        match self {
            Since::Nothing => Since::Nothing,
            Since::CondStore | Since::QResync(..) => Since::CondStore,
        }
    }
}

/// Set or clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
}

/// Whether the server reports the changed flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyFlags {
    /// Yes.
    Too,
    /// No (.SILENT).
    Not,
}

/// The kind of literal of an APPEND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralKind {
    /// Synchronizing: after `+`.
    Waiting,
    /// Non-synchronizing (RFC 7888).
    AtOnce,
}

impl Command {
    fn plain(text: impl Into<String>) -> Command {
        Command {
            text: text.into().into_bytes(),
            opens: None,
        }
    }

    fn with_name(before: &str, name: &[u8], after: &str) -> Result<Command, StoreError> {
        let mut text = before.as_bytes().to_vec();
        text.extend(quoted(name)?);
        text.extend(after.as_bytes());
        Ok(Command { text, opens: None })
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// Returns the mailbox that it selects.
    pub fn opens(&self) -> Option<&MailboxRef> {
        self.opens.as_ref()
    }

    /// CAPABILITY.
    pub fn capability() -> Command {
        Command::plain("CAPABILITY")
    }

    /// ID (RFC 2971); NetEase requires it before SELECT.
    pub fn id() -> Command {
        let version = env!("CARGO_PKG_VERSION");
        Command::plain(format!(
            "ID (\"name\" \"mailtide\" \"version\" \"{version}\")"
        ))
    }

    /// ENABLE (RFC 5161).
    pub fn enable(names: &[&str]) -> Command {
        Command::plain(format!("ENABLE {}", names.join(" ")))
    }

    /// NAMESPACE (RFC 2342).
    pub fn namespace() -> Command {
        Command::plain("NAMESPACE")
    }

    /// LIST of everything, with RETURN options (RFC 5258, 5819, 6154).
    pub fn list_all(options: &str) -> Command {
        Command::plain(format!("LIST \"\" \"*\"{options}"))
    }

    /// LIST of one name.
    pub fn list_one(name: &[u8]) -> Result<Command, StoreError> {
        Command::with_name("LIST \"\" ", name, "")
    }

    /// STATUS.
    pub fn status(name: &[u8], items: &str) -> Result<Command, StoreError> {
        Command::with_name("STATUS ", name, &format!(" ({items})"))
    }

    /// SELECT or EXAMINE.
    pub fn select(name: &[u8], access: Access, since: Since) -> Result<Command, StoreError> {
        let verb = match access {
            Access::ReadWrite => "SELECT ",
            Access::ReadOnly => "EXAMINE ",
        };
        let after = match since {
            Since::Nothing => String::new(),
            Since::CondStore => " (CONDSTORE)".to_owned(),
            Since::QResync(uid_validity, modseq) => {
                format!(" (QRESYNC ({} {modseq}))", uid_validity.0)
            }
        };
        let command = Command::with_name(verb, name, &after)?;
        let name = name.to_vec();
        let opens = Some(MailboxRef { name, access });
        Ok(Command { opens, ..command })
    }

    /// UNSELECT (RFC 3691).
    pub fn unselect() -> Command {
        Command::plain("UNSELECT")
    }

    /// UID FETCH; the items are constants, never a server's words.
    pub fn fetch(set: &UidSet, items: &'static str) -> Command {
        Command::plain(format!("UID FETCH {set} ({items})"))
    }

    /// UID FETCH of pieces of messages, by offset and length.
    pub fn fetch_pieces(set: &UidSet, ranges: &[(u64, u64)]) -> Command {
        let piece = |(at, length): &(u64, u64)| format!(" BODY.PEEK[]<{at}.{}>", (*length).max(1));
        let pieces: String = ranges.iter().map(piece).collect();
        Command::plain(format!("UID FETCH {set} (UID{pieces})"))
    }

    /// Whether FETCH responses answer it.
    pub fn fetches(&self) -> bool {
        self.bytes().starts_with(b"UID FETCH ")
    }

    /// UID FETCH with CHANGEDSINCE.
    pub fn fetch_changed(set: &UidSet, modseq: u64) -> Command {
        Command::plain(format!(
            "UID FETCH {set} (UID FLAGS) (CHANGEDSINCE {modseq})"
        ))
    }

    /// UID SEARCH of all UIDs; as ranges where the server can (RFC 4731).
    pub fn search_all(compact: &[&str]) -> Command {
        Command::plain(format!("UID SEARCH {}ALL", compact.concat()))
    }

    /// UID SEARCH of those of a set that exist.
    pub fn search_uids(set: &UidSet, compact: &[&str]) -> Command {
        Command::plain(format!("UID SEARCH {}UID {set}", compact.concat()))
    }

    /// UID STORE of a difference.
    pub fn store(set: &UidSet, unchanged_since: Option<u64>, how: Set, flags: &Flags) -> Command {
        let condition = unchanged_since
            .map(|m| format!("(UNCHANGEDSINCE {m}) "))
            .unwrap_or_default();
        let sign = match how {
            Set::Add => '+',
            Set::Remove => '-',
        };
        Command::plain(format!(
            "UID STORE {set} {condition}{sign}FLAGS.SILENT ({})",
            list(flags)
        ))
    }

    /// UID EXPUNGE (RFC 4315).
    pub fn expunge(set: &UidSet) -> Command {
        Command::plain(format!("UID EXPUNGE {set}"))
    }

    /// UID MOVE (RFC 6851).
    pub fn move_to(set: &UidSet, name: &[u8]) -> Result<Command, StoreError> {
        Command::with_name(&format!("UID MOVE {set} "), name, "")
    }

    /// UID COPY.
    pub fn copy_to(set: &UidSet, name: &[u8]) -> Result<Command, StoreError> {
        Command::with_name(&format!("UID COPY {set} "), name, "")
    }

    /// APPEND up to its literal.
    pub fn append(
        name: &[u8],
        flags: &Flags,
        date: Option<Timestamp>,
        (size, kind): (u64, LiteralKind),
    ) -> Result<Command, StoreError> {
        let date = date
            .map(|at| format!("\"{}\" ", crate::imap::protocol::date::format(at)))
            .unwrap_or_default();
        let plus = match kind {
            LiteralKind::Waiting => "",
            LiteralKind::AtOnce => "+",
        };
        let after = format!(" ({}) {date}{{{size}{plus}}}", list(flags));
        Command::with_name("APPEND ", name, &after)
    }

    /// CREATE.
    pub fn create(name: &[u8]) -> Result<Command, StoreError> {
        Command::with_name("CREATE ", name, "")
    }

    /// RENAME.
    pub fn rename(from: &[u8], to: &[u8]) -> Result<Command, StoreError> {
        let mut command = Command::with_name("RENAME ", from, " ")?;
        command.text.extend(quoted(to)?);
        Ok(command)
    }

    /// UNSUBSCRIBE.
    pub fn unsubscribe(name: &[u8]) -> Result<Command, StoreError> {
        Command::with_name("UNSUBSCRIBE ", name, "")
    }

    /// SUBSCRIBE.
    pub fn subscribe(name: &[u8]) -> Result<Command, StoreError> {
        Command::with_name("SUBSCRIBE ", name, "")
    }

    /// DELETE.
    pub fn delete(name: &[u8]) -> Result<Command, StoreError> {
        Command::with_name("DELETE ", name, "")
    }

    /// NOOP.
    pub fn noop() -> Command {
        Command::plain("NOOP")
    }

    /// IDLE (RFC 2177).
    pub fn idle() -> Command {
        Command::plain("IDLE")
    }

    /// NOTIFY SET (RFC 5465) for all events of the personal mailboxes. STATUS with HIGHESTMODSEQ
    /// reports changes of flags, so only where the server has it.
    pub fn notify_all(flags: NotifyFlags) -> Command {
        let change = match flags {
            NotifyFlags::Too => " FlagChange",
            NotifyFlags::Not => "",
        };
        Command::plain(format!(
            "NOTIFY SET (personal (MessageNew MessageExpunge{change} MailboxName))"
        ))
    }

    /// LOGOUT.
    pub fn logout() -> Command {
        Command::plain("LOGOUT")
    }
}

/// Formats the inside of a flag list. Keywords are atoms by their type.
fn list(flags: &Flags) -> String {
    let system = SystemFlag::ALL
        .iter()
        .filter(|flag| flags.has(**flag))
        .map(|flag| flag.name());
    system
        .chain(flags.keywords().map(Keyword::as_str))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(name: &[u8]) -> Result<Vec<u8>, StoreError> {
    if name.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        let shown = name.escape_ascii();
        return Err(StoreError::Mailbox(format!(
            "{shown}: such a name cannot be sent"
        )));
    }
    let mut text = vec![b'"'];
    for byte in name {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text.push(b'"');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        let select = |name: &[u8]| Command::select(name, Access::ReadOnly, Since::Nothing);
        assert_eq!(
            select(b"a\"b\\c").unwrap().bytes(),
            b"EXAMINE \"a\\\"b\\\\c\""
        );
        for bad in [&b"a\r\nx LOGOUT"[..], b"a\nb", b"a\0b"] {
            assert!(select(bad).is_err());
        }
    }

    #[test]
    fn commands_as_the_rfcs_write_them() {
        let set = UidSet::parse(b"1:3,9").unwrap();
        let mut flags = Flags::of(&[SystemFlag::Seen]);
        flags.insert_keyword(Keyword::forwarded());
        let show = |c: Command| String::from_utf8(c.text).unwrap();
        assert_eq!(
            show(Command::store(&set, Some(7), Set::Add, &flags)),
            "UID STORE 1:3,9 (UNCHANGEDSINCE 7) +FLAGS.SILENT (\\Seen $Forwarded)"
        );
        let literal = (5, LiteralKind::AtOnce);
        assert_eq!(
            show(Command::append(b"A", &flags, Some(Timestamp(0)), literal).unwrap()),
            "APPEND \"A\" (\\Seen $Forwarded) \" 1-Jan-1970 00:00:00 +0000\" {5+}"
        );
        assert_eq!(
            show(Command::search_uids(&set, &["RETURN (ALL) "])),
            "UID SEARCH RETURN (ALL) UID 1:3,9"
        );
    }
}
