//! What people and other programs do on both sides, at random: between runs, and in the middle of
//! them.

use super::judge::{ROOT, content, messages};
use super::stage::Stage;
use mailtide::model::Side;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const NAMES: [&str; 4] = ["INBOX", "A", "A/B", "Lists"];
const FLAGS: [(&str, char); 4] = [
    ("\\Seen", 'S'),
    ("\\Flagged", 'F'),
    ("\\Answered", 'R'),
    ("\\Draft", 'D'),
];
/// No more messages than this in one run.
const MOST: usize = 24;

/// Somebody does something.
pub fn act(stage: &mut Stage) {
    if stage.field.is_some() && stage.random.one_in(3) {
        return super::field::act(stage);
    }
    match stage.random.one_in(2) {
        // Where UIDs mean nothing for long it goes one way only.
        _ if stage.profile.no_epoch => there(stage),
        true => there(stage),
        false => here(stage),
    }
}

/// A name as the server has it.
pub fn wire(stage: &Stage, name: &str) -> String {
    let (prefix, delimiter) = (stage.profile.prefix, stage.profile.delimiter);
    match name {
        "INBOX" => name.to_owned(),
        name => format!("{prefix}{}", name.replace('/', &delimiter.to_string())),
    }
}

pub fn touched(stage: &mut Stage, body: &[u8], flag: &str, side: Side, on: bool) {
    if let Some(n) = content(&stage.truth, body) {
        let touched = &mut stage.truth.contents[n].touched;
        touched.entry(flag.into()).or_default().push((side, on));
    }
}

pub fn handled(stage: &mut Stage, body: &[u8], how: impl FnOnce(&mut super::judge::Content)) {
    if let Some(n) = content(&stage.truth, body) {
        how(&mut stage.truth.contents[n]);
    }
}

/// Somebody does something on the server.
pub fn there(stage: &mut Stage) {
    let names: Vec<String> = stage.mail.boxes.keys().cloned().collect();
    let all: Vec<(String, u32)> = stage
        .mail
        .letters()
        // What waits to be expunged is not touched any more.
        .filter(|(_, letter)| !letter.flags.contains("\\Deleted"))
        .map(|(name, letter)| (name.clone(), letter.uid))
        .collect();
    let seconds = stage.now() / 1_000_000_000;
    let what = stage.random.below(24);
    if what < 6 || all.is_empty() {
        if stage.truth.contents.len() < MOST {
            let name = stage.random.pick(&names).cloned().unwrap_or_default();
            let body = stage.truth.write();
            let flags = match stage.random.one_in(3) {
                true => BTreeSet::from(["\\Seen".to_owned()]),
                false => BTreeSet::new(),
            };
            let letter = stage.mail.letter(body, flags, seconds);
            let uid = stage.mail.boxes.get_mut(&name).map(|b| b.put(letter));
            let n = stage.truth.contents.len() - 1;
            stage.note(&format!("there: new c{n} in {name} {uid:?}"));
        }
        return;
    }
    let (name, uid) = stage.random.pick(&all).cloned().unwrap();
    let letter = stage.mail.boxes[&name].letter(uid).cloned().unwrap();
    let other = stage.random.pick(&names).cloned().unwrap();
    match what {
        6..12 => {
            let (flag, _) = FLAGS[stage.random.below(4)];
            let on = !letter.flags.contains(flag);
            let mailbox = stage.mail.boxes.get_mut(&name).unwrap();
            mailbox.flag(uid, &[flag.to_owned()], on);
            touched(stage, &letter.body, flag, Side::Remote, on);
            stage.note(&format!("there: {flag} {on} of {name} {uid}"));
        }
        12 | 13 => {
            handled(stage, &letter.body, |content| content.deleted += 1);
            stage.mail.boxes.get_mut(&name).unwrap().take(uid);
            stage.note(&format!("there: delete {name} {uid}"));
        }
        14..17 if other != name => {
            handled(stage, &letter.body, |content| content.moved = true);
            let letter = stage.mail.boxes.get_mut(&name).unwrap().take(uid);
            let target = stage.mail.boxes.get_mut(&other).unwrap();
            let new = target.put(letter.unwrap());
            stage.note(&format!("there: move {name} {uid} to {other} {new}"));
        }
        17 => {
            handled(stage, &letter.body, |content| content.copied += 1);
            stage.mail.boxes.get_mut(&other).unwrap().put(letter);
            stage.note(&format!("there: copy {name} {uid} to {other}"));
        }
        18.. if !stage.wild && stage.begin.is_some() => {}
        18 | 19 => {
            let name = NAMES[stage.random.below(4)];
            let new = wire(stage, name);
            stage.mail.create(&new, seconds);
            stage.note(&format!("there: create {new}"));
        }
        // Where UIDVALIDITY says nothing, this is done between runs only: within one, nothing shows
        // that the UIDs of a moment ago now mean other messages.
        20 if !stage.profile.no_epoch || stage.begin.is_none() => {
            stage.truth.blurred = true;
            stage.mail.renumber(&name, 1, seconds);
            stage.note(&format!("there: renumber {name}"));
        }
        21 => {
            stage.truth.rebuilt = true;
            stage.mail.rebuild(&name);
            stage.note(&format!("there: rebuild the index of {name}"));
        }
        // A server without UIDVALIDITY that gives a name to another mailbox cannot be told from one
        // that changed its mail.
        22 if other != "INBOX" && !stage.profile.no_epoch && !other.starts_with("[Gmail]") => {
            let name = format!("R{}", stage.random.below(100));
            let new = wire(stage, &name);
            all_moved(stage, Side::Remote, &other);
            let done = stage.mail.rename(&other, &new);
            stage.note(&format!("there: rename {other} to {new}: {done}"));
        }
        _ => {}
    }
}

/// Mailboxes on disk.
fn boxes(stage: &Stage) -> Vec<PathBuf> {
    let names = stage.view_here().into_keys();
    names.map(|name| Path::new(ROOT).join(name)).collect()
}

pub fn unique(stage: &mut Stage) -> String {
    stage.serial += 1;
    format!("{}.R{}.reader", stage.now() / 1_000_000_000, stage.serial)
}

/// Somebody does something on disk.
pub fn here(stage: &mut Stage) {
    let (all, boxes, now) = (messages(stage), boxes(stage), stage.now());
    let what = stage.random.below(24);
    let Some(other) = stage.random.pick(&boxes).cloned() else {
        return;
    };
    if stage.fs.find(&other.join("new")).is_err() {
        // Half a mailbox, as a crash leaves it.
        return;
    }
    if what < 5 || all.is_empty() {
        if stage.truth.contents.len() < MOST {
            let body = stage.truth.write();
            let name = unique(stage);
            deliver(stage, &other, &name, &body);
            let n = stage.truth.contents.len() - 1;
            stage.note(&format!("here: new c{n} {}", other.join(&name).display()));
        }
        return;
    }
    let (path, inode) = stage.random.pick(&all).cloned().unwrap();
    let bytes = stage.fs.bytes(inode);
    let mailbox = path.parent().and_then(Path::parent).unwrap().to_owned();
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let (base, letters) = file.split_once(":2,").unwrap_or((&file, ""));
    match what {
        5..14 => {
            let (flag, letter) = FLAGS[stage.random.below(4)];
            let on = !letters.contains(letter);
            let mut set: BTreeSet<char> = letters.chars().collect();
            match on {
                true => drop(set.insert(letter)),
                false => drop(set.remove(&letter)),
            }
            let letters: String = set.into_iter().collect();
            let to = mailbox.join("cur").join(format!("{base}:2,{letters}"));
            if stage.fs.rename(&path, &to, false, now).is_ok() {
                touched(stage, &bytes, flag, Side::Local, on);
                stage.fs.sync_last();
                stage.note(&format!("here: {flag} {on} of {}", path.display()));
            }
        }
        14 | 15 => {
            handled(stage, &bytes, |content| content.deleted += 1);
            let removed = stage.fs.remove(&path, now);
            removed.unwrap();
            stage.fs.sync_last();
            stage.note(&format!("here: delete {}", path.display()));
        }
        16..19 => {
            // Mail readers keep the name or give another.
            let base = match stage.random.one_in(2) {
                true => base.to_owned(),
                false => unique(stage),
            };
            let to = other.join("cur").join(format!("{base}:2,{letters}"));
            let taken = messages(stage).iter().any(|(path, _)| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                path.starts_with(&other) && name.starts_with(&base)
            });
            if !taken && stage.fs.rename(&path, &to, false, now).is_ok() {
                handled(stage, &bytes, |content| content.moved = true);
                stage.fs.sync_last();
                stage.note(&format!(
                    "here: move {} to {}",
                    path.display(),
                    to.display()
                ));
            }
        }
        19 => {
            let name = unique(stage);
            deliver(stage, &other, &name, &bytes);
            handled(stage, &bytes, |content| content.copied += 1);
            stage.note(&format!(
                "here: copy {} to {}",
                path.display(),
                other.display()
            ));
        }
        20.. if !stage.wild && stage.begin.is_some() => {}
        20 | 21 => {
            let new = Path::new(ROOT).join(NAMES[stage.random.below(4)]);
            if stage.is_away(&new) {
                return;
            }
            for sub in ["tmp", "new", "cur"] {
                make(stage, &new.join(sub));
            }
            stage.note(&format!("here: create {}", new.display()));
        }
        22 if !other.ends_with("INBOX") && !stage.profile.no_epoch => {
            let to = Path::new(ROOT).join(format!("Q{}", stage.random.below(100)));
            all_moved(stage, Side::Local, &other.to_string_lossy());
            if stage.fs.rename(&other, &to, false, now).is_ok() {
                stage.fs.sync_last();
                stage.note(&format!(
                    "here: rename {} to {}",
                    other.display(),
                    to.display()
                ));
            }
        }
        _ => {}
    }
}

/// A mailbox gets another name: all that lies in it and below it is elsewhere.
fn all_moved(stage: &mut Stage, on: Side, name: &str) {
    let bodies: Vec<Vec<u8>> = match on {
        Side::Remote => {
            let inside = stage.mail.letters().filter(|(at, _)| at.starts_with(name));
            inside.map(|(_, letter)| letter.body.clone()).collect()
        }
        Side::Local => {
            let inside = messages(stage).into_iter();
            let inside = inside.filter(|(path, _)| path.starts_with(name));
            inside.map(|(_, inode)| stage.fs.bytes(inode)).collect()
        }
    };
    for body in bodies {
        handled(stage, &body, |content| content.moved = true);
    }
}

/// Makes a directory and those above it, durably.
pub fn make(stage: &mut Stage, path: &Path) {
    let mut above: Vec<&Path> = path.ancestors().collect();
    above.reverse();
    for directory in above.into_iter().skip(1) {
        if stage.fs.find(directory).is_err() {
            stage.fs.make_dir(directory, stage.now()).unwrap();
            stage.fs.sync_last();
        }
    }
}

pub fn deliver(stage: &mut Stage, mailbox: &Path, name: &str, wire: &[u8]) {
    let now = stage.now();
    let path = mailbox.join("new").join(name);
    let flat: Vec<u8> = wire.iter().copied().filter(|b| *b != b'\r').collect();
    if let Ok(inode) = stage.fs.create(&path, true, now) {
        stage.fs.write(inode, Some(&flat), now);
        stage.fs.sync_last();
    } else {
        panic!("{} cannot be delivered", path.display());
    }
}
