//! Runs accounts: one cycle for `mailtide sync`, one after another for `mailtide watch`.
//!
//! Reading order: an open account and its cycle ([`open`], [`secret`], [`cycle`], [`progress`],
//! [`run_summary`], [`last_run`], [`metrics`],
//! [`flow`], [`mod@adopt`], [`undo`], [`arrange`]); one account of the watcher ([`account`],
//! [`status_board`], [`hooks`], [`indexer`]); all accounts of a watcher ([`supervisor`],
//! [`mod@watch`], [`system`]); requests to it ([`control`]), and the status without a watcher
//! ([`offline_status`]).

mod account;

mod adopt;

mod control;

mod cycle;

mod flow;

mod hooks;

mod indexer;

mod json;

mod last_run;

mod metrics;

mod offline_status;

mod open;

mod progress;

mod run_summary;

mod secret;

mod status_board;

mod supervisor;

mod system;

pub mod undo;

pub mod arrange;

mod watch;

pub use account::agenda::{Agenda, Clock, DueCycle, Intervals, NextAction, Trigger};
pub use account::backend::{AccountBackend, SyncDepth, SyncRequest, UserVerdict};
pub use account::publish_run::events;
pub use account::task::{AccountTask, TaskChannels, TaskCommand};
pub use account::wake_set::WakeSet;
pub use adopt::{AdoptionNeeded, adopt, needed, preview};
pub use control::protocol::{Answer, AskError, Request, ask};
pub use cycle::{CycleRequest, OpenAccount};
pub use flow::{MailboxFlow, flows};
pub use hooks::{HookContext, HookEvents, HookRunner};
pub use indexer::{KeepUpError, keep_up};
pub use json::json;
pub use last_run::{LastRun, RunRecorder, Totals};
pub use metrics::write_metrics;
pub use offline_status::{at_rest, held};
pub use open::{
    OpenError, OpenState, Writes, check_generation, chosen, load, local, local_beside, new_state,
    now, on_network, open_state, record_generation, remote, state_path,
};
pub use progress::{Meter, Progress, Progressing, bytes, span};
pub use run_summary::{ErrorSeverity, HeldChange, RunError, RunSummary, clock, count, failed};
pub use secret::Keyring;
pub use status_board::{AccountState, AccountStatus, MailboxStatus, StatusBoard};
pub use system::heartbeat::Heartbeat;
pub use system::signals::stop_on_signals;
pub use watch::{WatchError, watch};
