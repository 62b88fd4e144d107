//! Inputs of a plan.

use super::mailboxes::creates;
use super::messages::top;
use crate::engine::plain_values::{base, mb, pair, uid};
use crate::engine::snapshot::mailbox::{Fate, Scene, Scenes, touched};
use crate::model::{Id, MaildirId, PairId, Side};
use crate::reconcile::Action;
use crate::reconcile::Cursor;
use crate::reconcile::action::{Move, PairRef};
use crate::reconcile::mailbox_action::Forget;
use crate::reconcile::settled::Moves;
use crate::reconcile::{Look, MailboxAction};
use std::collections::BTreeMap;

#[test]
fn the_highest_uid_is_that_of_the_base_or_one_that_was_seen() {
    let mut base = base("INBOX", &[]);
    let mut look = Look::unchanged(None, Cursor::default());
    assert_eq!(top(&base, &look), 0);
    base.pairs = vec![pair(7), pair(3)];
    assert_eq!(top(&base, &look), 7);
    look.seen.insert(uid(9), None);
    assert_eq!(top(&base, &look), 9);
    // Messages that came and went had UIDs, too.
    look.next = Some(9);
    assert_eq!(top(&base, &look), 9);
    look.next = Some(12);
    assert_eq!(top(&base, &look), 11);
}

#[test]
fn what_moved_in_or_out_of_a_mailbox_keeps_its_cursors_where_they_are() {
    let scene = |name: &str, pairs: &[u32]| {
        let scene = Scene {
            base: base(name, pairs),
            remote: Look::unchanged(None, Cursor::default()),
            local: Look::unchanged(None, Cursor::default()),
            full: false,
            quiet: false,
            fate: Fate::Stays,
            forgotten: Vec::new(),
            relabels: BTreeMap::new(),
            lettered: Default::default(),
        };
        (mb(name), scene)
    };
    let scenes: Scenes = [scene("A", &[1]), scene("B", &[2]), scene("C", &[])].into();
    let touched = |moves: &Moves| -> Vec<String> {
        let all = touched(moves, &scenes).into_iter();
        all.map(|name| name.to_string()).collect()
    };
    let mut moves = Moves::default();
    assert!(touched(&moves).is_empty());
    moves.pairs.insert(PairId(2));
    assert_eq!(touched(&moves), ["B"], "a pair that is settled");
    moves.uids.insert((mb("D"), uid(9)));
    moves.files.insert((mb("E"), MaildirId::new("g")));
    assert_eq!(touched(&moves), ["B", "D", "E"], "what is new");
    // Another run may have read the mailbox that it leaves.
    let pair = PairRef {
        id: PairId(7),
        uid: uid(7),
        file: MaildirId::new("f"),
    };
    let moved = Move {
        pair,
        from: mb("F"),
        id: uid(7).any(),
        partner: MaildirId::new("f").any(),
        arrived: None,
        size: None,
    };
    let moved = Action::Move(moved.into());
    moves.actions.insert(mb("D"), vec![moved]);
    assert_eq!(touched(&moves), ["B", "D", "E", "F"]);
}

#[test]
fn who_makes_a_mailbox_makes_no_other() {
    let create = MailboxAction::Create {
        on: Side::Local,
        name: mb("A"),
        forget: Forget::Nothing,
    };
    assert!(creates(&create, &mb("A")) && !creates(&create, &mb("B")));
    assert!(!creates(&MailboxAction::Forget(mb("A")), &mb("A")));
}
