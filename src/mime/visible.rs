//! Characters that act on a terminal instead of showing themselves.

use crate::model::text::is_printable;

/// The text on one line: white space is one space, a control character is `�`, marks that change
/// the direction of text or show nothing are left out.
pub fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.extend(word.chars().filter_map(visible));
    }
    shown
}

/// The text as lines that end in `\n`; a tab is spaces up to the next multiple of eight, everything
/// else as for [`line()`].
pub fn lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for one in text.lines() {
        let mut column = 0;
        for c in one.trim_end_matches('\r').chars() {
            match c {
                '\t' => {
                    let count = 8 - column % 8;
                    shown.extend(std::iter::repeat_n(' ', count));
                    column += count;
                }
                c => {
                    shown.extend(visible(c));
                    column += 1;
                }
            }
        }
        shown.push('\n');
    }
    shown
}

fn visible(c: char) -> Option<char> {
    match c {
        c if is_printable(c) => Some(c),
        c if c.is_control() => Some('\u{fffd}'),
        _ => None,
    }
}
