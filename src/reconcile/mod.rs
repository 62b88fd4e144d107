//! Decides; pure. Three trees come in (base, remote, local), a plan goes out.
//!
//! Reading order: [`policy`] (what the user wants), [`look`] (what a side looks like), [`action`],
//! [`mailbox_action`] and [`plan`] (what can be done), [`outcome`] (what was done), [`three_way`]
//! (flags), [`matching`] (which two are the same message), [`moves`] (which was moved or copied,
//! going by each [`sighting`], with the keywords of each file that was [`filed`]; what is
//! [`settled`] then), [`unlisted`] (uploads that the server has not shown yet), [`messages`] (the
//! table of one mailbox),
//! [`mailboxes`] (the table of mailboxes, after their [`renames`], and the return of those that a
//! cut run was [`leaving`]), [`guard`] (what is [`held`] to wait for the user's word, by the
//! [`budget`] of a day), [`reject`] (what becomes of it when that is no), [`rest`] (whether all is
//! done), [`retention`] (how long what was deleted is kept).

pub mod policy;

pub mod look;

pub mod action;

pub mod plan;

pub mod mailbox_action;

pub mod outcome;

pub mod three_way;

pub mod matching;

mod seen;

pub mod sighting;

pub mod filed;

pub mod settled;

mod assign;

mod pool;

pub mod cut_moves;

mod copies;

pub mod moves;

pub mod unlisted;

pub mod messages;

pub mod renames;

pub mod anew;

pub mod leaving;

pub mod mailboxes;

pub mod budget;

mod held;

pub mod guard;

pub mod rest;

pub mod retention;

pub mod mailbox_identity;
mod reject;

pub use action::{Action, CopyWhy, DeleteWhy, PairRef};
pub use look::{Census, Coverage, Cursor, FlagMask, Identity, Listed, Look, News, Presence};
pub use mailbox_action::MailboxAction;
pub use outcome::Outcome;
pub use plan::{MailboxPlan, Note, Plan};
pub use policy::{Direction, Limits, Policy, Travel, matches};
