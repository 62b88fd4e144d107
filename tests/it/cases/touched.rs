//! Of a mailbox in which little happened little is read.

use super::*;
use crate::support::memory::Memory;
use mailtide::engine::Reach;

/// What happens to one message of a mailbox on the server costs as little whether it holds few or
/// many.
#[test]
fn of_a_mailbox_only_what_changed_is_read() {
    let mut w = base();
    w.remote.create(&mb("A"));
    for n in 0..40 {
        let body = format!("Subject: {n}\r\n\r\n{n}");
        w.remote.add(&mb("A"), body.as_bytes(), seen());
    }
    let mut read = |act: &dyn Fn(&Memory<Uid>)| {
        // What we changed here a moment ago is compared first.
        w.sync_ok();
        w.now.set(w.now.get() + 1);
        w.sync_ok();
        act(&w.remote);
        let before = w.remote.inner.borrow().counts.known;
        let done = w.sync_ok().changes();
        w.assert_equal_sides("with what changed");
        (done, w.remote.inner.borrow().counts.known - before)
    };
    let nth = |there: &Memory<Uid>, n: usize| there.ids(&mb("A"))[n];
    let flag = |flags: &mut Flags| flags.insert(SystemFlag::Flagged);
    assert_eq!(
        read(&|there| there.edit(&mb("A"), &nth(there, 3), flag)),
        (1, 0)
    );
    assert_eq!(
        read(&|there| there.delete(&mb("A"), &nth(there, 5))),
        (1, 0)
    );
    let add = |there: &Memory<Uid>| {
        there.add(&mb("A"), b"Subject: new\r\n\r\nnew", seen());
    };
    assert_eq!(read(&add), (1, 0));
}

/// A mailbox that changed on disk is compared with what was recorded of it, and of its pairs only
/// those are read that somebody changed.
#[test]
fn of_a_mailbox_that_changed_on_disk_only_what_changed_is_read() {
    let known = |w: &TwoSides| {
        let (there, here) = (w.remote.inner.borrow(), w.local.inner.borrow());
        (there.counts.known, here.counts.known)
    };
    let read = |act: &dyn Fn(&TwoSides)| {
        let mut w = TwoSides::new();
        w.remote.inner.borrow_mut().wary = true;
        for n in 0..40 {
            let body = format!("Subject: {n}\r\n\r\n{n}");
            w.remote.add(&inbox(), body.as_bytes(), seen());
        }
        w.sync_ok();
        let one = w.remote.ids(&inbox())[9];
        w.remote.edit(&inbox(), &one, |flags| flags.insert(Flagged));
        assert_eq!(w.sync_ok().changes(), 1, "we change it");
        w.now.set(w.now.get() + 1);
        act(&w);
        let before = known(&w);
        let done = w.sync_ok().changes();
        w.assert_equal_sides("a mailbox that changed on disk");
        let after = known(&w);
        (done, after.0 - before.0, after.1 - before.1)
    };
    let nth = |w: &TwoSides, n: usize| w.local.ids(&inbox())[n].clone();
    assert_eq!(read(&|_| ()), (0, 0, 0));
    let flag = |w: &TwoSides| {
        let answer = |flags: &mut Flags| flags.insert(Answered);
        w.local.edit(&inbox(), &nth(w, 7), answer);
        w.local.edit(&inbox(), &nth(w, 8), answer);
    };
    // What was written there is looked at once more.
    assert_eq!(read(&flag), (2, 2, 0));
    let delete = |w: &TwoSides| w.local.delete(&inbox(), &nth(w, 7));
    assert_eq!(read(&delete), (1, 1, 0));
    let add = |w: &TwoSides| {
        w.local.add(&inbox(), b"Subject: new\r\n\r\nnew", seen());
    };
    assert_eq!(read(&add), (1, 0, 0));
}

/// What is changed here in messages that are known is changed there without a look before, if the
/// listing shows that nothing else happened there; what a new file is only a look can tell.
#[test]
fn only_new_files_call_for_a_look_at_the_server() {
    let looks = |wary: bool, act: &dyn Fn(&mut TwoSides)| {
        let mut w = base();
        w.sync_ok();
        w.remote.inner.borrow_mut().wary = wary;
        w.now.set(w.now.get() + 1);
        act(&mut w);
        let before = w.remote.inner.borrow().counts.looks;
        w.sync_ok();
        w.assert_equal_sides("changed here");
        w.remote.inner.borrow().counts.looks - before
    };
    let first = |w: &TwoSides| w.local.ids(&inbox())[0].clone();
    let flag = |w: &mut TwoSides| {
        w.local
            .edit(&inbox(), &first(w), |flags| flags.insert(Answered));
    };
    let delete = |w: &mut TwoSides| w.local.delete(&inbox(), &first(w));
    let add = |w: &mut TwoSides| {
        w.local.add(&inbox(), b"Subject: new\r\n\r\nnew", seen());
    };
    let flag_on_both = |w: &mut TwoSides| {
        flag(w);
        let one = w.remote.ids(&inbox())[0];
        w.remote.edit(&inbox(), &one, |flags| flags.insert(Flagged));
    };
    let in_place = |w: &mut TwoSides| {
        let id = first(w);
        w.local.change(&inbox(), &id, |message| {
            message.body = b"Subject: edited\r\n\r\nby hand\r\n".to_vec();
            message.edited = true;
        });
    };
    // What was changed there is looked at once more in any case.
    assert_eq!((looks(true, &flag), looks(false, &flag)), (2, 1));
    assert_eq!((looks(true, &delete), looks(false, &delete)), (2, 1));
    assert_eq!((looks(true, &add), looks(false, &add)), (2, 2));
    assert_eq!(
        (looks(true, &flag_on_both), looks(false, &flag_on_both)),
        (2, 2)
    );
    assert_eq!(looks(true, &in_place), looks(false, &in_place));
}

/// What is read on disk is told beforehand, so that it can be read while the server is waited for.
#[test]
fn what_is_read_on_disk_is_foreseen() {
    let looks = |reach: &Reach, act: &dyn Fn(&TwoSides)| {
        let mut w = base();
        for name in ["A", "B", "C"] {
            w.remote.create(&mb(name));
            w.remote.add(&mb(name), name.as_bytes(), seen());
        }
        w.sync_ok();
        w.now.set(w.now.get() + 1);
        w.sync_ok();
        act(&w);
        w.options.reach = reach.clone();
        let before = w.local.inner.borrow().counts.foreseen;
        w.sync_ok();
        w.options.reach = Reach::Due;
        // What is still foreseen would not be asked for.
        w.sync_ok();
        w.assert_equal_sides("what was foreseen");
        let after = w.local.inner.borrow().counts.foreseen;
        [0, 1, 2].map(|n| after[n] - before[n])
    };
    let due = |act: &dyn Fn(&TwoSides)| looks(&Reach::Due, act);
    let flag = |flags: &mut Flags| flags.insert(Flagged);
    let here = |w: &TwoSides, name: &str| {
        let id = w.local.ids(&mb(name))[0].clone();
        w.local.edit(&mb(name), &id, flag);
    };
    assert_eq!(due(&|_| ()), [0, 0, 0]);
    assert_eq!(due(&|w| here(w, "B")), [1, 0, 0]);
    let two = |w: &TwoSides| ["A", "C"].into_iter().for_each(|name| here(w, name));
    assert_eq!(due(&two), [2, 0, 0]);
    // What is changed here is looked at afterwards.
    let there = |w: &TwoSides| {
        let id = w.remote.ids(&mb("B"))[0];
        w.remote.edit(&mb("B"), &id, flag);
    };
    assert_eq!(due(&there), [1, 0, 0]);
    let everything = Reach::Everything(i64::MAX);
    assert_eq!(looks(&everything, &|_| ()), [4, 0, 0]);
}
