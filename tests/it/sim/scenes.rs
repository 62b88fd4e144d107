//! Crash at every I/O: scenes that somebody could have played on purpose, each killed at every step
//! with the power failing, and resumed. The end must be that of the scene that was not cut.

use super::judge::{ROOT, View};
use super::play::Play;
use super::profile::Profile;
use super::stage::Stage;
use super::users::{deliver, make, wire};
use mailtide::engine::Reach;
use mailtide::model::Side;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Something that is done on one side.
type Act = fn(&mut Stage);

/// What is done on the server.
const THERE: [(&str, Act); 11] = [
    ("nothing", |_| {}),
    ("new", |s| {
        s.letter_into("INBOX");
    }),
    ("two new", |s| {
        s.letter_into("A");
        s.letter_into("INBOX");
    }),
    ("flag", |s| s.flag_there("INBOX", 1, "\\Flagged")),
    ("keyword", |s| s.flag_there("INBOX", 2, "$Work")),
    ("delete", |s| s.delete_there("INBOX", 2)),
    ("move", |s| s.move_there("INBOX", 3, "A")),
    ("move back", |s| s.move_there("A", 1, "INBOX")),
    ("copy", |s| s.copy_there("INBOX", 1, "A")),
    ("renumber", |s| {
        let now = s.now() / 1_000_000_000;
        s.mail.renumber("INBOX", 1, now);
    }),
    ("rename", |s| {
        let (from, to) = (wire(s, "A"), wire(s, "Archive"));
        assert!(s.mail.rename(&from, &to));
    }),
];

/// What is done on disk.
const HERE: [(&str, Act); 11] = [
    ("nothing", |_| {}),
    ("new", |s| s.file_into("INBOX")),
    ("two new", |s| {
        s.file_into("A");
        s.file_into("INBOX");
    }),
    ("flag", |s| {
        let (_, bytes) = s.file("INBOX", 1);
        s.touched(&bytes, "\\Flagged", Side::Local);
        s.rename_here("INBOX", 1, |name| format!("{name}:2,F"));
    }),
    ("keyword", |s| {
        let file = mailbox("INBOX").join("dovecot-keywords");
        let now = s.now();
        let inode = s.fs.create(&file, false, now).unwrap();
        s.fs.write(inode, Some(b"0 $Work\n"), now);
        s.fs.sync(inode);
        s.fs.sync_last();
        s.rename_here("INBOX", 2, |name| format!("{name}:2,a"));
    }),
    ("delete", |s| s.delete_here("INBOX", 2)),
    ("move", |s| s.move_here("INBOX", 3, "A")),
    ("move back", |s| s.move_here("A", 1, "INBOX")),
    ("copy", |s| s.copy_here("INBOX", 1, "A")),
    // Below the name that a mailbox may get on the server.
    ("new mailbox", |s| {
        for sub in ["tmp", "new", "cur"] {
            make(s, &mailbox("Archive/Fresh").join(sub));
        }
        s.file_into("Archive/Fresh");
    }),
    ("rename", |s| {
        let now = s.now();
        s.fs.rename(&mailbox("A"), &mailbox("Filed"), false, now)
            .unwrap();
        s.fs.sync_last();
    }),
];

/// Servers that the scenes are played with, in turn.
const SERVERS: [&str; 4] = ["qresync", "condstore", "plain", "cyrus"];

fn mailbox(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

impl Stage {
    fn letter_into(&mut self, name: &str) -> u32 {
        let (name, seconds) = (wire(self, name), self.now() / 1_000_000_000);
        let body = self.truth.write();
        let letter = self.mail.letter(body, BTreeSet::new(), seconds);
        self.mail.boxes.get_mut(&name).unwrap().put(letter)
    }

    fn flag_there(&mut self, name: &str, uid: u32, flag: &str) {
        let name = wire(self, name);
        let mailbox = self.mail.boxes.get_mut(&name).unwrap();
        assert!(mailbox.flag(uid, &[flag.to_owned()], true));
        let body = mailbox.letter(uid).unwrap().body.clone();
        self.touched(&body, flag, Side::Remote);
    }

    fn touched(&mut self, body: &[u8], flag: &str, on: Side) {
        self.told(body, |content| {
            let touched = content.touched.entry(flag.into()).or_default();
            touched.push((on, true));
        });
    }

    fn told(&mut self, body: &[u8], how: impl FnOnce(&mut super::judge::Content)) {
        let n = super::judge::content(&self.truth, body).unwrap();
        how(&mut self.truth.contents[n]);
    }

    fn delete_there(&mut self, name: &str, uid: u32) {
        let name = wire(self, name);
        let letter = self.mail.boxes.get_mut(&name).unwrap().take(uid).unwrap();
        self.told(&letter.body, |content| content.deleted += 1);
    }

    fn move_there(&mut self, from: &str, uid: u32, to: &str) {
        let (from, to) = (wire(self, from), wire(self, to));
        let letter = self.mail.boxes.get_mut(&from).unwrap().take(uid).unwrap();
        self.told(&letter.body, |content| content.moved = true);
        self.mail.boxes.get_mut(&to).unwrap().put(letter);
    }

    fn copy_there(&mut self, from: &str, uid: u32, to: &str) {
        let (from, to) = (wire(self, from), wire(self, to));
        let letter = self.mail.boxes[&from].letter(uid).cloned().unwrap();
        self.told(&letter.body, |content| content.copied += 1);
        self.mail.boxes.get_mut(&to).unwrap().put(letter);
    }

    fn file_into(&mut self, name: &str) {
        let wire = self.truth.write();
        self.serial += 1;
        let file = format!("1700000000.R{}.reader", self.serial);
        deliver(self, &mailbox(name), &file, &wire);
    }

    /// The file of the n-th message of a mailbox, by what it says.
    fn file(&self, name: &str, uid: u32) -> (PathBuf, Vec<u8>) {
        let wanted = match (name, uid) {
            ("INBOX", n) => n as usize - 1,
            _ => 3,
        };
        let all = super::judge::messages(self).into_iter();
        let mut all = all.map(|(path, inode)| (path, self.fs.bytes(inode)));
        let is = |bytes: &[u8]| super::judge::content(&self.truth, bytes) == Some(wanted);
        all.find(|(path, bytes)| path.starts_with(mailbox(name)) && is(bytes))
            .unwrap()
    }

    fn rename_here(&mut self, name: &str, uid: u32, new: fn(&str) -> String) {
        let ((path, _), now) = (self.file(name, uid), self.now());
        let old = path.file_name().unwrap().to_string_lossy().into_owned();
        let base = old.split(":2,").next().unwrap().to_owned();
        let to = mailbox(name).join("cur").join(new(&base));
        self.fs.rename(&path, &to, false, now).unwrap();
        self.fs.sync_last();
    }

    fn delete_here(&mut self, name: &str, uid: u32) {
        let ((path, bytes), now) = (self.file(name, uid), self.now());
        self.told(&bytes, |content| content.deleted += 1);
        self.fs.remove(&path, now).unwrap();
        self.fs.sync_last();
    }

    fn move_here(&mut self, from: &str, uid: u32, to: &str) {
        let ((path, bytes), now) = (self.file(from, uid), self.now());
        self.told(&bytes, |content| content.moved = true);
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let base = file.split(":2,").next().unwrap().to_owned();
        let to = mailbox(to).join("cur").join(format!("{base}:2,S"));
        self.fs.rename(&path, &to, false, now).unwrap();
        self.fs.sync_last();
    }

    fn copy_here(&mut self, from: &str, uid: u32, to: &str) {
        let (_, bytes) = self.file(from, uid);
        self.told(&bytes, |content| content.copied += 1);
        self.serial += 1;
        let file = format!("1700000000.R{}.reader", self.serial);
        deliver(self, &mailbox(to), &file, &bytes);
    }
}

/// A scene up to the run that is to be cut: INBOX with three messages, A with one, in step, and
/// then something done on both sides.
fn prepared(server: &str, acts: (Act, Act)) -> Play {
    let mut play = Play::new(1, Profile::named(server), 1);
    {
        let mut guard = play.stage.lock();
        let stage = &mut *guard;
        for _ in 0..3 {
            stage.letter_into("INBOX");
        }
        let a = wire(stage, "A");
        stage.mail.create(&a, 1_700_000_000);
        stage.letter_into("A");
    }
    play.rest(false);
    let mut guard = play.stage.lock();
    let stage = &mut *guard;
    (acts.0)(stage);
    // What was moved or copied on one side may be gone from where the other looks for it.
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (acts.1)(stage))).is_err() {
        panic!("a scene cannot be played");
    }
    drop(guard);
    play
}

/// How many scenes there are.
pub fn count() -> usize {
    THERE.len() * HERE.len()
}

/// What came of a scene.
#[derive(Debug, Default)]
pub struct Cut {
    pub points: u64,
    pub broken: Vec<String>,
}

/// Mailboxes with mail in them. Where a server does not tell one mailbox from another, an empty one
/// may be left of a name.
fn filled(stage: &Stage) -> View {
    let mut view = stage.view_there();
    view.retain(|_, all| !all.is_empty());
    view
}

/// Plays a scene whole, and then once for each of its steps, or each `every`-th, killed there.
pub fn cut_everywhere(n: usize, every: usize) -> Cut {
    let (there, here) = (THERE[n / HERE.len()], HERE[n % HERE.len()]);
    let server = SERVERS[n % SERVERS.len()];
    let name = format!("there {}, here {}, {server}", there.0, here.0);
    let mut whole = prepared(server, (there.1, here.1));
    let begin = whole.stage.lock().steps;
    drop(whole.run(Reach::Due));
    let steps = whole.stage.lock().steps - begin;
    whole.rest(false);
    let (broken, want) = {
        let stage = whole.stage.lock();
        (stage.broken.clone(), filled(&stage))
    };
    let mut cut = Cut {
        points: 0,
        broken: broken.iter().map(|b| format!("{name}: {b}")).collect(),
    };
    for at in (1..=steps).step_by(every) {
        let mut play = prepared(server, (there.1, here.1));
        {
            let mut stage = play.stage.lock();
            stage.kill_at = Some(stage.steps + at);
        }
        drop(play.run(Reach::Due));
        play.rest(false);
        cut.points += 1;
        let stage = play.stage.lock();
        let mut broken = stage.broken.clone();
        if filled(&stage) != want {
            broken.push(format!("{:?} instead of {want:?}", filled(&stage)));
        }
        cut.broken.extend(
            broken
                .iter()
                .map(|b| format!("{name}, killed at {at}: {b}")),
        );
        if cut.broken.len() > 3 {
            break;
        }
    }
    cut
}
