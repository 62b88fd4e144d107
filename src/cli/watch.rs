//! `mailtide watch`: keeps accounts in step for ever.

use super::arguments::{Arguments, WatchArgs};
use super::status;
use crate::daemon::{self, WatchError};
use anyhow::Result;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &WatchArgs) -> Result<u8> {
    match daemon::watch(arguments.config.clone(), command.accounts.clone()) {
        Err(WatchError::Config(error)) => return Err(error.into()),
        other => other?,
    }
    Ok(status::OK)
}
