//! What is printed about a run: lines for people, an object for programs.

use super::status;
use crate::daemon::{ErrorSeverity, HeldChange, MailboxFlow, RunSummary, clock, count, json};
use crate::model::printable;
use crate::reconcile::guard::HeldKind;
use anyhow::Result;
use serde_json::Value;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output could not be written for another reason than that nobody reads it.
static FAILED: AtomicBool = AtomicBool::new(false);
/// Whether nobody reads standard output any more.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Prints a line on standard output. All lines for people go through here and [`complain`], so that
/// no text from outside moves the cursor or makes a line of its own.
pub fn say(text: impl AsRef<str>) {
    give(&format!("{}\n", printable(text.as_ref())));
}

/// Prints a line on standard error.
pub fn complain(text: impl AsRef<str>) {
    let line = format!("{}\n", printable(text.as_ref()));
    // There is no other place to say that this one is closed.
    let _closed = stderr().write_all(line.as_bytes());
}

/// Prints an object on a line of standard output.
pub fn say_object(value: &Value) -> Result<()> {
    give(&format!("{}\n", json(value)?));
    Ok(())
}

/// Prints a question; the answer stands on the same line.
pub fn ask(question: &str) {
    give(&printable(question));
}

/// Prints a file that the user asked for as it is.
pub fn hand_out(file: &str) {
    give(file);
}

/// Writes a text. A reader that has seen enough is no error: what is done goes on.
pub fn give(text: &str) {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            CLOSED.store(true, Ordering::Relaxed);
        }
        Err(error) if !FAILED.swap(true, Ordering::Relaxed) => {
            complain(format!("mailtide: standard output: {error}"));
        }
        Err(_) => {}
    }
}

/// Clears the terminal and prints lines.
pub fn redraw(lines: &[String]) {
    let lines: Vec<String> = lines.iter().map(|line| printable(line)).collect();
    give(&format!("\x1b[H\x1b[J{}\n", lines.join("\n")));
}

/// Whether nobody reads standard output any more.
pub fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// The exit status of a command that ended with `status`: not success where output was lost.
pub fn ended(status: u8) -> u8 {
    match status == status::OK && FAILED.load(Ordering::Relaxed) {
        true => status::PARTIAL,
        false => status,
    }
}

/// An error with its causes, those left out that it names itself.
pub fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// What would go each way in a mailbox.
pub fn flow(flow: &MailboxFlow) -> String {
    let counts = [
        (flow.up, "would go up"),
        (flow.down, "would come down"),
        (flow.changed_here, "would change here"),
        (flow.changed_there, "would change there"),
        (flow.deleted_here, "would be deleted here"),
        (flow.deleted_there, "would be deleted there"),
        (flow.both, "on both sides"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts = counts.map(|(count, what)| format!("{count} {what}"));
    let first = match flow.is_in_step() {
        true => Some("synced".to_owned()),
        false => flow.mailbox.as_ref().map(|what| format!("would {what}")),
    };
    first
        .into_iter()
        .chain(counts)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The line that says what changed.
pub fn summary(run: &RunSummary) -> String {
    let (name, mailboxes) = (&run.account, count(run.counts.mailboxes, "mailboxes"));
    format!("{name}: {} ({mailboxes}, {:.1} s)", run.what(), run.seconds)
}

/// Prints what went wrong.
pub fn troubles(run: &RunSummary) {
    for error in &run.errors {
        let place = error.mailbox.as_ref().map(|name| format!("/{name}"));
        let place = place.unwrap_or_default();
        complain(format!("{}{place}: {}", run.account, error.text));
    }
}

/// Prints what is held.
pub fn held(run: &RunSummary) {
    for held in &run.held {
        for line in held_lines(held) {
            complain(format!("{}: {line}", run.account));
        }
    }
}

/// What is held, and how to let it run.
pub fn held_lines(held: &HeldChange) -> Vec<String> {
    let place = held.mailbox.as_deref().unwrap_or("several mailboxes");
    let what = format!(
        "held: {} ({}, {} on the {} side, {place})",
        held.id,
        held.kind,
        held.size(),
        held.side
    );
    let mut lines = vec![what, format!("    {}", held.cause)];
    lines.extend(held.since_at.map(|at| format!("    since {}", clock(at))));
    lines.extend(held.would.iter().take(10).map(|line| format!("    {line}")));
    if held.would.len() > 10 {
        lines.push(format!("    ... and {} more", held.would.len() - 10));
    }
    let id = &held.id;
    let otherwise = match HeldKind::named(&held.kind).is_some_and(HeldKind::uploads) {
        true => "correct the configuration, or move the files elsewhere".to_owned(),
        false => format!("mailtide reject {id}"),
    };
    lines.push(format!(
        "    if that is what you want: mailtide approve {id}, then sync again; if not: {otherwise}"
    ));
    lines
}

/// The object of `--json`.
pub fn object(runs: &[RunSummary]) -> Value {
    let changes: usize = runs.iter().map(|run| run.changes).sum();
    let ok = runs.iter().all(|run| run.ok);
    serde_json::json!({ "ok": ok, "changes": changes, "accounts": runs })
}

/// The exit status of all runs together: what the user must decide or mend comes before what may
/// mend itself.
pub fn exit_status(runs: &[RunSummary]) -> u8 {
    let errors = || runs.iter().flat_map(|run| &run.errors);
    let has = |severity: ErrorSeverity| errors().any(|error| error.severity == severity);
    if runs.iter().any(|run| !run.held.is_empty()) || has(ErrorSeverity::Guard) {
        status::HELD
    } else if has(ErrorSeverity::Configuration) {
        status::USAGE
    } else if has(ErrorSeverity::Partial) {
        status::PARTIAL
    } else if has(ErrorSeverity::Temporary) {
        status::TEMPORARY
    } else {
        status::OK
    }
}
