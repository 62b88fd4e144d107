//! Detects throttling, by response code or text. The requested delay is obeyed, as servers lock out
//! clients that keep retrying.

use crate::store::StoreError;
use std::time::Duration;

/// Codes that delay the whole account: RFC 5530, RFC 9051, and `THROTTLED` of Yahoo and Gmail.
const CODES: [&str; 3] = ["THROTTLED", "UNAVAILABLE", "LIMIT"];

/// Texts without a code: Exchange Online ("Request is throttled. Suggested Backoff Time: 299961
/// milliseconds"), Dovecot ("Maximum number of connections from user+IP exceeded"), Gmail ("Too
/// many simultaneous connections", "Account exceeded command or bandwidth limits").
const WORDS: [&str; 5] = [
    "throttled",
    "maximum number of connections",
    "too many simultaneous connections",
    "too many connections",
    "bandwidth limits",
];

/// The longest delay that is believed.
const LONGEST: Duration = Duration::from_secs(3600);

/// Classifies the error that ended a session or login by its text.
pub fn patience(error: StoreError, said: &str) -> StoreError {
    match asks(said) {
        Some(wait) => StoreError::Busy {
            what: error.to_string(),
            wait,
        },
        None => error,
    }
}

/// Whether the text asks for a delay, and which.
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
