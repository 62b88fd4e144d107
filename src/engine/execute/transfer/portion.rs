//! Messages of one mailbox to download.

use crate::engine::execute::job::Work;
use crate::engine::execute::transfer::commit::DownloadJob;
use crate::engine::execute::transfer::request::wanted;
use crate::model::{AnyId, MailboxName, Uid};
use crate::reconcile::Action;

/// Messages that justify a further connection.
pub(in crate::engine) const LOAD: usize = 500;

/// Messages of one mailbox in one request.
pub(in crate::engine) const DOWN_BATCH: usize = 500;

/// Downloads of one mailbox that were not requested yet, as indexes into its plan: a first run has
/// everything in these.
pub(in crate::engine) struct Portion<'a> {
    pub work: &'a Work,
    pub at: Vec<u32>,
}

impl<'a> Portion<'a> {
    /// The downloads of a mailbox in batches, newest first.
    pub fn of(work: &'a Work) -> Vec<Portion<'a>> {
        let uid = |(at, action): (u32, &Action)| match action {
            Action::Copy {
                from: AnyId::Remote(uid),
                ..
            } => Some((*uid, at)),
            _ => None,
        };
        let mut all: Vec<(Uid, u32)> = (0..).zip(&work.plan.actions).filter_map(uid).collect();
        all.sort_by_key(|(uid, _)| std::cmp::Reverse(*uid));
        let portion = |chunk: &[(Uid, u32)]| Portion {
            work,
            at: chunk.iter().map(|(_, at)| *at).collect(),
        };
        all.chunks(DOWN_BATCH).map(portion).collect()
    }

    /// Returns the mailbox.
    pub fn mailbox(&self) -> &MailboxName {
        &self.work.base.name
    }

    /// Returns the number of messages.
    pub fn count(&self) -> usize {
        self.at.len()
    }

    /// Splits into the wanted messages and the others.
    pub fn partition(self, wants: impl Fn(Uid) -> bool) -> (Portion<'a>, Portion<'a>) {
        let work = self.work;
        let uid = |at: &u32| match work.plan.actions.get(*at as usize) {
            Some(Action::Copy {
                from: AnyId::Remote(uid),
                ..
            }) => Some(*uid),
            _ => None,
        };
        let (wanted, others) = self
            .at
            .into_iter()
            .partition(|at| uid(at).is_some_and(&wants));
        let part = |at| Portion { work, at };
        (part(wanted), part(others))
    }

    /// Splits off the message that a server answers first, and halves the others; no part is empty.
    pub fn narrowed(self) -> Vec<Portion<'a>> {
        // Newest first.
        let (work, mut at) = (self.work, self.at);
        let first = at.pop().into_iter().collect::<Vec<u32>>();
        let old = at.split_off(at.len() / 2);
        let mut parts = vec![first, old, at];
        parts.retain(|at| !at.is_empty());
        let part = |at| Portion { work, at };
        parts.into_iter().map(part).collect()
    }

    /// Whether all of it was skipped before.
    pub fn was_set_aside(&self) -> bool {
        let mut all = self.begin().wanted.into_values();
        all.all(|wanted| wanted.attempts > 0)
    }

    /// Returns the messages as a job.
    pub fn begin(&self) -> DownloadJob {
        let work = self.work;
        let action = |at: &u32| work.plan.actions.get(*at as usize);
        let wanted = self.at.iter().filter_map(action).filter_map(|action| {
            match wanted(&work.base, action)? {
                (AnyId::Remote(uid), wanted) => Some((*uid, wanted)),
                (AnyId::Local(_), _) => None,
            }
        });
        DownloadJob {
            place: work.place(),
            key: work.base.key,
            tag: work.base.tag,
            known: work.known,
            wanted: wanted.collect(),
        }
    }
}
