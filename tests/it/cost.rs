//! What a run costs on the wire, counted and not timed: turns (each is a wait for a far-away
//! server), commands, bytes. A change that makes a run dearer fails here.

mod growth;

use crate::support::dovecot::*;
use crate::support::proxy::{Passed, Proxy};
use mailtide::model::*;
use mailtide::reconcile::Outcome;
use mailtide::state::{HistoryChange, MailboxOutcomes, State};
use std::time::Duration;

const DATE: &str = "01-Feb-2024 08:00:00 +0000";
/// Mailboxes besides INBOX.
const MAILBOXES: usize = 40;
/// Messages of each.
const MESSAGES: usize = 5;

struct World {
    server: Dovecot,
    home: Home,
    proxy: Proxy,
}

/// What a run may cost at the most.
struct Price {
    turns: u64,
    commands: usize,
    down: u64,
}

fn name(n: usize) -> String {
    format!("Lists/list {n:03}")
}

impl World {
    fn new(mailboxes: usize) -> World {
        World::far(mailboxes, 1, Duration::ZERO)
    }

    fn far(mailboxes: usize, connections: usize, delay: Duration) -> World {
        World::with(FULL, mailboxes, connections, delay)
    }

    /// With a server that cannot do these.
    fn without(missing: &[&str]) -> World {
        let all = NO_QRESYNC.iter().chain(&["QRESYNC", "SASL-IR"]).copied();
        let can: Vec<&str> = all.filter(|name| !missing.contains(name)).collect();
        World::with(&can, MAILBOXES, 1, Duration::ZERO)
    }

    fn with(can: &[&str], mailboxes: usize, connections: usize, delay: Duration) -> World {
        let server = Dovecot::start(can);
        let home = Home::new(&server, "u1", &format!("connections = {connections}"));
        let proxy = Proxy::far_from(server.port, delay);
        let config = std::fs::read_to_string(home.config()).unwrap();
        let there = format!("port = {}", server.port);
        home.write_config(&config.replace(&there, &format!("port = {}", proxy.port)));
        let mut phone = server.phone("u1");
        for n in 0..mailboxes {
            phone.on("CREATE", &[&name(n)]);
            for m in 0..MESSAGES {
                let body = format!("Subject: {n} {m}\r\nMessage-ID: <{n}.{m}@x>\r\n\r\nhello\r\n");
                phone.append(&name(n), "", DATE, body.as_bytes());
            }
        }
        World {
            server,
            home,
            proxy,
        }
    }

    /// The messages of a mailbox on disk.
    fn files(&self, n: usize) -> Vec<std::path::PathBuf> {
        let mailbox = self.home.mail().join(name(n));
        let list = |at| std::fs::read_dir(mailbox.join(at)).unwrap();
        let entries = list("new").chain(list("cur"));
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// Flags the last message of a mailbox that is still in `new`.
    fn flag(&self, n: usize) {
        let path = self.files(n).pop().unwrap();
        let base = path.file_name().unwrap().to_str().unwrap();
        let base = base.split(":2,").next().unwrap();
        let mailbox = self.home.mail().join(name(n));
        std::fs::rename(&path, mailbox.join(format!("cur/{base}:2,FS"))).unwrap();
    }

    /// A sync, and what passed.
    fn sync(&self, what: &str, price: &Price) -> (serde_json::Value, Passed) {
        self.proxy.take();
        let (code, report) = self.home.sync();
        let passed = self.proxy.take();
        assert_eq!(code, 0, "{report:#}");
        eprintln!(
            "{what}: {} turns, {} commands, {} bytes up, {} down",
            passed.turns,
            passed.commands.len(),
            passed.up,
            passed.down
        );
        assert!(passed.turns <= price.turns, "{what}: {passed:?}");
        assert!(
            passed.commands.len() <= price.commands,
            "{what}: {passed:?}"
        );
        assert!(passed.down <= price.down, "{what}: {passed:?}");
        (report, passed)
    }

    /// Nothing is left to do, and to find that out is cheap.
    fn at_rest(&self, what: &str) {
        let rest = Price {
            turns: 3,
            commands: 6,
            down: 200 * (MAILBOXES as u64 + 1) + 1500,
        };
        self.sync(what, &rest);
        assert_same(&self.server, "u1", &self.home);
    }
}

/// Turns: login, everything else, LOGOUT. Commands: login, ID, ENABLE, NAMESPACE, LIST, LOGOUT.
#[test]
fn what_changed_on_the_server_is_one_turn_more() {
    let w = World::new(MAILBOXES);
    let all = MAILBOXES * MESSAGES;
    let first = Price {
        turns: 12,
        commands: 6 + 4 * (MAILBOXES + 1),
        down: 150_000,
    };
    let (report, _) = w.sync("first sync", &first);
    assert_eq!(report["downloaded"], all);
    w.at_rest("nothing after it");
    let mut phone = w.server.phone("u1");
    let changed = |mailboxes: usize| Price {
        turns: 4,
        commands: 6 + 2 * mailboxes,
        down: 10_000 + 1000 * mailboxes as u64,
    };
    phone.on("SELECT", &[&name(0)]);
    phone.run("UID STORE 1 +FLAGS (\\Seen)");
    let (report, _) = w.sync("one flag there", &changed(1));
    assert_eq!(report["flags_local"], 1);
    w.at_rest("nothing after it");
    for n in 0..MAILBOXES {
        phone.on("SELECT", &[&name(n)]);
        phone.run("UID STORE 2:3 +FLAGS (\\Flagged)");
    }
    let (report, _) = w.sync("flags in all mailboxes there", &changed(MAILBOXES));
    assert_eq!(report["flags_local"], 2 * MAILBOXES);
    w.at_rest("nothing after it");
    for n in 0..10 {
        phone.on("SELECT", &[&name(n)]);
        phone.run("UID STORE 4 +FLAGS (\\Deleted)");
        phone.run("UID EXPUNGE 4");
    }
    let (report, _) = w.sync("deleted there", &changed(10));
    assert_eq!(report["deleted_local"], 10);
    w.at_rest("nothing after it");
    for n in 0..10 {
        for m in 0..5 {
            let body = format!("Subject: new {n} {m}\r\n\r\nnew {n} {m}\r\n");
            phone.append(&name(n), "", DATE, body.as_bytes());
        }
    }
    let new = Price {
        turns: 8,
        // Each is opened twice: for what is new and what that is called, and for the bodies.
        commands: 6 + 4 * 10,
        down: 60_000,
    };
    let (report, _) = w.sync("new there", &new);
    assert_eq!(report["downloaded"], 50);
    w.at_rest("nothing after it");
}

/// What is changed on the server is looked at again afterwards.
#[test]
fn what_changed_on_disk() {
    let w = World::new(MAILBOXES);
    w.home.sync_twice();
    for n in 0..10 {
        for m in 0..5 {
            let body = format!("Subject: new {n} {m}\n\nnew {n} {m}\n");
            w.home.deliver(
                &name(n),
                &format!("new/17000000{n}{m}.x.host"),
                body.as_bytes(),
            );
        }
    }
    let uploads = Price {
        turns: 12,
        commands: 10 + 50 + 4 * 10,
        down: 60_000,
    };
    let (report, _) = w.sync("uploads", &uploads);
    assert_eq!(report["uploaded"], 50);
    w.at_rest("nothing after it");
    let changes = Price {
        turns: 20,
        commands: 10 + 12 * 10,
        down: 45_000,
    };
    (0..10).for_each(|n| w.flag(n));
    // Nobody looks into them: not before, as the listing shows that nothing happened there; nor
    // afterwards, as the server proves while it answers what became of them.
    let (report, passed) = w.sync("flags here", &changes);
    assert_eq!(report["flags_remote"], 10);
    assert_eq!(passed.looks(), 0);
    w.at_rest("nothing after it");
    for n in 0..10 {
        std::fs::remove_file(w.files(n).remove(1)).unwrap();
    }
    let (report, passed) = w.sync("deleted here", &changes);
    assert_eq!(report["deleted_remote"], 10);
    assert_eq!(passed.count("UID EXPUNGE"), 10);
    assert_eq!((passed.connections, passed.looks()), (1, 0));
    w.at_rest("nothing after it");
}

/// What waits for a far-away server mailbox by mailbox waits on all connections at once; few
/// mailboxes are not worth another connection.
#[test]
fn a_far_away_server_is_written_to_over_several_connections() {
    let w = World::far(20, 3, Duration::from_millis(20));
    w.home.sync_twice();
    let price = Price {
        turns: 60,
        commands: 20 * 12 + 3 * 10,
        down: 200_000,
    };
    (0..20).for_each(|n| w.flag(n));
    let (report, passed) = w.sync("flags here, far away", &price);
    assert_eq!(report["flags_remote"], 20);
    assert_eq!(passed.connections, 3);
    assert_eq!(passed.count("LOGOUT"), 3, "each ends politely");
    assert_same(&w.server, "u1", &w.home);
    for n in 0..20 {
        std::fs::remove_file(w.files(n).remove(1)).unwrap();
    }
    let (report, passed) = w.sync("deleted here, far away", &price);
    assert_eq!(report["deleted_remote"], 20);
    assert_eq!(passed.count("UID EXPUNGE"), 20);
    assert_eq!(passed.connections, 3);
    assert_same(&w.server, "u1", &w.home);
    (0..4).for_each(|n| w.flag(n));
    let (report, passed) = w.sync("flags in four mailboxes, far away", &price);
    assert_eq!(report["flags_remote"], 4);
    assert_eq!(passed.connections, 1);
    assert_same(&w.server, "u1", &w.home);
}

/// Without CONDSTORE all flags are listed, in one burst: one turn more than where nothing is to be
/// looked at.
#[test]
fn without_condstore() {
    let w = World::without(&["CONDSTORE", "QRESYNC"]);
    w.home.sync_twice();
    let price = Price {
        turns: 4,
        commands: 6 + 3 * (MAILBOXES + 1),
        down: 60_000,
    };
    w.sync("nothing changed, no CONDSTORE", &price);
    let mut phone = w.server.phone("u1");
    phone.on("SELECT", &[&name(0)]);
    phone.run("UID STORE 1 +FLAGS (\\Seen)");
    let (report, _) = w.sync("one flag there, no CONDSTORE", &price);
    assert_eq!(report["flags_local"], 1);
    assert_same(&w.server, "u1", &w.home);
}

/// Without LIST-STATUS each mailbox is asked, forty in one burst: 41 are two.
#[test]
fn without_list_status() {
    let w = World::without(&["LIST-STATUS"]);
    w.home.sync_twice();
    let price = Price {
        turns: 5,
        commands: 6 + MAILBOXES + 1,
        down: 200 * (MAILBOXES as u64 + 1) + 1500,
    };
    w.sync("nothing changed, no LIST-STATUS", &price);
}

/// Without LITERAL+ an upload waits for the server's leave, once a message.
#[test]
fn without_literal_plus() {
    let w = World::without(&["LITERAL+"]);
    w.home.sync_twice();
    for m in 0..50 {
        let body = format!("Subject: new {m}\n\nnew {m}\n");
        let file = format!("new/17000000{m:02}.x.host");
        w.home.deliver(&name(m % 10), &file, body.as_bytes());
    }
    let price = Price {
        turns: 12 + 50,
        commands: 10 + 50 + 4 * 10,
        down: 60_000,
    };
    let (report, _) = w.sync("uploads, no LITERAL+", &price);
    assert_eq!(report["uploaded"], 50);
    assert_same(&w.server, "u1", &w.home);
}

/// The number of mailboxes adds bytes, and nothing else.
#[test]
fn three_hundred_mailboxes_at_rest() {
    let w = World::new(300);
    w.home.sync_twice();
    let rest = Price {
        turns: 3,
        commands: 6,
        down: 200 * 301 + 1500,
    };
    w.sync("nothing changed in 300 mailboxes", &rest);
}

/// What is remembered of a message takes less than 205 bytes on disk, its line of history included.
#[test]
fn what_is_remembered_of_a_message_is_small() {
    const EACH: u32 = 500;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let mut state = State::open(&path).unwrap();
    let mut random = 1u64;
    for n in 0..MAILBOXES {
        let mailbox = MailboxName::parse(&name(n)).unwrap();
        let key = state.add_mailbox(&mailbox, 0x1234_5678 + n as u32).unwrap();
        let uids: Vec<u32> = (1..=EACH).collect();
        for some in uids.chunks(100) {
            let mut done = MailboxOutcomes::of(key);
            for uid in some {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let (at, tag) = (1_700_000_000 + (random >> 40), 0x1234_5678 + n);
                let file = format!("{at}.{tag:08x}_{uid:08x}_65a1b2c3.mail.example.org");
                let file = MaildirId::new(file.into_bytes());
                let uid = Uid::new(*uid).unwrap();
                done.outcomes.push(Outcome::Paired {
                    uid,
                    file: file.clone(),
                    flags: Flags::default(),
                    hash: ContentHash(*blake3::hash(&random.to_be_bytes()).as_bytes()),
                    size: random >> 46,
                    stamp: None,
                    kin: Some(Kin::from_number(random as i64)),
                    replaces: None,
                });
                done.changes.push(HistoryChange {
                    mailbox: mailbox.clone(),
                    side: Side::Local,
                    what: "new",
                    message: Some(file.any()),
                    why: format!("from {uid}"),
                    kept: None,
                    flags: None,
                    trail: None,
                });
            }
            state.record(&[done]).unwrap();
        }
    }
    drop(state);
    let each = path.metadata().unwrap().len() / (u64::from(EACH) * MAILBOXES as u64);
    eprintln!("{each} bytes of state a message");
    assert!(each < 205, "{each} bytes");
}
