//! Parses the name of a server as people write it.

use std::net::IpAddr;

/// Returns the host name or address. The error shows the right spelling.
pub fn read(text: &str) -> Result<String, String> {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = inner.filter(|inner| is_address(inner)) {
        return Ok(address.to_owned());
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || ":/@[]\"'<>,;".contains(c);
    match is_address(text) || !text.is_empty() && !text.contains(odd) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "host = {text:?} is no name of a server; write {}",
            right(text)
        )),
    }
}

/// Parses an address, also an IPv6 address with a zone.
fn is_address(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<IpAddr>().is_ok()
}

/// Guesses the intended settings from a URL-like name.
fn right(text: &str) -> String {
    let (scheme, rest) = text.trim().split_once("://").unwrap_or(("", text.trim()));
    let rest = rest.split(['/', ' ']).next().unwrap_or_default();
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => (address, after.strip_prefix(':')),
        None if is_address(rest) => (rest, None),
        None => match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let host = match host.is_empty() || host.contains([':', '[', ']']) && !is_address(host) {
        true => "imap.example.org",
        false => host,
    };
    let port = port.and_then(|port| port.parse::<u16>().ok());
    let port = port.map(|port| format!(" and port = {port}"));
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "imap" => " and tls = \"starttls\"",
        _ => "",
    };
    format!("host = \"{host}\"{}{tls}", port.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_understood_or_the_right_spelling_is_said() {
        for (text, host) in [
            ("imap.example.org", "imap.example.org"),
            ("localhost", "localhost"),
            ("mail_1.example.org.", "mail_1.example.org."),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("b\u{fc}cher.example", "b\u{fc}cher.example"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(host), "{text}");
        }
        for (text, says) in [
            ("h.example:993", "host = \"h.example\" and port = 993"),
            ("[::1]:143", "host = \"::1\" and port = 143"),
            ("imaps://h.example", "write host = \"h.example\""),
            (
                "imaps://h.example:994/INBOX",
                "host = \"h.example\" and port = 994",
            ),
            (
                "imap://h.example",
                "host = \"h.example\" and tls = \"starttls\"",
            ),
            (
                "IMAP://[::1]:143",
                "host = \"::1\" and port = 143 and tls = \"starttls\"",
            ),
            ("me@h.example", "host = \"h.example\""),
            ("h.example/", "host = \"h.example\""),
            (" h.example", "host = \"h.example\""),
            ("h.example:imaps", "host = \"h.example\""),
            ("", "imap.example.org"),
            ("[h.example]", "write host"),
            ("1::2::3", "write host"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
