//! `mailtide poke`, `pause`, `resume`, `approve` and `reject`: what is said to the watcher, and
//! what of it can be done without one.

use super::arguments::{AccountArgs, Arguments, Decide};
use super::print::say;
use super::status;
use crate::config::Config;
use crate::daemon::{self, Answer, AskError, Request, Writes, ask, chosen, open_state, state_path};
use anyhow::{Result, bail};

/// Asks the watcher; its refusal is an error.
pub fn must(config: &Config, request: &Request) -> Result<Answer> {
    let answer = ask(config, request)?;
    match answer.error {
        Some(error) => bail!(error),
        None => Ok(answer),
    }
}

/// Runs `poke`, `pause` or `resume`.
pub fn tell(
    arguments: &Arguments,
    command: &AccountArgs,
    request: impl FnOnce(Vec<String>) -> Request,
) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    chosen(&config, &command.accounts)?;
    must(&config, &request(command.accounts.clone()))?;
    Ok(status::OK)
}

/// The user's verdict on a held change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictArg {
    /// Execute it.
    Yes,
    /// Discard it.
    No,
}

/// Runs `approve` or `reject`.
pub fn decide(arguments: &Arguments, command: &Decide, word: VerdictArg) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    for id in ids(&config, command)? {
        decide_one(&config, &id, word)?;
    }
    Ok(status::OK)
}

/// The held changes that are meant: one, those of an account, or all.
fn ids(config: &Config, command: &Decide) -> Result<Vec<String>> {
    let account = command.id.as_ref();
    let account = account.filter(|name| config.accounts.contains_key(*name));
    if let (Some(id), None) = (&command.id, account) {
        return Ok(vec![id.clone()]);
    }
    let accounts: Vec<String> = account.into_iter().cloned().collect();
    let request = Request::Status {
        accounts: accounts.clone(),
    };
    let all = match ask(config, &request) {
        Ok(answer) => answer.accounts.unwrap_or_default(),
        Err(AskError::NotRunning(_)) => daemon::at_rest(config, &accounts)?,
        Err(error) => return Err(error.into()),
    };
    let held = all.into_iter().flat_map(|one| one.held);
    let ids: Vec<String> = held.map(|held| held.id).collect();
    match ids.is_empty() {
        true => bail!("there are no held changes"),
        false => Ok(ids),
    }
}

fn decide_one(config: &Config, id: &str, word: VerdictArg) -> Result<()> {
    let request = match word {
        VerdictArg::Yes => Request::Approve { id: id.into() },
        VerdictArg::No => Request::Reject { id: id.into() },
    };
    match ask(config, &request) {
        Ok(Answer {
            error: Some(error), ..
        }) => bail!(error),
        Ok(answer) => {
            let account = answer.account.unwrap_or_default();
            match word {
                VerdictArg::Yes => say(format!("{account}: approved {id}; applied now")),
                VerdictArg::No => say(format!(
                    "{account}: the missing messages are being restored"
                )),
            }
            Ok(())
        }
        Err(AskError::NotRunning(_)) => alone(config, id, word),
        Err(error) => Err(error.into()),
    }
}

/// Without a watcher: the next sync carries it out.
fn alone(config: &Config, id: &str, word: VerdictArg) -> Result<()> {
    let mut known = Vec::new();
    for (name, account) in &config.accounts {
        let state_dir = config.state_dir_of(name);
        if !state_path(state_dir, name).exists() {
            continue;
        }
        let mut opened = open_state(state_dir, account, Writes::Allowed)?;
        let held = daemon::held(&opened.state)?.into_iter();
        let what = held
            .filter(|held| held.id == id)
            .map(|held| held.size())
            .next();
        let done = match word {
            VerdictArg::Yes => opened.state.approve(id)?,
            VerdictArg::No => opened.state.reject(id)?,
        };
        if done {
            match word {
                VerdictArg::Yes => say(format!(
                    "{name}: approved {id} ({}); applied at the next sync unless the change \
                     differs by then",
                    what.unwrap_or_default()
                )),
                VerdictArg::No => say(format!(
                    "{name}: the next sync restores the missing messages"
                )),
            }
            return Ok(());
        }
        let held = opened.state.held()?.into_iter();
        known.extend(held.map(|held| format!("{name} {}", held.id)));
    }
    let held = match known.is_empty() {
        true => "there are no held changes".to_owned(),
        false => format!("current ids: {}", known.join(", ")),
    };
    bail!("no held change with id {id}; {held}")
}
