//! One account of the watcher: [`task`] runs its cycles when [`agenda`] says that one is due, on
//! the [`backend`] that holds state, Maildir and connections.

pub mod agenda;

pub mod backend;

pub mod backoff;

pub mod publish_run;

pub mod push;

pub mod real_backend;

pub mod task;

pub mod wake_set;
