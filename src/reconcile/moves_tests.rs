//! Assignment of equal messages.

use super::*;
use crate::model::{Canonical, Kin, Pair, PairId, SystemFlag};
use crate::reconcile::policy::Travel;
use Whereabouts::{Broken, Edited, Gone, Here};

fn mailbox(name: &str) -> MailboxName {
    MailboxName::parse(name).unwrap()
}

fn kin(number: u32) -> Option<Kin> {
    Some(Kin::object(&number.to_be_bytes()))
}

/// Pair `n` in a mailbox, with UID `n` and file `f<n>`.
fn known(n: u32, place: &str, remote: Whereabouts, local: Whereabouts) -> Known {
    Known {
        mailbox: mailbox(place),
        pair: Pair {
            id: PairId(n.into()),
            uid: Uid::new(n).unwrap(),
            file: MaildirId::new(format!("f{n}")),
            flags: Flags::default(),
            hash: Canonical::of(b"x"),
            size: 1,
            stamp: None,
            kin: kin(n),
            tombstone: None,
        },
        remote,
        local,
        flags: Flags::default(),
    }
}

fn new<I>(place: &str, id: I, kin: Option<Kin>) -> Sighting<I> {
    Sighting {
        mailbox: mailbox(place),
        id,
        hash: Canonical::of(b"x"),
        kin,
        flags: Flags::default(),
        size: None,
    }
}

fn there(place: &str, number: Option<u32>) -> Sighting<Uid> {
    new(place, Uid::new(9).unwrap(), number.and_then(kin))
}

fn here(place: &str, name: &str) -> Sighting<MaildirId> {
    new(place, MaildirId::new(name), None)
}

fn moves(known: &[Known], uids: Vec<Sighting<Uid>>, files: Vec<Sighting<MaildirId>>) -> Moves {
    moves_by(&Policy::default(), known, uids, files)
}

fn moves_by(
    policy: &Policy,
    known: &[Known],
    uids: Vec<Sighting<Uid>>,
    files: Vec<Sighting<MaildirId>>,
) -> Moves {
    moves_after(&[], policy, known, (uids, files))
}

fn moves_after(
    cut: &[CutMove],
    policy: &Policy,
    known: &[Known],
    (uids, files): (Vec<Sighting<Uid>>, Vec<Sighting<MaildirId>>),
) -> Moves {
    decide(Case {
        known,
        uids,
        files,
        kept: Vec::new(),
        cut,
        frozen: &BTreeSet::new(),
        policy,
    })
}

/// Returns the decisions, one line each: mailbox and action.
fn lines(moves: &Moves) -> Vec<String> {
    let all = moves.actions.iter();
    let all = all.flat_map(|(name, actions)| actions.iter().map(move |a| (name, a)));
    all.map(|(name, action)| match action {
        Action::Rekey(new) => format!("{name}: {} is {action}", new.pair.id.0),
        Action::Move(step) => format!("{name}: {} is {action}", step.pair.id.0),
        _ => format!("{name}: {action}"),
    })
    .collect()
}

#[test]
fn a_message_that_the_disk_still_has_was_moved_rather_than_one_that_it_lost() {
    for lost in [Gone, Edited, Broken] {
        let pairs = [known(1, "A", Gone, lost), known(2, "B", Gone, Here)];
        let out = moves(&pairs, vec![there("C", None)], Vec::new());
        assert_eq!(lines(&out), ["C: 2 is move file f2 here from B on local"]);
    }
}

#[test]
fn what_the_server_calls_a_message_tells_which_was_moved() {
    let pairs = [known(1, "A", Gone, Here), known(2, "B", Gone, Here)];
    let out = moves(&pairs, vec![there("C", Some(2))], Vec::new());
    assert_eq!(lines(&out), ["C: 2 is move file f2 here from B on local"]);
    let out = moves(&pairs, vec![there("C", Some(7))], Vec::new());
    assert_eq!(lines(&out), ["C: 1 is move file f1 here from A on local"]);
}

#[test]
fn a_new_uid_in_its_own_mailbox_comes_first() {
    let pairs = [known(1, "A", Gone, Here), known(2, "B", Gone, Here)];
    let out = moves(&pairs, vec![there("B", None)], Vec::new());
    assert_eq!(lines(&out), ["B: 2 is note that UID 9 is file f2 here"]);
}

#[test]
fn a_message_that_the_server_still_has_was_moved_rather_than_one_that_it_lost() {
    let pairs = [known(1, "A", Gone, Gone), known(2, "B", Here, Gone)];
    let out = moves(&pairs, Vec::new(), vec![here("C", "new")]);
    assert_eq!(lines(&out), ["C: 2 is move UID 2 here from B on remote"]);
}

#[test]
fn a_message_that_moved_on_the_server_counts_as_one_that_it_has() {
    let pairs = [known(1, "A", Gone, Gone), known(2, "B", Gone, Gone)];
    let out = moves(&pairs, vec![there("D", Some(2))], vec![here("C", "new")]);
    let want = ["D: 2 is move file new here from C on local"];
    assert_eq!(lines(&out), want);
}

#[test]
fn a_file_keeps_its_name_when_it_is_moved() {
    let pairs = [known(1, "A", Here, Gone), known(2, "B", Here, Gone)];
    let files = vec![here("C", "f2"), here("D", "f1")];
    let out = moves(&pairs, Vec::new(), files);
    let want = [
        "C: 2 is move UID 2 here from B on remote",
        "D: 1 is move UID 1 here from A on remote",
    ];
    assert_eq!(lines(&out), want);
}

#[test]
fn a_file_with_another_name_is_first_sought_where_the_message_is() {
    let pairs = [known(1, "A", Here, Gone), known(2, "B", Here, Gone)];
    let out = moves(&pairs, Vec::new(), vec![here("B", "new")]);
    assert_eq!(lines(&out), ["B: 2 is note that UID 2 is file new here"]);
    // Moved in the same way on both sides.
    let pairs = [known(1, "A", Here, Gone), known(2, "B", Gone, Gone)];
    let out = moves(&pairs, vec![there("C", Some(2))], vec![here("C", "new")]);
    assert_eq!(lines(&out), ["C: 2 is note that UID 9 is file new here"]);
}

#[test]
fn what_is_marked_is_neither_a_copy_nor_copied() {
    let pairs = [known(1, "A", Here, Here)];
    let mut copy = there("B", None);
    copy.flags = Flags::of(&[SystemFlag::Deleted]);
    let out = moves(&pairs, vec![copy], Vec::new());
    assert!(out.actions.is_empty() && out.uids.is_empty(), "{out:?}");
    let mut copy = here("B", "new");
    copy.flags = Flags::of(&[SystemFlag::Deleted]);
    let out = moves(&pairs, Vec::new(), vec![copy]);
    assert!(out.copies.is_empty(), "{out:?}");
    let mut pairs = pairs;
    pairs[0].flags = Flags::of(&[SystemFlag::Deleted]);
    let out = moves(&pairs, Vec::new(), vec![here("B", "new")]);
    assert!(out.copies.is_empty(), "a copy would be marked, too");
}

#[test]
fn our_own_mark_is_taken_away_before_a_message_is_moved() {
    let mut pairs = [known(1, "A", Here, Gone)];
    pairs[0].flags = Flags::of(&[SystemFlag::Deleted]);
    let out = moves(&pairs, Vec::new(), vec![here("B", "new")]);
    assert_eq!(lines(&out), ["B: 1 is move UID 1 here from A on remote"]);
    pairs[0].pair.tombstone = Some(Side::Remote);
    let out = moves(&pairs, Vec::new(), vec![here("B", "new")]);
    assert_eq!(
        lines(&out),
        ["A: unmark UID 1, which is not to be deleted any more"]
    );
    assert!(out.pairs.contains(&PairId(1)) && out.files.len() == 1);
}

#[test]
fn what_both_sides_moved_to_one_place_is_told_apart_by_name_first() {
    let pairs = [known(1, "A", Gone, Gone), known(2, "B", Gone, Gone)];
    let uids = || {
        let mut second = there("C", None);
        second.id = Uid::new(10).unwrap();
        vec![there("C", None), second]
    };
    let out = moves(&pairs, uids(), vec![here("C", "f2"), here("C", "new")]);
    let want = [
        "C: 2 is note that UID 9 is file f2 here",
        "C: 1 is note that UID 10 is file new here",
    ];
    assert_eq!(lines(&out), want);
}

#[test]
fn what_both_sides_moved_is_copied_on_from_there_unless_it_is_marked() {
    let pairs = [known(1, "A", Gone, Gone)];
    for marked in [false, true] {
        let mut v = there("C", Some(1));
        if marked {
            v.flags = Flags::of(&[SystemFlag::Deleted]);
        }
        let files = vec![here("C", "f1"), here("D", "copy")];
        let out = moves(&pairs, vec![v], files);
        assert_eq!(lines(&out), ["C: 1 is note that UID 9 is file f1 here"]);
        let copies: Vec<String> = out.copies.keys().map(ToString::to_string).collect();
        assert_eq!(copies.len(), usize::from(!marked), "{copies:?}");
    }
}

#[test]
fn what_may_not_be_taken_away_on_disk_is_moved_there_or_stays() {
    let policy = Policy {
        delete: crate::reconcile::Travel::Remote,
        ..Policy::default()
    };
    let pairs = [known(1, "A", Gone, Gone)];
    let uids = vec![there("D", Some(1))];
    let out = moves_by(&policy, &pairs, uids, vec![here("C", "new")]);
    assert_eq!(lines(&out), ["C: 1 is move UID 9 here from D on remote"]);
    let pairs = [known(1, "A", Gone, Here)];
    let out = moves_by(&policy, &pairs, vec![there("D", Some(1))], Vec::new());
    assert!(
        !lines(&out).iter().any(|l| l.contains("move ")),
        "{:?}",
        lines(&out)
    );
}

#[test]
fn what_is_new_beside_what_a_side_lost_is_named() {
    let lost = |pairs: &[Known], uids, files| moves(pairs, uids, files).lost;
    let (uid, file) = (there("B", Some(1)), here("B", "n"));
    let named = |id: AnyId| [(mailbox("B"), id)].into();
    let new_there = |pairs: &[Known]| lost(pairs, vec![uid.clone()], Vec::new());
    let new_here = |pairs: &[Known]| lost(pairs, Vec::new(), vec![file.clone()]);
    // Gone on both sides: moved on one, unknown on the other.
    let two = [known(1, "A", Gone, Gone), known(2, "A", Gone, Gone)];
    for gone in [&two[..1], &two] {
        assert_eq!(new_there(gone), named(uid.id.any()));
        assert_eq!(new_here(gone), named(file.id.any()));
    }
    // Deleted on one side, copied or new on the other.
    assert_eq!(new_there(&[known(1, "A", Here, Gone)]), named(uid.id.any()));
    assert_eq!(
        new_here(&[known(1, "A", Gone, Broken)]),
        named(file.id.any())
    );
    // A damaged message stays in its place.
    assert_eq!(new_there(&[known(1, "A", Gone, Broken)]), BTreeSet::new());
    assert_eq!(new_here(&[known(1, "A", Broken, Here)]), BTreeSet::new());
    // A found message is not lost.
    let found = [known(1, "A", Here, Gone)];
    let files = vec![here("C", "f1")];
    assert_eq!(lost(&found, vec![uid.clone()], files), BTreeSet::new());
}

/// A move of pair 1 from A, where its UID is `uid` now, to B with UIDs above 5.
fn cut(uid: u32, may_come: bool) -> [CutMove; 1] {
    [CutMove {
        pair: PairId(1),
        from: (mailbox("A"), Uid::new(uid).unwrap()),
        to: (mailbox("B"), MaildirId::new("f1")),
        above: 5,
        may_come,
    }]
}

fn uid(place: &str, n: u32) -> Sighting<Uid> {
    new(place, Uid::new(n).unwrap(), kin(1))
}

#[test]
fn what_is_left_of_a_move_goes_once_the_copy_is_there() {
    let (policy, files) = (Policy::default(), || vec![here("B", "f1")]);
    // Another one of the same content, which would be copied.
    let pairs = [known(1, "A", Gone, Gone), known(2, "C", Here, Here)];
    let after = |cut: &[CutMove], uids| moves_after(cut, &policy, &pairs, (uids, files()));
    for may_come in [true, false] {
        let out = after(&cut(8, may_come), vec![uid("A", 8), uid("B", 6)]);
        let want = ["B: 1 is move UID 8 here from A on remote (it arrived as UID 6)"];
        assert_eq!(lines(&out), want);
        assert_eq!(
            out.uids,
            [(mailbox("A"), 8), (mailbox("B"), 6)].map(named).into()
        );
    }
    // The others need not be copies of each other.
    let out = after(&cut(7, false), vec![uid("A", 8), uid("B", 6)]);
    assert!(lines(&out)[0].starts_with("A: copy"), "{:?}", lines(&out));
    // The policy permits no removal.
    let keeps = Policy {
        delete: Travel::Local,
        ..Policy::default()
    };
    let both = (vec![uid("A", 8), uid("B", 6)], files());
    let out = moves_after(&cut(8, true), &keeps, &pairs, both);
    let moved = |line: &String| line.contains("move UID 8");
    assert!(!lines(&out).iter().any(moved), "{:?}", lines(&out));
}

fn named((place, n): (MailboxName, u32)) -> (MailboxName, Uid) {
    (place, Uid::new(n).unwrap())
}

#[test]
fn what_the_server_may_yet_move_waits() {
    let policy = Policy::default();
    let waiting = |out: &Moves| {
        let f1 = MaildirId::new("f1");
        lines(out).is_empty()
            && out.pairs == [PairId(1)].into()
            && out.astray == [(f1, mailbox("B"))].into()
    };
    let files = || vec![here("B", "f1")];
    let after = |may_come, known: Known, uids| {
        let n = if known.remote == Here { 1 } else { 8 };
        moves_after(&cut(n, may_come), &policy, &[known], (uids, files()))
    };
    assert!(waiting(&after(true, known(1, "A", Here, Gone), Vec::new())));
    let renamed = || known(1, "A", Gone, Gone);
    let out = after(true, renamed(), vec![uid("A", 8)]);
    assert!(waiting(&out));
    assert_eq!(out.uids, [named((mailbox("A"), 8))].into());
    // Beside an equal message a new one elsewhere would be its copy, and is not.
    let pairs = [renamed(), known(2, "C", Here, Here)];
    let both = (vec![uid("A", 8), uid("D", 9)], files());
    let out = moves_after(&cut(8, true), &policy, &pairs, both);
    assert_eq!(lines(&out).len(), 1, "{:?}", lines(&out));
    assert!(lines(&out)[0].starts_with("D: copy"), "{:?}", lines(&out));
    // A message that existed before is not the result, nor is one elsewhere.
    let before = after(true, known(1, "A", Here, Gone), vec![uid("B", 5)]);
    assert!(before.pairs.contains(&PairId(1)) && !before.astray.is_empty());
    let elsewhere = after(true, known(1, "A", Here, Gone), vec![uid("C", 6)]);
    assert!(!elsewhere.astray.is_empty());
    // It arrived, or too much time passed.
    let arrived = after(true, known(1, "A", Here, Gone), vec![uid("B", 6)]);
    let want = ["B: 1 is move UID 1 here from A on remote (it arrived as UID 6)"];
    assert_eq!(lines(&arrived), want);
    let late = after(false, known(1, "A", Here, Gone), Vec::new());
    assert_eq!(lines(&late), ["B: 1 is move UID 1 here from A on remote"]);
    // Its file is elsewhere or renamed, or it is another message.
    for (n, place, name) in [(1, "C", "f1"), (1, "B", "f2"), (2, "B", "f1")] {
        let pair = known(n, "A", Here, Gone);
        let files = vec![here(place, name)];
        let out = moves_after(&cut(1, true), &policy, &[pair], (Vec::new(), files));
        assert!(out.astray.is_empty(), "{n} {place} {name}");
    }
}
