//! What the end of a command means for the run.

use super::connect::clean;
use super::patience::asks;
use super::reply::{Code, Completion, Status};
use crate::store::StoreError;

/// The answer to a command that must succeed. What NO means for the run depends on its code
/// (RFC 5530).
pub fn must(done: Completion, doing: &str) -> Result<Completion, StoreError> {
    match done.status {
        Status::Ok => Ok(done),
        Status::No | Status::Bad => {
            let code = match &done.code {
                Some(Code::Other(name)) => format!("[{name}] "),
                _ => String::new(),
            };
            let text = format!("the server would not {doing}: {code}{}", clean(&done.text));
            Err(match &done.code {
                Some(Code::Other(name)) if name == "TRYCREATE" => StoreError::Stale(text),
                // A limit here is one of this mailbox or message.
                Some(Code::Other(name)) if name == "LIMIT" => StoreError::Mailbox(text),
                _ => match asks(&text) {
                    Some(wait) => StoreError::Busy { what: text, wait },
                    None => StoreError::Mailbox(text),
                },
            })
        }
    }
}

/// An answer could not be read: the result is unknown.
pub fn unknown(what: &str) -> StoreError {
    let shown: String = what.chars().take(60).collect();
    StoreError::Mailbox(format!(
        "an answer of the server could not be read: {shown}"
    ))
}

/// A wire name for people.
pub fn shown(name: &[u8]) -> String {
    format!("\"{}\"", name.escape_ascii())
}
