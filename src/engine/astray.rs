//! An upload that was cut, and whose file somebody has moved to another mailbox since. If it
//! arrived, the message on the server is that file's, in the mailbox where it was: they become a
//! pair, and the next pass sees a move. Otherwise the file would be uploaded again, and the message
//! be there twice.

use super::account::Account;
use super::probe::passable;
use super::rematch::HashSink;
use super::report::{Ended, Report};
use super::scene::{Fate, Scene, Scenes};
use crate::model::{Id, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::Outcome;
use crate::reconcile::settled::Moves;
use crate::state::{Change, Upload};
use crate::store::{Keep, Serve};
use std::collections::BTreeMap;

/// Where a file lay when its upload was cut, and where it lies now.
struct Stray<'a> {
    upload: Upload,
    was: &'a Scene,
    now: &'a Scene,
}

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Uploads whose file lies elsewhere by now: those that arrived are recorded, and those of
    /// which it is not known yet wait.
    pub(super) async fn find_astray(
        &mut self,
        scenes: &Scenes,
        report: &mut Report,
    ) -> Result<Moves, Ended> {
        let mut moves = Moves::default();
        let open = self.state.uploads_in_doubt()?;
        if open.is_empty() {
            return Ok(moves);
        }
        let homes: BTreeMap<MaildirId, &MailboxName> = scenes
            .iter()
            .filter(|(_, scene)| scene.fate == Fate::Stays)
            .flat_map(|(name, scene)| scene.new_files().into_iter().map(move |f| (f, name)))
            .collect();
        for (key, upload) in open {
            let was = scenes.values().find(|scene| scene.base.key == key);
            let now = homes.get(&upload.file).and_then(|name| scenes.get(*name));
            let (Some(was), Some(now)) = (was, now) else {
                continue;
            };
            // A copy of the same name is no move.
            let stays = was.new_files().contains(&upload.file)
                || was.pairs().any(|pair| pair.file == upload.file);
            if !stays && was.base.name != now.base.name && was.fate == Fate::Stays {
                let stray = Stray { upload, was, now };
                self.settle_stray(&stray, &mut moves, report).await?;
            }
        }
        Ok(moves)
    }

    async fn settle_stray(
        &mut self,
        stray: &Stray<'_>,
        moves: &mut Moves,
        report: &mut Report,
    ) -> Result<(), Ended> {
        let Stray { upload, was, now } = stray;
        let file = &upload.file;
        let arrived = self.arrived(stray, moves).await?;
        let (name, place) = (&was.base.name, &now.base.name);
        if let Some((uid, outcome)) = arrived {
            moves.uids.insert((name.clone(), uid));
            moves.files.insert((place.clone(), file.clone()));
            report.unsettled.extend([name.clone(), place.clone()]);
            if !self.options.dry_run {
                let change = Change {
                    mailbox: name.clone(),
                    side: Side::Remote,
                    what: "new",
                    message: Some(uid.any()),
                    why: format!(
                        "from {file}, whose upload was cut; it was moved to {place} since"
                    ),
                    kept: None,
                };
                self.state.apply(was.base.key, &[outcome], &[change])?;
                // Where neither side changes any more, a look would take the file to be there.
                self.state.look_anew(was.base.key)?;
            }
        } else if (self.world.now)() - upload.at < self.options.grace {
            moves.astray.insert(file.clone(), place.clone());
        }
        Ok(())
    }

    /// The message that the upload became, as a pair with its file.
    async fn arrived(
        &mut self,
        stray: &Stray<'_>,
        moves: &Moves,
    ) -> Result<Option<(Uid, Outcome)>, Ended> {
        let Stray { upload, was, now } = stray;
        let mut uids = was.new_uids();
        uids.retain(|uid| {
            let taken = moves.uids.contains(&(was.base.name.clone(), *uid));
            uid.get() > upload.above && !taken
        });
        if uids.is_empty() {
            return Ok(None);
        }
        let files = [upload.file.clone()];
        let (mut there, mut here) = (HashSink::default(), HashSink::default());
        passable(self.local.read(&now.place(), &files, &mut here).await)?;
        passable(self.remote.read(&was.place(), &uids, &mut there).await)?;
        let Some((hash, size)) = here.hashes.get(&upload.file) else {
            return Ok(None);
        };
        let same = there.hashes.iter().find(|(_, (other, _))| other == hash);
        Ok(same.map(|(uid, _)| {
            let flags = was.remote.seen.get(uid).cloned().flatten();
            let outcome = Outcome::Paired {
                uid: *uid,
                file: upload.file.clone(),
                flags: flags.unwrap_or_default(),
                hash: *hash,
                size: *size,
                kin: None,
                replaces: None,
            };
            (*uid, outcome)
        }))
    }
}
