//! Uploads under way, and the answers to them.

use crate::engine::execute::job::Work;
use crate::engine::execute::transfer::request::{Wanted, wanted};
use crate::model::{
    AnyId, Aside, AsideReason, ContentHash, Flags, Id, Kin, MailboxKey, MailboxName, MaildirId,
    Stamp, Uid,
};
use crate::reconcile::Outcome;
use crate::state::Suspects;
use crate::store::{Delivered, Place, Receiver, StoreError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An uploaded message.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Sent {
    pub file: MaildirId,
    pub hash: ContentHash,
    pub size: u64,
    pub stamp: Option<Stamp>,
    pub kin: Option<Kin>,
    /// A number made of its Message-ID.
    pub name: Option<i64>,
}

impl Sent {
    /// A pair that was not listed yet.
    pub fn paired(self, uid: Uid, want: &Wanted, (above, tries): (u32, u32)) -> [Outcome; 3] {
        let file = self.file;
        [
            Outcome::Paired {
                uid,
                file: file.clone(),
                flags: want.flags.clone(),
                hash: self.hash,
                size: self.size,
                stamp: self.stamp,
                kin: self.kin,
                replaces: want.replaces,
            },
            Outcome::Unlisted {
                uid,
                file: file.clone(),
                above,
                tries,
            },
            Outcome::Called {
                uid,
                file,
                name: self.name,
            },
        ]
    }
}

/// A file that the server identified with another message of the same mailbox.
pub(in crate::engine) fn twin(file: MaildirId, uid: Uid, want: &Wanted) -> Outcome {
    let aside = Aside {
        id: file.any(),
        reason: AsideReason::NotListed,
        attempts: want.attempts.saturating_add(1),
        retry_at: None,
        flags: want.flags.clone(),
        detail: format!("the server took it for {uid}, which it had already"),
    };
    Outcome::Alone {
        pair: want.replaces,
        aside,
    }
}

/// Whether an upload is noted until it is listed.
pub(in crate::engine) fn is_unlisted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unlisted { .. })
}

/// Messages of one mailbox to upload.
#[derive(Debug)]
pub(in crate::engine) struct UploadJob {
    pub place: Place,
    pub key: MailboxKey,
    pub wanted: Vec<(MaildirId, Wanted)>,
    /// Messages at which the connection broke before, and how often.
    pub suspects: Vec<Suspect>,
    pub stores: crate::reconcile::FlagMask,
    pub top: u32,
}

impl UploadJob {
    /// Returns its messages at which the connection broke before.
    pub fn each_suspect(&self) -> impl Iterator<Item = (&UploadJob, &Suspect)> {
        self.suspects.iter().map(move |suspect| (self, suspect))
    }

    /// Returns the uploads of a mailbox, if any.
    pub fn of(work: &Work, suspects: &Suspects) -> Option<UploadJob> {
        let upload = |action| match wanted(&work.base, action)? {
            (AnyId::Local(file), wanted) => Some((file.clone(), wanted)),
            (AnyId::Remote(_), _) => None,
        };
        let wanted: Vec<_> = work.plan.actions.iter().filter_map(upload).collect();
        let (place, key, stores) = (work.place(), work.base.key, work.stores.clone());
        if wanted.is_empty() || !work.sound {
            return None;
        }
        let known = suspects.get(&key);
        let breaks = |file: &MaildirId| known.and_then(|known| known.get(&file.clone().any()));
        let (mut plain, mut broke) = (Vec::new(), Vec::new());
        for wanted in wanted {
            match breaks(&wanted.0).copied() {
                Some(breaks) => broke.push(Suspect { wanted, breaks }),
                None => plain.push(wanted),
            }
        }
        Some(UploadJob {
            place,
            key,
            wanted: plain,
            suspects: broke,
            stores,
            top: work.top,
        })
    }
}

/// A batch under way.
pub(in crate::engine) struct Posted<'j, C> {
    pub job: &'j UploadJob,
    pub batch: &'j [(MaildirId, Wanted)],
    pub receiver: C,
    pub sent: Vec<Sent>,
    pub failed: Vec<(MaildirId, String)>,
    /// The message that was not sent completely.
    pub begun: Option<MaildirId>,
    /// The error of the connection, if it broke.
    pub broke: Option<StoreError>,
}

impl<'j, C: Receiver<Id = Uid>> Posted<'j, C> {
    /// Returns the messages that were not sent when the connection broke.
    pub fn after(&self) -> &'j [(MaildirId, Wanted)] {
        if self.broke.is_none() {
            return &[];
        }
        let tried = self.sent.iter().map(|sent| &sent.file);
        let tried = tried.chain(self.failed.iter().map(|(file, _)| file));
        let tried: BTreeSet<&MaildirId> = tried.chain(&self.begun).collect();
        let last = self
            .batch
            .iter()
            .rposition(|(file, _)| tried.contains(file));
        let next = last.map_or(self.batch.len(), |last| last + 1);
        self.batch.get(next..).unwrap_or_default()
    }

    /// Returns the results, and the error if the connection broke before all was answered.
    pub async fn answers(self) -> Result<(Answers, Option<StoreError>), StoreError> {
        let Posted { sent, broke, .. } = self;
        let (mut delivered, error) = match self.receiver.finish().await {
            Ok(delivered) => (delivered, broke),
            Err(error @ StoreError::Retry(_)) => (Vec::new(), broke.or(Some(error))),
            Err(error) => return Err(error),
        };
        let told: BTreeSet<usize> = delivered.iter().map(|(tag, _)| *tag).collect();
        let silent = error
            .clone()
            .unwrap_or_else(|| StoreError::Retry("no answer".into()));
        for tag in (0..sent.len()).filter(|tag| !told.contains(tag)) {
            delivered.push((tag, Delivered::Unanswered(silent.clone())));
        }
        let broken = delivered.iter().find_map(|(_, outcome)| match outcome {
            Delivered::Unanswered(error) => Some(error.clone()),
            _ => None,
        });
        let answers = Answers {
            sent,
            failed: self.failed,
            begun: self.begun,
            delivered,
        };
        Ok((answers, error.or(broken)))
    }
}

/// The result of a batch.
pub(in crate::engine) struct Answers {
    pub sent: Vec<Sent>,
    pub failed: Vec<(MaildirId, String)>,
    /// The message that was not sent completely.
    pub begun: Option<MaildirId>,
    pub delivered: Vec<(usize, Delivered<Uid>)>,
}

impl Answers {
    pub fn any_stored(&self) -> bool {
        let mut all = self.delivered.iter();
        all.any(|(_, outcome)| matches!(outcome, Delivered::Stored { .. }))
    }

    /// Returns the messages that were under way when the connection broke.
    pub fn unanswered(&self) -> Vec<AnyId> {
        let lost = |(tag, outcome): &(usize, Delivered<Uid>)| match outcome {
            Delivered::Unanswered(_) => self.sent.get(*tag).map(|sent| sent.file.any()),
            _ => None,
        };
        let lost = self.delivered.iter().filter_map(lost);
        lost.chain(self.begun.iter().map(Id::any)).collect()
    }

    /// Removes messages with refused keywords, to send them without these.
    pub fn take_tagged(
        &mut self,
        job: &UploadJob,
        batch: &[(MaildirId, Wanted)],
    ) -> Vec<(MaildirId, Wanted)> {
        let wanted: BTreeMap<&MaildirId, &Wanted> = batch.iter().map(|(f, w)| (f, w)).collect();
        let mut bare = Vec::new();
        self.delivered.retain(|(tag, outcome)| {
            let file = self.sent.get(*tag).map(|sent| &sent.file);
            let want = file.and_then(|file| Some((file, *wanted.get(file)?)));
            let (Delivered::Refused(_), Some((file, want))) = (outcome, want) else {
                return true;
            };
            if job.stores.keep(&want.flags).keywords().next().is_none() {
                return true;
            }
            let flags = Flags::from_parts(want.flags.bits(), []);
            let want = Wanted {
                flags,
                ..want.clone()
            };
            bare.push((file.clone(), want));
            false
        });
        bare
    }
}

/// A message at which the connection broke.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Suspect {
    pub wanted: (MaildirId, Wanted),
    pub breaks: u32,
}

impl Suspect {
    /// Whether the connection broke when nothing else was under way: since it was skipped last, it
    /// was sent with others once at most.
    pub fn is_culprit(&self) -> bool {
        self.breaks >= 2 + self.wanted.1.attempts
    }
}

/// Batches under way, and the state of the connection.
pub(in crate::engine) struct Way<'j, C> {
    pub open: VecDeque<Posted<'j, C>>,
    /// Mailboxes with failures.
    pub unsound: BTreeSet<MailboxName>,
    /// Breaks since the last stored message.
    pub breaks: usize,
}

impl<C> Way<'_, C> {
    /// Returns the number of messages under way.
    pub fn messages(&self) -> usize {
        self.open.iter().map(|posted| posted.batch.len()).sum()
    }
}

impl<C> Default for Way<'_, C> {
    fn default() -> Self {
        Way {
            open: VecDeque::new(),
            unsound: BTreeSet::new(),
            breaks: 0,
        }
    }
}
