//! Maps the completion of a command to an error of the run.

use crate::imap::net::connect::clean;
use crate::imap::protocol::reply::{Code, Completion, CompletionStatus};
use crate::imap::session::throttle::asks;
use crate::store::StoreError;

/// Returns the answer of a command that must succeed. The code determines what NO means (RFC 5530).
pub fn must(done: Completion, doing: &str) -> Result<Completion, StoreError> {
    match done.status {
        CompletionStatus::Ok => Ok(done),
        CompletionStatus::No | CompletionStatus::Bad => {
            let code = match &done.code {
                Some(Code::Other(name)) => format!("[{name}] "),
                _ => String::new(),
            };
            let text = format!("the server would not {doing}: {code}{}", clean(&done.text));
            Err(match &done.code {
                Some(Code::Other(name)) if name == "TRYCREATE" => StoreError::Stale(text),
                // The limit concerns this mailbox or message.
                Some(Code::Other(name)) if name == "LIMIT" => StoreError::Mailbox(text),
                _ => match asks(&text) {
                    Some(wait) => StoreError::Busy { what: text, wait },
                    None => StoreError::Mailbox(text),
                },
            })
        }
    }
}

/// The answer could not be read: the result is unknown.
pub fn unknown(what: &str) -> StoreError {
    let shown: String = what.chars().take(60).collect();
    StoreError::Mailbox(format!(
        "an answer of the server could not be read: {shown}"
    ))
}

/// Makes a wire name printable.
pub fn shown(name: &[u8]) -> String {
    format!("\"{}\"", name.escape_ascii())
}
