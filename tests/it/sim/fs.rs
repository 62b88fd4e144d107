//! A file system that loses, at a crash, what was not synced: any part of it, in any combination
//! that a journal allows. A change of names is there as a whole or not at all; what was written to
//! a file and not synced may be there, missing, or torn.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Result};
use std::path::{Component, Path, PathBuf};

use super::stage::Random;

type Names = BTreeMap<u64, BTreeMap<OsString, u64>>;

#[derive(Clone, Debug)]
pub enum Node {
    Directory {
        modified: i64,
        born: i64,
    },
    File {
        bytes: Vec<u8>,
        modified: i64,
        changed: i64,
    },
    /// A symbolic link that leads nowhere.
    Link,
}

#[derive(Clone, Debug)]
enum Change {
    Add(u64, OsString, u64),
    Remove(u64, OsString),
    Move((u64, OsString), (u64, OsString), u64),
}

#[derive(Clone, Debug)]
struct Logged {
    change: Change,
    inode: u64,
    synced: bool,
}

#[derive(Clone, Debug)]
pub struct Fs {
    nodes: BTreeMap<u64, Node>,
    names: Names,
    safe: Names,
    safe_bytes: BTreeMap<u64, Vec<u8>>,
    log: Vec<Logged>,
    next: u64,
    /// Time stamps are whole multiples of this, ns.
    pub tick: i64,
    /// Changes made.
    pub changes: u64,
}

const ROOT: u64 = 1;

impl Fs {
    pub fn new(tick: i64) -> Fs {
        let root = Node::Directory {
            modified: 0,
            born: 0,
        };
        Fs {
            nodes: BTreeMap::from([(ROOT, root)]),
            names: Names::from([(ROOT, BTreeMap::new())]),
            safe: Names::from([(ROOT, BTreeMap::new())]),
            safe_bytes: BTreeMap::new(),
            log: Vec::new(),
            next: ROOT + 1,
            tick,
            changes: 0,
        }
    }

    pub fn find(&self, path: &Path) -> Result<u64> {
        let mut at = ROOT;
        for part in path.components() {
            if let Component::Normal(name) = part {
                let inside = self.names.get(&at).ok_or(ErrorKind::NotADirectory)?;
                at = *inside.get(name).ok_or(ErrorKind::NotFound)?;
            }
        }
        Ok(at)
    }

    pub fn node(&self, path: &Path) -> Result<(u64, &Node)> {
        let inode = self.find(path)?;
        Ok((inode, &self.nodes[&inode]))
    }

    pub fn bytes(&self, inode: u64) -> Vec<u8> {
        match &self.nodes[&inode] {
            Node::File { bytes, .. } => bytes.clone(),
            Node::Directory { .. } | Node::Link => Vec::new(),
        }
    }

    pub fn inode(&self, inode: u64) -> &Node {
        &self.nodes[&inode]
    }

    /// What is in a directory, in the order of its names.
    pub fn list(&self, path: &Path) -> Result<Vec<(OsString, bool)>> {
        let (inode, node) = self.node(path)?;
        if matches!(node, Node::Link) {
            return Err(ErrorKind::NotFound.into());
        }
        let names = self.names.get(&inode).ok_or(ErrorKind::NotADirectory)?;
        let kind = |inode: &u64| matches!(self.nodes[inode], Node::Directory { .. });
        Ok(names.iter().map(|(n, i)| (n.clone(), kind(i))).collect())
    }

    fn above(&self, path: &Path) -> Result<(u64, OsString)> {
        let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        Ok((self.find(parent)?, name.to_owned()))
    }

    fn stamp(&mut self, inode: u64, now: i64) {
        let at = now - now.rem_euclid(self.tick);
        match self.nodes.get_mut(&inode) {
            Some(Node::Directory { modified, .. } | Node::File { modified, .. }) => *modified = at,
            Some(Node::Link) | None => {}
        }
    }

    fn change(&mut self, change: Change, inode: u64, now: i64) {
        self.changes += 1;
        for directory in touched(&change) {
            self.stamp(directory, now);
        }
        apply(&mut self.names, &change);
        if let Some(Node::File { changed, .. }) = self.nodes.get_mut(&inode) {
            *changed = now - now.rem_euclid(self.tick);
        }
        let synced = false;
        self.log.push(Logged {
            change,
            inode,
            synced,
        });
    }

    pub fn create(&mut self, path: &Path, new: bool, now: i64) -> Result<u64> {
        let (directory, name) = self.above(path)?;
        let there = self.names.get(&directory).ok_or(ErrorKind::NotADirectory)?;
        if let Some(inode) = there.get(&name).copied() {
            if new {
                return Err(ErrorKind::AlreadyExists.into());
            }
            self.write(inode, None, now);
            return Ok(inode);
        }
        let inode = self.next;
        self.next += 1;
        let (bytes, modified, changed) = (Vec::new(), now, now);
        let file = Node::File {
            bytes,
            modified,
            changed,
        };
        self.nodes.insert(inode, file);
        self.change(Change::Add(directory, name, inode), inode, now);
        Ok(inode)
    }

    /// Appends, or cuts the file to nothing.
    pub fn write(&mut self, inode: u64, more: Option<&[u8]>, now: i64) {
        self.changes += 1;
        let at = now - now.rem_euclid(self.tick);
        if let Some(Node::File {
            bytes,
            modified,
            changed,
        }) = self.nodes.get_mut(&inode)
        {
            match more {
                Some(more) => bytes.extend_from_slice(more),
                None => bytes.clear(),
            }
            (*modified, *changed) = (at, at);
        }
    }

    pub fn set_modified(&mut self, inode: u64, at: i64) {
        if let Some(Node::File { modified, .. }) = self.nodes.get_mut(&inode) {
            *modified = at;
        }
    }

    pub fn make_dir(&mut self, path: &Path, now: i64) -> Result<()> {
        let mut whole = PathBuf::from("/");
        for part in path.components().skip(1) {
            whole.push(part);
            if let Ok((_, node)) = self.node(&whole) {
                if matches!(node, Node::File { .. }) {
                    return Err(ErrorKind::NotADirectory.into());
                }
                continue;
            }
            let (directory, name) = self.above(&whole)?;
            let inode = self.next;
            self.next += 1;
            let (modified, born) = (now - now.rem_euclid(self.tick), now);
            self.nodes.insert(inode, Node::Directory { modified, born });
            self.names.insert(inode, BTreeMap::new());
            self.change(Change::Add(directory, name, inode), inode, now);
        }
        Ok(())
    }

    /// Makes a symbolic link that leads nowhere.
    pub fn make_link(&mut self, path: &Path, now: i64) -> Result<()> {
        let (directory, name) = self.above(path)?;
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, Node::Link);
        // Nothing is found behind it.
        self.names.insert(inode, BTreeMap::new());
        self.change(Change::Add(directory, name, inode), inode, now);
        Ok(())
    }

    pub fn rename(&mut self, from: &Path, to: &Path, replace: bool, now: i64) -> Result<()> {
        let ((a, old), (b, new)) = (self.above(from)?, self.above(to)?);
        let inode = self.find(from)?;
        if self.find(to).is_ok() && !replace {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if to.starts_with(from) {
            return Err(ErrorKind::InvalidInput.into());
        }
        if !self.names.contains_key(&b) {
            return Err(ErrorKind::NotADirectory.into());
        }
        self.change(Change::Move((a, old), (b, new), inode), inode, now);
        Ok(())
    }

    pub fn link(&mut self, old: &Path, new: &Path, now: i64) -> Result<()> {
        let (inode, (directory, name)) = (self.find(old)?, self.above(new)?);
        if self.find(new).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.change(Change::Add(directory, name, inode), inode, now);
        Ok(())
    }

    pub fn remove(&mut self, path: &Path, now: i64) -> Result<()> {
        let ((directory, name), inode) = (self.above(path)?, self.find(path)?);
        let inside = self.names.get(&inode);
        if inside.is_some_and(|inside| !inside.is_empty()) {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(Change::Remove(directory, name), inode, now);
        Ok(())
    }

    pub fn remove_all(&mut self, path: &Path, now: i64) -> Result<()> {
        for (name, directory) in self.list(path)? {
            match directory {
                true => self.remove_all(&path.join(name), now)?,
                false => self.remove(&path.join(name), now)?,
            }
        }
        self.remove(path, now)
    }

    /// A file's bytes, or a directory's names, are safe from now on.
    pub fn sync(&mut self, inode: u64) {
        if let Node::File { bytes, .. } = &self.nodes[&inode] {
            let bytes = bytes.clone();
            self.safe_bytes.insert(inode, bytes);
        }
        let mut held: Vec<u64> = vec![inode];
        for at in (0..self.log.len()).rev() {
            let logged = &self.log[at];
            let here = touched(&logged.change).contains(&inode);
            // What a change builds upon is in the journal before it.
            if here || held.contains(&logged.inode) {
                held.push(logged.inode);
                held.extend(touched(&logged.change));
                self.log[at].synced = true;
            }
        }
        self.settle();
    }

    /// The last change is safe: users and other programs are not what is being tried.
    pub fn sync_last(&mut self) {
        let Some(inode) = self.log.last().map(|logged| logged.inode) else {
            return;
        };
        if let Some(Node::File { bytes, .. }) = self.nodes.get(&inode) {
            self.safe_bytes.insert(inode, bytes.clone());
        }
        let mut held = vec![inode];
        if let Some(last) = self.log.last() {
            held.extend(touched(&last.change));
        }
        for logged in self.log.iter_mut().rev() {
            if held.contains(&logged.inode) {
                logged.synced = true;
                held.extend(touched(&logged.change));
            }
        }
        self.settle();
    }

    pub fn sync_all(&mut self) {
        self.log.clear();
        self.safe = self.names.clone();
        for (inode, node) in &self.nodes {
            if let Node::File { bytes, .. } = node {
                self.safe_bytes.insert(*inode, bytes.clone());
            }
        }
    }

    /// Takes what is synced, from the oldest on, out of the log.
    fn settle(&mut self) {
        let count = self.log.iter().take_while(|logged| logged.synced).count();
        for logged in self.log.drain(..count) {
            apply(&mut self.safe, &logged.change);
        }
    }

    /// The power fails.
    pub fn crash(&mut self, random: &mut Random) {
        let mut names = self.safe.clone();
        for logged in std::mem::take(&mut self.log) {
            if logged.synced || random.one_in(2) {
                apply(&mut names, &logged.change);
            }
        }
        self.names = names;
        for (inode, node) in &mut self.nodes {
            let Node::File { bytes, .. } = node else {
                self.names.entry(*inode).or_default();
                continue;
            };
            let safe = self.safe_bytes.get(inode).cloned().unwrap_or_default();
            if safe != *bytes {
                match random.below(3) {
                    0 => {}
                    1 => *bytes = safe,
                    _ => bytes.truncate(bytes.len() / 2),
                }
            }
        }
        self.sync_all();
    }
}

fn touched(change: &Change) -> Vec<u64> {
    match change {
        Change::Add(directory, ..) | Change::Remove(directory, _) => vec![*directory],
        Change::Move((a, _), (b, _), _) => vec![*a, *b],
    }
}

/// A change that does not fit any more, since one before it is missing, is passed over.
fn apply(names: &mut Names, change: &Change) {
    match change {
        Change::Add(directory, name, inode) => {
            // Where the name is taken, what freed it was lost; but it came before in the journal.
            let inside = names.entry(*directory).or_default();
            inside.insert(name.clone(), *inode);
        }
        Change::Remove(directory, name) => {
            names.entry(*directory).or_default().remove(name);
        }
        Change::Move((a, old), (b, new), inode) => {
            let from = names.entry(*a).or_default();
            if from.get(old) == Some(inode) {
                from.remove(old);
                names.entry(*b).or_default().insert(new.clone(), *inode);
            }
        }
    }
}

/// A name, shown.
pub fn shown(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}
