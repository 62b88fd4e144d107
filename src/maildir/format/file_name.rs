//! File names: a unique base name, and flags as letters after `:2,`
//! (<https://cr.yp.to/proto/maildir.html>). Unknown parts are kept.

use crate::maildir::format::keywords::Keywords;
use crate::model::Timestamp;
use crate::model::{FlagChange, Flags, Keyword, MaildirId, Origin, SystemFlag, Uid, UidValidity};
use std::collections::BTreeSet;

/// The letters of the standard; `P` is `$Forwarded`.
const LETTERS: [(u8, SystemFlag); 5] = [
    (b'D', SystemFlag::Draft),
    (b'F', SystemFlag::Flagged),
    (b'R', SystemFlag::Answered),
    (b'S', SystemFlag::Seen),
    (b'T', SystemFlag::Deleted),
];

/// Splits a file name into base name and info (everything after `:2,`; empty if absent).
pub fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memmem::rfind(name, b":2,") {
        Some(at) => (
            name.get(..at).unwrap_or_default(),
            name.get(at + 3..).unwrap_or_default(),
        ),
        None => (name, b""),
    }
}

/// Returns the flags of the letters; `keyword` maps the letters a to z.
pub fn flags(info: &[u8], keyword: impl Fn(u8) -> Option<Keyword>) -> Flags {
    let mut flags = Flags::default();
    for letter in letters(info) {
        match LETTERS.iter().find(|(l, _)| l == letter) {
            Some((_, flag)) => flags.insert(*flag),
            None if *letter == b'P' => flags.insert_keyword(Keyword::forwarded()),
            None => {
                if let Some(keyword) = keyword(*letter) {
                    flags.insert_keyword(keyword);
                }
            }
        }
    }
    flags
}

/// Returns the info after a change. Keywords without a letter are omitted, and letters a to z
/// without a keyword removed; other letters and everything after a comma stay.
pub fn change(info: &[u8], change: &FlagChange, table: &Keywords) -> Vec<u8> {
    let of = |flags: &Flags| -> Vec<u8> {
        let system = LETTERS
            .iter()
            .filter(|(_, flag)| flags.has(*flag))
            .map(|(l, _)| *l);
        let keywords = flags.keywords().filter_map(|keyword| {
            if *keyword == Keyword::forwarded() {
                Some(b'P')
            } else {
                table.letter(keyword)
            }
        });
        system.chain(keywords).collect()
    };
    let (remove, add) = (of(&change.remove), of(&change.add));
    let mut now: Vec<u8> = letters(info)
        .iter()
        .copied()
        .filter(|l| !remove.contains(l) && (!l.is_ascii_lowercase() || table.name(*l).is_some()))
        .collect();
    now.extend(add);
    now.sort_unstable();
    now.dedup();
    now.extend(info.get(letters(info).len()..).unwrap_or_default());
    now
}

/// Returns the letters a to z of an info.
pub fn keyword_letters(info: &[u8]) -> BTreeSet<u8> {
    let all = letters(info).iter().copied();
    all.filter(u8::is_ascii_lowercase).collect()
}

/// The most letters that mutt and neomutt write, whatever the file had: they write them in order,
/// in 15 bytes with `:2,`.
const MOST: usize = 12;

/// Whether a name has as many letters as some mail readers write at the most.
pub fn is_full(info: &[u8]) -> bool {
    letters(info).len() == MOST
}

fn letters(info: &[u8]) -> &[u8] {
    let end = info.iter().position(|b| *b == b',').unwrap_or(info.len());
    info.get(..end).unwrap_or_default()
}

/// Returns the name of a downloaded file: equal for equal origins, so that a cut run finds its file
/// again. `again` is for a name that exists.
pub fn downloaded(origin: &Origin, date: Option<Timestamp>, again: u32, host: &str) -> Vec<u8> {
    let Origin {
        mailbox,
        uid_validity,
        uid,
    } = origin;
    let at = date.map_or(0, |date| date.0.max(0));
    let again = if again == 0 {
        String::new()
    } else {
        format!("_{again}")
    };
    format!(
        "{at}.{mailbox:08x}_{:08x}_{:x}{again}.{host}",
        uid.get(),
        uid_validity.0
    )
    .into_bytes()
}

/// Returns the origin of a file that we downloaded.
pub fn origin(base: &MaildirId) -> Option<Origin> {
    let text = std::str::from_utf8(base.as_bytes()).ok()?;
    let token = text.split('.').nth(1)?;
    let mut parts = token.split('_');
    let mailbox = parts.next().filter(|part| part.len() == 8)?;
    let uid = parts.next().filter(|part| part.len() == 8)?;
    let uid_validity = parts.next()?;
    Some(Origin {
        mailbox: u32::from_str_radix(mailbox, 16).ok()?,
        uid_validity: UidValidity(u64::from_str_radix(uid_validity, 16).ok()?),
        uid: Uid::new(u32::from_str_radix(uid, 16).ok()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildir::format::keywords::Common;
    use crate::maildir::fs::real::RealFs;
    use std::rc::Rc;

    fn keyword(letter: u8) -> Option<Keyword> {
        (letter == b'a').then(|| Keyword::new("work")).flatten()
    }

    #[test]
    fn names_of_many_programs() {
        for (name, base, info) in [
            ("1.M2P3.host:2,FS", "1.M2P3.host", "FS"),
            ("1.M2P3.host,U=7:2,", "1.M2P3.host,U=7", ""),
            ("1.x.host,FMD5=ab:2,S", "1.x.host,FMD5=ab", "S"),
            ("1.x.host,S=5,W=6:2,Sab", "1.x.host,S=5,W=6", "Sab"),
            ("plain", "plain", ""),
            ("a:1,b", "a:1,b", ""),
        ] {
            assert_eq!(split(name.as_bytes()), (base.as_bytes(), info.as_bytes()));
        }
        assert_eq!(
            flags(b"PSTaz", keyword).to_string(),
            "\\Deleted \\Seen $Forwarded work"
        );
    }

    #[test]
    fn a_change_keeps_flags_it_does_not_know_and_no_empty_letter() {
        let mut table = Keywords::default();
        let work = Keyword::new("work");
        assert!(table.assign(work.iter(), &BTreeSet::new(), &Common::on(Rc::new(RealFs))));
        let mut add = Flags::of(&[SystemFlag::Answered]);
        add.insert_keyword(Keyword::new("work").unwrap());
        add.insert_keyword(Keyword::new("no letter").or(Keyword::new("other")).unwrap());
        let remove = Flags::of(&[SystemFlag::Seen]);
        let edit = FlagChange { add, remove };
        for (before, after) in [("FS,foo", "FRa,foo"), ("", "Ra"), ("SXz", "RXa")] {
            assert_eq!(change(before.as_bytes(), &edit, &table), after.as_bytes());
        }
        assert_eq!(keyword_letters(b"FSbz,a"), BTreeSet::from(*b"bz"));
    }

    #[test]
    fn our_names_tell_where_they_came_from() {
        let origin_ = Origin {
            mailbox: 0xdead_beef,
            uid_validity: UidValidity(1_700_000_000),
            uid: Uid::new(u32::MAX).unwrap(),
        };
        for again in [0, 3] {
            let name = downloaded(&origin_, Some(Timestamp(5)), again, "host.example");
            assert_eq!(origin(&MaildirId::new(name)), Some(origin_));
        }
        for other in ["1.M2P3.host", "x", "1.00000000_00000000_1.h", "1.a_b_c.h"] {
            assert_eq!(origin(&MaildirId::new(other)), None, "{other}");
        }
    }
}
