//! What keeping an account in step asks of the world: the border between [`super::keeper`], which
//! knows when, and those who know how. A test puts stores in memory behind it.

use super::agenda::Task;
use super::board::Mailbox;
use super::hooks::Facts;
use super::undo;
use crate::engine::{Observer, Reach, Report, Stop};
use crate::model::Scope;
use std::time::Duration;

/// One account as its keeper sees it.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread (decision 0003)"
)]
pub trait Desk {
    /// Watches the directories that there are now. To be called before the disk is looked at.
    fn follow(&mut self);

    /// Whether nothing has changed on disk in these mailboxes since they were left: then it was us
    /// who woke us. `false` also when that cannot be told.
    async fn quiet_here(&mut self, scope: &Scope) -> bool;

    /// Runs a cycle. Safe to be dropped: the next one goes on from what was recorded.
    async fn cycle(&mut self, task: &Task, observer: &dyn Observer, stop: &Stop) -> Report;

    /// Runs a cycle because the user asks.
    async fn errand(&mut self, wish: Wish, observer: &dyn Observer, stop: &Stop) -> Report;

    /// What the server tells without being asked, and whether all of the disk is watched; `None`
    /// as long as it is not known who will listen.
    fn covered(&self) -> Option<(Scope, bool)>;

    /// Whether the login was refused to a listener, in these words.
    fn refused(&self) -> Option<String>;

    /// What the agenda says about mailboxes, as rows.
    fn mailboxes(&mut self) -> Vec<Mailbox>;

    /// Says yes or no to what is held; `false`: nothing of that id is.
    fn decide(&mut self, id: &str, verdict: Verdict) -> Result<bool, String>;

    /// The network may be another: checks connections, in little time.
    async fn probe(&mut self, patience: Duration);

    /// Whether the secret is another by now, as far as that shows without asking for it.
    fn secret_changed(&self) -> bool;

    /// The secret may be another.
    fn renew_secret(&mut self);

    /// Nothing has been done for a while: lets go of what costs.
    async fn rest(&mut self);

    /// Ends everything, politely but soon.
    async fn close(&mut self);

    /// Tells the user's programs.
    fn tell(&mut self, facts: Facts);

    /// Now, seconds since 1970.
    fn now(&self) -> i64;

    /// Any number.
    fn random(&self) -> u32;
}

/// What the user asks of a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Only mailboxes that match one of these patterns; empty: all.
    pub only: Vec<String>,
    /// How far to look.
    pub depth: Thorough,
    /// What is to be taken back before.
    pub undo: Option<undo::What>,
}

/// How far a sync is to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thorough {
    /// Into what changed.
    #[default]
    Changes,
    /// Into every mailbox, message by message.
    Everything,
}

impl Thorough {
    /// What it means for a cycle that begins now.
    pub fn reach(self) -> Reach {
        match self {
            Thorough::Changes => Reach::Due,
            // What was compared in this second may have changed since.
            Thorough::Everything => Reach::Everything(super::open::now() + 1),
        }
    }
}

/// The user's word on what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may run, once.
    Approve,
    /// It shall not: what is gone on one side is brought back there.
    Reject,
}
