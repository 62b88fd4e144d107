//! [`MaildirStore`] as a [`LocalStore`].

use crate::maildir::format::keywords::Keywords;
use crate::maildir::format::owner::Owner;
use crate::maildir::read::MessageFile;
use crate::maildir::scan::Times;
use crate::maildir::store::MaildirStore;
use crate::maildir::write::deliver::{DeliveryTarget, MaildirReceiver};
use crate::maildir::write::flags::failed;
use crate::model::{Excerpt, Letters, MailboxName, MaildirId, Recorded, Unlike};
use crate::reconcile::{Cursor, Look};
use crate::store::{Delivery, Depth, LocalStore, Obstacle, Place, Published, StoreError};
use std::io;
use std::rc::Rc;

impl MaildirStore {
    /// Returns the generation that the marker contains, if any.
    pub fn generation(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.root().open(&self.claim)?.generation)
    }

    /// Returns the owner that the marker names, if it is on another machine.
    pub fn elsewhere(&self) -> Result<Option<Owner>, StoreError> {
        Ok(self.root().open(&self.claim)?.elsewhere)
    }

    /// Writes the generation into the marker, if it is new.
    pub fn note_generation(&self, generation: u64) -> Result<(), StoreError> {
        let opened = self.root().open(&self.claim)?;
        if opened.generation != Some(generation) || opened.outdated {
            self.root().write(&opened.uuid, generation)?;
        }
        Ok(())
    }
}

impl LocalStore for MaildirStore {
    async fn quarantine(&mut self, place: &Place) -> Result<MaildirReceiver, StoreError> {
        let directory = self.shelf_for(&place.mailbox)?;
        let below = self.quarantine.below(&directory);
        let target = DeliveryTarget::Quarantine(directory, below, self.held.clone());
        Ok(MaildirReceiver::new(
            self.disk.clone(),
            (&self.root, target),
            &self.host,
            (Rc::default(), self.common.clone()),
        ))
    }

    fn hold_syncs(&mut self) {
        self.hold();
    }

    async fn sync_all(&mut self) -> Result<(), StoreError> {
        self.sync_held()
    }

    fn prefetch(&mut self, next: &[(MailboxName, Depth)]) {
        self.read_ahead(next);
    }

    async fn unchanged(
        &mut self,
        mailbox: &MailboxName,
        cursor: &Cursor,
    ) -> Result<Option<Look<MaildirId>>, StoreError> {
        self.unchanged_since(mailbox, cursor)
    }

    async fn look_for(
        &mut self,
        mailbox: &MailboxName,
        recorded: Recorded,
        cursor: Option<&Cursor>,
        depth: Depth,
    ) -> Result<Option<(Look<MaildirId>, Unlike)>, StoreError> {
        self.wait_for_tick(mailbox).await?;
        self.look_beside(mailbox, recorded, cursor, depth)
    }

    async fn create_mailboxes(&mut self, names: &[MailboxName]) -> Vec<Result<(), StoreError>> {
        self.create_all(names)
    }

    async fn publish(&mut self, receivers: Vec<MaildirReceiver>) -> Vec<Published<MaildirId>> {
        self.publish_together(receivers)
    }

    fn unreadable(&self, mailbox: &MailboxName) -> Vec<Obstacle<MaildirId>> {
        let files = self.unreadable.get(mailbox).into_iter().flatten();
        let obstacle = |(id, why): (&MaildirId, &String)| Obstacle {
            mailbox: mailbox.clone(),
            id: id.clone(),
            why: why.clone(),
        };
        files.map(obstacle).collect()
    }

    fn take_unchanged(&mut self) -> Vec<Obstacle<MaildirId>> {
        std::mem::take(&mut self.unchanged)
    }

    fn forget(&mut self, mailbox: &MailboxName) {
        self.forget_scan(mailbox);
    }

    fn is_stable(&self, mailbox: &MailboxName) -> bool {
        let times = Times::of(&*self.disk, &self.path(mailbox));
        times.is_ok_and(|times| times.blur(self.disk.now()) == 0)
    }

    async fn rename_edited(
        &mut self,
        place: &Place,
        id: &MaildirId,
    ) -> Result<MaildirId, StoreError> {
        self.split_file(place, id)
    }

    async fn letters(&mut self, mailbox: &MailboxName) -> Result<Option<Letters>, StoreError> {
        let path = self.path(mailbox);
        if !self.disk.is_dir(&path.join("cur")) {
            return Ok(None);
        }
        let keywords = Keywords::load(&*self.disk, &path);
        let keywords = keywords.map_err(|error| failed(&path, &error))?;
        Ok(Some(keywords.letters()))
    }

    async fn letter_tables(&mut self) -> Result<Vec<Letters>, StoreError> {
        Ok(self.common.tables())
    }

    async fn bare_sizes(
        &mut self,
        place: &Place,
        ids: &[MaildirId],
    ) -> Result<Vec<(MaildirId, u64)>, StoreError> {
        let mailbox = self.directory(&place.mailbox)?;
        let mut all = Vec::new();
        for id in ids {
            let Some(entry) = self.find(&place.mailbox, id)? else {
                continue;
            };
            let read = MessageFile::open(&*self.disk, &entry.path(&mailbox, id))
                .and_then(MessageFile::bare_size);
            match read {
                Ok(size) => all.extend(size.map(|size| (id.clone(), size))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.note_unreadable((&place.mailbox, id), &error),
            }
        }
        Ok(all)
    }

    async fn quarantined_excerpt(
        &mut self,
        path: &[u8],
        size: Option<u64>,
    ) -> Result<Option<Excerpt>, StoreError> {
        let kept = self.quarantine.path(path);
        match MessageFile::open(&*self.disk, &kept).and_then(|message| message.excerpt(size)) {
            Ok(excerpt) => Ok(Some(excerpt)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&kept, &error)),
        }
    }

    async fn restore(
        &mut self,
        place: &Place,
        path: &[u8],
        delivery: &Delivery,
    ) -> Result<Option<(MaildirId, u64)>, StoreError> {
        self.recall_file(place, path, delivery)
    }
}
