//! What is printed about a run: lines for people, an object for programs.

use super::status;
use crate::engine::{Report, Severity};
use crate::reconcile::guard::Held;
use serde_json::{Value, json};

/// Untrusted text, fit for a terminal: no control characters, no change of direction.
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| {
            let direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}');
            if (c.is_control() && c != '\n') || direction {
                format!("\\u{{{:x}}}", u32::from(c))
            } else {
                c.to_string()
            }
        })
        .collect()
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

/// A number of things: `1 mailbox`, `2 mailboxes`.
fn count(number: usize, things: &str) -> String {
    let one = |many: &str| {
        many.replace("mailboxes", "mailbox")
            .replace("errors", "error")
    };
    match number {
        1 => format!("1 {}", one(things)),
        _ => format!("{number} {things}"),
    }
}

/// A run of one account.
pub struct Finished {
    /// Its name.
    pub account: String,
    /// What was done.
    pub report: Report,
    /// How long it took, seconds.
    pub seconds: f64,
}

/// The line that says what changed.
pub fn summary(run: &Finished) -> String {
    let r = &run.report;
    let counts = [
        (r.downloaded, "downloaded"),
        (r.uploaded, "uploaded"),
        (r.linked, "found on both sides"),
        (r.flags_local, "flags changed here"),
        (r.flags_remote, "flags changed there"),
        (r.moved_local, "moved here"),
        (r.moved_remote, "moved there"),
        (r.copied_local, "copied here"),
        (r.copied_remote, "copied there"),
        (r.deleted_local, "deleted here"),
        (r.deleted_remote, "deleted there"),
        (r.mailboxes_created_local, "mailboxes created here"),
        (r.mailboxes_created_remote, "mailboxes created there"),
        (r.mailboxes_renamed_local, "mailboxes renamed here"),
        (r.mailboxes_renamed_remote, "mailboxes renamed there"),
        (r.mailboxes_deleted_local, "mailboxes deleted here"),
        (r.mailboxes_deleted_remote, "mailboxes deleted there"),
    ];
    let mut parts: Vec<String> = counts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| count(*number, what))
        .collect();
    if !r.held.is_empty() {
        parts.push(format!("{} held", r.held.len()));
    }
    if !r.errors.is_empty() {
        parts.push(count(r.errors.len(), "errors"));
    }
    if parts.is_empty() {
        parts.push("in step, nothing to do".into());
    }
    let (name, mailboxes) = (&run.account, count(r.mailboxes, "mailboxes"));
    format!(
        "{name}: {} ({mailboxes}, {:.1} s)",
        parts.join(", "),
        run.seconds
    )
}

/// What is held, and how to let it run.
pub fn held_lines(held: &Held) -> Vec<String> {
    let place = held
        .mailbox
        .as_ref()
        .map_or("several mailboxes".to_owned(), ToString::to_string);
    let what = format!(
        "held: {} ({}, {} on the {} side, {place})",
        held.id,
        held.kind.name(),
        held.count,
        held.side
    );
    let mut lines = vec![what];
    lines.extend(held.lines.iter().take(10).map(|line| format!("    {line}")));
    if held.lines.len() > 10 {
        lines.push(format!("    ... and {} more", held.lines.len() - 10));
    }
    let id = &held.id;
    lines.push(format!(
        "    if that is what you want: mailtide approve {id}, then sync again"
    ));
    lines.iter().map(|line| safe(line)).collect()
}

/// The plan of a dry run.
pub fn plan_lines(report: &Report) -> Vec<String> {
    let Some(plan) = &report.plan else {
        return Vec::new();
    };
    let mailboxes = plan.mailboxes.iter().map(ToString::to_string);
    let messages = plan.messages.iter().flat_map(|(name, plan)| {
        plan.actions
            .iter()
            .map(move |action| format!("{name}: {action}"))
    });
    mailboxes.chain(messages).map(|line| safe(&line)).collect()
}

/// The object of `--json`.
pub fn object(runs: &[Finished]) -> Value {
    let accounts: Vec<Value> = runs.iter().map(account_object).collect();
    let changes: usize = runs.iter().map(|run| run.report.changes()).sum();
    let ok = runs.iter().all(|run| run.report.ok());
    json!({ "ok": ok, "changes": changes, "accounts": accounts })
}

fn account_object(run: &Finished) -> Value {
    let r = &run.report;
    let held: Vec<Value> = r.held.iter().map(held_object).collect();
    let errors: Vec<Value> = r
        .errors
        .iter()
        .map(|error| {
            let mailbox = error.mailbox.as_ref().map(ToString::to_string);
            json!({ "mailbox": mailbox, "temporary": error.severity == Severity::Temporary,
                    "text": error.text })
        })
        .collect();
    let mut object = json!({
        "account": run.account,
        "ok": r.ok(),
        "changes": r.changes(),
        "mailboxes": r.mailboxes,
        "downloaded": r.downloaded,
        "uploaded": r.uploaded,
        "linked": r.linked,
        "flags_local": r.flags_local,
        "flags_remote": r.flags_remote,
        "deleted_local": r.deleted_local,
        "deleted_remote": r.deleted_remote,
        "moved_local": r.moved_local,
        "moved_remote": r.moved_remote,
        "copied_local": r.copied_local,
        "copied_remote": r.copied_remote,
        "mailboxes_renamed_local": r.mailboxes_renamed_local,
        "mailboxes_renamed_remote": r.mailboxes_renamed_remote,
        "mailboxes_created_local": r.mailboxes_created_local,
        "mailboxes_created_remote": r.mailboxes_created_remote,
        "mailboxes_deleted_local": r.mailboxes_deleted_local,
        "mailboxes_deleted_remote": r.mailboxes_deleted_remote,
        "bytes_down": r.bytes_down,
        "bytes_up": r.bytes_up,
        "seconds": run.seconds,
        "held": held,
        "errors": errors,
        "notes": r.notes,
    });
    if let (Some(object), true) = (object.as_object_mut(), r.plan.is_some()) {
        object.insert("plan".into(), json!(plan_lines(r)));
    }
    object
}

fn held_object(held: &Held) -> Value {
    json!({
        "id": held.id,
        "kind": held.kind.name(),
        "side": held.side.to_string(),
        "mailbox": held.mailbox.as_ref().map(ToString::to_string),
        "count": held.count,
        "would": held.lines,
    })
}

/// The exit status of all runs together: what the user must decide or mend comes before what may
/// mend itself.
pub fn exit_status(runs: &[Finished]) -> u8 {
    let reports = || runs.iter().map(|run| &run.report);
    let has = |severity: Severity| {
        reports().any(|report| report.errors.iter().any(|error| error.severity == severity))
    };
    if reports().any(|report| !report.held.is_empty()) || has(Severity::Guard) {
        status::HELD
    } else if has(Severity::Configuration) {
        status::USAGE
    } else if has(Severity::Partial) {
        status::PARTIAL
    } else if has(Severity::Temporary) {
        status::TEMPORARY
    } else {
        status::OK
    }
}
