//! `mailtide move`, `copy` and `delete`: messages change their place.

use super::arguments::Arguments;
use super::list::runtime;
use super::organise::{Steps, carry_out};
use super::organising::{Delete, Refile};
use crate::browse::target;
use crate::config::Config;
use crate::daemon;
use crate::daemon::arrange::{ArrangeStep, MessageTarget};
use crate::model::MailboxName;
use anyhow::{Context, Result, bail};

/// Whether messages stay where they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefileKind {
    /// They leave.
    Move,
    /// They stay.
    Copy,
}

/// Runs `move` or `copy`; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Refile, how: RefileKind) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let (to, messages) = command.words.split_last().context("name a mailbox")?;
    let step = |message: MessageTarget, to: &MailboxName| {
        let to = to.to_string();
        match how {
            RefileKind::Move => ArrangeStep::Move { message, to },
            RefileKind::Copy => ArrangeStep::Copy { message, to },
        }
    };
    let mut all = Steps::default();
    let runtime = runtime()?;
    for text in messages {
        let name = mailbox(&config, text, to)?;
        let (account, message) = runtime.block_on(target(&config, text, Some(&name)))?;
        all.add(account, text, step(message, &name));
    }
    carry_out(&config, all, command.json)
}

/// The mailbox that a message goes to: of its own account, the name of which may stand before it.
fn mailbox(config: &Config, message: &str, to: &str) -> Result<MailboxName> {
    let own = crate::browse::MessageId::parse(message).map(|id| id.account);
    let (first, rest) = to.split_once('/').unwrap_or(("", to));
    let text = match (config.accounts.contains_key(first), &own) {
        (true, Some(own)) if own == first => rest,
        (true, Some(_)) => bail!("{message} is of another account than {to}: append it there"),
        _ => to,
    };
    MailboxName::parse(text).with_context(|| format!("\"{text}\" is no name of a mailbox"))
}

/// Runs `delete`; answers with the exit status.
pub fn delete(arguments: &Arguments, command: &Delete) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let mut all = Steps::default();
    let runtime = runtime()?;
    for text in &command.messages {
        let (account, message) = runtime.block_on(target(&config, text, None))?;
        all.add(account, text, ArrangeStep::Delete { message });
    }
    carry_out(&config, all, command.json)
}
