//! Setting flags, on both sides of a message, and taking two messages for one.

use super::account::Account;
use super::rematch::HashSink;
use super::report::{Ended, Report};
use super::work::Work;
use crate::model::{FlagChange, Flags, Id, MaildirId, Side, SystemFlag, Uid};
use crate::reconcile::{Action, Outcome, PairRef};
use crate::store::{FlagEdit, Keep, Place, Serve};
use std::collections::BTreeSet;

/// Where flags are to be set on the server.
pub(super) fn flags_there(work: &Work) -> Option<Place> {
    let edits = work.plan.actions.iter().filter_map(Setting::of);
    let mut there = edits.filter(|setting| !setting.remote.is_empty());
    there.next().map(|_| work.place())
}

/// A message by both names, what to change on both sides, and what both hold then.
type Edit = (Uid, MaildirId, FlagChange, FlagChange, Flags);

/// Flags that are to be set on a message that both sides have.
struct Setting<'a> {
    pair: &'a PairRef,
    /// What the base holds then.
    merged: &'a Flags,
    remote: FlagChange,
    local: FlagChange,
    /// Whether there may be more to do with the message, once it is done.
    first: bool,
}

impl Setting<'_> {
    fn of(action: &Action) -> Option<Setting<'_>> {
        match action {
            Action::Flags {
                pair,
                merged,
                remote,
                local,
            } => Some(Setting {
                pair,
                merged,
                remote: remote.clone(),
                local: local.clone(),
                first: false,
            }),
            Action::Unmark { pair, agreed } => Some(Setting {
                pair,
                merged: agreed,
                remote: FlagChange {
                    add: Flags::default(),
                    remove: Flags::of(&[SystemFlag::Deleted]),
                },
                local: FlagChange::default(),
                first: true,
            }),
            _ => None,
        }
    }
}

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    pub(super) async fn set_flags(
        &mut self,
        work: &mut Work,
        report: &mut Report,
    ) -> Result<(), Ended> {
        let settings: Vec<Setting<'_>> = work.plan.actions.iter().filter_map(Setting::of).collect();
        let edit = |s: &Setting<'_>| {
            let (remote, local) = (s.remote.clone(), s.local.clone());
            (
                s.pair.uid,
                s.pair.file.clone(),
                remote,
                local,
                s.merged.clone(),
            )
        };
        let wanted: Vec<Edit> = settings.iter().map(edit).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let done = self.edit(work, &wanted, report).await?;
        let (mut outcomes, mut changes, mut sound) = (Vec::new(), Vec::new(), true);
        for Setting {
            pair,
            merged,
            remote,
            local,
            first,
        } in &settings
        {
            // A look does not go on from here while there is more to see.
            sound &= !first && done.contains(&pair.uid);
            if !done.contains(&pair.uid) {
                continue;
            }
            outcomes.push(Outcome::Agreed {
                pair: pair.id,
                flags: (*merged).clone(),
            });
            for (side, change) in [(Side::Remote, remote), (Side::Local, local)] {
                if !change.is_empty() {
                    changes.push(work.change(side, "flags", pair.on(side), change.to_string()));
                }
            }
        }
        work.sound &= sound;
        self.state.apply(work.base.key, &outcomes, &changes)?;
        Ok(())
    }

    /// Edits flags on both sides; answers with the messages for which all that was wanted holds.
    async fn edit(
        &mut self,
        work: &Work,
        wanted: &[Edit],
        report: &mut Report,
    ) -> Result<BTreeSet<Uid>, Ended> {
        let place = work.place();
        let (mut remote, mut local) = (Vec::new(), Vec::new());
        for (uid, file, there, here, merged) in wanted {
            if !there.is_empty() {
                remote.push(FlagEdit {
                    id: *uid,
                    change: there.clone(),
                    saw: None,
                });
            }
            if !here.is_empty() {
                local.push(FlagEdit {
                    id: file.clone(),
                    change: here.clone(),
                    saw: Some(merged.difference(&here.add).union(&here.remove)),
                });
            }
        }
        let mut remote_done = BTreeSet::new();
        if !remote.is_empty() {
            remote_done.extend(self.remote.set_flags(&place, &remote).await?);
            report.flags_remote += remote_done.len();
        }
        let mut local_done = BTreeSet::new();
        if !local.is_empty() {
            local_done.extend(self.local.set_flags(&place, &local).await?);
            report.flags_local += local_done.len();
        }
        let holds = |(uid, file, there, here, _): &&Edit| {
            (there.is_empty() || remote_done.contains(uid))
                && (here.is_empty() || local_done.contains(file))
        };
        Ok(wanted.iter().filter(holds).map(|(uid, ..)| *uid).collect())
    }

    /// Rows 40 and 42: flags first, the pair after them; the other way round a cut in between
    /// would make the base say more than both sides hold.
    pub(super) async fn link(&mut self, work: &mut Work, report: &mut Report) -> Result<(), Ended> {
        let mut wanted: Vec<Edit> = Vec::new();
        for action in &work.plan.actions {
            if let Action::Link {
                uid,
                file,
                remote,
                local,
                flags,
                ..
            } = action
            {
                let (remote, local) = (remote.clone(), local.clone());
                wanted.push((*uid, file.clone(), remote, local, flags.clone()));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let done = self.edit(work, &wanted, report).await?;
        let files: Vec<MaildirId> = wanted.into_iter().map(|(_, file, ..)| file).collect();
        let mut sink = HashSink::default();
        self.local.read(&work.place(), &files, &mut sink).await?;
        let (mut outcomes, mut changes) = (Vec::new(), Vec::new());
        for action in &work.plan.actions {
            let Action::Link {
                uid,
                file,
                flags,
                replaces,
                ..
            } = action
            else {
                continue;
            };
            let (true, Some((hash, size))) = (done.contains(uid), sink.hashes.get(file)) else {
                work.sound = false;
                continue;
            };
            let (uid, file, flags) = (*uid, file.clone(), flags.clone());
            changes.push(work.change(Side::Local, "linked", file.any(), format!("with {uid}")));
            let (hash, size) = (*hash, *size);
            let replaces = *replaces;
            outcomes.push(Outcome::Paired {
                uid,
                file,
                flags,
                hash,
                size,
                kin: None,
                replaces,
            });
        }
        report.linked += outcomes.len();
        self.state.apply(work.base.key, &outcomes, &changes)?;
        Ok(())
    }
}
