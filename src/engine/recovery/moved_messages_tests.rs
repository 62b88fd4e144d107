//! Evidence that an upload arrived and was moved.

use super::*;
use crate::engine::plain_values::*;
use crate::reconcile::MailboxAction;

/// A mailbox with the pairs 1 and 2 and a new file, after UIDs were assigned.
fn home(next: u32) -> Scene {
    let mut scene = scene("A", &[1, 2]);
    scene.local.seen.insert(file(9), None);
    scene.remote.next = Some(next);
    scene
}

#[test]
fn what_went_by_was_given_since_and_is_not_there() {
    let mut scene = home(9);
    scene.remote.seen.insert(uid(5), None);
    scene.base.pairs.push(pair(7));
    assert_eq!(went_by(&scene, 2), [3, 4, 6, 8].map(uid));
    assert_eq!(went_by(&scene, 5), [6, 8].map(uid));
    // The UIDs of pairs count, too, if the mailbox was empty before.
    assert_eq!(went_by(&scene, 0), [3, 4, 6, 8].map(uid));
    assert!(went_by(&scene, 8).is_empty());
    assert!(went_by(&scene, u32::MAX).is_empty());
    scene.remote.next = None;
    assert!(went_by(&scene, 2).is_empty(), "no UIDNEXT, no proof");
    scene.remote.next = Some(u32::MAX);
    assert_eq!(went_by(&scene, 2).len(), ENOUGH);
}

fn left(scene: &Scene, above: u32, sent: usize) -> bool {
    may_have_left(went_by(scene, above).len(), above, sent)
}

#[test]
fn an_upload_may_have_left_while_its_file_is_there_and_a_uid_went_by() {
    assert!(left(&home(4), 2, 1));
    assert!(!left(&home(3), 2, 1), "no UID went by");
    let is_there = |scene: Scene| {
        let scenes = Scenes::from([(mb("A"), scene)]);
        let files = Files::of(&scenes);
        scenes
            .values()
            .all(|scene| files.stays_new(scene, &file(9)))
    };
    assert!(is_there(home(4)));
    let mut moved = home(4);
    moved.local.seen.clear();
    assert!(!is_there(moved), "the file is gone");
    let mut gone = home(4);
    gone.fate = Fate::Goes(MailboxAction::Forget(gone.base.name.clone()));
    assert!(!is_there(gone), "so is the mailbox");
}

/// In a mailbox that was empty or began anew most assigned UIDs belong to others.
#[test]
fn where_nothing_was_before_no_more_may_go_by_than_were_sent() {
    assert!(left(&home(5), 0, 2));
    assert!(!left(&home(5), 0, 1));
    assert!(left(&home(5), 2, 1));
}
