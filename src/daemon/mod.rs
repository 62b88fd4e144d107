//! Keeps accounts in step for ever.
//!
//! Reading order: an account that is ready to run ([`open`], [`secret`], [`cycle`], [`told`],
//! [`flow`], [`mod@adopt`], [`memory`]); when to do what ([`agenda`], [`backoff`], [`bell`]); one
//! account kept ([`keeper`] at its [`desk`], [`aftermath`], [`board`], [`pulse`], and behind the
//! desk [`account`] with [`ears`] and [`hooks`]); all accounts of a process ([`house`],
//! [`mod@watch`], [`signals`], [`outside`], [`systemd`]); talking to it ([`protocol`],
//! [`control`], [`answers`], [`status`], [`object`]).

mod open;

mod secret;

mod cycle;

mod flow;

mod adopt;

mod memory;

mod backoff;

mod agenda;

mod bell;

mod board;

mod desk;

mod ears;

mod hooks;

mod account;

mod status;

mod pulse;

mod keeper;

mod aftermath;

mod outside;

mod systemd;

mod protocol;

mod control;

mod house;

mod answers;

mod watch;

mod told;

mod object;

pub mod undo;

mod signals;

pub use adopt::{Needed, adopt, needed, preview};
pub use agenda::{Agenda, Clock, Kind, Next, Pace, Task};
pub use bell::Bell;
pub use board::{Board, Doing, Mailbox, Status};
pub use cycle::{Errand, Opened};
pub use desk::{Desk, Thorough, Verdict, Wish};
pub use flow::{Flow, flows};
pub use hooks::Facts;
pub use keeper::{Keeper, Lines, Order};
pub use object::json;
pub use open::{
    OpenError, OpenState, Writes, chosen, load, local, local_beside, new_state, now, on_network,
    open_state, remote, same_age, settle, state_path,
};
pub use protocol::{Answer, AskError, Request, ask};
pub use pulse::Pulse;
pub use secret::Keyring;
pub use signals::stop_on_signals;
pub use status::{at_rest, held};
pub use told::{Held, Told, Trouble, Weight, count, failed};
pub use watch::{WatchError, watch};
