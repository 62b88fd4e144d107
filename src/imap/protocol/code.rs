//! Completions of commands: OK, NO or BAD with a response code (RFC 9051, 7.1).

use crate::imap::protocol::fetch_reply::{flag_names, flags_of};
use crate::imap::protocol::reply::{lossy, number, upper, word};
use crate::imap::protocol::uid_set::{UidList, UidSet};
use crate::model::Flags;
use std::collections::VecDeque;

/// The completion of a command.
#[derive(Clone, Debug)]
pub struct Completion {
    /// OK, NO or BAD.
    pub status: CompletionStatus,
    /// The code in brackets.
    pub code: Option<Code>,
    /// The text for people; untrusted, escaped on output.
    pub text: String,
}

/// The status word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionStatus {
    /// OK.
    Ok,
    /// NO.
    No,
    /// BAD.
    Bad,
}

/// A response code (RFC 9051, 7.1; RFC 4315, 5530, 7162).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// UIDVALIDITY of the selected mailbox.
    UidValidity(u64),
    /// UIDNEXT of the selected mailbox.
    UidNext(u32),
    /// HIGHESTMODSEQ of the selected mailbox.
    HighestModSeq(u64),
    /// NOMODSEQ.
    NoModSeq,
    /// PERMANENTFLAGS: the flags, and whether new keywords are allowed.
    PermanentFlags(Flags, AnyKeyword),
    /// READ-ONLY.
    ReadOnly,
    /// UIDNOTSTICKY.
    UidNotSticky,
    /// APPENDUID: UIDVALIDITY and UIDs.
    AppendUid(u64, UidSet),
    /// COPYUID: UIDVALIDITY, source and target UIDs.
    CopyUid(u64, UidList, UidList),
    /// MODIFIED: messages that another session changed.
    Modified(UidSet),
    /// CLOSED.
    Closed,
    /// Another code, in upper case.
    Other(String),
}

/// Whether a mailbox accepts new keywords (`\*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyKeyword {
    /// Yes.
    Yes,
    /// No.
    No,
}

pub fn completion(rest: &[u8]) -> Option<Completion> {
    let (word_, rest) = word(rest);
    let status = match upper(word_).as_str() {
        "OK" => CompletionStatus::Ok,
        "NO" => CompletionStatus::No,
        "BAD" => CompletionStatus::Bad,
        _ => return None,
    };
    let rest = rest.trim_ascii_start();
    let inner = rest.strip_prefix(b"[");
    let (code, text) = match inner.and_then(|inner| inner.split_at_checked(code_length(inner)?)) {
        Some((code, after)) => (Some(code_of(code)), after.get(1..).unwrap_or_default()),
        None => (None, rest),
    };
    Some(Completion {
        status,
        code,
        text: lossy(text.trim_ascii()),
    })
}

/// Returns the length of the code before its `]`, which may also occur in a flag of PERMANENTFLAGS.
/// `None`: it has no end.
fn code_length(inner: &[u8]) -> Option<usize> {
    let (name, _) = word(inner);
    let list = name.eq_ignore_ascii_case(b"PERMANENTFLAGS");
    let end = memchr::memmem::find(inner, b")]").filter(|_| list);
    let end = end.map(|at| at + 1);
    end.or_else(|| memchr::memchr(b']', inner))
}

fn code_of(inner: &[u8]) -> Code {
    let (name, rest) = word(inner);
    let name = upper(name);
    let argument = rest.trim_ascii();
    let sets: Vec<&[u8]> = argument
        .split(|b| *b == b' ')
        .filter(|s| !s.is_empty())
        .collect();
    let known = match name.as_str() {
        "UIDVALIDITY" => number(argument).map(Code::UidValidity),
        "UIDNEXT" => number(argument)
            .and_then(|n| u32::try_from(n).ok())
            .map(Code::UidNext),
        "HIGHESTMODSEQ" => number(argument).map(Code::HighestModSeq),
        "NOMODSEQ" => Some(Code::NoModSeq),
        "READ-ONLY" => Some(Code::ReadOnly),
        "UIDNOTSTICKY" => Some(Code::UidNotSticky),
        "CLOSED" => Some(Code::Closed),
        "PERMANENTFLAGS" => permanent(argument),
        "MODIFIED" => UidSet::parse(argument).map(Code::Modified),
        "APPENDUID" => match sets.as_slice() {
            [validity, uids] => number(validity)
                .and_then(|v| UidSet::parse(uids).map(|uids| Code::AppendUid(v, uids))),
            _ => None,
        },
        "COPYUID" => match sets.as_slice() {
            [validity, from, to] => number(validity)
                .and_then(|v| Some(Code::CopyUid(v, UidList::parse(from)?, UidList::parse(to)?))),
            _ => None,
        },
        _ => None,
    };
    known.unwrap_or(Code::Other(name))
}

fn permanent(argument: &[u8]) -> Option<Code> {
    let inner = argument.strip_prefix(b"(")?.strip_suffix(b")")?;
    let names = flag_names(inner, &mut VecDeque::new());
    let any = match names.iter().any(|name| name == b"\\*") {
        true => AnyKeyword::Yes,
        false => AnyKeyword::No,
    };
    Some(Code::PermanentFlags(flags_of(&names), any))
}
