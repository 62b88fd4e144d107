//! What lies on the server: mailboxes with messages, and what any client can do to them.

use super::profile::Profile;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub struct Letter {
    pub uid: u32,
    pub flags: BTreeSet<String>,
    pub modseq: u64,
    pub date: i64,
    pub body: Vec<u8>,
    /// The same for all copies.
    pub object: u64,
}

#[derive(Clone, Debug)]
pub struct Mailbox {
    /// Stays when the name changes.
    pub id: u64,
    pub uid_validity: u64,
    pub next: u32,
    pub modseq: u64,
    pub letters: Vec<Letter>,
    /// UIDs that left, and when.
    pub gone: Vec<(u64, u32)>,
}

#[derive(Clone, Debug)]
pub struct Mail {
    /// By names as on the wire.
    pub boxes: BTreeMap<String, Mailbox>,
    profile: Profile,
    uid_validities: u64,
    /// The UIDVALIDITY that a name had last.
    former: BTreeMap<String, u64>,
    ids: u64,
    objects: u64,
    /// All mailboxes have one UIDVALIDITY, but those that are made or numbered anew.
    pub constant: bool,
}

impl Mailbox {
    pub fn letter(&self, uid: u32) -> Option<&Letter> {
        self.letters.iter().find(|letter| letter.uid == uid)
    }

    fn touch(&mut self) -> u64 {
        self.modseq += 1;
        self.modseq
    }

    /// Changes flags; answers whether the message is there.
    pub fn flag(&mut self, uid: u32, flags: &[String], on: bool) -> bool {
        let Some(at) = self.letters.iter().position(|letter| letter.uid == uid) else {
            return false;
        };
        let before = self.letters[at].flags.clone();
        for flag in flags {
            match on {
                true => drop(self.letters[at].flags.insert(flag.clone())),
                false => drop(self.letters[at].flags.remove(flag)),
            }
        }
        if before != self.letters[at].flags {
            self.letters[at].modseq = self.touch();
        }
        true
    }

    /// Takes a message out.
    pub fn take(&mut self, uid: u32) -> Option<Letter> {
        let at = self.letters.iter().position(|letter| letter.uid == uid)?;
        let modseq = self.touch();
        self.gone.push((modseq, uid));
        Some(self.letters.remove(at))
    }

    /// Puts a message in; answers with its UID.
    pub fn put(&mut self, letter: Letter) -> u32 {
        let (uid, modseq) = (self.next, self.touch());
        self.next += 1;
        self.letters.push(Letter {
            uid,
            modseq,
            ..letter
        });
        uid
    }
}

impl Mail {
    pub fn new(profile: &Profile) -> Mail {
        let mut mail = Mail {
            boxes: BTreeMap::new(),
            profile: *profile,
            uid_validities: 10,
            former: BTreeMap::new(),
            ids: 0,
            objects: 0,
            constant: false,
        };
        mail.create("INBOX", 1_700_000_000);
        if profile.gmail {
            mail.create("[Gmail]/Trash", 1_700_000_000);
        }
        mail
    }

    pub fn letter(&mut self, body: Vec<u8>, flags: BTreeSet<String>, date: i64) -> Letter {
        self.objects += 1;
        Letter {
            uid: 0,
            flags,
            modseq: 0,
            date,
            body,
            object: self.objects,
        }
    }

    /// Makes a mailbox; `false`: it is there already.
    pub fn create(&mut self, name: &str, seconds: i64) -> bool {
        if self.boxes.contains_key(name) {
            return false;
        }
        self.ids += 1;
        let (id, mut uid_validity) = (self.ids, self.uid_validity(seconds));
        // A name that is given again within the second: the same UIDVALIDITY for other messages is
        // forbidden (RFC 9051, 2.3.1.1), and cannot be told from the mailbox that was there.
        if let Some(former) = self.former.get(name).filter(|_| self.keeps_one()) {
            uid_validity = uid_validity.max(former + 1);
        }
        self.former.insert(name.into(), uid_validity);
        let mailbox = Mailbox {
            id,
            uid_validity,
            next: 1,
            modseq: 1,
            letters: Vec::new(),
            gone: Vec::new(),
        };
        self.boxes.insert(name.into(), mailbox);
        true
    }

    /// Whether two UIDVALIDITYs may be equal.
    fn keeps_one(&self) -> bool {
        self.profile.clock_epochs || self.constant
    }

    fn uid_validity(&mut self, seconds: i64) -> u64 {
        self.uid_validities += 1;
        match self.profile {
            _ if self.constant => 1,
            Profile { no_epoch: true, .. } => 0,
            Profile {
                clock_epochs: true, ..
            } => seconds as u64,
            _ => self.uid_validities,
        }
    }

    pub fn by_id(&self, id: u64) -> Option<(&String, &Mailbox)> {
        self.boxes.iter().find(|(_, mailbox)| mailbox.id == id)
    }

    /// Renames a mailbox with all below it.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let below = format!("{from}{}", self.profile.delimiter);
        let names: Vec<String> = self.boxes.keys().cloned().collect();
        let moved: Vec<String> = names
            .into_iter()
            .filter(|name| name == from || name.starts_with(&below))
            .collect();
        let new = |name: &String| format!("{to}{}", &name[from.len()..]);
        let taken = moved.iter().any(|name| self.boxes.contains_key(&new(name)));
        if moved.is_empty() || taken || !self.boxes.contains_key(from) {
            return false;
        }
        for name in moved {
            if let Some(mailbox) = self.boxes.remove(&name) {
                self.boxes.insert(new(&name), mailbox);
            }
        }
        true
    }

    /// All messages get new UIDs in a new UIDVALIDITY.
    pub fn renumber(&mut self, name: &str, skip: u32, seconds: i64) {
        let (uid_validity, clock) = (self.uid_validity(seconds + 100), self.keeps_one());
        if let Some(mailbox) = self.boxes.get_mut(name) {
            // No server gets through with it twice in a second.
            mailbox.uid_validity = match clock {
                true => uid_validity.max(mailbox.uid_validity + 1),
                false => uid_validity,
            };
            mailbox.next += skip;
            mailbox.gone.clear();
            for letter in std::mem::take(&mut mailbox.letters) {
                mailbox.put(letter);
            }
        }
    }

    /// The index of a mailbox was rebuilt: HIGHESTMODSEQ begins again.
    pub fn rebuild(&mut self, name: &str) {
        if let Some(mailbox) = self.boxes.get_mut(name) {
            mailbox.modseq = 1;
            mailbox.gone.clear();
            mailbox.letters.iter_mut().for_each(|l| l.modseq = 1);
        }
    }

    /// All messages.
    pub fn letters(&self) -> impl Iterator<Item = (&String, &Letter)> {
        self.boxes
            .iter()
            .flat_map(|(name, mailbox)| mailbox.letters.iter().map(move |letter| (name, letter)))
    }
}
