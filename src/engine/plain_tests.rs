//! Decisions on plain values of this room.

use crate::engine::execute::delete::batches;
use crate::engine::execute::flags::update::Setting;
use crate::engine::execute::job::Works;
use crate::engine::execute::transfer::posted::UploadJob;
use crate::engine::execute::transfer::request::wanted;
use crate::engine::identify::candidates::Candidates;
use crate::engine::identify::excerpt::{Bytes, sources};
use crate::engine::identify::local::{half_recorded, leave_sent};
use crate::engine::identify::moves::known;
use crate::engine::pass_state::PassState;
use crate::engine::plain_values::*;
use crate::engine::plan::unreadable::{
    await_sight, hidden_contents, leave_out, may_lie_elsewhere, out_of_sight,
};
use crate::engine::snapshot::base::is_few;
use crate::engine::snapshot::listing::Overview;
use crate::engine::snapshot::mailbox::{Fate, Scenes};
use crate::model::*;
use crate::reconcile::action::CopyWhy;
use crate::reconcile::settled::Moves;
use crate::reconcile::sighting::{Known, Sighting, Whereabouts};
use crate::reconcile::{Action, Coverage, Cursor, MailboxAction, Plan};
use crate::state::RelatedPair;
use std::collections::{BTreeMap, BTreeSet};

fn hiding(side: Side) -> PassState {
    let mut pass = PassState::default();
    pass.hide(&mb("hidden"), &[side]);
    pass
}

fn sighting<I>(id: I, content: u32) -> Sighting<I> {
    Sighting {
        mailbox: mb("B"),
        id,
        hash: pair(content).hash,
        kin: None,
        flags: Flags::default(),
        size: None,
    }
}

/// Missing on one side that could not be read completely, and new on the other only.
#[test]
fn what_is_out_of_sight_is_gone_from_one_side_and_new_on_the_other() {
    let hidden: [&[Side]; 4] = [&[], &[Side::Remote], &[Side::Local], &Side::BOTH];
    for case in 0..64_u32 {
        let bit = |n: u32| case >> n & 1 == 1;
        let place = |gone| match gone {
            true => Whereabouts::Gone,
            false => Whereabouts::Here,
        };
        let one = Known {
            mailbox: mb("A"),
            pair: pair(1),
            remote: place(bit(0)),
            local: place(bit(1)),
            flags: Flags::default(),
        };
        let content = |there| if there { 1 } else { 2 };
        let uids = [sighting(uid(7), content(bit(2)))];
        let files = [sighting(file(7), content(bit(3)))];
        let mut pass = PassState::default();
        let sides = hidden[(case >> 4) as usize];
        pass.hide(&mb("C"), sides);
        let want = match (bit(2), bit(3)) {
            (true, false) => bit(1) && sides.contains(&Side::Local),
            (false, true) => bit(0) && sides.contains(&Side::Remote),
            _ => false,
        };
        let known = [one];
        let found = out_of_sight(&known, (&uids, &files), &pass);
        let expected: &[ContentHash] = if want { &[pair(1).hash] } else { &[] };
        assert_eq!(found, expected, "case {case}");
    }
}

#[test]
fn a_mailbox_of_which_something_is_gone_is_looked_at_again_while_that_side_is_hidden() {
    let mut one = scene("A", &[1, 2]);
    let gone = BTreeSet::from([uid(2)]);
    one.remote.coverage = Coverage::Delta { gone };
    assert!(may_lie_elsewhere(&one, &hiding(Side::Remote)));
    assert!(!may_lie_elsewhere(&one, &hiding(Side::Local)));
    assert!(!may_lie_elsewhere(&one, &PassState::default()));
    let mut one = scene("A", &[1, 2]);
    let gone = BTreeSet::from([file(1)]);
    one.local.coverage = Coverage::Delta { gone };
    assert!(may_lie_elsewhere(&one, &hiding(Side::Local)));
    assert!(!may_lie_elsewhere(&one, &hiding(Side::Remote)));
}

/// Returns the pairs of these numbers, in these mailboxes.
fn candidates(all: &[(&str, u32)]) -> Candidates {
    let relative = |(name, n): &(&str, u32)| {
        let (mailbox, pair) = (MailboxKey(1), pair(*n));
        (pair.id, (mb(name), RelatedPair { mailbox, pair }))
    };
    Candidates {
        pairs: all.iter().map(relative).collect(),
        noted: Default::default(),
        buried: BTreeMap::new(),
    }
}

/// A mailbox that was read has what was seen, an unreadable one is unknown, others are as in the
/// base.
#[test]
fn pairs_are_where_they_were_seen_or_where_nothing_changed() {
    let mut seen = scene("seen", &[1, 2]);
    let gone = BTreeSet::from([uid(2)]);
    seen.remote.coverage = Coverage::Delta { gone };
    // Another mailbox with the name of a deleted one: its pairs are not in it.
    let scenes: Scenes = [seen, scene("again", &[])]
        .into_iter()
        .map(|scene| (scene.base.name.clone(), scene))
        .collect();
    let all = [
        ("seen", 1),
        ("seen", 2),
        ("again", 3),
        ("hidden", 4),
        ("quiet", 5),
        ("left", 6),
        ("left", 7),
    ];
    let overview = Overview {
        quiet: [mb("quiet")].into(),
        ..nothing()
    };
    let present = [PairId(3), PairId(7)].into();
    let pass = hiding(Side::Remote);
    let candidates = candidates(&all);
    let found = known(&scenes, &overview, (&candidates, &present), &pass);
    let told: BTreeMap<i64, (Whereabouts, Whereabouts)> = found
        .iter()
        .map(|one| (one.pair.id.0, (one.remote, one.local)))
        .collect();
    use Whereabouts::{Gone, Here, Unknown};
    let want = [
        (1, (Here, Here)),
        (2, (Gone, Here)),
        (4, (Unknown, Unknown)),
        (5, (Here, Here)),
        (7, (Unknown, Here)),
    ];
    assert_eq!(told, want.into());
}

/// A content in several mailboxes is read from a readable one.
#[test]
fn what_can_be_seen_is_read_rather_than_what_is_hidden() {
    for all in [["hidden", "seen"], ["seen", "hidden"]] {
        let mut candidates = candidates(&[(all[0], 1), (all[1], 2)]);
        for (_, relative) in candidates.pairs.values_mut() {
            relative.pair.hash = pair(1).hash;
        }
        let found = sources(&Scenes::new(), &[], &candidates, &hiding(Side::Local));
        let Some(Bytes::File(place, _)) = found.get(&pair(1).hash) else {
            panic!("it lies nowhere");
        };
        assert_eq!(place.mailbox, mb("seen"), "{all:?}");
    }
}

#[test]
fn hidden_contents_are_those_of_mailboxes_that_cannot_be_looked_into() {
    let candidates = candidates(&[("hidden", 1), ("seen", 2)]);
    let found = hidden_contents(&candidates, &hiding(Side::Local));
    assert_eq!(found, [pair(1).hash].into());
}

#[test]
fn mailboxes_that_go_or_come_back_wait_for_what_is_hidden() {
    let scenes = || -> Scenes {
        let (mut back, mut gone) = (scene("back", &[]), scene("gone", &[]));
        back.forgotten.push(pair(1));
        gone.fate = Fate::Goes(MailboxAction::Delete {
            on: Side::Local,
            name: mb("gone"),
            messages: 0,
        });
        let all = [scene("hidden", &[]), scene("stays", &[]), back, gone];
        all.into_iter().map(|s| (s.base.name.clone(), s)).collect()
    };
    let names = |scenes: &Scenes| -> Vec<String> { scenes.keys().map(|n| n.to_string()).collect() };
    let mut all = scenes();
    leave_out(&mut all, &mut PassState::default());
    assert_eq!(names(&all), ["back", "gone", "hidden", "stays"]);
    let mut pass = hiding(Side::Remote);
    leave_out(&mut all, &mut pass);
    assert_eq!(names(&all), ["stays"]);
    assert!(pass.is_hidden(&mb("back")) && pass.is_hidden(&mb("gone")));
}

#[test]
fn only_what_rests_on_absence_waits_and_is_named() {
    let messages = |name: &str, actions: Vec<Action>| (mb(name), work(name, actions).plan);
    let mut plan = Plan {
        mailboxes: Vec::new(),
        messages: vec![
            messages("A", vec![delete(Side::Remote, 1), download(2)]),
            messages("B", vec![download(3)]),
        ],
    };
    await_sight(Side::Local, &mut plan, &mut PassState::default());
    assert_eq!(plan.messages[0].1.actions.len(), 2, "nothing is hidden");
    let mut pass = hiding(Side::Local);
    await_sight(Side::Local, &mut plan, &mut pass);
    assert_eq!(plan.messages[0].1.actions, [download(2)]);
    assert_eq!(plan.messages[1].1.actions, [download(3)]);
    let notes = pass.into_report(Ok(()), BTreeSet::new()).notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("A: "), "{notes:?}");
}

#[test]
fn a_mailbox_has_the_pairs_that_went_with_it_and_some_are_left_as_they_are() {
    let mut one = scene("A", &[1]);
    one.forgotten = vec![pair(2), pair(3)];
    let ids: Vec<PairId> = one.pairs().map(|pair| pair.id).collect();
    assert_eq!(ids, [PairId(1), PairId(2), PairId(3)]);
    for n in 1..=3 {
        one.remote.seen.insert(uid(n), None);
    }
    one.leave_out(&[PairId(1), PairId(2)].into());
    let left: Vec<Uid> = one.remote.seen.keys().copied().collect();
    assert_eq!(left, [uid(1), uid(3)]);
}

#[test]
fn what_is_copied_knows_how_often_it_was_refused() {
    let mut work = work("A", vec![delete(Side::Local, 1), download(2), download(3)]);
    work.base.aside = vec![Aside {
        id: uid(3).any(),
        reason: AsideReason::Refused,
        attempts: 4,
        retry_at: None,
        flags: Flags::default(),
        detail: String::new(),
    }];
    let copy =
        |action| wanted(&work.base, action).map(|(id, wanted)| (id.clone(), wanted.attempts));
    let found: Vec<(AnyId, u32)> = work.plan.actions.iter().filter_map(copy).collect();
    assert_eq!(found, [(uid(2).any(), 0), (uid(3).any(), 4)]);
}

#[test]
fn nothing_is_uploaded_where_something_could_not_be_done() {
    let mut one = work("A", vec![download(1)]);
    assert!(
        UploadJob::of(&one, &BTreeMap::new()).is_none(),
        "nothing is to be uploaded"
    );
    let upload = Action::Copy {
        from: file(2).any(),
        flags: Flags::default(),
        replaces: None,
        why: CopyWhy::New,
    };
    one.plan.actions.push(upload);
    assert!(UploadJob::of(&one, &BTreeMap::new()).is_some());
    one.sound = false;
    assert!(
        UploadJob::of(&one, &BTreeMap::new()).is_none(),
        "the mailbox is not sound"
    );
}

#[test]
fn deletions_go_in_batches_of_about_a_thousand() {
    let many = |name: &str, count: u32| {
        let all = (1..=count).map(|n| delete(Side::Local, n));
        (mb(name), work(name, all.collect()))
    };
    let sizes = |works: &Works, side| -> Vec<Vec<usize>> {
        let batches = batches(works, side).into_iter();
        let sizes = |batch: crate::engine::execute::delete::Batch| {
            batch.iter().map(|(_, all)| all.len()).collect()
        };
        batches.map(sizes).collect()
    };
    let works: Works = [
        many("A", 400),
        many("B", 600),
        many("C", 1),
        many("D", 2500),
    ]
    .into();
    let want: [&[usize]; 4] = [&[400, 600], &[1, 1000], &[1000], &[500]];
    assert_eq!(sizes(&works, Side::Local), want);
    assert!(sizes(&works, Side::Remote).is_empty());
}

#[test]
fn a_setting_is_there_only_when_nothing_is_to_be_done_here() {
    let some = |yes: bool| FlagChange {
        add: match yes {
            true => Flags::of(&[SystemFlag::Seen]),
            false => Flags::default(),
        },
        remove: Flags::default(),
    };
    for (there, here) in [(true, false), (true, true), (false, true), (false, false)] {
        let action = merge(1, some(there), some(here));
        let setting = Setting::of(&action).unwrap();
        assert_eq!(setting.is_there_only(), there && !here);
    }
}

fn nothing() -> Overview {
    Overview {
        unlisted: BTreeSet::new(),
        others: BTreeMap::new(),
        doubted: BTreeMap::new(),
        keys: BTreeMap::new(),
        cursors: [BTreeMap::new(), BTreeMap::new()],
        quiet: BTreeSet::new(),
        still: BTreeSet::new(),
        still_here: BTreeSet::new(),
        left: BTreeSet::new(),
        restless: BTreeSet::new(),
        lettered: BTreeSet::new(),
        due: BTreeSet::new(),
        certain: true,
        listed: Vec::new(),
    }
}

#[test]
fn each_side_was_left_somewhere_else() {
    let left = |text: &str| [(mb("A"), Cursor(text.into()))].into();
    let overview = Overview {
        cursors: [left("there"), left("here")],
        ..nothing()
    };
    let cursor = |side, name: &str| overview.cursor(side, &mb(name)).map(|c| c.0.as_str());
    assert_eq!(cursor(Side::Remote, "A"), Some("there"));
    assert_eq!(cursor(Side::Local, "A"), Some("here"));
    assert_eq!(cursor(Side::Local, "B"), None);
}

/// A file whose name contains the UID of a new message was left by a cut run.
#[test]
fn files_of_ours_that_name_what_is_new_there_are_half_recorded() {
    let mut one = scene("A", &[1]);
    one.base.uid_validity = Some(UidValidity(5));
    let origin = |n: u32, mailbox: u32, uid_validity: u32| Origin {
        mailbox,
        uid_validity: UidValidity(uid_validity.into()),
        uid: uid(n),
    };
    let names = [(1, 1, 5), (7, 1, 5), (8, 2, 5), (9, 1, 6), (10, 1, 5)];
    for (n, mailbox, uid_validity) in names {
        one.local.seen.insert(file(n), None);
        one.local
            .origins
            .insert(file(n), origin(n, mailbox, uid_validity));
    }
    assert!(half_recorded(&one).is_empty(), "nothing is new there");
    for n in 7..=9 {
        one.remote.seen.insert(uid(n), None);
    }
    // 1 is known, 8 names another mailbox, 9 another UIDVALIDITY, 10 does not exist.
    assert_eq!(half_recorded(&one), [(file(7), uid(7))].into());
}

#[test]
fn what_may_be_an_upload_is_no_sighting() {
    let place = (mb("B"), pair(1).hash);
    let sent = [(place, (5, BTreeSet::from([file(1)])))].into();
    let mut moves = Moves::default();
    moves.uids.insert((mb("B"), uid(8)));
    moves.files.insert((mb("B"), file(3)));
    moves.astray.insert(file(4), mb("B"));
    let there = [(5, 1), (6, 1), (7, 2), (8, 2)];
    let mut uids: Vec<_> = there.map(|(n, content)| sighting(uid(n), content)).into();
    let here = [(1, 1), (2, 1), (3, 2), (4, 2), (5, 2)];
    let mut files: Vec<_> = here.map(|(n, content)| sighting(file(n), content)).into();
    leave_sent((&sent, &moves), &mut uids, &mut files);
    let left: Vec<Uid> = uids.iter().map(|one| one.id).collect();
    assert_eq!(left, [uid(5), uid(7)], "above what was there before");
    let left: Vec<MaildirId> = files.iter().map(|one| one.id.clone()).collect();
    assert_eq!(left, [file(2), file(5)]);
}

#[test]
fn pairs_are_read_one_by_one_where_they_are_few() {
    let mut base = base("A", &[]);
    base.others = (1..=40).map(uid).collect();
    let touched = |count: u32| (1..=count).map(uid).collect();
    assert!(is_few(&touched(5), &base) && !is_few(&touched(6), &base));
}
