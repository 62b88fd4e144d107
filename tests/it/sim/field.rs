//! What happens to Maildirs and servers in the field besides the acts of users: mail readers tag by
//! the table of a mailbox, copy a file and delete it later, link it, or give it another name;
//! mailboxes are put back from an old copy on disk, or from a backup on the server; a directory is
//! not mounted for a while, or a link lies in its place.

use super::fs::Node;
use super::judge::{ROOT, content, messages};
use super::mail::Mailbox;
use super::stage::Stage;
use super::users::{handled, make, touched, unique};
use mailtide::model::Side;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Keywords that users set.
pub const WORDS: [&str; 3] = ["work", "todo", "later"];

/// Where directories lie that are not mounted.
pub const AWAY: &str = "/Away";

/// What is to come back, or to be finished.
#[derive(Debug, Default)]
pub struct Field {
    /// A mailbox of the server, as a backup has it.
    backup: Option<(String, Mailbox)>,
    /// The files of a mailbox on disk, as a copy has them.
    copy: Option<(PathBuf, Vec<Copied>)>,
    /// The mailbox on disk that is away.
    away: Option<PathBuf>,
    /// A file that was copied and is deleted later.
    to_delete: Option<PathBuf>,
}

/// The path of a file and its bytes.
type Copied = (PathBuf, Vec<u8>);

impl Stage {
    /// Whether nobody can make a mailbox here, as one is away.
    pub fn is_away(&self, path: &Path) -> bool {
        let away = self.field.as_ref().and_then(|field| field.away.as_ref());
        away.is_some_and(|away| path.starts_with(away))
    }
}

/// Tables of their own for some mailboxes on disk.
pub fn settle(stage: &mut Stage) {
    for name in ["A", "Lists"] {
        if stage.random.one_in(2) {
            let path = Path::new(ROOT).join(name);
            for sub in ["tmp", "new", "cur"] {
                make(stage, &path.join(sub));
            }
            let first = stage.random.below(3);
            let lines = (0..1 + stage.random.below(3)).map(|n| (n, WORDS[(first + n) % 3]));
            let text: String = lines.map(|(n, word)| format!("{n} {word}\n")).collect();
            write(stage, &path.join("dovecot-keywords"), text.as_bytes());
        }
    }
}

fn write(stage: &mut Stage, path: &Path, bytes: &[u8]) {
    let now = stage.now();
    let inode = stage.fs.create(path, false, now).unwrap();
    stage.fs.write(inode, Some(bytes), now);
    stage.fs.sync_last();
}

/// Somebody does one of these things, also in the middle of a run.
pub fn act(stage: &mut Stage) {
    match stage.random.below(9) {
        0 | 1 if stage.profile.keywords => tag_there(stage),
        2 | 3 if stage.profile.keywords => tag_here(stage),
        4 | 5 => file_away(stage),
        6 => link(stage),
        7 => rename(stage),
        _ => delete_copied(stage),
    }
}

fn tag_there(stage: &mut Stage) {
    let all: Vec<(String, u32)> = stage
        .mail
        .letters()
        .filter(|(_, letter)| !letter.flags.contains("\\Deleted"))
        .map(|(name, letter)| (name.clone(), letter.uid))
        .collect();
    let Some((name, uid)) = stage.random.pick(&all).cloned() else {
        return;
    };
    let word = WORDS[stage.random.below(3)];
    let mailbox = stage.mail.boxes.get_mut(&name).unwrap();
    let letter = mailbox.letter(uid).cloned().unwrap();
    let on = !letter.flags.contains(word);
    mailbox.flag(uid, &[word.to_owned()], on);
    touched(stage, &letter.body, word, Side::Remote, on);
    stage.note(&format!("there: {word} {on} of {name} {uid}"));
}

/// A file: its path, its base name and its letters.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    mailbox: PathBuf,
    base: String,
    letters: String,
}

fn any_file(stage: &mut Stage) -> Option<File> {
    let all = messages(stage);
    let (path, inode) = stage.random.pick(&all).cloned()?;
    let mailbox = path.parent().and_then(Path::parent)?.to_owned();
    let file = path.file_name()?.to_string_lossy().into_owned();
    let (base, letters) = file.split_once(":2,").unwrap_or((&file, ""));
    let (base, letters) = (base.to_owned(), letters.to_owned());
    let bytes = stage.fs.bytes(inode);
    Some(File {
        path,
        bytes,
        mailbox,
        base,
        letters,
    })
}

/// A mail reader that knows the table of the mailbox.
fn tag_here(stage: &mut Stage) {
    let Some(file) = any_file(stage) else {
        return;
    };
    let table: Vec<(char, String)> = stage.letters_of(&file.mailbox).into_iter().collect();
    let Some((letter, word)) = stage.random.pick(&table).cloned() else {
        return;
    };
    let on = !file.letters.contains(letter);
    let mut set: BTreeSet<char> = file.letters.chars().collect();
    match on {
        true => drop(set.insert(letter)),
        false => drop(set.remove(&letter)),
    }
    let letters: String = set.into_iter().collect();
    let to = format!("{}:2,{letters}", file.base);
    let to = file.mailbox.join("cur").join(to);
    let now = stage.now();
    if stage.fs.rename(&file.path, &to, false, now).is_ok() {
        stage.fs.sync_last();
        touched(stage, &file.bytes, &word, Side::Local, on);
        stage.note(&format!("here: {word} {on} of {}", file.path.display()));
    }
}

/// Another mailbox on disk, and the name of a file there with letters.
fn new_place(stage: &mut Stage, file: &File) -> Option<PathBuf> {
    let names: Vec<String> = stage.view_here().into_keys().collect();
    let name = stage.random.pick(&names).cloned()?;
    let cur = Path::new(ROOT).join(name).join("cur");
    let file = format!("{}:2,{}", unique(stage), file.letters);
    stage.fs.find(&cur).is_ok().then(|| cur.join(file))
}

/// A mail reader copies a file with its letters to another mailbox, and deletes it later.
fn file_away(stage: &mut Stage) {
    delete_copied(stage);
    let Some(file) = any_file(stage) else {
        return;
    };
    let Some(to) = new_place(stage, &file) else {
        return;
    };
    write(stage, &to, &file.bytes);
    handled(stage, &file.bytes, |content| {
        content.moved = true;
        content.copied += 1;
    });
    stage.note(&format!(
        "here: file {} as {}",
        file.path.display(),
        to.display()
    ));
    stage.field.as_mut().unwrap().to_delete = Some(file.path);
    if stage.random.one_in(2) {
        delete_copied(stage);
    }
}

fn delete_copied(stage: &mut Stage) {
    let field = stage.field.as_mut();
    if let Some(path) = field.and_then(|field| field.to_delete.take()) {
        let now = stage.now();
        let done = stage.fs.remove(&path, now).is_ok();
        if done {
            stage.fs.sync_last();
        }
        stage.note(&format!("here: filed, delete {} {done}", path.display()));
    }
}

fn link(stage: &mut Stage) {
    let Some(file) = any_file(stage) else {
        return;
    };
    let Some(to) = new_place(stage, &file) else {
        return;
    };
    let now = stage.now();
    if stage.fs.link(&file.path, &to, now).is_ok() {
        stage.fs.sync_last();
        handled(stage, &file.bytes, |content| content.copied += 1);
        stage.note(&format!(
            "here: link {} as {}",
            file.path.display(),
            to.display()
        ));
    }
}

/// A mail reader gives a file another name in its mailbox.
fn rename(stage: &mut Stage) {
    let Some(file) = any_file(stage) else {
        return;
    };
    let name = format!("{}:2,{}", unique(stage), file.letters);
    let to = file.mailbox.join("cur").join(name);
    let now = stage.now();
    if stage.fs.rename(&file.path, &to, false, now).is_ok() {
        stage.fs.sync_last();
        handled(stage, &file.bytes, |content| content.moved = true);
        stage.note(&format!(
            "here: name {} {}",
            file.path.display(),
            to.display()
        ));
    }
}

/// What happens between two runs.
pub fn between(stage: &mut Stage) {
    match stage.random.below(8) {
        0 | 1 => back_up(stage),
        2 => restore(stage),
        3 => copy_directory(stage),
        4 => put_back(stage),
        5 | 6 => go_away(stage),
        _ => come_back(stage),
    }
}

/// All that is away is there again, and what was filed is deleted at its origin.
pub fn finish(stage: &mut Stage) {
    come_back(stage);
    delete_copied(stage);
}

fn back_up(stage: &mut Stage) {
    let names: Vec<String> = stage.mail.boxes.keys().cloned().collect();
    let name = stage.random.pick(&names).cloned().unwrap();
    let mailbox = stage.mail.boxes[&name].clone();
    stage.note(&format!("there: back up {name}"));
    stage.field.as_mut().unwrap().backup = Some((name, mailbox));
}

/// The server is put back from a backup: all numbers begin where they were then.
fn restore(stage: &mut Stage) {
    let Some((name, backup)) = stage.field.as_mut().unwrap().backup.take() else {
        return;
    };
    let Some(now) = stage.mail.boxes.get(&name).cloned() else {
        return;
    };
    if now.id != backup.id || now.uid_validity != backup.uid_validity {
        return;
    }
    let bodies = |mailbox: &Mailbox| -> BTreeSet<Vec<u8>> {
        mailbox.letters.iter().map(|l| l.body.clone()).collect()
    };
    let (then, now) = (bodies(&backup), bodies(&now));
    // A message that another device moved here a moment ago is on disk in its former mailbox.
    let shown = name.strip_prefix(stage.profile.prefix).unwrap_or(&name);
    let shown = shown.replace(stage.profile.delimiter, "/");
    let here = Path::new(ROOT).join(shown);
    let files = files_of(stage, &here).into_iter();
    let here: BTreeSet<usize> = files
        .filter_map(|(_, bytes)| content(&stage.truth, &bytes))
        .collect();
    for body in now.difference(&then) {
        // Without mod-sequences nobody can tell it from a deletion, unless UIDNEXT went back.
        let told = stage.profile.can("CONDSTORE");
        let known = content(&stage.truth, body).is_some_and(|n| here.contains(&n));
        handled(stage, body, |content| match told && known {
            true => content.moved = true,
            false => content.deleted += 1,
        });
    }
    for body in then.difference(&now) {
        handled(stage, body, |content| content.copied += 1);
    }
    (stage.truth.blurred, stage.truth.rebuilt) = (true, true);
    stage.mail.boxes.insert(name.clone(), backup);
    stage.meet("restore", "server");
    stage.note(&format!("there: restore {name}"));
}

/// Mailboxes on disk, but INBOX and those that others lie below or in.
fn single(stage: &mut Stage) -> Option<PathBuf> {
    let names: Vec<String> = stage.view_here().into_keys().collect();
    let below = |name: &String| names.iter().any(|one| one.starts_with(&format!("{name}/")));
    let fits = |name: &&String| *name != "INBOX" && !name.contains('/') && !below(name);
    let all: Vec<&String> = names.iter().filter(fits).collect();
    let name = stage.random.pick(&all)?;
    let path = Path::new(ROOT).join(name);
    (stage.fs.list(&path).ok()?.len() >= 3).then_some(path)
}

fn files_of(stage: &Stage, mailbox: &Path) -> Vec<Copied> {
    let mut all = Vec::new();
    super::judge::files(stage, mailbox, &mut all);
    let bytes = |(path, inode): (PathBuf, u64)| (path, stage.fs.bytes(inode));
    all.into_iter().map(bytes).collect()
}

fn copy_directory(stage: &mut Stage) {
    if let Some(path) = single(stage) {
        let files = files_of(stage, &path);
        stage.note(&format!("here: copy of {}", path.display()));
        stage.field.as_mut().unwrap().copy = Some((path, files));
    }
}

/// A mailbox on disk is put back from an old copy: all files are others, and as they were then.
fn put_back(stage: &mut Stage) {
    let Some((path, files)) = stage.field.as_mut().unwrap().copy.take() else {
        return;
    };
    if stage.is_away(&path) || stage.fs.find(&path.join("cur")).is_err() {
        return;
    }
    let bodies = |files: &[Copied]| -> BTreeSet<Vec<u8>> {
        files.iter().map(|(_, bytes)| bytes.clone()).collect()
    };
    let (then, now) = (bodies(&files), bodies(&files_of(stage, &path)));
    for body in now.difference(&then) {
        handled(stage, body, |content| content.deleted += 1);
    }
    for body in then.difference(&now) {
        handled(stage, body, |content| content.copied += 1);
    }
    stage.truth.blurred = true;
    let clock = stage.now();
    for sub in ["cur", "new", "tmp"] {
        for (name, directory) in stage.fs.list(&path.join(sub)).unwrap_or_default() {
            let inner = path.join(sub).join(name);
            if !directory && stage.fs.remove(&inner, clock).is_ok() {
                stage.fs.sync_last();
            }
        }
    }
    for (file, bytes) in files {
        if stage.fs.find(file.parent().unwrap()).is_ok() {
            write(stage, &file, &bytes);
        }
    }
    stage.meet("put back", "disk");
    stage.note(&format!("here: put back {}", path.display()));
}

/// A mailbox is not mounted, or a link that leads nowhere lies in its place.
fn go_away(stage: &mut Stage) {
    if stage.field.as_ref().unwrap().away.is_some() {
        return;
    }
    let Some(path) = single(stage) else {
        return;
    };
    let now = stage.now();
    make(stage, Path::new(AWAY));
    let hidden = Path::new(AWAY).join("mailbox");
    if stage.fs.rename(&path, &hidden, false, now).is_err() {
        return;
    }
    stage.fs.sync_last();
    let links = stage.random.one_in(2);
    match links {
        true => stage.fs.make_link(&path, now).unwrap(),
        false => stage.fs.make_dir(&path, now).unwrap(),
    }
    stage.fs.sync_last();
    let how = ["unmounted", "link"][usize::from(links)];
    stage.meet(how, "disk");
    stage.note(&format!("here: {how} {}", path.display()));
    stage.field.as_mut().unwrap().away = Some(path);
}

fn come_back(stage: &mut Stage) {
    let Some(path) = stage.field.as_mut().unwrap().away.take() else {
        return;
    };
    let now = stage.now();
    if stage.fs.remove(&path, now).is_err() {
        stage.broken(&format!("{} was made while it was away", path.display()));
        return;
    }
    stage.fs.sync_last();
    let hidden = Path::new(AWAY).join("mailbox");
    stage.fs.rename(&hidden, &path, false, now).unwrap();
    stage.fs.sync_last();
    stage.note(&format!("here: {} is back", path.display()));
}

/// Whether a node is a link.
pub fn is_link(stage: &Stage, path: &Path) -> bool {
    matches!(stage.fs.node(path), Ok((_, Node::Link)))
}
