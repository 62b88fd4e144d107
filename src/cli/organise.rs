//! What all commands that arrange mail have in common: the account is found, the steps are carried
//! out by the watcher that keeps it, or here, and a cycle carries them to the server at once.

use super::list::runtime;
use super::print::{self, complain, say, say_object};
use super::status;
use crate::config::{Account, Config};
use crate::daemon::arrange::{ArrangeStep, touched};
use crate::daemon::{
    AskError, CycleRequest, ErrorSeverity, Keyring, OpenAccount, Request, RunSummary, Writes, ask,
    failed, stop_on_signals,
};
use crate::engine::Silent;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

/// Steps by account.
#[derive(Default)]
pub struct Steps(BTreeMap<String, (Account, Vec<Labelled>)>);

/// A step, and how the user called what it is about.
struct Labelled {
    step: ArrangeStep,
    label: String,
}

impl Steps {
    /// Adds a step about this.
    pub fn add(&mut self, account: Account, label: &str, step: ArrangeStep) {
        let new = || (account.clone(), Vec::new());
        let (_, steps) = self.0.entry(account.name.clone()).or_insert_with(new);
        let label = label.to_owned();
        steps.push(Labelled { step, label });
    }

    /// One step about a mailbox.
    pub fn one(account: Account, step: ArrangeStep) -> Steps {
        let label = format!("{}/{}", account.name, step.mailbox());
        let mut steps = Steps::default();
        steps.add(account, &label, step);
        steps
    }
}

/// Carries steps out; answers with the exit status.
pub fn carry_out(config: &Config, all: Steps, as_json: bool) -> Result<u8> {
    let mut worst = status::OK;
    for (account, labelled) in all.0.into_values() {
        let labels: Vec<&String> = labelled.iter().map(|one| &one.label).collect();
        let steps: Vec<ArrangeStep> = labelled.iter().map(|one| one.step.clone()).collect();
        let watched = by_watcher(config, &account.name, &steps)?;
        let (done, run) = match watched {
            Some(mut run) => {
                let count = steps.len().min(run.notes.len());
                let done = if run.errors.is_empty() || count == steps.len() {
                    run.notes.drain(..count).collect()
                } else {
                    Vec::new()
                };
                (done, run)
            }
            None => runtime()?.block_on(alone(config, &account, &steps))?,
        };
        let done = labels.iter().zip(done);
        let done: Vec<String> = done
            .map(|(label, what)| format!("{label}: {what}"))
            .collect();
        worst = worst.max(show(&account.name, &done, &run, as_json)?);
    }
    Ok(worst)
}

/// Prints what was done, and how the cycle that followed ended. A server that cannot be reached is
/// no failure of what was done here: the next cycle goes on.
fn show(name: &str, done: &[String], run: &RunSummary, as_json: bool) -> Result<u8> {
    if as_json {
        say_object(&json!({ "account": name, "done": done, "sync": run }))?;
    } else {
        done.iter().for_each(say);
    }
    print::held(run);
    let away = |weight: ErrorSeverity| weight == ErrorSeverity::Temporary;
    let waits = !done.is_empty() && run.errors.iter().all(|error| away(error.severity));
    if waits && !run.errors.is_empty() {
        print::troubles(run);
        complain(format!(
            "{name}: done here; the server follows when it can be reached"
        ));
        return Ok(if run.held.is_empty() {
            status::OK
        } else {
            status::HELD
        });
    }
    print::troubles(run);
    Ok(print::exit_status(std::slice::from_ref(run)))
}

/// An account that a watcher keeps is its affair.
fn by_watcher(config: &Config, name: &str, steps: &[ArrangeStep]) -> Result<Option<RunSummary>> {
    let watched = match ask(config, &Request::Status { accounts: vec![] }) {
        Ok(answer) => answer.accounts.unwrap_or_default(),
        Err(AskError::NotRunning(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !watched.iter().any(|status| status.account == name) {
        return Ok(None);
    }
    let request = Request::Sync {
        accounts: vec![name.to_owned()],
        mailboxes: looked_into(steps),
        full: false,
        undo: None,
        arrange: steps.to_vec(),
    };
    let answer = super::ask::must(config, &request)?;
    let run = answer.runs.unwrap_or_default().pop();
    Ok(Some(run.context("the watcher returned no summary")?))
}

async fn alone(
    config: &Config,
    account: &Account,
    steps: &[ArrangeStep],
) -> Result<(Vec<String>, RunSummary)> {
    let stop = stop_on_signals().context("signals cannot be handled")?;
    let keyring = Rc::new(Keyring::new(account.clone()));
    let state_dir = config.state_dir_of(&account.name);
    let mut opened = OpenAccount::new(keyring, state_dir, Writes::Allowed, account.connections)?;
    let began = Instant::now();
    let done = Box::pin(opened.arrange(steps)).await?;
    let request = CycleRequest {
        only: looked_into(steps),
        ..CycleRequest::default()
    };
    let report = Box::pin(opened.cycle(request, &Silent, &stop)).await;
    let report = report.unwrap_or_else(|error| failed(&error));
    opened.disconnect().await;
    let seconds = began.elapsed().as_secs_f64();
    Ok((done, RunSummary::of(&account.name, &report, seconds)))
}

/// The mailboxes that the cycle looks into; none: into all.
fn looked_into(steps: &[ArrangeStep]) -> Vec<String> {
    let whole = |step: &ArrangeStep| {
        matches!(
            step,
            ArrangeStep::Create { .. } | ArrangeStep::Rename { .. } | ArrangeStep::Remove { .. }
        )
    };
    match steps.iter().any(whole) {
        true => Vec::new(),
        false => touched(steps).into_iter().collect(),
    }
}

/// A flag as people write it: `seen` for `\\Seen`.
pub fn flag(text: &str) -> Result<String> {
    let system = ["answered", "deleted", "draft", "flagged", "seen"];
    let plain = text.trim_start_matches('\\').to_ascii_lowercase();
    if system.contains(&plain.as_str()) {
        return Ok(format!("\\{plain}"));
    }
    if text.is_empty() || text.starts_with(['\\', '-', '+']) {
        bail!("\"{text}\" is no flag; write +seen, -flagged, or a keyword: +work");
    }
    Ok(text.to_owned())
}
