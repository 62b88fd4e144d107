//! Keywords are letters in the names of files, and each mailbox has its own table of them. Mail
//! readers file messages with the letters of the mailbox they came from; none of that adds or
//! removes a keyword on either side.

use super::*;

fn work() -> Flags {
    Flags::from_parts(0, Keyword::new("work"))
}

fn todo() -> Flags {
    Flags::from_parts(0, Keyword::new("todo"))
}

/// `msg` is tagged in A; in B the same letter means another keyword, in C none.
fn tables() -> TwoSides {
    let mut w = TwoSides::new();
    for name in ["A", "B", "C"] {
        w.remote.create(&mb(name));
    }
    w.remote.add(&mb("A"), BODY, work());
    w.remote.add(&mb("B"), OTHER, todo());
    w.sync_ok();
    w
}

fn tagged(w: &TwoSides) -> MaildirId {
    w.local.ids(&mb("A"))[0].clone()
}

fn there(w: &TwoSides) -> Uid {
    w.remote.ids(&mb("A"))[0]
}

/// A mail reader moves the file under its name.
fn moved(w: &mut TwoSides, to: &str) -> MaildirId {
    w.local.shift(&mb("A"), &tagged(w), &mb(to))
}

/// A mail reader copies the file, and deletes it.
fn copied(w: &mut TwoSides, to: &str) -> MaildirId {
    let new = w.local.copy(&mb("A"), &tagged(w), &mb(to));
    w.local.delete(&mb("A"), &tagged(w));
    new
}

/// Both kinds of filing, to a mailbox where the letter means another keyword, and to one without.
fn filed(name: &str, act: fn(&mut TwoSides), want: [&str; 2]) {
    type Filing = (&'static str, fn(&mut TwoSides));
    let cases: [Filing; 4] = [
        ("moved", |w| drop(moved(w, "B"))),
        ("copied", |w| drop(copied(w, "B"))),
        ("moved, no table", |w| drop(moved(w, "C"))),
        ("copied, no table", |w| drop(copied(w, "C"))),
    ];
    for (at, (how, file)) in cases.into_iter().enumerate() {
        let mut w = tables();
        file(&mut w);
        act(&mut w);
        w.sync_ok();
        let view = show(&w.remote.view());
        assert_eq!(view, want[at / 2], "{name}, {how}");
        w.assert_equal_sides(&format!("{name}, {how}"));
        w.sync_idle();
    }
}

#[test]
fn filing_changes_no_keyword() {
    row(
        "moved to where the letter means another keyword",
        tables,
        |w| drop(moved(w, "B")),
        "A: ; B: msg(work) other(todo); C: ; INBOX: ",
    );
    row(
        "copied and deleted",
        tables,
        |w| drop(copied(w, "B")),
        "A: ; B: msg(work) other(todo); C: ; INBOX: ",
    );
    row(
        "moved to where there is no table",
        tables,
        |w| drop(moved(w, "C")),
        "A: ; B: other(todo); C: msg(work); INBOX: ",
    );
    row(
        "copied",
        tables,
        |w| drop(w.local.copy(&mb("A"), &tagged(w), &mb("B"))),
        "A: msg(work); B: msg(work) other(todo); C: ; INBOX: ",
    );
    row(
        "moved by way of another",
        tables,
        |w| {
            let file = moved(w, "B");
            let id = w.local.ids(&mb("B"));
            assert!(id.contains(&file));
            // Another program that knows the table of B wrote the letters anew.
            w.local.change(&mb("B"), &file, |message| {
                message.flags = work();
                message.meant = None;
            });
            w.local.shift(&mb("B"), &file, &inbox());
            w.remote
                .add(&inbox(), b"Subject: late\r\n\r\nlate\r\n", Flags::default());
        },
        "A: ; B: other(todo); C: ; INBOX: late() msg(work)",
    );
    row(
        "moved twice",
        tables,
        |w| {
            let file = moved(w, "B");
            w.local.shift(&mb("B"), &file, &mb("C"));
        },
        "A: ; B: other(todo); C: msg(work); INBOX: ",
    );
}

#[test]
fn filing_meets_what_the_server_does() {
    filed(
        "tagged there",
        |w| {
            let uid = there(w);
            w.remote.edit(&mb("A"), &uid, |f| *f = f.union(&todo()));
        },
        [
            "A: ; B: msg(todo work) other(todo); C: ; INBOX: ",
            "A: ; B: other(todo); C: msg(todo work); INBOX: ",
        ],
    );
    filed(
        "untagged there",
        |w| {
            let uid = there(w);
            w.remote.edit(&mb("A"), &uid, |f| *f = Flags::default());
        },
        [
            "A: ; B: msg() other(todo); C: ; INBOX: ",
            "A: ; B: other(todo); C: msg(); INBOX: ",
        ],
    );
    filed(
        "moved there",
        |w| {
            w.remote.shift(&mb("A"), &there(w), &inbox());
        },
        ["A: ; B: other(todo); C: ; INBOX: msg(work)"; 2],
    );
    filed(
        "deleted there",
        |w| w.remote.delete(&mb("A"), &there(w)),
        [
            "A: ; B: msg(work) other(todo); C: ; INBOX: ",
            "A: ; B: other(todo); C: msg(work); INBOX: ",
        ],
    );
    filed(
        "the mailbox is deleted here, and with it the table",
        |w| drop(w.local.inner.borrow_mut().boxes.remove(&mb("A"))),
        [
            "B: msg(work) other(todo); C: ; INBOX: ",
            "B: other(todo); C: msg(work); INBOX: ",
        ],
    );
}

#[test]
fn what_is_tagged_before_it_is_filed_stays_tagged() {
    filed(
        "starred",
        |w| {
            for name in ["B", "C"] {
                for id in w.local.ids(&mb(name)) {
                    w.local
                        .edit(&mb(name), &id, |f| f.insert(SystemFlag::Flagged));
                }
            }
        },
        [
            "A: ; B: msg(\\Flagged work) other(\\Flagged todo); C: ; INBOX: ",
            "A: ; B: other(\\Flagged todo); C: msg(\\Flagged work); INBOX: ",
        ],
    );
    row(
        "untagged, and then moved",
        tables,
        |w| {
            w.local
                .edit(&mb("A"), &tagged(w), |f| *f = Flags::default());
            moved(w, "B");
        },
        "A: ; B: msg() other(todo); C: ; INBOX: ",
    );
    row(
        "tagged with a letter that means nothing elsewhere",
        tables,
        |w| {
            let late = Keyword::new("late").unwrap();
            w.local
                .edit(&mb("A"), &tagged(w), |f| f.insert_keyword(late.clone()));
            moved(w, "B");
        },
        "A: ; B: msg(late work) other(todo); C: ; INBOX: ",
    );
}

/// Without a state the server says which keywords there are, and letters that mean nothing in their
/// mailbox are read with the tables of the others, where these agree.
#[test]
fn letters_are_read_without_a_state() {
    let lost = |w: &mut TwoSides| {
        w.state = mailtide::state::State::in_memory().unwrap();
        let (uuid, config) = ("u".into(), String::new());
        let row = mailtide::state::AccountRecord { uuid, config };
        w.state.set_account(&row, 0).unwrap();
    };
    let mut w = tables();
    moved(&mut w, "B");
    w.remote.shift(&mb("A"), &there(&w), &mb("B"));
    lost(&mut w);
    w.sync_ok();
    assert_eq!(
        show(&w.remote.view()),
        "A: ; B: msg(work) other(todo); C: ; INBOX: "
    );
    w.assert_equal_sides("moved on both sides");
    w.sync_idle();
    let mut w = tables();
    w.remote
        .edit(&mb("B"), &w.remote.ids(&mb("B"))[0], |f| *f = work());
    w.sync_ok();
    w.local
        .inner
        .borrow_mut()
        .boxes
        .get_mut(&mb("B"))
        .unwrap()
        .table = Letters::default();
    let id = w.local.ids(&mb("B"))[0].clone();
    w.local.edit(&mb("B"), &id, |f| *f = work());
    moved(&mut w, "C");
    lost(&mut w);
    w.sync_ok();
    let want = "A: msg(work); B: other(work); C: msg(work); INBOX: ";
    assert_eq!(show(&w.remote.view()), want);
    w.assert_equal_sides("moved here only");
    w.sync_idle();
}

/// The message of another mailbox came after the file, so the file is no copy of it. A further
/// pass looks at the file while its upload is noted, where the server does not tell UIDs.
#[test]
fn a_file_that_is_being_uploaded_keeps_its_keywords() {
    for tells in [true, false] {
        let mut w = TwoSides::new();
        w.remote.inner.borrow_mut().tells = tells;
        w.remote.create(&mb("A"));
        w.local.add(&inbox(), BODY, todo());
        w.remote.add(&mb("A"), BODY, work());
        w.sync_ok();
        let view = show(&w.remote.view());
        assert_eq!(view, "A: msg(work); INBOX: msg(todo)", "{tells}");
        w.assert_equal_sides("new in two mailboxes");
        w.sync_idle();
    }
}

/// A file that is new in a mailbox that was compared, and no known message, was tagged there.
#[test]
fn a_message_new_on_both_sides_gets_the_keywords_of_both() {
    row(
        "new on both sides, tagged with the letter of another mailbox",
        tables,
        |w| {
            let new = b"Subject: new\r\n\r\nnew\r\n";
            w.local.add(&mb("B"), new, todo());
            w.remote.add(&mb("B"), new, work());
        },
        "A: msg(work); B: new(todo work) other(todo); C: ; INBOX: ",
    );
}

/// Files keep their letters when the table of their mailbox is lost; the state and the server know
/// what they were.
#[test]
fn a_lost_table_removes_no_keyword() {
    row(
        "the table is lost",
        tables,
        |w| w.local.lose_table(&mb("A")),
        "A: msg(work); B: other(todo); C: ; INBOX: ",
    );
    row(
        "the table is lost, and the letter given to another keyword",
        tables,
        |w| {
            w.local.lose_table(&mb("A"));
            let new = Flags::from_parts(0, Keyword::new("work"));
            w.local.add(&mb("A"), b"Subject: new\r\n\r\nnew\r\n", new);
        },
        "A: msg(work) new(work); B: other(todo); C: ; INBOX: ",
    );
}

const NEW: &[u8] = b"Subject: new\r\n\r\nnew\r\n";

/// The file was there before the message of A came, so it is no copy of it. Where B cannot be read
/// while that message comes, it looks like one that a mail reader made with the letters of A, since
/// content and letters are equal: nothing in a Maildir tells the two apart.
#[test]
fn a_file_that_was_there_first_keeps_its_keywords() {
    row(
        "new in two mailboxes",
        tables,
        |w| {
            w.local.add(&mb("B"), NEW, todo());
            w.remote.add(&mb("A"), NEW, work());
        },
        "A: msg(work) new(work); B: new(todo) other(todo); C: ; INBOX:  \
         || A: msg(work) new(work); B: new(work) other(todo); C: ; INBOX: ",
    );
}

/// Its letters were read in the mailbox where it was to be uploaded, whether it arrived or not.
#[test]
fn a_file_moved_after_its_upload_was_cut_keeps_its_keywords() {
    for tells in [true, false] {
        for at in 1..40 {
            for to in ["B", "C"] {
                let mut w = tables();
                w.remote.inner.borrow_mut().tells = tells;
                let file = w.local.add(&mb("A"), NEW, work());
                w.sync_cut(at);
                let uploads = w.state.lettered().unwrap();
                if uploads.is_empty() || !w.local.ids(&mb("A")).contains(&file) {
                    continue;
                }
                w.local.shift(&mb("A"), &file, &mb(to));
                w.sync_ok();
                let all = w.remote.view()[to].clone();
                let new = ("Subject: new\r\n\r\nnew\r\n".to_owned(), "work".to_owned());
                assert!(all.contains(&new), "{tells} {at} {to}: {all:?}");
                w.assert_equal_sides(&format!("{tells} {at} {to}"));
                // The UID in the other mailbox is not told: no pass of that run saw the origin as
                // a whole, and its checkpoint is written by the next run.
                assert!(tells || w.sync_ok().changes() == 0, "{at} {to}");
                w.sync_idle();
            }
        }
    }
}

/// With `pull` a file that was moved is no half of a pair. Its letters are read once.
#[test]
fn a_file_moved_against_the_direction_can_be_tagged() {
    for (copies, to) in [(false, "B"), (true, "B"), (false, "C"), (true, "C")] {
        let mut w = tables();
        w.policy.direction = Direction::Pull;
        let file = match copies {
            false => moved(&mut w, to),
            true => copied(&mut w, to),
        };
        let has = |w: &TwoSides, want: &str| {
            let inner = w.local.inner.borrow();
            let message = &inner.boxes[&mb(to)].messages[&file];
            let now = (message.flags.to_string(), message.stale.len());
            assert_eq!(now, (want.to_owned(), 0), "{copies} {to}");
        };
        w.sync_ok();
        has(&w, "work");
        w.sync_idle();
        w.local.edit(&mb(to), &file, |f| *f = f.union(&todo()));
        w.sync_ok();
        has(&w, "todo work");
        w.local.edit(&mb(to), &file, |f| *f = Flags::default());
        w.sync_ok();
        has(&w, "");
        w.sync_idle();
    }
}

/// A keyword without a letter is not seen on disk, and nobody removed it.
#[test]
fn a_keyword_without_a_letter_comes_back_from_quarantine() {
    let prepare = || {
        let mut w = TwoSides::new();
        w.remote.create(&mb("A"));
        w.local.inner.borrow_mut().stores = FlagMask::Only(Flags::system());
        w.remote.add(&inbox(), BODY, work());
        w.remote.add(&inbox(), OTHER, Flags::default());
        w.sync_ok();
        let uid = w.remote.ids(&inbox())[0];
        let message = w.remote.inner.borrow().boxes[&inbox()].messages[&uid].clone();
        w.remote.delete(&inbox(), &uid);
        w.sync_ok();
        w.remote
            .inner
            .borrow_mut()
            .boxes
            .get_mut(&mb("A"))
            .unwrap()
            .put_as(Uid::FIRST, message);
        w
    };
    let mut w = prepare();
    let report = w.sync_ok();
    assert_eq!(report.counts.moved_local, 1, "{report:?}");
    assert_eq!(show(&w.remote.view()), "A: msg(work); INBOX: other()");
    w.sync_idle();
}

/// The keywords of a message on disk where it lies, and `?` where a letter means nothing.
fn here(w: &TwoSides, name: &str, body: &[u8]) -> Vec<String> {
    let view = w.local.view();
    let body = String::from_utf8_lossy(body).into_owned();
    let all = view[name].iter().filter(|(own, _)| *own == body);
    all.map(|(_, flags)| flags.clone()).collect()
}

/// In B the letters a and b mean other keywords than in A, and in C none.
fn more_tables() -> TwoSides {
    let mut w = TwoSides::new();
    for name in ["A", "B", "C"] {
        w.remote.create(&mb(name));
    }
    w.remote.add(&mb("A"), BODY, work());
    w.remote.add(&mb("A"), NEW, todo());
    let private = Flags::from_parts(0, Keyword::new("private"));
    w.remote.add(&mb("B"), OTHER, private.union(&todo()));
    w.sync_ok();
    w
}

/// With `pull` a file that was filed is no half of a pair: when it is filed once more, under
/// another name, its letters are known by its content.
#[test]
fn a_file_filed_twice_against_the_direction_keeps_keywords() {
    type Filing = fn(&TwoSides, &MailboxName, &MaildirId, &MailboxName) -> MaildirId;
    let ways: [Filing; 3] = [
        |w, from, file, to| w.local.shift(from, file, to),
        |w, from, file, to| {
            let new = w.local.copy(from, file, to);
            w.local.delete(from, file);
            new
        },
        |w, from, file, to| w.local.copy(from, file, to),
    ];
    for (n, way) in ways.into_iter().enumerate() {
        for (first, second) in [("B", "C"), ("C", "B"), ("B", "INBOX")] {
            for at in [0, 2, 4, 6, 8, 10, 12] {
                let mut w = more_tables();
                w.policy.direction = Direction::Pull;
                let file = copied(&mut w, first);
                w.sync_ok();
                way(&w, &mb(first), &file, &mb(second));
                if at > 0 {
                    w.sync_cut(at);
                }
                w.sync_ok();
                let context = format!("{n}, {first} to {second}, cut at {at}");
                assert_eq!(here(&w, second, BODY), ["work"], "{context}");
                w.sync_idle();
            }
        }
    }
}

/// The disk may have keywords that did not go to the server; they are filed with their file.
#[test]
fn keywords_that_only_the_disk_has_are_filed_with_the_file() {
    for pull in [true, false] {
        for (copies, to) in [(false, "B"), (true, "B"), (false, "C"), (true, "C")] {
            let mut w = more_tables();
            match pull {
                true => w.policy.direction = Direction::Pull,
                false => {
                    w.remote
                        .inner
                        .borrow_mut()
                        .boxes
                        .get_mut(&mb("A"))
                        .unwrap()
                        .read_only = true
                }
            }
            let file = tagged(&w);
            w.local.edit(&mb("A"), &file, |f| *f = f.union(&todo()));
            w.sync_ok();
            w.sync_idle();
            match copies {
                true => copied(&mut w, to),
                false => moved(&mut w, to),
            };
            w.sync_ok();
            let context = format!("pull {pull}, copied {copies}, to {to}");
            assert_eq!(here(&w, to, BODY), ["todo work"], "{context}");
            w.sync_idle();
        }
    }
}

/// A message that is set aside is no half of a pair, and its letters are known, too.
#[test]
fn a_file_that_was_set_aside_is_filed_with_its_keywords() {
    for (copies, to) in [(false, "B"), (true, "B"), (false, "C"), (true, "C")] {
        let mut w = more_tables();
        w.policy.delete = Travel::None;
        let uid = there(&w);
        w.remote.delete(&mb("A"), &uid);
        w.sync_ok();
        w.sync_idle();
        match copies {
            true => copied(&mut w, to),
            false => moved(&mut w, to),
        };
        w.sync_ok();
        let context = format!("copied {copies}, to {to}");
        assert_eq!(here(&w, to, BODY), ["work"], "{context}");
        let there = w.remote.view()[to].clone();
        let flags = there.iter().find(|(body, _)| body.as_bytes() == BODY);
        assert_eq!(
            flags.map(|(_, flags)| &flags[..]),
            Some("work"),
            "{context}"
        );
        w.sync_idle();
    }
}

/// Of many letters mutt writes the first twelve, system flags counted.
#[test]
fn letters_that_mutt_cuts_off_remove_no_keyword() {
    let many = (0..14).map(|n| Keyword::new(&format!("k{n:02}")).unwrap());
    let many = Flags::from_parts(0, many);
    let some = |n: usize| Flags::from_parts(0, many.keywords().take(n).cloned());
    for filed in [true, false] {
        let mut w = tables();
        let uid = there(&w);
        w.remote.edit(&mb("A"), &uid, |f| *f = many.clone());
        w.sync_ok();
        let file = tagged(&w);
        let mut want = many.clone();
        match filed {
            true => {
                let new = copied(&mut w, "C");
                w.local.change(&mb("C"), &new, |message| {
                    message.stale = message.stale.iter().take(12).copied().collect();
                    assert_eq!(message.stale.len(), 12);
                });
            }
            false => {
                want.insert(SystemFlag::Seen);
                let cut = some(11).union(&Flags::of(&[SystemFlag::Seen]));
                w.local.edit(&mb("A"), &file, |f| *f = cut.clone());
            }
        }
        w.sync_ok();
        let all = w.remote.view()[if filed { "C" } else { "A" }].clone();
        assert_eq!(all[0].1, want.to_string(), "filed {filed}");
        w.assert_equal_sides(&format!("filed {filed}"));
        w.sync_idle();
    }
}

/// With `pull` a pair stays when its file is filed. Where the disk has not changed since, a look
/// shows it as it was recorded.
#[test]
fn a_file_that_was_filed_long_ago_is_not_waited_for() {
    for by_server in 0..4 {
        let mut w = more_tables();
        w.policy.direction = Direction::Pull;
        let file = copied(&mut w, "B");
        w.sync_ok();
        w.local.copy(&mb("B"), &file, &mb("C"));
        let uids = w.remote.ids(&mb("A"));
        match by_server {
            1 => w
                .remote
                .edit(&mb("A"), &uids[1], |f| f.insert(SystemFlag::Seen)),
            2 => drop(w.remote.copy(&mb("A"), &uids[0], &inbox())),
            3 => drop(w.remote.shift(&mb("A"), &uids[0], &inbox())),
            _ => {}
        }
        w.sync_ok();
        let there = usize::from(by_server == 2);
        let all = ["B", "C", "INBOX"].map(|name| here(&w, name, BODY));
        let all = all.concat();
        assert!(
            all.len() >= 2 + there && all.iter().all(|f| f == "work"),
            "{by_server} {all:?}"
        );
        w.sync_idle();
    }
}
