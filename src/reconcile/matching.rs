//! Which two are the same message, when the base does not say: first meeting, a run that was cut,
//! UIDVALIDITY changed. A multiset match: k here and m there make min(k, m) pairs, never fewer
//! messages (law, rows 40-43).

use crate::model::{Fingerprint, MaildirId, Uid};
use std::collections::BTreeMap;

/// A message on disk that looks for its like.
#[derive(Clone, Debug)]
pub struct Seeker<K> {
    /// The file.
    pub file: MaildirId,
    /// What it is compared by.
    pub key: K,
    /// The UID that its own name claims.
    pub hint: Option<Uid>,
}

/// The outcome of a match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Pairs found.
    pub links: Vec<(Uid, MaildirId)>,
    /// Groups of equal evidence with several on one side: to be told apart by content.
    pub unclear: Vec<(Vec<Uid>, Vec<MaildirId>)>,
}

/// Matches by evidence that is strong, but no proof: linked is what its own name claims, and what
/// is unique on both sides and carries a delivery trace; the rest is unclear.
pub fn by_evidence(remote: Vec<(Uid, Fingerprint)>, local: Vec<Seeker<Fingerprint>>) -> Matches {
    let mut matches = Matches::default();
    for (key, (uids, seekers)) in groups(remote, local) {
        let (mut uids, seekers) = take_hints(uids, seekers, &mut matches);
        match (uids.as_slice(), seekers.as_slice()) {
            ([], _) | (_, []) => {}
            ([uid], [file]) if key.traced => matches.links.push((*uid, file.clone())),
            _ => {
                uids.sort();
                matches.unclear.push((uids, seekers));
            }
        }
    }
    matches
}

/// Matches by content: equal keys are equal messages. Pairs are made in the order of UIDs and
/// names, after those that a file's own name claims.
pub fn by_content<K: Ord>(remote: Vec<(Uid, K)>, local: Vec<Seeker<K>>) -> Matches {
    let mut matches = Matches::default();
    for (uids, seekers) in groups(remote, local).into_values() {
        let (mut uids, mut files) = take_hints(uids, seekers, &mut matches);
        uids.sort();
        files.sort();
        matches.links.extend(uids.into_iter().zip(files));
    }
    matches
}

type Group<K> = (Vec<Uid>, Vec<Seeker<K>>);

fn groups<K: Ord>(remote: Vec<(Uid, K)>, local: Vec<Seeker<K>>) -> BTreeMap<K, Group<()>> {
    let mut groups: BTreeMap<K, Group<()>> = BTreeMap::new();
    for (uid, key) in remote {
        groups.entry(key).or_default().0.push(uid);
    }
    for Seeker { file, key, hint } in local {
        groups.entry(key).or_default().1.push(Seeker {
            file,
            key: (),
            hint,
        });
    }
    groups
}

fn take_hints(
    mut uids: Vec<Uid>,
    seekers: Vec<Seeker<()>>,
    matches: &mut Matches,
) -> (Vec<Uid>, Vec<MaildirId>) {
    let mut rest = Vec::new();
    for seeker in seekers {
        let place = uids.iter().position(|uid| Some(*uid) == seeker.hint);
        match place {
            Some(at) => matches.links.push((uids.swap_remove(at), seeker.file)),
            None => rest.push(seeker.file),
        }
    }
    (uids, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(n: u32) -> Uid {
        Uid::new(n).unwrap()
    }

    fn seeker(name: &str, key: u8, hint: Option<u32>) -> Seeker<u8> {
        Seeker {
            file: MaildirId::new(name),
            key,
            hint: hint.and_then(Uid::new),
        }
    }

    #[test]
    fn multiset_keeps_all_copies() {
        let remote = vec![(uid(2), 7), (uid(1), 7), (uid(3), 8)];
        let local = vec![
            seeker("b", 7, None),
            seeker("a", 7, None),
            seeker("c", 7, None),
        ];
        let (a, b) = (MaildirId::new("a"), MaildirId::new("b"));
        assert_eq!(
            by_content(remote, local).links,
            vec![(uid(1), a), (uid(2), b)]
        );
    }

    #[test]
    fn a_name_of_ours_finds_its_own_uid() {
        let remote = vec![(uid(1), 7), (uid(2), 7)];
        let local = vec![seeker("x", 7, Some(2)), seeker("y", 7, Some(1))];
        let (x, y) = (MaildirId::new("x"), MaildirId::new("y"));
        assert_eq!(
            by_content(remote, local).links,
            vec![(uid(2), x), (uid(1), y)]
        );
    }

    #[test]
    fn evidence_links_only_unique_deliveries() {
        let print = |header: &str| Fingerprint::new(9, header.as_bytes(), b"");
        let traced = print("Received: by x\r\nSubject: a\r\n\r\n");
        let plain = print("Subject: a\r\nX-Received: no\r\n\r\n");
        let seeker = |name: &str, key| Seeker {
            file: MaildirId::new(name),
            key,
            hint: None,
        };
        let out = by_evidence(vec![(uid(1), traced)], vec![seeker("a", traced)]);
        assert_eq!(out.links, vec![(uid(1), MaildirId::new("a"))]);
        let out = by_evidence(vec![(uid(1), traced)], vec![seeker("a", plain)]);
        assert_eq!(out, Matches::default(), "what is alone is not unclear");
        for (remote, local) in [
            (vec![(uid(1), plain)], vec![seeker("a", plain)]),
            (
                vec![(uid(1), traced)],
                vec![seeker("a", traced), seeker("b", traced)],
            ),
        ] {
            let out = by_evidence(remote, local);
            assert!(out.links.is_empty() && out.unclear.len() == 1, "{out:?}");
        }
    }
}
