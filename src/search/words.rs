//! Words of a text: the same for a message and for a query, so that the index and a reading of
//! the files find the same. A word is a run of letters and digits, in lower case and without
//! accents; in scripts that are written without spaces (Chinese, Japanese, Korean, Thai) each
//! character is a word, and a query of several is a phrase.

/// Characters that a word has at the most; further ones are left out, in texts and queries alike.
const LONGEST: usize = 64;

/// The words of a text, in their order.
pub fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    each(text, |word| all.push(word.to_owned()));
    all
}

/// The words of a text with a space after each.
pub fn spaced(text: &str, out: &mut String) {
    each(text, |word| {
        out.push_str(word);
        out.push(' ');
    });
}

/// Hands over the words of a text, one after another.
pub fn each(text: &str, mut take: impl FnMut(&str)) {
    let (mut word, mut length) = (String::new(), 0);
    let mut end = |word: &mut String, length: &mut usize| {
        if !word.is_empty() {
            take(word);
            word.clear();
        }
        *length = 0;
    };
    for c in text.chars() {
        if c.is_ascii() {
            match c.is_ascii_alphanumeric() {
                true if length < LONGEST => {
                    word.push(c.to_ascii_lowercase());
                    length += 1;
                }
                true => {}
                false => end(&mut word, &mut length),
            }
            continue;
        }
        let c = narrow(c);
        if is_mark(c) {
            continue;
        }
        if !c.is_alphanumeric() {
            end(&mut word, &mut length);
        } else if stands_alone(c) {
            end(&mut word, &mut length);
            word.push(c);
            end(&mut word, &mut length);
        } else if length < LONGEST {
            c.to_lowercase().for_each(|c| without_accent(c, &mut word));
            length += 1;
        }
    }
    end(&mut word, &mut length);
}

/// Whether the words of a phrase stand one after another in a text. `open`: the last one may be
/// the beginning of a longer word.
pub fn holds(text: &[String], phrase: &[String], open: bool) -> bool {
    let Some((last, first)) = phrase.split_last() else {
        return false;
    };
    text.windows(phrase.len()).any(|part| {
        let Some((end, begin)) = part.split_last() else {
            return false;
        };
        begin == first && (end == last || (open && end.starts_with(last.as_str())))
    })
}

/// Columns of a terminal that a character takes.
pub fn columns(c: char) -> usize {
    let wide = matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}');
    if wide { 2 } else { 1 }
}

/// A letter of full width as the ordinary one.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        other => other,
    }
}

/// Whether a character is only a mark on the one before it.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Whether a character belongs to a script that puts no spaces between words.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}'
        | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{9fff}' | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ffdc}'
        | '\u{20000}'..='\u{3ffff}')
}

/// Writes a letter in lower case without its accent.
fn without_accent(c: char, out: &mut String) {
    let plain = match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' | 'ǎ' | 'ạ' | 'ả' | 'ấ' | 'ầ' | 'ẩ'
        | 'ẫ' | 'ậ' | 'ắ' | 'ằ' | 'ẳ' | 'ẵ' | 'ặ' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' | 'đ' => 'd',
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẹ' | 'ẻ' | 'ẽ' | 'ế' | 'ề' | 'ể'
        | 'ễ' | 'ệ' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ĥ' | 'ħ' => 'h',
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'ǐ' | 'ỉ' | 'ị' => 'i',
        'ĵ' => 'j',
        'ķ' => 'k',
        'ĺ' | 'ļ' | 'ľ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' | 'ǒ' | 'ọ' | 'ỏ' | 'ố' | 'ồ'
        | 'ổ' | 'ỗ' | 'ộ' | 'ớ' | 'ờ' | 'ở' | 'ỡ' | 'ợ' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ț' => 't',
        'ù' | 'ú' | 'û' | 'ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | 'ǔ' | 'ụ' | 'ủ' | 'ứ'
        | 'ừ' | 'ử' | 'ữ' | 'ự' => 'u',
        'ŵ' => 'w',
        'ý' | 'ÿ' | 'ŷ' | 'ỳ' | 'ỵ' | 'ỷ' | 'ỹ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' | 'ϊ' | 'ΐ' => 'ι',
        'ό' => 'ο',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        'ς' => 'σ',
        'ё' => 'е',
        'ß' => return out.push_str("ss"),
        'æ' => return out.push_str("ae"),
        'œ' => return out.push_str("oe"),
        // Lower case of İ is i with a dot above.
        '\u{300}'..='\u{36f}' => return,
        other => other,
    };
    out.push(plain);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_lower_case_without_accents() {
        for (text, wanted) in [
            ("Re: Müller's invoice-2024", "re muller s invoice 2024"),
            ("Straße ŁÓDŹ İzmir cafe\u{301}", "strasse lodz izmir cafe"),
            ("ＡＢＣ１２ ΆΣ", "abc12 ας"),
            ("a.b@c.example", "a b c example"),
            ("請求書です", "請 求 書 で す"),
            ("東京tower", "東 京 tower"),
            ("안녕 하세요", "안 녕 하 세 요"),
            ("-- !", ""),
        ] {
            let wanted = wanted.replace('ς', "σ");
            assert_eq!(words(text).join(" "), wanted, "{text}");
        }
    }

    #[test]
    fn a_phrase_stands_in_one_piece() {
        let text = words("the quick brown fox");
        let has = |phrase: &str, open| holds(&text, &words(phrase), open);
        assert!(has("quick brown", false) && has("the", false));
        assert!(!has("quick fox", false) && !has("bro", false));
        assert!(has("quick bro", true) && !has("qui brown", true));
        assert!(!has("", true));
    }

    proptest! {
        #[test]
        fn words_of_words_are_the_same(text in "\\PC{0,60}") {
            let once = words(&text);
            prop_assert_eq!(words(&once.join(" ")), once.clone());
            prop_assert!(once.iter().all(|word| !word.is_empty() && !word.contains(' ')));
        }
    }
}
