//! Finds equal messages without a base: at a first match, after a cut, after a UIDVALIDITY change.
//! A multiset match: k messages on one side and m on the other make min(k, m) pairs (rows 40-43).

use crate::model::{Fingerprint, MaildirId, Uid};
use std::collections::BTreeMap;

/// A file to match.
#[derive(Clone, Debug)]
pub struct Seeker<K> {
    /// The file.
    pub file: MaildirId,
    /// The evidence.
    pub key: K,
    /// The UID in its name.
    pub hint: Option<Uid>,
    /// If it was sent there, the highest UID that was there before.
    pub above: Option<u32>,
}

/// The result of a match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Pairs.
    pub links: Vec<(Uid, MaildirId)>,
    /// Groups of equal evidence with several members on a side: their content decides.
    pub unclear: Vec<(Vec<Uid>, Vec<MaildirId>)>,
}

/// Matches by strong evidence that is no proof: the UID in a file name, or unique evidence with a
/// trace field; the remainder is ambiguous.
pub fn by_evidence(remote: Vec<(Uid, Fingerprint)>, local: Vec<Seeker<Fingerprint>>) -> Matches {
    let mut matches = Matches::default();
    for (key, (uids, seekers)) in groups(remote, local) {
        let (mut uids, seekers) = take_hints(uids, seekers, &mut matches);
        let files: Vec<MaildirId> = seekers.into_iter().map(|seeker| seeker.file).collect();
        match (uids.as_slice(), files.as_slice()) {
            ([], _) | (_, []) => {}
            ([uid], [file]) if key.traced => matches.links.push((*uid, file.clone())),
            _ => {
                uids.sort();
                matches.unclear.push((uids, files));
            }
        }
    }
    matches
}

/// Matches by content: equal keys are equal messages. Pairs are made in the order of UIDs and
/// names, after those that a file's own name claims, and then those of files that were sent.
pub fn by_content<K: Ord>(remote: Vec<(Uid, K)>, local: Vec<Seeker<K>>) -> Matches {
    let mut matches = Matches::default();
    for (uids, seekers) in groups(remote, local).into_values() {
        let (mut uids, seekers) = take_hints(uids, seekers, &mut matches);
        uids.sort();
        let mut files = take_sent(&mut uids, seekers, &mut matches);
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
    for seeker in local {
        groups.entry(seeker.key).or_default().1.push(Seeker {
            file: seeker.file,
            key: (),
            hint: seeker.hint,
            above: seeker.above,
        });
    }
    groups
}

fn take_hints(
    mut uids: Vec<Uid>,
    seekers: Vec<Seeker<()>>,
    matches: &mut Matches,
) -> (Vec<Uid>, Vec<Seeker<()>>) {
    let mut rest = Vec::new();
    for seeker in seekers {
        let place = uids.iter().position(|uid| Some(*uid) == seeker.hint);
        match place {
            Some(at) => matches.links.push((uids.swap_remove(at), seeker.file)),
            None => rest.push(seeker),
        }
    }
    (uids, rest)
}

/// Gives files that were sent the first UIDs above those that were there before, of these in their
/// order. Answers with the files that got none.
fn take_sent(
    uids: &mut Vec<Uid>,
    seekers: Vec<Seeker<()>>,
    matches: &mut Matches,
) -> Vec<MaildirId> {
    let (mut sent, mut rest) = (Vec::new(), Vec::new());
    for seeker in seekers {
        match seeker.above {
            Some(above) => sent.push((above, seeker.file)),
            None => rest.push(seeker.file),
        }
    }
    sent.sort();
    let mut sent = sent.into_iter().peekable();
    uids.retain(|uid| {
        let fits = sent.next_if(|(above, _)| uid.get() > *above);
        let taken = fits.is_some();
        matches.links.extend(fits.map(|(_, file)| (*uid, file)));
        !taken
    });
    rest.extend(sent.map(|(_, file)| file));
    rest
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
            above: None,
        }
    }

    #[test]
    fn a_file_that_was_sent_is_found_before_its_like() {
        let remote = vec![(uid(2), 7), (uid(5), 7)];
        let sent = |name, above| Seeker {
            above: Some(above),
            ..seeker(name, 7, None)
        };
        let local = vec![seeker("a", 7, None), sent("c", 4), seeker("b", 7, None)];
        let (a, c) = (MaildirId::new("a"), MaildirId::new("c"));
        let links = by_content(remote.clone(), local).links;
        assert_eq!(links, vec![(uid(5), c), (uid(2), a.clone())]);
        // What was there before it was sent is not what it became.
        let local = vec![seeker("a", 7, None), sent("c", 5)];
        let links = by_content(remote[1..].to_vec(), local).links;
        assert_eq!(links, vec![(uid(5), a)]);
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
            above: None,
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
