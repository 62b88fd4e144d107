//! `mailtide approve`: lets a held part of a plan run once.

use super::arguments::{Approve, Arguments};
use super::open::{self, Writes};
use super::status;
use crate::config;
use anyhow::Result;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Approve) -> Result<u8> {
    let config = config::load(arguments.config.as_deref())?;
    let mut known = Vec::new();
    for name in config.accounts.keys() {
        if !open::state_path(&config.state_dir, name).exists() {
            continue;
        }
        let mut opened = open::open_state(&config.state_dir, name, Writes::Allowed)?;
        if opened.state.approve(&command.id)? {
            println!(
                "{name}: {} may run; the next sync carries it out, if it is still the very same",
                command.id
            );
            return Ok(status::OK);
        }
        known.extend(
            opened
                .state
                .held()?
                .into_iter()
                .map(|held| format!("{name} {}", held.id)),
        );
    }
    let held = match known.is_empty() {
        true => "nothing is held".to_owned(),
        false => format!("held are: {}", known.join(", ")),
    };
    anyhow::bail!("nothing of the id {} is held; {held}", command.id)
}
