//! `mailtide undo`: shows what it takes to take back what runs did, and does it when told to.

use super::arguments::{Arguments, Undo};
use super::columns::{pad, width};
use super::print::{self, say, say_object};
use super::status;
use crate::browse::{MessageId, MessageKey};
use crate::config;
use crate::daemon::undo::{
    RunSelection, SelectedMessage, UndoPlan, UndoSelection, UndoStep, done_text, plan,
};
use crate::daemon::{
    self, AskError, CycleRequest, Keyring, OpenAccount, Request, RunSummary, Writes, ask, clock,
    count,
};
use crate::engine::{Silent, Stop};
use crate::state::{RunRow, State};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Undo) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let mut accounts = daemon::chosen(&config, &command.accounts)?;
    if let Some(id) = command.message.as_deref().and_then(MessageId::parse) {
        accounts.retain(|account| account.name == id.account);
        if accounts.is_empty() {
            bail!("{id} is a message of another account; see mailtide list");
        }
    }
    if command.run.is_some() && accounts.len() > 1 {
        bail!("each account numbers its own runs: say which account, as in: mailtide undo NAME");
    }
    let since = command.since.as_deref().map(time).transpose()?;
    let stop = daemon::stop_on_signals().context("signals cannot be handled")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut worst = status::OK;
    for account in accounts {
        let job = one(
            &config,
            account,
            (command, since, arguments.verbose > 0),
            &stop,
        );
        worst = worst.max(runtime.block_on(job)?);
    }
    Ok(worst)
}

/// A time as people write it: `2026-11-23`, `2026-11-23 14:00`, or `2h ago` as `2h`; seconds since
/// 1970.
pub(super) fn time(text: &str) -> Result<i64> {
    let now = jiff::Zoned::now();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_second());
    }
    if let Ok(at) = text.parse::<jiff::civil::DateTime>() {
        return Ok(at
            .to_zoned(now.time_zone().clone())?
            .timestamp()
            .as_second());
    }
    if let Ok(span) = text.parse::<jiff::Span>() {
        return Ok(now.checked_sub(span.abs())?.timestamp().as_second());
    }
    bail!("\"{text}\" is no time; write 2026-11-23, \"2026-11-23 14:00\" or a span such as 2h")
}

/// Reads what is to be undone.
fn selection(command: &Undo, since: Option<i64>, state: &State) -> Result<UndoSelection> {
    let runs = match (command.run, since) {
        (Some(run), _) => RunSelection::Run(run),
        (None, Some(at)) => RunSelection::Since(at),
        (None, None) => RunSelection::Last,
    };
    let message = command.message.as_deref();
    Ok(UndoSelection {
        runs,
        mailboxes: command.mailbox.clone(),
        message: message.map(|text| selected(text, state)).transpose()?,
    })
}

/// Reads the name of a message: an id as `list` prints it, a Message-ID in `<` and `>`, or a UID or
/// file as `history` prints it. Err: the id was made before the server renumbered the mailbox.
fn selected(text: &str, state: &State) -> Result<SelectedMessage> {
    if text.starts_with('<') && text.ends_with('>') {
        return Ok(SelectedMessage::MessageId(text.to_owned()));
    }
    let Some(id) = MessageId::parse(text) else {
        return Ok(SelectedMessage::Named(text.to_owned()));
    };
    let mailbox = id.mailbox.to_string();
    Ok(match &id.key {
        MessageKey::File(digest) => SelectedMessage::File {
            mailbox,
            digest: digest.clone(),
        },
        MessageKey::Uid(uid, _) => {
            let key = state.mailbox_key(&id.mailbox)?;
            let uid_validity = key
                .map(|key| state.uid_validity(key))
                .transpose()?
                .flatten();
            if uid_validity.is_some_and(|uid_validity| !id.key.fits(uid_validity)) {
                bail!(
                    "{id} names no message now: the server has numbered {mailbox} anew; name it \
                     by its Message-ID, or as mailtide history prints it"
                );
            }
            SelectedMessage::Uid {
                mailbox,
                uid: uid.get(),
                uid_validity: uid_validity.map(|uid_validity| uid_validity.0),
            }
        }
    })
}

async fn one(
    config: &config::Config,
    account: config::Account,
    (command, since, verbose): (&Undo, Option<i64>, bool),
    stop: &Stop,
) -> Result<u8> {
    let name = account.name.clone();
    let keyring = Rc::new(Keyring::new(account));
    // Beside a watcher, too: whether state and Maildir are of one age is not asked, as it may write
    // the one and then the other just now. Carrying it out asks.
    let state_dir = config.state_dir_of(&name);
    let mut opened = OpenAccount::new(keyring.clone(), state_dir, Writes::None, 1)?;
    if command.list {
        list(&name, &opened.state.runs(20)?, command.json)?;
        return Ok(status::OK);
    }
    let mut what = selection(command, since, &opened.state)?;
    opened.enter()?; // a Maildir that is not there has nothing in quarantine
    let plan = plan(&what, &opened.state, &opened.local)?;
    drop(opened);
    if let Some(run) = plan.run {
        // The selection that was shown is the one that is carried out.
        what.runs = RunSelection::Run(run);
    }
    let possible = |step: &&UndoStep| !matches!(step, UndoStep::Cannot { .. });
    let possible = plan.steps.iter().any(|step| possible(&step));
    let told = match possible && command.yes {
        false => None,
        true => {
            if !command.json {
                show(&name, &plan, verbose);
            }
            Some(match by_watcher(config, &name, &what)? {
                Some(told) => told,
                None => alone(config, keyring, &what, (stop, command.json)).await?,
            })
        }
    };
    if command.json {
        say_object(&object(&name, &plan, told.as_ref()))?;
    }
    match &told {
        Some(told) => done(told, command.json),
        None if command.json => {}
        None => {
            show(&name, &plan, verbose);
            say(match possible {
                false => {
                    format!("{name}: nothing to undo; see mailtide undo --list")
                }
                true => format!(
                    "{name}: nothing was changed; to apply: mailtide undo --yes (same arguments)"
                ),
            });
        }
    }
    Ok(told.map_or(status::OK, |told| print::exit_status(&[told])))
}

/// Prints what became of it.
fn done(told: &RunSummary, json: bool) {
    print::troubles(told);
    print::held(told);
    if !json {
        for note in &told.notes {
            say(format!("{}: {note}", told.account));
        }
        say(print::summary(told));
    }
}

/// An account that a watcher keeps is its affair.
fn by_watcher(
    config: &config::Config,
    name: &str,
    what: &UndoSelection,
) -> Result<Option<RunSummary>> {
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
        mailboxes: Vec::new(),
        full: false,
        undo: Some(what.clone()),
        arrange: Vec::new(),
    };
    let answer = super::ask::must(config, &request)?;
    Ok(answer.runs.unwrap_or_default().pop())
}

async fn alone(
    config: &config::Config,
    keyring: Rc<Keyring>,
    what: &UndoSelection,
    (stop, quiet): (&Stop, bool),
) -> Result<RunSummary> {
    let name = keyring.account().name.clone();
    let connections = keyring.account().connections;
    let mut opened = OpenAccount::new(
        keyring,
        config.state_dir_of(&name),
        Writes::Allowed,
        connections,
    )?;
    let began = Instant::now();
    let count = opened.undo(what).await?;
    if !quiet {
        // Said before the server is asked: that may fail.
        say(format!("{name}: {}", done_text(count)));
    }
    let report = opened.cycle(CycleRequest::default(), &Silent, stop).await?;
    opened.disconnect().await;
    Ok(RunSummary::of(
        &name,
        &report,
        began.elapsed().as_secs_f64(),
    ))
}

fn list(name: &str, runs: &[RunRow], json: bool) -> Result<()> {
    for run in runs {
        match json {
            false => say(format!("{name}: {}", shown(run))),
            true => say_object(&json!({
                "account": name,
                "run": run.run,
                "at": run.at,
                "changes": run.changes,
                "deleted": run.deleted,
                "mailboxes_deleted": run.mailboxes,
                "flags": run.flags,
                "restored": run.restored,
                "moved": run.moved,
                "mailboxes_renamed": run.renamed,
                "undo": run.undo,
            }))?,
        }
    }
    Ok(())
}

fn shown(run: &RunRow) -> String {
    let mut text = format!(
        "run {} of {}: {} changes, {} deleted, {} with other flags",
        run.run,
        clock(run.at),
        run.changes,
        run.deleted,
        run.flags
    );
    if run.mailboxes > 0 {
        text = format!("{text}, {} deleted", count_of(run.mailboxes, "mailboxes"));
    }
    if run.moved > 0 {
        text = format!("{text}, {} moved", run.moved);
    }
    if run.renamed > 0 {
        text = format!("{text}, {} renamed", count_of(run.renamed, "mailboxes"));
    }
    if run.undo {
        text = format!(
            "{text}; took back what others did, {} restored",
            run.restored
        );
    }
    text
}

fn count_of(number: i64, things: &str) -> String {
    count(usize::try_from(number).unwrap_or(0), things)
}

/// More steps are a table, unless each is asked for.
const LISTED: usize = 20;

fn show(name: &str, plan: &UndoPlan, verbose: bool) {
    if let Some(run) = plan.run {
        say(format!("{name}: run {run}:"));
    }
    if plan.steps.len() > LISTED && !verbose {
        return table(name, plan);
    }
    for step in &plan.steps {
        let line = match step {
            UndoStep::Create { mailbox } => format!("{mailbox}: create the mailbox again"),
            UndoStep::PutBack { mailbox, what, .. } => format!("{mailbox}: put back {what}"),
            UndoStep::TakeAway { mailbox, file } => {
                format!("{mailbox}: {file}, which was put back, goes into quarantine again")
            }
            UndoStep::Flags {
                mailbox,
                file,
                change,
            } => format!("{mailbox}: {file}: {change}"),
            UndoStep::Move { mailbox, file, to } => format!("{mailbox}: {file}: move back to {to}"),
            UndoStep::Rename { mailbox, to } => format!("{mailbox}: rename back to {to}"),
            UndoStep::Cannot { what } => format!("cannot: {what}"),
        };
        say(format!("{name}: {line}"));
    }
}

/// Prints the steps by mailbox and kind.
fn table(name: &str, plan: &UndoPlan) {
    let mut rows: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for step in &plan.steps {
        let (mailbox, kind) = match step {
            UndoStep::Create { mailbox } => (mailbox.to_string(), "create the mailbox again"),
            UndoStep::PutBack { mailbox, .. } => (mailbox.to_string(), "put back"),
            UndoStep::TakeAway { mailbox, .. } => (mailbox.to_string(), "into quarantine again"),
            UndoStep::Flags { mailbox, .. } => (mailbox.to_string(), "flags"),
            UndoStep::Move { mailbox, .. } => (mailbox.to_string(), "move back"),
            UndoStep::Rename { mailbox, .. } => (mailbox.to_string(), "former name"),
            UndoStep::Cannot { .. } => (String::new(), "cannot be taken back"),
        };
        *rows.entry((mailbox, kind)).or_default() += 1;
    }
    let names = rows.keys().map(|(mailbox, _)| width(mailbox)).max();
    for ((mailbox, kind), number) in &rows {
        let mailbox = pad(mailbox, names.unwrap_or(0));
        say(format!("{name}: {mailbox}  {kind:<24}  {number:>7}"));
    }
    let steps = plan.steps.len();
    say(format!("{name}: in all {steps} steps; -v lists each"));
}

/// The object of `--json`.
fn object(name: &str, plan: &UndoPlan, told: Option<&RunSummary>) -> Value {
    let step = |step: &UndoStep| match step {
        UndoStep::Create { mailbox } => json!({ "do": "create", "mailbox": mailbox.to_string() }),
        UndoStep::PutBack {
            mailbox,
            kept,
            what,
        } => json!({
            "do": "put-back",
            "mailbox": mailbox.to_string(),
            "kept": kept.path.escape_ascii().to_string(),
            "what": what,
        }),
        UndoStep::TakeAway { mailbox, file } => json!({
            "do": "take-away",
            "mailbox": mailbox.to_string(),
            "file": file.as_bytes().escape_ascii().to_string(),
        }),
        UndoStep::Flags {
            mailbox,
            file,
            change,
        } => json!({
            "do": "flags",
            "mailbox": mailbox.to_string(),
            "file": file.as_bytes().escape_ascii().to_string(),
            "change": change.to_string(),
        }),
        UndoStep::Move { mailbox, file, to } => json!({
            "do": "move",
            "mailbox": mailbox.to_string(),
            "file": file.as_bytes().escape_ascii().to_string(),
            "to": to.to_string(),
        }),
        UndoStep::Rename { mailbox, to } => json!({
            "do": "rename",
            "mailbox": mailbox.to_string(),
            "to": to.to_string(),
        }),
        UndoStep::Cannot { what } => json!({ "do": "cannot", "what": what }),
    };
    let steps: Vec<Value> = plan.steps.iter().map(step).collect();
    json!({
        "account": name,
        "run": plan.run,
        "steps": steps,
        "done": told.is_some(),
        "sync": told,
    })
}
