//! `mailtide index`: brings the search index of accounts up to their files.

use super::arguments::{AccountArgs, Arguments};
use super::print::{complain, say};
use super::status;
use crate::browse::Local;
use crate::config::{Account, Config};
use crate::daemon::{self, KeepUpError, count, keep_up, state_path};
use crate::search::{IndexDepth, MailIndex, MailboxDirectory, Progress, index_path};
use crate::state::StateError;
use anyhow::Result;
use std::time::Instant;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &AccountArgs) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let runtime = super::list::runtime()?;
    let mut worst = status::OK;
    for account in &daemon::chosen(&config, &command.accounts)? {
        let local = runtime.block_on(Local::open(&config, account))?;
        let done = one(&config, account, &local.places(), arguments.quiet);
        worst = worst.max(done?);
    }
    Ok(worst)
}

fn one(config: &Config, account: &Account, places: &[MailboxDirectory], quiet: bool) -> Result<u8> {
    let name = &account.name;
    let path = index_path(&state_path(config.state_dir_of(name), name));
    let began = Instant::now();
    let done = keep_up(&path, places, IndexDepth::Everything, &mut |_| false);
    let progress = match done {
        Ok(progress) => progress,
        Err(KeepUpError::Lock(StateError::Locked { holder, .. })) => {
            complain(format!("{name}: the index is being kept up by {holder}"));
            return Ok(status::TEMPORARY);
        }
        Err(error) => return Err(error.into()),
    };
    let all = match MailIndex::open_beside(&path)? {
        Some(index) => index.count()?,
        None => 0,
    };
    let all = count(usize::try_from(all).unwrap_or(usize::MAX), "messages");
    let Progress {
        added,
        removed,
        renamed,
        unread,
        unlisted,
    } = progress;
    if !quiet {
        let seconds = began.elapsed().as_secs_f64();
        say(format!(
            "{name}: {all} in the index: {added} added, {removed} removed, {renamed} with other \
             flags ({seconds:.1} s)"
        ));
    }
    if unread > 0 {
        complain(format!(
            "{name}: {} cannot be read",
            count(unread, "messages")
        ));
    }
    if unlisted > 0 {
        complain(format!(
            "{name}: {} cannot be listed",
            count(unlisted, "mailboxes")
        ));
    }
    Ok(if unread + unlisted > 0 {
        status::PARTIAL
    } else {
        status::OK
    })
}
