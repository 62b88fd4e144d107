//! `mailtide mailbox`: makes, renames and deletes mailboxes.

use super::arguments::Arguments;
use super::list::place;
use super::organise::{Steps, carry_out};
use super::organising::{MailboxArgs, What};
use crate::config::Config;
use crate::daemon;
use crate::daemon::arrange::ArrangeStep;
use anyhow::{Context, Result};

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &MailboxArgs) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let at = |text: &str| place(&config, command.account.as_deref(), text);
    let (account, mailbox, step): (_, _, fn(String) -> ArrangeStep) = match &command.what {
        What::Create { mailbox } => {
            let (account, mailbox) = at(mailbox)?;
            (account, mailbox, |mailbox| ArrangeStep::Create { mailbox })
        }
        What::Delete { mailbox } => {
            let (account, mailbox) = at(mailbox)?;
            (account, mailbox, |mailbox| ArrangeStep::Remove { mailbox })
        }
        What::Subscribe { mailbox } => {
            let (account, mailbox) = at(mailbox)?;
            (account, mailbox, |mailbox| ArrangeStep::Subscribe {
                mailbox,
                on: true,
            })
        }
        What::Unsubscribe { mailbox } => {
            let (account, mailbox) = at(mailbox)?;
            (account, mailbox, |mailbox| ArrangeStep::Subscribe {
                mailbox,
                on: false,
            })
        }
        What::Rename { mailbox, to } => return rename(&config, command, (mailbox, to)),
    };
    carry_out(
        &config,
        Steps::one(account, step(mailbox.to_string())),
        command.json,
    )
}

fn rename(config: &Config, command: &MailboxArgs, (mailbox, to): (&str, &str)) -> Result<u8> {
    let (account, mailbox) = place(config, command.account.as_deref(), mailbox)?;
    let (_, to) = place(config, Some(&account.name), own(to, &account.name))?;
    let step = ArrangeStep::Rename {
        mailbox: mailbox.to_string(),
        to: to.to_string(),
    };
    carry_out(config, Steps::one(account, step), command.json)
        .context("the mailbox was not renamed")
}

/// A name without that of its account before it.
fn own<'t>(text: &'t str, account: &str) -> &'t str {
    let rest = text
        .strip_prefix(account)
        .and_then(|rest| rest.strip_prefix('/'));
    rest.unwrap_or(text)
}
