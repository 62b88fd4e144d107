//! The terminal: its columns, and whether it shows colours and other characters than ASCII.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::OnceLock;

/// The columns of the terminal.
pub fn columns() -> usize {
    let told = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    let size = || {
        let size = rustix::termios::tcgetwinsize(stdout());
        let size = size
            .or_else(|_| rustix::termios::tcgetwinsize(stderr()))
            .ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    told.or_else(size).unwrap_or(80).max(40)
}

/// Whether colours are wanted where there is a terminal: not with `NO_COLOR` (no-color.org), and
/// not on a dumb one.
pub fn wants_colour() -> bool {
    let set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !set && !is_dumb()
}

/// Whether the terminal moves no cursor.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// Whether standard error is a terminal that can redraw a line.
pub fn redraws() -> bool {
    stderr().is_terminal() && !is_dumb()
}

/// Whether the locale, if one is set, is of UTF-8.
pub fn is_utf8() -> bool {
    static UTF8: OnceLock<bool> = OnceLock::new();
    *UTF8.get_or_init(|| {
        let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let first = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(set);
        let locale = first.and_then(|name| std::env::var(name).ok());
        locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
    })
}
