//! `mailtide flag`: sets and clears flags of messages.

use super::arguments::Arguments;
use super::list::runtime;
use super::organise::{Steps, carry_out, flag};
use super::organising::Flag;
use crate::browse::target;
use crate::daemon;
use crate::daemon::arrange::ArrangeStep;
use anyhow::{Result, bail};

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Flag) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let (mut add, mut remove, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    let mut as_json = command.json;
    for word in &command.words {
        match word.split_at_checked(1) {
            // Behind a message it looks like a flag.
            _ if word == "--json" => as_json = true,
            Some(("+", name)) => add.push(flag(name)?),
            Some(("-", name)) => remove.push(flag(name)?),
            _ => messages.push(word),
        }
    }
    if messages.is_empty() || (add.is_empty() && remove.is_empty()) {
        bail!("name a message and what changes: mailtide flag MESSAGE +seen -flagged");
    }
    let mut all = Steps::default();
    let runtime = runtime()?;
    for text in messages {
        let (account, message) = runtime.block_on(target(&config, text, None))?;
        let (add, remove) = (add.clone(), remove.clone());
        let step = ArrangeStep::Flag {
            message,
            add,
            remove,
        };
        all.add(account, text, step);
    }
    carry_out(&config, all, as_json)
}
