//! Masks the secret in a server's text: servers and proxies repeat a refused command, also decoded
//! from base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Replaces the secret.
const MASK: &str = "***";
/// Most bytes of a text that are shown.
const LONGEST: usize = 16 << 10;
/// A shorter form is masked only as a separate word.
const DISTINCT: usize = 6;
/// Length of a form's prefix that is masked, too, as servers truncate.
const BEGINNING: usize = 8;

/// The forms in which a server may return a secret.
#[derive(Clone, Default)]
pub struct SecretMask {
    /// In lower case.
    plain: Vec<String>,
    /// Pieces of base64 text that contain the secret, in lower case.
    coded: Vec<String>,
}

impl std::fmt::Debug for SecretMask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hush")
    }
}

impl SecretMask {
    /// Makes the forms of a secret and of the responses made with it.
    pub fn of(secret: &str, responses: &[String]) -> SecretMask {
        if secret.is_empty() {
            return SecretMask::default();
        }
        let quoted = secret.replace('\\', "\\\\").replace('"', "\\\"");
        let written = secret.escape_default().to_string();
        let bytes = secret.as_bytes().escape_ascii().to_string();
        let percent: String = secret.bytes().map(percent).collect();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let lower = |text: &String| text.to_ascii_lowercase();
        let mut plain = vec![secret.to_owned(), quoted, written, bytes, percent, hex];
        plain = plain.iter().map(lower).collect();
        let pieces = (0..3).map(|before| piece(secret, before));
        let whole = responses.iter().map(|text| STANDARD_NO_PAD.encode(text));
        let whole = whole.chain([STANDARD_NO_PAD.encode(secret)]);
        let (coded, words): (Vec<String>, Vec<String>) = pieces
            .filter(|one| one.len() >= DISTINCT)
            .chain(whole)
            .map(|text| lower(&text))
            .partition(|one| one.len() >= DISTINCT);
        let mut coded = coded;
        plain.extend(words);
        for forms in [&mut plain, &mut coded] {
            // Longest first, as one may contain another.
            forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
            forms.dedup();
        }
        SecretMask { plain, coded }
    }

    /// Returns the text without the secret, truncated to the limit.
    pub fn mask(&self, text: &str) -> String {
        let mut ends = (0..=LONGEST.min(text.len())).rev();
        let end = ends.find(|at| text.is_char_boundary(*at));
        let text = text.get(..end.unwrap_or(0)).unwrap_or_default();
        // Equal length, byte for byte.
        let lower = text.to_ascii_lowercase();
        let mut shown = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
            match self.found(&lower, at) {
                Some(end) => {
                    shown.push_str(MASK);
                    at = end;
                }
                None => {
                    shown.push(c);
                    at += c.len_utf8();
                }
            }
        }
        shown
    }

    /// Returns the end of the secret that begins here.
    fn found(&self, text: &str, at: usize) -> Option<usize> {
        let ends = |forms: &[String]| forms.iter().find_map(|form| match_at(text, at, form));
        if let Some(end) = ends(&self.plain) {
            return Some(end);
        }
        // The remainder of the base64 text belongs to it.
        let end = self.coded.iter().find_map(|form| beginning(text, at, form));
        end.map(|end| end + length(text.get(end..).unwrap_or_default(), is_coded))
    }
}

/// Returns the end of the form, or of its truncated prefix, that begins here.
fn match_at(text: &str, at: usize, form: &str) -> Option<usize> {
    let end = beginning(text, at, form)?;
    let before = text.get(..at).and_then(|before| before.chars().next_back());
    let after = text.get(end..).and_then(|after| after.chars().next());
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let alone = !inside(before) && !inside(after);
    (form.len() >= DISTINCT || alone).then_some(end)
}

/// Returns the length of the match, if it is complete or long enough to reveal the secret.
fn beginning(text: &str, at: usize, form: &str) -> Option<usize> {
    let rest = text.get(at..)?;
    let same = rest.bytes().zip(form.bytes()).take_while(|(a, b)| a == b);
    let mut same = same.count();
    let cut = same == rest.len() && same >= 4 && same * 2 >= form.len();
    if same < form.len() && same < BEGINNING && !cut {
        return None;
    }
    while !rest.is_char_boundary(same) {
        same -= 1;
    }
    (same > 0).then_some(at + same)
}

fn length(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c| !of(c)).unwrap_or(text.len())
}

fn is_coded(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_')
}

/// Returns the base64 letters that depend on the secret only, if this many bytes precede it.
fn piece(secret: &str, before: usize) -> String {
    let bytes = [vec![0; before], secret.as_bytes().to_vec()].concat();
    let text = STANDARD_NO_PAD.encode(&bytes);
    let first = (before * 8).div_ceil(6);
    let whole = bytes.len() * 8 / 6;
    text.get(first..whole).unwrap_or_default().to_owned()
}

fn percent(byte: u8) -> String {
    match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    const SECRET: &str = "hunter2\"CANARY\\xyz";

    fn hush() -> SecretMask {
        SecretMask::of(SECRET, &[format!("\0me\0{SECRET}")])
    }

    #[test]
    fn no_form_of_the_secret_is_shown() {
        let quoted = "hunter2\\\"CANARY\\\\xyz";
        let mut echoes = vec![
            format!("BAD unknown command: LOGIN me {SECRET}"),
            format!("BAD LOGIN \"me\" \"{quoted}\" x"),
            format!("NO {}", SECRET.to_uppercase()),
            "NO /?p=hunter2%22CANARY%5Cxyz&x".to_owned(),
            format!("NO cut: {}", &SECRET[..11]),
            format!("NO cut: {}...", &SECRET[..11]),
        ];
        for before in ["", "u", "me", "you", "\0me\0", "user=me\x01auth=Bearer "] {
            for after in ["", "\x01\x01", "x"] {
                let coded = STANDARD.encode(format!("{before}{SECRET}{after}"));
                echoes.push(format!("BAD AUTHENTICATE PLAIN {coded}"));
                echoes.push(format!("BAD <{}>", &coded[..coded.len() - 3]));
            }
        }
        for echo in echoes {
            let shown = hush().mask(&echo);
            assert!(shown.contains(MASK), "{echo}: {shown}");
            let lower = shown.to_lowercase();
            assert!(
                !lower.contains("hunter") && !lower.contains("canary"),
                "{shown}"
            );
            let decoded = shown
                .split(|c| !is_coded(c))
                .filter_map(|word| STANDARD_NO_PAD.decode(word.trim_end_matches('=')).ok());
            for bytes in decoded {
                assert!(
                    !String::from_utf8_lossy(&bytes).contains("unter"),
                    "{shown}"
                );
            }
        }
    }

    #[test]
    fn other_words_stay_as_they_are() {
        for said in [
            "NO invalid credentials",
            "BAD unknown command: AUTHENTICATE PLAIN ü",
            "",
        ] {
            assert_eq!(hush().mask(said), said);
        }
        // A short one is a word, or is not masked.
        let short = SecretMask::of("pass", &[]);
        assert_eq!(
            short.mask("wrong password, passes"),
            "wrong password, passes"
        );
        assert_eq!(short.mask("LOGIN u1 pass."), "LOGIN u1 ***.");
        let tiny = SecretMask::of("x", &["\0u1\0x".to_owned()]);
        assert_eq!(
            tiny.mask("NO [TRYCREATE] no such mailbox"),
            "NO [TRYCREATE] no such mailbox"
        );
        assert_eq!(tiny.mask("LOGIN u1 x eA."), "LOGIN u1 *** ***.");
        assert_eq!(
            SecretMask::of("", &[String::new()]).mask("NO ***"),
            "NO ***"
        );
        let foreign = SecretMask::of("pässwörd-lang", &[]);
        assert_eq!(foreign.mask("NO pässwörd-lang ü"), "NO *** ü");
    }
}
