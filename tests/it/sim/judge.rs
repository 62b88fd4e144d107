//! The judge: knows what users did, and sees whether the promises hold. It knows bytes on disk and
//! messages on the server, nothing of the program's own records.

use super::field::{AWAY, WORDS};
use super::fs::Node;
use super::habits::{Habit, number, plain};
use super::stage::Stage;
use mailtide::model::Side;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What users did with a content. A message is known by its content, and each that is written is
/// another.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub wire: Vec<u8>,
    pub deleted: u32,
    pub copied: u32,
    /// Whether its place may be open: moved, or its mailbox deleted or renamed.
    pub moved: bool,
    /// Flags that users set or took away since all was at rest, and where.
    pub touched: BTreeMap<String, Vec<(Side, bool)>>,
    /// Its flags when all was at rest.
    pub rested: Option<BTreeSet<String>>,
}

#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub contents: Vec<Content>,
    /// Contents of which a message was deleted, moved or copied may be told by no merge of flags.
    pub blurred: bool,
    /// A server's HIGHESTMODSEQ began again, and may by chance be what it was.
    pub rebuilt: bool,
}

impl Truth {
    /// A new message; answers with its bytes on the wire.
    pub fn write(&mut self) -> Vec<u8> {
        let n = self.contents.len();
        let filler = "0123456789\r\n".repeat(n % 4 * 3);
        let text =
            format!("Subject: c{n}\r\nMessage-ID: <c{n}@stage>\r\n\r\nbody of {n}\r\n{filler}");
        let wire = text.into_bytes();
        self.contents.push(Content {
            wire: wire.clone(),
            ..Content::default()
        });
        wire
    }
}

/// Which content this is, if it is whole.
pub fn content(truth: &Truth, bytes: &[u8]) -> Option<usize> {
    let n = number(bytes)?;
    let wire = &truth.contents.get(n)?.wire;
    (plain(wire) == plain(bytes)).then_some(n)
}

/// How often each content is on each side.
type Counts = [BTreeMap<usize, usize>; 3];

/// A mailbox's messages as a person sees them: content and flags.
pub type View = BTreeMap<String, Vec<(String, BTreeSet<String>)>>;

/// Where the mail lies.
pub const ROOT: &str = "/Mail";

/// All files below a directory, with their inodes.
pub fn files(stage: &Stage, directory: &Path, found: &mut Vec<(PathBuf, u64)>) {
    for (name, inner) in stage.fs.list(directory).unwrap_or_default() {
        let path = directory.join(&name);
        match inner {
            true => files(stage, &path, found),
            false => found.extend(stage.fs.find(&path).ok().map(|inode| (path, inode))),
        }
    }
}

/// Files of messages in mailboxes.
pub fn messages(stage: &Stage) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    files(stage, Path::new(ROOT), &mut all);
    let own = Path::new(ROOT).join(".mailtide");
    all.retain(|(path, _)| {
        let inside = path.parent().and_then(Path::file_name);
        !path.starts_with(&own) && inside.is_some_and(|sub| sub == "cur" || sub == "new")
    });
    all
}

fn counts(stage: &Stage) -> Counts {
    let mut counts = Counts::default();
    let mut count = |at: usize, bytes: &[u8]| {
        if let Some(n) = content(&stage.truth, bytes) {
            *counts[at].entry(n).or_default() += 1;
        }
    };
    for (_, letter) in stage.mail.letters() {
        count(0, &letter.body);
    }
    for (_, inode) in messages(stage) {
        count(1, &stage.fs.bytes(inode));
    }
    let mut kept = Vec::new();
    let quarantine = Path::new(ROOT).join(".mailtide/quarantine");
    files(stage, &quarantine, &mut kept);
    files(stage, Path::new(AWAY), &mut kept);
    for (_, inode) in kept {
        count(2, &stage.fs.bytes(inode));
    }
    counts
}

impl Stage {
    /// Runs a step of the program that changes a side, and sees whether it may.
    pub fn judged<T>(&mut self, what: &str, step: impl FnOnce(&mut Stage) -> T) -> T {
        let before = counts(self);
        let done = step(self);
        let after = counts(self);
        for (side, name) in [(0, "the server"), (1, "the disk")] {
            for n in before[side].keys() {
                // P2: nothing is taken away that no user took away, or moved: what is seen to be
                // gone here before it is seen to have come there waits in quarantine.
                let c = &self.truth.contents[*n];
                // What arrives in a mailbox in the moment in which it is put on a shelf as a whole
                // is put back; that it was is seen at rest (P1).
                let lent = side == 1 && what.contains("/quarantine/") && what.contains("/mailbox.");
                let cause = c.deleted > 0 || c.moved || lent;
                let gone = !after[side].contains_key(n);
                // P9 is exact for what has one place only: a user may take the other copy of a
                // message away while ours is deleted.
                if gone && !c.moved && c.copied == 0 {
                    let now = self.now() / 1_000_000_000;
                    self.gone.push((now, [Side::Remote, Side::Local][side]));
                }
                if !cause && gone {
                    self.broken(&format!("P2: c{n} was taken from {name} by: {what}"));
                }
            }
        }
        self.nothing_is_lost(what);
        done
    }

    /// P9: within a day no more than this goes from a side unasked. What the user approved is
    /// taken off first; answers with what is left of the approvals.
    pub fn judge_day(&mut self, most: usize, approved: [usize; 2]) -> [usize; 2] {
        if self.chaos.clock > 0 {
            // By a clock that is wrong nobody can say what a day is.
            self.gone.clear();
            return [0, 0];
        }
        let (now, mut left) = (self.now() / 1_000_000_000, approved);
        for (at, side) in Side::BOTH.into_iter().enumerate() {
            while left[at] > 0
                && let Some(last) = self.gone.iter().rposition(|(_, on)| *on == side)
            {
                self.gone.remove(last);
                left[at] -= 1;
            }
            let day = self
                .gone
                .iter()
                .filter(|(then, on)| *on == side && now - then < 86_400);
            let count = day.count();
            if count > most {
                self.broken(&format!(
                    "P9: {count} messages went from the {side} side unasked"
                ));
            }
        }
        left
    }

    /// P1: what nobody deleted is somewhere.
    pub fn nothing_is_lost(&mut self, what: &str) {
        let now = counts(self);
        for n in 0..self.truth.contents.len() {
            let c = &self.truth.contents[n];
            // A copy may have met one of the other side's, so who deleted one may have deleted all.
            if c.deleted == 0 && !now.iter().any(|side| side.contains_key(&n)) {
                self.broken(&format!("P1: c{n} is lost after: {what}"));
            }
        }
    }

    pub fn broken(&mut self, what: &str) {
        self.note(&format!("BROKEN {what}"));
        if self.broken.len() < 5 {
            self.broken.push(what.to_owned());
        }
    }

    /// Mailboxes of the server as a person sees them.
    pub fn view_there(&self) -> View {
        let mut view = View::new();
        for (name, mailbox) in &self.mail.boxes {
            let name = name.strip_prefix(self.profile.prefix).unwrap_or(name);
            let name = name.replace(self.profile.delimiter, "/");
            let all = view.entry(name).or_default();
            for letter in &mailbox.letters {
                // A server that cannot expunge single messages keeps what was deleted, marked.
                let marked = letter.flags.contains("\\Deleted");
                if self.profile.can("UIDPLUS") || !marked {
                    all.push((self.shown(&letter.body), letter.flags.clone()));
                }
            }
            all.sort();
        }
        view
    }

    /// The Maildir as a person sees it.
    pub fn view_here(&self) -> View {
        let mut view = View::new();
        mailboxes(self, Path::new(ROOT), "", &mut view);
        for (path, inode) in messages(self) {
            let mailbox = path.parent().and_then(Path::parent).unwrap();
            let name = mailbox.strip_prefix(ROOT).unwrap().to_string_lossy();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let letters = file.rsplit_once(":2,").map_or("", |(_, letters)| letters);
            let keywords = self.letters_of(mailbox);
            let flags = letters.chars().filter_map(|letter| match letter {
                'D' => Some("\\Draft".to_owned()),
                'F' => Some("\\Flagged".to_owned()),
                'R' => Some("\\Answered".to_owned()),
                'S' => Some("\\Seen".to_owned()),
                'T' => Some("\\Deleted".to_owned()),
                'P' => Some("$Forwarded".to_owned()),
                letter => keywords.get(&letter).cloned(),
            });
            let flags: BTreeSet<String> = flags.collect();
            let all = view.entry(name.into_owned()).or_default();
            if self.profile.can("UIDPLUS") || !flags.contains("\\Deleted") {
                all.push((self.shown(&self.fs.bytes(inode)), flags));
            }
        }
        view.values_mut().for_each(|all| all.sort());
        view
    }

    /// What letters stand for in a mailbox.
    pub fn letters_of(&self, mailbox: &Path) -> BTreeMap<char, String> {
        let Ok((inode, Node::File { .. })) = self.fs.node(&mailbox.join("dovecot-keywords")) else {
            return BTreeMap::new();
        };
        let text = String::from_utf8_lossy(&self.fs.bytes(inode)).into_owned();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let letter = |(number, name): (&str, &str)| {
            let number: u8 = number.parse().ok()?;
            Some((char::from(b'a' + number), name.to_owned()))
        };
        lines.filter_map(letter).collect()
    }

    fn shown(&self, bytes: &[u8]) -> String {
        match content(&self.truth, bytes) {
            Some(n) => format!("c{n}"),
            None => format!("?{}", bytes.escape_ascii()),
        }
    }

    /// The user says that what the server seems not to have in this mailbox shall go there; that
    /// may make a second one of what lies elsewhere by now.
    pub fn uploads_anew(&mut self, mailbox: &str) {
        let here = self.view_here().remove(mailbox).unwrap_or_default();
        for (shown, _) in here {
            let n = shown
                .strip_prefix('c')
                .and_then(|n| n.parse::<usize>().ok());
            if let Some(content) = n.and_then(|n| self.truth.contents.get_mut(n)) {
                content.copied += 1;
            }
        }
    }

    /// Where a content lies, for a run that is told.
    pub fn places(&self, n: usize) -> Vec<String> {
        let there = self
            .mail
            .letters()
            .filter(|(_, l)| content(&self.truth, &l.body) == Some(n));
        let there = there.map(|(name, l)| format!("there {name} {} {:?}", l.uid, l.flags));
        let here = messages(self).into_iter();
        let here =
            here.filter(|(_, inode)| content(&self.truth, &self.fs.bytes(*inode)) == Some(n));
        let here = here.map(|(path, _)| format!("here {}", path.display()));
        there.chain(here).collect()
    }

    /// All is at rest: both sides are equal (P3), nothing is there twice (P4), and flags are what
    /// users made them (P8).
    pub fn judge_rest(&mut self) {
        let (mut there, mut here) = (self.view_there(), self.view_here());
        if self.stormy {
            // What was marked to be expunged, and moved away by somebody in that moment.
            for all in there.values_mut().chain(here.values_mut()) {
                all.retain(|(_, flags)| !flags.contains("\\Deleted"));
            }
        }
        if self.profile.no_epoch {
            // One way only: what came, was not recorded and is gone there by now stays here; and
            // flags are judged by P8 alone.
            there = bare(there);
            let flagged = std::mem::take(&mut here);
            for (name, all) in bare(flagged.clone()) {
                let mut known = there.get(&name).cloned().unwrap_or_default();
                let mut is_there = |one: &_| {
                    let at = known.iter().position(|known| known == one);
                    at.map(|at| known.swap_remove(at)).is_some()
                };
                let common = all.into_iter().filter(|one| is_there(one)).collect();
                here.insert(name.clone(), common);
            }
            if there == here {
                (there, here) = (flagged.clone(), flagged);
            }
        }
        for all in there.values_mut().chain(here.values_mut()) {
            all.retain(|(shown, _)| !self.spares(shown));
            if self.profile.habit == Habit::Forgets {
                all.iter_mut()
                    .for_each(|(_, flags)| drop(flags.take("\\Draft")));
                all.sort();
            }
        }
        if there != here {
            self.broken(&format!("P3: there {there:?}, here {here:?}"));
        }
        self.nothing_is_lost("all is at rest");
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut flags: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (shown, set) in there.into_values().flatten() {
            *counts.entry(shown.clone()).or_default() += 1;
            flags.insert(shown, set);
        }
        for n in 0..self.truth.contents.len() {
            let have = counts.remove(&format!("c{n}")).unwrap_or(0);
            let c = self.truth.contents[n].clone();
            let most = 1 + c.copied as usize;
            if self.spares(&format!("c{n}")) {
                self.judge_spared(n, &c, most);
                continue;
            }
            if have > most && (c.moved || c.copied > 0 || self.truth.blurred) {
                self.doubled += 1;
                self.note(&format!("c{n} ends up {have} times, not {most}"));
            } else if have > most {
                self.broken(&format!("P4: c{n} is there {have} times, not {most}"));
            }
            // Without UIDPLUS what was moved away and back meets its own marked ghost (row 45).
            let ghosts = c.moved && !self.profile.can("UIDPLUS");
            if c.deleted == 0 && have < 1 && !ghosts {
                self.broken(&format!("P1: c{n} is in no mailbox at rest"));
            }
            self.judge_flags(n, &c, (have, flags.get(&format!("c{n}"))));
        }
        for from_nowhere in counts.into_keys() {
            self.broken(&format!("P4: {from_nowhere} came from nowhere"));
        }
        (self.truth.blurred, self.truth.rebuilt) = (false, false);
    }

    /// Whether the server makes this message stay on one side only.
    fn spares(&self, shown: &str) -> bool {
        let n = shown
            .strip_prefix('c')
            .and_then(|n| n.parse::<usize>().ok());
        let Some((n, c)) = n.and_then(|n| Some((n, self.truth.contents.get(n)?))) else {
            return false;
        };
        let several = c.copied > 0 || c.moved || self.truth.blurred;
        let habit = self.profile.habit;
        // Of several equal messages none can be told from the others once they are rebuilt.
        let alike = habit == Habit::Merges || habit == Habit::Rebuilds;
        habit.spares(n) || alike && several
    }

    /// A message that may stay on one side only is there, and not more often than it was.
    fn judge_spared(&mut self, n: usize, c: &Content, most: usize) {
        let places = self.places(n);
        if c.deleted == 0 && places.is_empty() {
            self.broken(&format!("P1: c{n} is in no mailbox of either side"));
        }
        let there = places.iter().filter(|place| place.starts_with("there"));
        let have = there.count();
        let have = have.max(places.len() - have);
        let clear = !c.moved && c.copied == 0 && !self.truth.blurred;
        if have > most && clear && self.profile.can("UIDPLUS") {
            self.broken(&format!("P4: c{n} is there {have} times, not {most}"));
        }
        self.truth.contents[n].touched.clear();
        self.truth.contents[n].rested = None;
    }

    fn judge_flags(&mut self, n: usize, c: &Content, at: (usize, Option<&BTreeSet<String>>)) {
        let mut now = None;
        if let (1, Some(flags)) = at {
            now = Some(flags.clone());
            let before = c.rested.clone().unwrap_or_default();
            let all = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft"];
            let forgets = self.profile.habit == Habit::Forgets;
            let all = all
                .into_iter()
                .filter(|flag| !forgets || *flag != "\\Draft");
            for flag in all.filter(|_| c.rested.is_some()) {
                let touched = c.touched.get(flag).cloned().unwrap_or_default();
                let sides: BTreeSet<Side> = touched.iter().map(|(side, _)| *side).collect();
                let clear = c.copied == 0 && c.deleted == 0 && !c.moved && !self.truth.blurred;
                // A change whose answer was lost and that the user took back meanwhile looks like
                // one of the other side's.
                let values: BTreeSet<bool> = touched.iter().map(|(_, on)| *on).collect();
                if sides.len() > 1 || values.len() > 1 || !clear {
                    continue;
                }
                let want = touched.last().map_or(before.contains(flag), |(_, on)| *on);
                if flags.contains(flag) != want {
                    let is = flags.contains(flag);
                    self.broken(&format!("P8: {flag} of c{n} is {is}; users: {touched:?}"));
                }
            }
            self.judge_words(n, c, (&before, flags));
        }
        let content = &mut self.truth.contents[n];
        content.touched.clear();
        content.rested = now;
        content.moved &= at.0 > 1;
    }

    /// A keyword that nobody set or took away is as it was, wherever its message was filed.
    fn judge_words(&mut self, n: usize, c: &Content, sets: (&BTreeSet<String>, &BTreeSet<String>)) {
        let (before, now) = sets;
        let clear = c.copied == 0 && c.deleted == 0 && !self.truth.blurred && c.rested.is_some();
        let clear = clear && self.field.is_some();
        for word in WORDS.iter().filter(|_| clear) {
            let was = before.contains(*word);
            if !c.touched.contains_key(*word) && was != now.contains(*word) {
                self.broken(&format!(
                    "P8: {word} of c{n} was {was}, and nobody changed it"
                ));
            }
        }
    }
}

/// Contents without flags.
fn bare(mut view: View) -> View {
    for (_, flags) in view.values_mut().flatten() {
        flags.clear();
    }
    view
}

fn mailboxes(stage: &Stage, directory: &Path, name: &str, view: &mut View) {
    for (entry, inner) in stage.fs.list(directory).unwrap_or_default() {
        let text = entry.to_string_lossy();
        if !inner || text == ".mailtide" {
            continue;
        }
        if text == "cur" {
            view.entry(name.into()).or_default();
        }
        if !["cur", "new", "tmp"].contains(&&*text) {
            let below = match name {
                "" => text.to_string(),
                name => format!("{name}/{text}"),
            };
            mailboxes(stage, &directory.join(&entry), &below, view);
        }
    }
}
