//! Unknown and skipped messages.

use super::*;

#[test]
fn what_was_set_aside_waits_for_its_time() {
    let mut w = world();
    let aside = w.set_aside(file("r").any(), AsideReason::Refused, &[]);
    aside.retry_at = Some(101);
    assert_eq!(w.decided(), "");
    w.base.aside[0].retry_at = Some(100);
    assert_eq!(w.decided(), "copy r to remote (once more)");
    w.base.aside[0].retry_at = None;
    assert_eq!(w.decided(), "");
    let gone = BTreeSet::from([file("r")]);
    w.local.coverage = Coverage::Delta { gone };
    assert_eq!(w.decided(), "forget r, was set aside");
}

#[test]
fn what_was_set_aside_waits_for_its_reason() {
    let mut w = world();
    w.set_aside(uid(5).any(), AsideReason::MarkedDeleted, &[DELETED]);
    w.set_aside(uid(6).any(), AsideReason::Kept, &[]);
    assert_eq!(w.decided(), "");
    w.there(5, &[]);
    assert_eq!(w.decided(), "copy UID 5 to local");
    w.base.aside[0].reason = AsideReason::Unmatched;
    let want = "copy UID 5 to local (not found after UIDVALIDITY changed)";
    assert_eq!(w.decided(), want);
}

#[test]
fn new_messages_are_copied_unless_they_are_marked_broken_or_in_doubt() {
    let mut w = world();
    w.there(2, &[]);
    w.here("n", &[]);
    assert_eq!(w.decided(), "copy UID 2 to local; copy n to remote");
    w.in_doubt.insert(file("n"));
    assert_eq!(
        (w.decided().as_str(), w.noted().as_str()),
        ("copy UID 2 to local", IN_DOUBT)
    );
    w.local.broken.insert(file("n"));
    assert_eq!(w.noted(), "empty or unreadable: not uploaded");
    let mut w = world();
    w.there(2, &[DELETED]);
    w.here("n", &[DELETED]);
    let [Action::SetAside(aside)] = &w.plan().actions[..] else {
        panic!("{}", w.decided());
    };
    assert_eq!(
        (&aside.id, aside.reason),
        (&uid(2).any(), AsideReason::MarkedDeleted)
    );
    // One direction.
    let mut w = world();
    w.there(2, &[]);
    w.here("n", &[]);
    w.one_way(Direction::Pull);
    assert_eq!(w.decided(), "copy UID 2 to local");
    w.one_way(Direction::Push);
    assert_eq!(w.decided(), "copy n to remote");
    w.remote.writable = false;
    assert_eq!(w.decided(), "");
}

/// Returns the flags of the decided link, and the changes on both sides.
fn linked(w: &World) -> (Flags, String, String) {
    let plan = w.plan();
    let [Action::Link(link)] = &plan.actions[..] else {
        panic!("{plan:?}");
    };
    let (remote, local) = (link.remote.to_string(), link.local.to_string());
    (link.flags.clone(), remote, local)
}

#[test]
fn new_messages_that_are_one_are_linked_and_their_flags_united() {
    let mut w = world();
    w.there(2, &[FLAGGED]);
    w.here("n", &[SEEN]);
    w.links = vec![(uid(2), file("n"))];
    let (all, remote, local) = linked(&w);
    assert_eq!(all, flags(&[SEEN, FLAGGED]));
    assert_eq!(
        (remote.as_str(), local.as_str()),
        (r"+(\Seen)", r"+(\Flagged)")
    );
    // The message is as it was sent: a difference is a change of a client.
    w.uploads.insert(file("n"));
    let (all, remote, local) = linked(&w);
    assert_eq!(all, flags(&[SEEN]));
    assert_eq!(
        (remote.as_str(), local.as_str()),
        (r"+(\Seen) -(\Flagged)", "no change")
    );
}

#[test]
fn a_link_with_what_was_set_aside_has_the_flags_that_were_known() {
    let mut w = world();
    w.set_aside(uid(8).any(), AsideReason::Kept, &[FLAGGED]);
    w.set_aside(uid(9).any(), AsideReason::Kept, &[SEEN]);
    w.here("n", &[]);
    w.links = vec![(uid(9), file("n"))];
    let (all, remote, local) = linked(&w);
    assert_eq!(all, flags(&[SEEN]));
    assert_eq!(
        (remote.as_str(), local.as_str()),
        ("no change", r"+(\Seen)")
    );
    // One half is unknown: it counts as equal to the other.
    w.base.aside.clear();
    w.remote.seen.insert(uid(9), None);
    w.here("n", &[FLAGGED]);
    let (all, remote, local) = linked(&w);
    assert_eq!(all, flags(&[FLAGGED]));
    assert_eq!(
        (remote.as_str(), local.as_str()),
        ("no change", "no change")
    );
    w.there(9, &[SEEN]);
    w.local.seen.insert(file("n"), None);
    let (all, remote, local) = linked(&w);
    assert_eq!(all, flags(&[SEEN]));
    assert_eq!(
        (remote.as_str(), local.as_str()),
        ("no change", "no change")
    );
}

#[test]
fn a_link_with_a_half_of_a_pair_completes_the_pair_again() {
    let mut w = world();
    w.there(2, &[SEEN, FLAGGED]);
    w.links = vec![(uid(2), file("f1"))];
    let plan = w.plan();
    let [Action::Link(link)] = &plan.actions[..] else {
        panic!("{plan:?}");
    };
    assert_eq!(
        (&link.flags, link.replaces),
        (&flags(&[SEEN, FLAGGED]), Some(PairId(1)))
    );
    assert_eq!(link.local.to_string(), r"+(\Flagged)");
}
