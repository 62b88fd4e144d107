//! Servers that ask for patience: by a response code, or in words. What they ask for is obeyed;
//! clients that keep hammering are locked out.

use crate::store::StoreError;
use std::time::Duration;

/// Response codes that mean "not now" for the whole account: RFC 5530, RFC 9051, and `THROTTLED`
/// of Yahoo and Gmail.
const CODES: [&str; 3] = ["THROTTLED", "UNAVAILABLE", "LIMIT"];

/// Words that mean it without a code: Exchange Online ("Request is throttled. Suggested Backoff
/// Time: 299961 milliseconds"), Dovecot ("Maximum number of connections from user+IP exceeded"),
/// Gmail ("Too many simultaneous connections", "Account exceeded command or bandwidth limits").
const WORDS: [&str; 5] = [
    "throttled",
    "maximum number of connections",
    "too many simultaneous connections",
    "too many connections",
    "bandwidth limits",
];

/// No server means more than this.
const LONGEST: Duration = Duration::from_secs(3600);

/// An error that ends a session or a login, as what the server's words make of it.
pub fn patience(error: StoreError, said: &str) -> StoreError {
    match asks(said) {
        Some(wait) => StoreError::Busy {
            what: error.to_string(),
            wait,
        },
        None => error,
    }
}

/// Whether the words ask for patience, and for how long.
pub fn asks(said: &str) -> Option<Option<Duration>> {
    let lower = said.to_ascii_lowercase();
    let code = CODES
        .iter()
        .any(|code| lower.contains(&format!("[{}]", code.to_ascii_lowercase())));
    let wait = suggested(&lower);
    let words = WORDS.iter().any(|words| lower.contains(words));
    (code || words || wait.is_some()).then_some(wait)
}

/// "Suggested Backoff Time: N milliseconds".
fn suggested(lower: &str) -> Option<Duration> {
    let (_, after) = lower.split_once("suggested backoff time:")?;
    let digits: String = after
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let wait = Duration::from_millis(digits.parse().ok()?);
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say() {
        let ms = |ms| Some(Some(Duration::from_millis(ms)));
        for (said, expected) in [
            (
                "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
                ms(299_961),
            ),
            (
                "Suggested Backoff Time: 99999999999 milliseconds",
                ms(3_600_000),
            ),
            ("[THROTTLED] Rate limit hit.", Some(None)),
            (
                "[UNAVAILABLE] Temporary authentication failure.",
                Some(None),
            ),
            ("[LIMIT] Too many sessions", Some(None)),
            (
                "Maximum number of connections from user+IP exceeded",
                Some(None),
            ),
            ("Session expired, please login again.", None),
            ("[AUTHENTICATIONFAILED] Authentication failed.", None),
            ("Logging out", None),
        ] {
            assert_eq!(asks(said), expected, "{said}");
        }
    }
}
