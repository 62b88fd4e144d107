//! `mailtide adopt`: shows what would go up and down, and takes a Maildir over when told to.

use super::arguments::{Adopt, Arguments};
use super::print::{self, flow};
use super::status;
use crate::daemon::{self, Keyring, OpenError};
use crate::state::StateError;
use anyhow::{Context, Result};
use std::io::{IsTerminal, stdin, stdout};
use std::rc::Rc;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Adopt) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let accounts = daemon::chosen(&config, std::slice::from_ref(&command.account))?;
    let stop = daemon::stop_on_signals().context("signals cannot be handled")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for account in accounts {
        let (name, state_dir) = (
            account.name.clone(),
            config.state_dir_of(&account.name).to_owned(),
        );
        let say = |text: &str| print::say(format!("{name}: {text}"));
        let maildir = account.maildir.display().to_string();
        let keyring = Rc::new(Keyring::new(account));
        let needed = daemon::needed(keyring.clone(), &state_dir).map_err(|error| match &error {
            OpenError::State(StateError::Locked { .. }) => {
                anyhow::Error::from(error).context("stop what works on the account first")
            }
            _ => error.into(),
        });
        let Some(needed) = needed? else {
            say(&format!(
                "nothing to adopt: {maildir} does not belong to another account"
            ));
            continue;
        };
        say(&needed.why);
        say("after the adoption the next sync matches all messages again:");
        let preview = daemon::preview(keyring.clone(), &state_dir, &stop);
        let flows = runtime.block_on(preview)?;
        for (mailbox, flows) in &flows {
            say(&format!("mailbox {mailbox}: {}", flow(flows)));
        }
        let sum =
            |count: fn(&daemon::MailboxFlow) -> usize| flows.values().map(count).sum::<usize>();
        let (up, down, both) = (sum(|f| f.up), sum(|f| f.down), sum(|f| f.both));
        say(&format!(
            "in all {up} messages would go up to the server, {down} would come down, {both} are \
             on both sides; nothing would be deleted"
        ));
        if !command.yes && !confirmed()? {
            say(&format!(
                "nothing was changed; to apply: mailtide adopt {name} --yes"
            ));
            continue;
        }
        daemon::adopt(keyring, &state_dir)?;
        say(&format!(
            "{maildir} now belongs to this account; next: mailtide sync {name}"
        ));
    }
    Ok(status::OK)
}

/// Whether the user says yes on the terminal; without one: no.
fn confirmed() -> Result<bool> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Ok(false);
    }
    print::ask("Take it over? [y/N] ");
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
