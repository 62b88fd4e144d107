//! Snapshots of real directories.

use super::*;
use crate::maildir::fs::real::RealFs;
use crate::maildir::fs::{Create, Fs};
use crate::maildir::watched::{World, base, name, world};
use crate::model::{Flags, SystemFlag, Uid};
use std::path::{Path, PathBuf};

/// A disk with one mailbox, and its path.
fn made() -> (World, PathBuf) {
    let mut w = world(|_| false);
    w.create(&["box".to_owned()]);
    let mailbox = w.dir.path().join("box");
    (w, mailbox)
}

/// Size and stamp of a file; none if it does not exist.
fn weight(path: &Path) -> Weight {
    let about = RealFs.about(path);
    about.map_or(Weight::NOTHING, |about| about.weight())
}

fn ctime(path: &Path) -> i64 {
    RealFs.about(path).unwrap().changed
}

fn uid(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

/// Changes a mailbox of two messages, one of them flagged; returns the differences from the record.
fn beside(change: impl Fn(&Path), depth: Depth) -> Option<String> {
    let (mut w, mailbox) = made();
    let name = name("box");
    std::fs::write(mailbox.join("new/1.x"), "one").unwrap();
    std::fs::write(mailbox.join("cur/2.x:2,F"), "two2").unwrap();
    let [one, two] = ["new/1.x", "cur/2.x:2,F"].map(|at| weight(&mailbox.join(at)));
    // Two changes within a tick have one timestamp.
    while !crate::maildir::scan::tells(ctime(&mailbox.join("cur/2.x:2,F")), RealFs.now()) {}
    change(&mailbox);
    // Nothing is certain in the tick of the change.
    while Times::of(&RealFs, &mailbox).unwrap().blur(RealFs.now()) > 0 {}
    let mut recorded = Recorded::with_capacity(2);
    recorded.add(uid(1), b"1.x", Flags::default(), one);
    recorded.add(uid(2), b"2.x", Flags::of(&[SystemFlag::Flagged]), two);
    let looked = w.store.look_beside(&name, recorded, None, depth).unwrap();
    let (look, unlike) = looked?;
    let mut words: Vec<String> = Vec::new();
    for (id, flags) in &look.seen {
        let [size, broken] = [look.sizes.contains_key(id), look.broken.contains(id)];
        assert!(w.store.glimpses[&name].contains_key(id));
        assert!(w.store.find(&name, id).unwrap().is_some());
        assert!(w.store.scans.is_empty(), "it was seen a moment ago");
        let flags = flags.as_ref().unwrap();
        words.push(format!("{id} {flags} size {size} broken {broken}"));
    }
    let uids =
        |uids: &BTreeSet<Uid>| format!("{:?}", uids.iter().map(|u| u.get()).collect::<Vec<_>>());
    words.push(format!(
        "changed {} gone {}",
        uids(&unlike.changed),
        uids(&unlike.gone)
    ));
    for uid in &unlike.touched {
        words.push(format!("touched {uid}"));
        assert!(
            w.store
                .find(&name, &MaildirId::new(format!("{}.x", uid.get())))
                .unwrap()
                .is_some()
        );
        assert!(w.store.scans.is_empty(), "it was seen a moment ago");
    }
    words.extend(look.origins.values().map(|origin| origin.uid.to_string()));
    Some(words.join("; "))
}

/// The same at both depths.
fn both(change: impl Fn(&Path)) -> [Option<String>; 2] {
    [Depth::Changes, Depth::Everything].map(|depth| beside(&change, depth))
}

fn write(at: &'static str, what: &'static str) -> impl Fn(&Path) {
    move |mailbox| std::fs::write(mailbox.join(at), what).unwrap()
}

fn rename(from: &'static str, to: &'static str) -> impl Fn(&Path) {
    move |mailbox| std::fs::rename(mailbox.join(from), mailbox.join(to)).unwrap()
}

const NOTHING: &str = "changed [] gone []";

#[test]
fn a_mailbox_that_is_just_what_was_recorded() {
    let just = || Some(NOTHING.to_owned());
    assert_eq!(both(|_| ()), [just(), just()]);
    // Only a complete snapshot shows that a file was touched.
    let touched = || Some(format!("{NOTHING}; touched UID 1"));
    assert_eq!(both(rename("new/1.x", "cur/1.x:2,")), [just(), touched()]);
    assert_eq!(both(write("new/1.x", "another")), [just(), touched()]);
    assert_eq!(both(write("new/1.x", "")), [just(), None]);
}

/// An editor may restore the mtime, or replace the file.
#[test]
fn an_edit_of_equal_length_touches_the_file() {
    let touched = || Some(format!("{NOTHING}; touched UID 1"));
    let keep_mtime = |mailbox: &Path, act: &dyn Fn(&Path)| {
        let at = mailbox.join("new/1.x");
        let before = at.metadata().unwrap().modified().unwrap();
        act(&at);
        let file = std::fs::File::options().write(true).open(&at).unwrap();
        file.set_modified(before).unwrap();
    };
    let in_place = |mailbox: &Path| {
        keep_mtime(mailbox, &|at| std::fs::write(at, "ONE").unwrap());
    };
    let replaced = |mailbox: &Path| {
        keep_mtime(mailbox, &|at| {
            std::fs::write(at.with_extension("new"), "ONE").unwrap();
            std::fs::rename(at.with_extension("new"), at).unwrap();
        });
    };
    let linked = |mailbox: &Path| {
        let (at, other) = (mailbox.join("new/1.x"), mailbox.join("tmp/other"));
        std::fs::write(&other, "ONE").unwrap();
        std::fs::remove_file(&at).unwrap();
        std::fs::hard_link(&other, &at).unwrap();
    };
    let changes: [&dyn Fn(&Path); 4] = [&write("new/1.x", "ONE"), &in_place, &replaced, &linked];
    for change in changes {
        assert_eq!(beside(change, Depth::Everything), touched());
    }
}

#[test]
fn what_a_mailbox_holds_beside_what_was_recorded() {
    let shows = |change: &dyn Fn(&Path), what: &str| {
        assert_eq!(both(change), [Some(what.to_owned()), None]);
    };
    shows(
        &rename("new/1.x", "cur/1.x:2,S"),
        "file 1.x \\Seen size false broken false; changed [1] gone []",
    );
    shows(
        &rename("new/1.x", "new/3.x"),
        "file 3.x  size true broken false; changed [] gone [1]",
    );
    shows(
        &write("cur/3.x:2,", ""),
        "file 3.x  size false broken true; changed [] gone []",
    );
    let gone = |mailbox: &Path| std::fs::remove_file(mailbox.join("new/1.x")).unwrap();
    shows(&gone, "changed [] gone [1]");
}

#[test]
fn what_is_odd_is_looked_at_as_a_whole() {
    assert_eq!(both(write("cur/1.x:2,", "one")), [None, None], "twice");
    assert_eq!(both(write("cur/1.x:2,S", "one")), [None, None], "twice");
    let twice = |mailbox: &Path| {
        write("cur/3.x:2,", "x")(mailbox);
        write("cur/3.x:2,S", "x")(mailbox);
    };
    assert_eq!(both(twice), [None, None], "new, and twice");
    let link = |mailbox: &Path| {
        std::os::unix::fs::symlink("nowhere", mailbox.join("cur/link")).unwrap();
    };
    assert_eq!(both(link), [None, None]);
}

/// Two snapshots of a mailbox with a message of another size than recorded, the second with the
/// cursor of the first.
fn twice(depth: Depth) -> [Look<MaildirId>; 2] {
    let (mut w, mailbox) = made();
    std::fs::write(mailbox.join("cur/1.x:2,S"), "one").unwrap();
    while Times::of(&RealFs, &mailbox).unwrap().blur(RealFs.now()) > 0 {}
    let base = base("box", &[("1.x", 4)]);
    let first = w.store.look_at(&base, None, depth).unwrap();
    let second = w.store.look_at(&base, Some(&first.cursor), depth).unwrap();
    [first, second]
}

#[test]
fn a_message_of_another_size_was_edited_which_only_a_look_at_everything_sees() {
    let id = MaildirId::new("1.x");
    let [first, second] = twice(Depth::Everything);
    for look in [&first, &second] {
        assert_eq!(look.coverage, Coverage::Complete);
        assert_eq!(look.edited, [id.clone()].into());
        assert!(look.sizes.is_empty() && look.origins.is_empty());
    }
    let [first, second] = twice(Depth::Changes);
    assert!(first.seen.contains_key(&id) && first.edited.is_empty());
    assert!(second.is_empty_delta(), "no stamp has moved");
    assert_eq!(second.cursor, first.cursor);
}

#[test]
fn a_mailbox_is_left_where_most_is_sure() {
    const HOUR: i64 = 3_600_000_000_000;
    let left = |stamp: i64, at: i64| RecordedTimes {
        times: Times {
            cur: stamp,
            ..Times::default()
        },
        at,
    };
    let at = |before: RecordedTimes, stamp: i64, at: i64| {
        let cursor = before.write();
        RecordedTimes::read(&left_at(Some(&cursor), left(stamp, 0).times, at)).unwrap()
    };
    let now = 1000 * HOUR;
    assert_eq!(
        at(left(now, now), now, now + HOUR),
        left(now, now + HOUR),
        "sure by now"
    );
    assert_eq!(
        at(left(now, now + 1), now, now + 2),
        left(now, now + 1),
        "as unsure"
    );
    assert_eq!(
        at(left(now, now + HOUR), now, now + 2 * HOUR),
        left(now, now + HOUR)
    );
    assert_eq!(
        at(left(now - 1, now), now, now + 2),
        left(now, now + 2),
        "it changed"
    );
    assert_eq!(
        RecordedTimes::read(&left_at(None, left(now, 0).times, now)),
        Some(left(now, now))
    );
}

#[test]
fn what_cannot_be_looked_at_leaves_the_look_open() {
    let id = MaildirId::new("1.x");
    let remarks = |kind: io::ErrorKind| {
        let mut look = Look::unchanged(None, Cursor::default());
        look.coverage = Coverage::Complete;
        look.seen.insert(id.clone(), None);
        inspect(&mut look, Err(kind.into()), &id, None);
        assert_eq!(look.coverage, Coverage::Partial);
        look.remarks.len()
    };
    assert_eq!(remarks(io::ErrorKind::NotFound), 0, "it was renamed");
    assert_eq!(remarks(io::ErrorKind::PermissionDenied), 1);
}

/// Three mailboxes of one file each, on a disk that only the background thread can list.
fn read_ahead() -> (World, [MailboxName; 3]) {
    let mut w = world(|line| line.starts_with("list ") && line.ends_with("cur"));
    let names = ["a", "b", "c"].map(str::to_owned);
    w.create(&names);
    let names = names.map(|name| crate::maildir::watched::name(&name));
    for name in &names {
        std::fs::write(w.store.path(name).join("cur/1.x:2,"), "one").unwrap();
    }
    let next = names.clone().map(|name| (name, Depth::Everything));
    w.store.read_ahead(&next);
    (w, names)
}

/// Shows a mailbox of which one message is recorded.
fn shown(w: &mut World, name: &MailboxName, depth: Depth) -> Option<Unlike> {
    let mut recorded = Recorded::with_capacity(1);
    let weight = weight(&w.store.path(name).join("cur/1.x:2,"));
    recorded.add(uid(1), b"1.x", Flags::default(), weight);
    let looked = w.store.look_beside(name, recorded, None, depth);
    looked.ok().map(|looked| looked.unwrap().1)
}

#[test]
fn what_was_read_ahead_is_shown() {
    let (mut w, [a, b, c]) = read_ahead();
    let everything = Depth::Everything;
    assert_eq!(shown(&mut w, &a, everything), Some(Unlike::default()));
    assert_eq!(shown(&mut w, &a, everything), None, "it was shown already");
    assert_eq!(shown(&mut w, &b, Depth::Changes), None, "another depth");
    assert_eq!(shown(&mut w, &c, everything), Some(Unlike::default()));
}

/// It would show a file that we removed a moment ago.
#[test]
fn what_was_read_before_our_own_last_change_is_not_shown() {
    let changes: [fn(&MaildirStore, &Path); 8] = [
        |store, cur| {
            drop(
                store
                    .disk
                    .rename_new(&cur.join("1.x:2,"), &cur.join("2.x:2,")),
            )
        },
        |store, cur| drop(store.disk.link(&cur.join("1.x:2,"), &cur.join("2.x:2,"))),
        |store, cur| drop(store.disk.remove(&cur.join("1.x:2,"))),
        |store, cur| drop(store.disk.replace(&cur.join("1.x:2,"), &cur.join("2.x:2,"))),
        |store, cur| drop(store.disk.make_dirs(&cur.join("d"))),
        |store, cur| drop(store.disk.create(&cur.join("3.x"), Create::New)),
        // An error does not tell whether the change was made.
        |store, cur| drop(store.disk.remove_dir(&cur.join("none"))),
        |store, cur| drop(store.disk.remove_all(&cur.join("none"))),
    ];
    for change in changes {
        let (mut w, [a, b, _]) = read_ahead();
        assert!(shown(&mut w, &a, Depth::Everything).is_some());
        change(&w.store, &w.store.path(&b).join("cur"));
        assert_eq!(shown(&mut w, &b, Depth::Everything), None);
    }
}

#[test]
fn a_new_listing_forgets_what_was_read_ahead() {
    let (mut w, [a, ..]) = read_ahead();
    let _listed = w.store.listed(&BTreeMap::new());
    assert_eq!(shown(&mut w, &a, Depth::Everything), None);
    let (mut w, [a, ..]) = read_ahead();
    w.store.read_ahead(&[]);
    assert_eq!(shown(&mut w, &a, Depth::Everything), None);
    let (mut w, [a, ..]) = read_ahead();
    w.store.rest();
    assert_eq!(shown(&mut w, &a, Depth::Everything), None);
}

#[test]
fn something_else_in_the_place_of_a_message_obscures_it() {
    use std::os::unix::fs::symlink;
    type Change = (&'static str, fn(&Path));
    let changes: [Change; 4] = [
        ("a link elsewhere", |at| {
            std::fs::write(at.with_extension("real"), "one").unwrap();
            symlink(at.with_extension("real"), at).unwrap();
        }),
        ("a dangling link", |at| symlink("/nowhere", at).unwrap()),
        ("a link to itself", |at| symlink(at, at).unwrap()),
        ("a directory", |at| std::fs::create_dir(at).unwrap()),
    ];
    for (what, stands) in changes {
        let (mut w, mailbox) = made();
        let (name, base) = (name("box"), base("box", &[("1.x", 3), ("2.x", 3)]));
        let at = mailbox.join("cur/1.x:2,");
        stands(&at);
        while Times::of(&RealFs, &mailbox).unwrap().blur(RealFs.now()) > 0 {}
        let look = w.store.look_at(&base, None, Depth::Changes).unwrap();
        let (one, two) = (&base.pairs[0].file, &base.pairs[1].file);
        assert!(!look.shows_gone(one) && look.leaves_open(one), "{what}");
        assert!(look.shows_gone(two) && !look.leaves_open(two), "{what}");
        assert!(look.remarks.iter().any(|r| r.contains("1.x")), "{what}");
        let mut recorded = Recorded::with_capacity(1);
        recorded.add(uid(1), b"1.x", Flags::default(), Weight::NOTHING);
        let beside = w.store.look_beside(&name, recorded, None, Depth::Changes);
        assert!(
            beside.unwrap().is_none(),
            "{what}: it is looked at as a whole"
        );
    }
}
