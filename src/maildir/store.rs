//! The Maildir as a [`MailStore`].

use crate::maildir::format::file_name;
use crate::maildir::format::keywords::{Common, Keywords};
use crate::maildir::format::layout::Layout;
use crate::maildir::format::marker::{Claim, OpenedRoot, Root};
use crate::maildir::format::owner::Owner;
use crate::maildir::fs::Fs;
use crate::maildir::fs::dirty::TrackDirty;
use crate::maildir::fs::fsync::HeldSyncs;
use crate::maildir::fs::real::RealFs;
use crate::maildir::quarantine::Quarantine;
use crate::maildir::read::MessageFile;
use crate::maildir::scan::prefetch::Prefetcher;
use crate::maildir::scan::{Entry, PASSES, Scan, Times, info, pass_over, scan};
use crate::maildir::write::deliver::{DeliveryTarget, MaildirReceiver, PresentNames, sweep};
use crate::maildir::write::flags::failed;
use crate::model::{Excerpt, Fingerprint, MailboxBase, MailboxName, MaildirId};
use crate::reconcile::{Cursor, Listed, Look};
use crate::store::{
    About, Ask, Depth, End, FlagEdit, MailStore, Obstacle, Place, Removal, Removed, Shift, Sink,
    StoreError, Transfer,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The local side of an account.
pub struct MaildirStore {
    pub(super) disk: Rc<dyn Fs>,
    pub(super) root: PathBuf,
    pub(super) layout: Layout,
    pub(super) claim: Claim,
    pub(super) owner: Owner,
    /// Paths of listed mailboxes; the layout determines the others.
    pub(super) paths: BTreeMap<MailboxName, PathBuf>,
    /// The keyword letters of all mailboxes.
    pub(super) common: Rc<Common>,
    pub(super) scans: BTreeMap<MailboxName, Scan>,
    /// Last known places of changed files, in mailboxes without a cached scan.
    pub(super) glimpses: BTreeMap<MailboxName, BTreeMap<MaildirId, Entry>>,
    pub(super) there: BTreeMap<MailboxName, Rc<PresentNames>>,
    /// The background scan, and the change counter at its start.
    pub(super) ahead: Option<(Prefetcher, u64)>,
    swept: BTreeSet<MailboxName>,
    /// Files that could not be read since the last listing, with the error.
    pub(super) unreadable: BTreeMap<MailboxName, BTreeMap<MaildirId, String>>,
    /// Files that could not be changed, until they are taken.
    pub(super) unchanged: Vec<Obstacle<MaildirId>>,
    /// The same disk, which tracks unsynced directories.
    pub(super) unsure: Rc<TrackDirty>,
    /// Held syncs.
    pub(super) held: HeldSyncs,
    /// Directories in quarantine that are durable.
    pub(super) shelves: BTreeSet<PathBuf>,
    pub(super) quarantine: Quarantine,
    pub(super) host: String,
}

impl MaildirStore {
    /// Makes the store of this root; `claim` is the id that the state knows. Does no I/O.
    pub fn new(root: &Path, layout: Layout, claim: Claim) -> MaildirStore {
        MaildirStore::on(Rc::new(RealFs), root, layout, claim)
    }

    /// Makes it on another disk.
    pub fn on(disk: Rc<dyn Fs>, root: &Path, layout: Layout, claim: Claim) -> MaildirStore {
        let host = disk.host().replace(['/', ':', ','], "_");
        let unsure = Rc::new(TrackDirty::on(disk));
        let disk: Rc<dyn Fs> = unsure.clone();
        MaildirStore {
            disk: disk.clone(),
            root: root.to_owned(),
            layout,
            claim,
            owner: Owner::default(),
            paths: BTreeMap::new(),
            common: Rc::new(Common::on(disk.clone())),
            scans: BTreeMap::new(),
            glimpses: BTreeMap::new(),
            there: BTreeMap::new(),
            ahead: None,
            swept: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            unchanged: Vec::new(),
            unsure,
            held: HeldSyncs::default(),
            shelves: BTreeSet::new(),
            quarantine: Quarantine::new(disk, root, layout),
            host,
        }
    }

    /// Sets the account; without it the owner has no name.
    pub fn owned_by(self, owner: Owner) -> MaildirStore {
        MaildirStore { owner, ..self }
    }

    /// Returns the root with its account.
    pub fn root(&self) -> Root<'_> {
        Root {
            disk: &*self.disk,
            path: &self.root,
            layout: self.layout,
            owner: &self.owner,
        }
    }

    /// Creates the root and its marker if necessary, and checks them.
    pub fn take_possession(&mut self) -> Result<String, StoreError> {
        let opened = self.root().open(&self.claim)?;
        if opened.new {
            self.root().refuse_inner()?;
        }
        if opened.new || opened.is_renamed() {
            self.root().write(&opened.uuid, 0)?;
        }
        self.claim = Claim::Known(opened.uuid.clone());
        Ok(opened.uuid)
    }

    /// Checks that the Maildir belongs to this account, and neither contains nor is inside another.
    /// Writes nothing.
    pub fn examine(&self) -> Result<OpenedRoot, StoreError> {
        let opened = self.root().open(&self.claim)?;
        self.root().refuse_outer()?;
        if opened.new {
            self.root().refuse_inner()?;
        }
        Ok(opened)
    }

    /// Returns the directories of days in quarantine.
    pub fn days_in_quarantine(&self) -> Result<Vec<String>, StoreError> {
        let days = self.quarantine.days();
        days.map_err(|error| failed(&self.root, &error))
    }

    /// Returns today's directory in quarantine.
    pub fn quarantine_day(&self) -> String {
        self.quarantine.day()
    }

    /// Removes the directories of these days from quarantine.
    pub fn purge(&self, days: &[String]) -> Result<(), StoreError> {
        let purged = self.quarantine.purge(days);
        purged.map_err(|error| failed(&self.root, &error))
    }

    /// Returns the path of a mailbox, existing or not.
    pub fn path(&self, name: &MailboxName) -> PathBuf {
        match self.paths.get(name) {
            Some(path) => path.clone(),
            None => self.root.join(self.layout.path(name)),
        }
    }

    /// Returns the directory of a mailbox; `Stale` if it does not exist.
    pub fn directory(&self, name: &MailboxName) -> Result<PathBuf, StoreError> {
        let path = self.path(name);
        match self.holds_mailbox(&path) {
            true => Ok(path),
            false => Err(StoreError::Stale(format!(
                "there is no mailbox at {}",
                path.display()
            ))),
        }
    }

    pub(super) fn scan_of(&mut self, name: &MailboxName) -> Result<&Scan, StoreError> {
        if !self.scans.contains_key(name) {
            let mailbox = self.directory(name)?;
            let found = scan(&*self.disk, &mailbox).map_err(|error| failed(&mailbox, &error))?;
            self.scans.insert(name.clone(), found);
        }
        let lost = || StoreError::Bug("a scan was lost".into());
        self.scans.get(name).ok_or_else(lost)
    }

    pub(super) fn forget_scan(&mut self, name: &MailboxName) {
        self.scans.remove(name);
        self.glimpses.remove(name);
        self.there.remove(name);
    }

    pub(super) fn note_entry(&mut self, name: &MailboxName, id: &MaildirId, entry: Option<Entry>) {
        if let Some(scan) = self.scans.get_mut(name) {
            match entry {
                Some(entry) => scan.entries.insert(id.clone(), entry),
                None => scan.entries.remove(id),
            };
        }
    }

    pub(super) fn note_unreadable(
        &mut self,
        (mailbox, id): (&MailboxName, &MaildirId),
        error: &io::Error,
    ) {
        let files = self.unreadable.entry(mailbox.clone()).or_default();
        files.insert(id.clone(), error.to_string());
    }

    /// Returns the value read of a file; `None` if the file cannot be read, which is recorded.
    fn readable<T>(
        &mut self,
        file: (&MailboxName, &MaildirId),
        path: &Path,
        read: io::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        match read {
            Ok(read) => Ok(Some(read)),
            // It was renamed or removed in between: the mailbox is scanned again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(failed(path, &error)),
            Err(error) => {
                self.note_unreadable(file, &error);
                Ok(None)
            }
        }
    }

    /// Waits out the tick of our own changes, whose timestamps would hide later ones; then the
    /// cursor is conclusive.
    pub(super) async fn wait_for_tick(&self, name: &MailboxName) -> Result<(), StoreError> {
        let mailbox = self.directory(name)?;
        let times = Times::of(&*self.disk, &mailbox).ok();
        if let Some(rest) = times.and_then(|times| times.rest(self.disk.now())) {
            tokio::time::sleep(rest).await;
        }
        Ok(())
    }

    pub(super) fn receiver(
        &mut self,
        place: &Place,
        target: DeliveryTarget,
    ) -> Result<MaildirReceiver, StoreError> {
        let mailbox = self.directory(&place.mailbox)?;
        if self.swept.insert(place.mailbox.clone()) {
            // Some programs create mailboxes without it.
            let made = self.disk.make_dirs(&mailbox.join("tmp"));
            made.map_err(|error| failed(&mailbox, &error))?;
            sweep(&*self.disk, &mailbox).map_err(|error| failed(&mailbox, &error))?;
        }
        let there = self.there(&place.mailbox, &mailbox)?;
        let disk = self.disk.clone();
        Ok(MaildirReceiver::new(
            disk,
            (&mailbox, target),
            &self.host,
            (there, self.common.clone()),
        ))
    }

    /// Returns the content of a mailbox as of its first use, scanned once for all receivers.
    fn there(
        &mut self,
        name: &MailboxName,
        mailbox: &Path,
    ) -> Result<Rc<PresentNames>, StoreError> {
        if let Some(there) = self.there.get(name) {
            return Ok(there.clone());
        }
        let mut there = PresentNames::default();
        let mut note = |_, (base, suffix): (&[u8], &[u8]), _, _| {
            let letters = info(suffix).iter().filter(|byte| byte.is_ascii_lowercase());
            there.letters.extend(letters);
            if file_name::origin(&MaildirId::new(base)).is_some() {
                there.names.insert(base);
            }
        };
        for _ in 0..PASSES {
            let pass = pass_over(&*self.disk, mailbox, Depth::Changes, &mut note);
            if pass.map_err(|error| failed(mailbox, &error))?.undisturbed {
                break;
            }
        }
        let there = Rc::new(there);
        self.there.insert(name.clone(), there.clone());
        Ok(there)
    }
}

impl MailStore for MaildirStore {
    type Id = MaildirId;
    type Receiver = MaildirReceiver;

    async fn list(
        &mut self,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, StoreError> {
        self.make_sure()?;
        self.unreadable.clear();
        self.listed(left)
    }

    async fn look(&mut self, ask: &Ask<'_>) -> Result<Look<MaildirId>, StoreError> {
        self.wait_for_tick(&ask.base.name).await?;
        self.look_at(ask.base, ask.cursor, ask.depth)
    }

    async fn fingerprints(
        &mut self,
        place: &Place,
        ids: &[MaildirId],
        sizes: Option<&BTreeSet<u64>>,
    ) -> Result<Vec<(MaildirId, Fingerprint)>, StoreError> {
        let mailbox = self.directory(&place.mailbox)?;
        let mut prints = Vec::new();
        for id in ids {
            let Some(entry) = self.find(&place.mailbox, id)? else {
                continue;
            };
            let path = entry.path(&mailbox, id);
            let print = MessageFile::open(&*self.disk, &path).and_then(MessageFile::fingerprint);
            let Some(print) = self.readable((&place.mailbox, id), &path, print)? else {
                continue;
            };
            if sizes.is_none_or(|sizes| sizes.contains(&print.size)) {
                prints.push((id.clone(), print));
            }
        }
        Ok(prints)
    }

    async fn read<S: Sink<MaildirId>>(
        &mut self,
        place: &Place,
        ids: &[MaildirId],
        sink: &mut S,
    ) -> Result<(), StoreError> {
        let mailbox = self.directory(&place.mailbox)?;
        let keywords =
            Keywords::load(&*self.disk, &mailbox).map_err(|error| failed(&mailbox, &error))?;
        for id in ids {
            let Some(entry) = self.find(&place.mailbox, id)? else {
                continue;
            };
            let path = entry.path(&mailbox, id);
            let now = self.disk.now();
            let message = match MessageFile::open(&*self.disk, &path) {
                Ok(message) => message,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.note_unreadable((&place.mailbox, id), &error);
                    sink.fail(id.clone(), format!("{}: {error}", path.display()))
                        .await?;
                    continue;
                }
            };
            let flags = file_name::flags(entry.info(), |letter| keywords.name(letter));
            let (date, stored) = (Some(message.date()), message.size());
            let stamp = message.stamp(now);
            let about = About {
                id: id.clone(),
                flags,
                date,
                stored,
                stamp,
                kin: None,
            };
            message.send(&path, about, sink).await?;
        }
        Ok(())
    }

    async fn excerpts(
        &mut self,
        place: &Place,
        ids: &[(MaildirId, Option<u64>)],
    ) -> Result<Vec<(MaildirId, Excerpt)>, StoreError> {
        let mailbox = self.directory(&place.mailbox)?;
        let mut all = Vec::new();
        for (id, size) in ids {
            let Some(entry) = self.find(&place.mailbox, id)? else {
                continue;
            };
            let path = entry.path(&mailbox, id);
            let excerpt =
                MessageFile::open(&*self.disk, &path).and_then(|message| message.excerpt(*size));
            let excerpt = self.readable((&place.mailbox, id), &path, excerpt)?;
            all.extend(excerpt.map(|excerpt| (id.clone(), excerpt)));
        }
        Ok(all)
    }

    async fn transfer(
        &mut self,
        from: &Place,
        to: &Place,
        how: Transfer,
        shifts: &[Shift<MaildirId>],
    ) -> Result<Vec<(MaildirId, Option<MaildirId>)>, StoreError> {
        self.transfer_files(from, to, how, shifts)
    }

    async fn rename_mailbox(
        &mut self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), StoreError> {
        self.rename_directory(from, to)
    }

    async fn receive(&mut self, place: &Place) -> Result<MaildirReceiver, StoreError> {
        self.receiver(place, DeliveryTarget::Mailbox)
    }

    async fn set_flags(
        &mut self,
        place: &Place,
        edits: &[FlagEdit<MaildirId>],
    ) -> Result<Vec<MaildirId>, StoreError> {
        self.change_flags(place, edits)
    }

    async fn remove(
        &mut self,
        place: &Place,
        removals: &[Removal<MaildirId>],
    ) -> Result<Vec<(MaildirId, Removed)>, StoreError> {
        self.remove_files(place, removals)
    }

    fn keeps_removed(&self, _: &MailboxName) -> bool {
        true
    }

    async fn create_mailbox(&mut self, name: &MailboxName) -> Result<(), StoreError> {
        let made = self.create_all(std::slice::from_ref(name));
        made.into_iter().collect()
    }

    async fn delete_mailbox(&mut self, base: &MailboxBase) -> Result<End, StoreError> {
        Ok(self.remove_mailbox(base)?.map_or(End::Gone, End::Kept))
    }

    async fn confirm_absent(&mut self, name: &MailboxName) -> Result<bool, StoreError> {
        self.root().open(&self.claim)?;
        self.is_absent(name)
    }
}
