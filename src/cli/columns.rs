//! Texts in columns of a terminal: wide, combining and right-to-left characters take the room that
//! they take there.

use super::terminal;
use unicode_width::UnicodeWidthStr;

/// Around text of its own direction, so that it does not turn round what stands beside it.
const ISOLATE: (char, char) = ('\u{2068}', '\u{2069}');

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text in exactly so many columns: cut with an ellipsis, or filled with spaces.
pub fn fit(text: &str, columns: usize) -> String {
    let cut = cut(text, columns);
    let fill = columns.saturating_sub(width(&cut));
    format!("{}{}", apart(&cut), " ".repeat(fill))
}

/// The same without isolation, for what is no terminal.
pub fn pad(text: &str, columns: usize) -> String {
    let cut = cut(text, columns);
    let fill = columns.saturating_sub(width(&cut));
    format!("{cut}{}", " ".repeat(fill))
}

/// The text in so many columns at the most.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut fits = String::new();
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let after = at + c.len_utf8();
        let so_far = text.get(..after).unwrap_or_default();
        if width(so_far) + 1 > columns {
            break;
        }
        end = after;
    }
    fits.push_str(text.get(..end).unwrap_or_default());
    if columns > 0 {
        fits.push(if terminal::is_utf8() { '\u{2026}' } else { '~' });
    }
    fits
}

/// The text, isolated where some of it runs from right to left.
pub fn apart(text: &str) -> String {
    match text.chars().any(runs_left) {
        true => format!("{}{text}{}", ISOLATE.0, ISOLATE.1),
        false => text.to_owned(),
    }
}

/// The lines of a text, each in so many columns, broken at spaces where that is possible.
pub fn folded(line: &str, columns: usize) -> Vec<String> {
    if width(line) <= columns {
        return vec![line.to_owned()];
    }
    let (mut lines, mut open) = (Vec::new(), String::new());
    for word in line.split_inclusive(' ') {
        if !open.is_empty() && width(&open) + width(word.trim_end()) > columns {
            lines.push(std::mem::take(&mut open));
        }
        open.push_str(word);
        // A word that is too long is left to the terminal.
    }
    lines.push(open);
    lines
}

/// Whether a character runs from right to left.
fn runs_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Bytes in five columns at the most.
pub fn size(bytes: u64) -> String {
    let units = ["", "K", "M", "G", "T"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 10_000 && unit + 1 < units.len() {
        value = value.div_ceil(1000);
        unit += 1;
    }
    format!("{value}{}", units.get(unit).unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_fills_its_columns() {
        let texts = [
            "plain",
            "\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{4ef6}\u{540d}",
            "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}",
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{5e2}\u{5d5}\u{5dc}\u{5dd}",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} family",
            "",
        ];
        for text in texts {
            for columns in 0..14 {
                let shown = fit(text, columns);
                assert_eq!(width(&shown), columns, "{text:?} in {columns}: {shown:?}");
            }
        }
    }

    #[test]
    fn mark_stays_with_its_letter() {
        assert_eq!(cut("ae\u{301}bc", 3), "ae\u{301}\u{2026}");
        assert_eq!(cut("\u{65e5}\u{672c}", 3), "\u{65e5}\u{2026}");
        assert_eq!(cut("abc", 3), "abc");
    }

    #[test]
    fn right_to_left_text_is_isolated() {
        let shown = fit("\u{5e9}\u{5dc}", 4);
        assert!(
            shown.starts_with('\u{2068}') && shown.ends_with("\u{2069}  "),
            "{shown:?}"
        );
        assert_eq!(fit("ab", 3), "ab ");
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(folded("one two three", 8), ["one two ", "three"]);
        assert_eq!(folded("unbreakable", 4), ["unbreakable"]);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [size(999), size(9999), size(10_000), size(23_400_000)],
            ["999", "9999", "10K", "24M"].map(str::to_owned)
        );
    }
}
