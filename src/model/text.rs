//! Makes text from outside printable, for terminal, log, JSON and environment. Names and texts of
//! servers and files may contain characters that move the cursor, end a line or reorder text.

/// Returns the text as one line of printable characters; others are written like `\u{1b}`.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_printable(c) {
            true => shown.push(c),
            false => shown.extend(c.escape_unicode()),
        }
    }
    shown
}

/// Whether a character is printable: no control character, line separator, change of direction or
/// invisible mark.
pub fn is_printable(c: char) -> bool {
    let acts = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
    !c.is_control() && !acts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_and_changes_of_direction_are_written_out() {
        let evil = "a\x1b]52;c;x\x07\x7f\u{9b}31m\r\nb\0\u{202e}c\u{2066}d\u{61c}\u{2028}";
        let shown = printable(evil);
        assert!(shown.chars().all(is_printable), "{shown}");
        assert!(shown.starts_with("a\\u{1b}]52;c;x\\u{7}\\u{7f}\\u{9b}31m\\u{d}\\u{a}b"));
        for plain in ["Entwürfe/日本", "a\u{200d}b 👨\u{200d}👩", "C:\\u{1b}", ""] {
            assert_eq!(printable(plain), plain);
        }
    }
}
