//! Keeps IMAP accounts and local Maildirs in step, in both directions, for ever.

pub mod model;

pub mod reconcile;

pub mod store;

pub mod imap;

pub mod maildir;

pub mod state;

pub mod engine;

pub mod config;

pub mod daemon;

pub mod cli;
