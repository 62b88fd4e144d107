//! Messages at which the connection breaks. Each is requested separately, after all others; one at
//! which it breaks again is skipped, so that it stops nothing else. If the connection breaks at one
//! message after another, no message is the cause.

use crate::engine::execute::transfer::commit::{Desk, DownloadJob};
use crate::engine::execute::transfer::portion::Portion;
use crate::engine::report::Ended;
use crate::model::{AnyId, Uid};
use crate::store::{LocalStore, StoreError};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};

/// Consecutive breaks without a message in between that end a run.
pub(in crate::engine) const IN_SUCCESSION: usize = 6;

/// Breaks that are accepted if no other message arrived in the run.
pub(in crate::engine) const FEW: usize = 2;

/// A break while messages were transferred.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Break {
    /// The messages without an answer.
    pub left: BTreeSet<Uid>,
    /// The error.
    pub error: StoreError,
}

impl Break {
    /// A break after these messages of a job were answered.
    pub fn at(job: &DownloadJob, answered: BTreeSet<Uid>, error: &StoreError) -> Break {
        let left = job.wanted.keys().filter(|uid| !answered.contains(uid));
        Break {
            left: left.copied().collect(),
            error: error.clone(),
        }
    }
}

/// The breaks of a download.
pub(in crate::engine) struct Breaks<'a> {
    /// The messages without an answer, requested after all others.
    pub later: RefCell<Vec<Portion<'a>>>,
    /// Breaks since the last message.
    in_succession: Cell<usize>,
    /// Whether a message arrived in this download.
    pub witness: Cell<bool>,
}

impl<'a> Breaks<'a> {
    /// Starts with the messages at which the connection broke in earlier runs.
    pub fn of(later: Vec<Portion<'a>>) -> Breaks<'a> {
        Breaks {
            later: RefCell::new(later),
            in_succession: Cell::default(),
            witness: Cell::default(),
        }
    }

    /// Records the answer to a portion. `Err` if the connection breaks at everything.
    pub fn note<L: LocalStore>(
        &self,
        desk: &Desk<'_, L>,
        portion: Portion<'a>,
        broke: Option<&Break>,
    ) -> Result<(), Ended> {
        let left = self.record(desk, portion, broke)?;
        match broke {
            Some(broke) if self.are_many() => Err(broke.error.clone().into()),
            _ => {
                self.later.borrow_mut().extend(left);
                Ok(())
            }
        }
    }

    /// Whether the connection broke so often in succession that it may break at everything.
    pub fn are_many(&self) -> bool {
        self.in_succession.get() >= IN_SUCCESSION
    }

    /// Another message passed.
    pub fn pass(&self) {
        self.in_succession.set(0);
        self.witness.set(true);
    }

    /// The same; returns the messages without an answer, recorded in the state.
    pub fn record<L: LocalStore>(
        &self,
        desk: &Desk<'_, L>,
        portion: Portion<'a>,
        broke: Option<&Break>,
    ) -> Result<Option<Portion<'a>>, Ended> {
        if desk.came.take() {
            self.pass();
        }
        let Some(broke) = broke else {
            return Ok(None);
        };
        tracing::debug!(mailbox = %portion.mailbox(), error = %broke.error, "broke");
        let key = portion.begin().key;
        let left: Vec<AnyId> = broke.left.iter().copied().map(AnyId::Remote).collect();
        desk.state.borrow_mut().suspect(key, &left)?;
        self.in_succession.set(self.in_succession.get() + 1);
        let (left, _) = portion.partition(|uid| broke.left.contains(&uid));
        Ok(Some(left).filter(|left| left.count() > 0))
    }
}

/// The state shared by the connections of a download, on one thread.
pub(in crate::engine) struct Shared<'a, L: LocalStore> {
    pub desk: Desk<'a, L>,
    pub portions: RefCell<VecDeque<Portion<'a>>>,
    pub breaks: Breaks<'a>,
    pub stop: &'a crate::engine::report::Stop,
}
