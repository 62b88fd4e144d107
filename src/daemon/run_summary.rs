//! The summary of a cycle: plain values that are printed and sent over the control socket.

use crate::engine::{Counts, Report, Severity};
use crate::reconcile::guard::{self, HeldKind};
use serde::{Deserialize, Serialize};

/// The summary of a cycle of one account; the object of `sync --json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunSummary {
    /// The account.
    pub account: String,
    /// Whether there was no error and no held change.
    pub ok: bool,
    /// The number of changes on both sides.
    pub changes: usize,
    /// The changes by kind.
    #[serde(flatten)]
    pub counts: Counts,
    /// The duration.
    pub seconds: f64,
    /// The held changes.
    pub held: Vec<HeldChange>,
    /// The errors.
    pub errors: Vec<RunError>,
    /// Notes for the user that are not errors.
    pub notes: Vec<String>,
    /// Of a dry run, the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Vec<String>>,
}

impl RunSummary {
    /// Summarizes a report of a cycle that took this many seconds.
    pub fn of(account: &str, report: &Report, seconds: f64) -> RunSummary {
        RunSummary {
            account: account.to_owned(),
            ok: report.ok(),
            changes: report.changes(),
            counts: report.counts.clone(),
            seconds: (seconds * 1000.0).round() / 1000.0,
            held: report.held.iter().map(HeldChange::of).collect(),
            errors: report.errors.iter().map(RunError::of).collect(),
            notes: report.notes.clone(),
            plan: plan(report),
        }
    }
}

fn plan(report: &Report) -> Option<Vec<String>> {
    let plan = report.plan.as_ref()?;
    let mailboxes = plan.mailboxes.iter().map(ToString::to_string);
    let messages = plan.messages.iter().flat_map(|(name, plan)| {
        let line = move |action| format!("{name}: {action}");
        plan.actions.iter().map(line)
    });
    Some(mailboxes.chain(messages).collect())
}

impl RunSummary {
    /// Adds since when its held changes are held, from the state.
    pub fn date_held(&mut self, known: &[HeldChange]) {
        for held in &mut self.held {
            let same = known.iter().find(|other| other.id == held.id);
            held.since_at = same.and_then(|other| other.since_at);
        }
    }

    /// Describes the changes in one line.
    pub fn what(&self) -> String {
        let r = self;
        let counts = [
            (r.counts.downloaded, "downloaded"),
            (r.counts.uploaded, "uploaded"),
            (r.counts.linked, "found on both sides"),
            (r.counts.flags_local, "flags changed locally"),
            (r.counts.flags_remote, "flags changed on the server"),
            (r.counts.moved_local, "moved locally"),
            (r.counts.moved_remote, "moved on the server"),
            (r.counts.copied_local, "copied locally"),
            (r.counts.copied_remote, "copied on the server"),
            (r.counts.deleted_local, "deleted locally"),
            (r.counts.deleted_remote, "deleted on the server"),
            (
                r.counts.mailboxes_created_local,
                "mailboxes created locally",
            ),
            (
                r.counts.mailboxes_created_remote,
                "mailboxes created on the server",
            ),
            (
                r.counts.mailboxes_renamed_local,
                "mailboxes renamed locally",
            ),
            (
                r.counts.mailboxes_renamed_remote,
                "mailboxes renamed on the server",
            ),
            (
                r.counts.mailboxes_deleted_local,
                "mailboxes deleted locally",
            ),
            (
                r.counts.mailboxes_deleted_remote,
                "mailboxes deleted on the server",
            ),
        ];
        let some = counts.iter().filter(|(number, _)| *number > 0);
        let mut parts: Vec<String> = some
            .map(|(number, what)| match what.starts_with("mailboxes") {
                true => count(*number, what),
                false => format!("{number} {what}"),
            })
            .collect();
        if !r.held.is_empty() {
            let all: Vec<String> = r.held.iter().take(3).map(HeldChange::in_short).collect();
            let (number, all) = (r.held.len(), all.join("; "));
            parts.push(format!("{number} held ({all})"));
        }
        if !r.errors.is_empty() {
            parts.push(count(r.errors.len(), "errors"));
        }
        match parts.is_empty() {
            true => "synced, no changes".into(),
            false => parts.join(", "),
        }
    }
}

/// Formats a number of things: `1 mailbox`, `2 mailboxes`.
pub fn count(number: usize, things: &str) -> String {
    let one = |many: &str| match many.split_once("mailboxes") {
        Some((before, after)) => format!("{before}mailbox{after}"),
        None => many.strip_suffix('s').unwrap_or(many).to_owned(),
    };
    match number {
        1 => format!("1 {}", one(things)),
        _ => format!("{number} {things}"),
    }
}

/// A change that waits for the user's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldChange {
    /// Its id, made from the content of the change.
    pub id: String,
    /// The kind of guard.
    pub kind: String,
    /// The reason, for people.
    #[serde(default)]
    pub cause: String,
    /// The side that it would change: `remote` or `local`.
    pub side: String,
    /// The mailbox; `None`: several.
    pub mailbox: Option<String>,
    /// The number of messages, including those in mailboxes that would be deleted.
    pub count: usize,
    /// The number of mailboxes that would be deleted.
    #[serde(default)]
    pub mailboxes: usize,
    /// When it was first held, seconds since 1970; `None`: not recorded.
    #[serde(default)]
    pub since_at: Option<i64>,
    /// What it would do, one line each.
    pub would: Vec<String>,
}

impl HeldChange {
    fn of(held: &guard::Held) -> HeldChange {
        HeldChange {
            id: held.id.clone(),
            kind: held.kind.name().to_owned(),
            cause: held.kind.cause().to_owned(),
            side: held.side.to_string(),
            mailbox: held.mailbox.as_ref().map(ToString::to_string),
            count: held.count,
            mailboxes: held.mailboxes,
            since_at: None,
            would: held.lines.clone(),
        }
    }
}

impl HeldChange {
    /// Formats its size: `3 messages`, `2 mailboxes with 40 messages`.
    pub fn size(&self) -> String {
        let messages = count(self.count, "messages");
        match self.mailboxes {
            0 => messages,
            some => format!("{} with {messages}", count(some, "mailboxes")),
        }
    }

    /// Describes it and the commands that decide, in one line.
    fn in_short(&self) -> String {
        let place = self.mailbox.as_deref().unwrap_or("several mailboxes");
        let (id, size) = (&self.id, self.size());
        let since = self.since_at.map(|at| format!(", since {}", clock(at)));
        format!(
            "{size} in {place} on the {} side{}: {}: {}",
            self.side,
            since.unwrap_or_default(),
            self.cause,
            decisions(&self.kind, id)
        )
    }
}

/// Formats a time: of the machine's clock, with its zone.
pub fn clock(at: i64) -> String {
    let at = jiff::Timestamp::from_second(at).unwrap_or_default();
    let at = at.to_zoned(jiff::tz::TimeZone::system());
    at.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// Returns the commands that decide about a held change.
pub fn decisions(kind: &str, id: &str) -> String {
    match HeldKind::named(kind).is_some_and(HeldKind::uploads) {
        true => format!("mailtide approve {id}"),
        false => format!("mailtide approve {id} or mailtide reject {id}"),
    }
}

/// An error of a cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The mailbox; `None`: the account.
    pub mailbox: Option<String>,
    /// Whether a retry may succeed.
    pub temporary: bool,
    /// Its effect on the exit status.
    pub severity: ErrorSeverity,
    /// What failed, on what, and what to do.
    pub text: String,
}

/// The effect of an error on the run; see [`Severity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorSeverity {
    /// The other mailboxes were synchronized.
    Partial,
    /// The network or the server failed.
    Temporary,
    /// A guard refused the account.
    Guard,
    /// The user has to change something.
    Configuration,
}

impl RunError {
    fn of(trouble: &crate::engine::Trouble) -> RunError {
        let severity = match trouble.severity {
            Severity::Partial => ErrorSeverity::Partial,
            Severity::Temporary => ErrorSeverity::Temporary,
            Severity::Guard => ErrorSeverity::Guard,
            Severity::Configuration => ErrorSeverity::Configuration,
        };
        RunError {
            mailbox: trouble.mailbox.as_ref().map(ToString::to_string),
            temporary: severity == ErrorSeverity::Temporary,
            severity,
            text: trouble.text.clone(),
        }
    }
}

/// Makes a report of an account that could not be opened.
pub fn failed(error: &super::OpenError) -> Report {
    use super::OpenError;
    use crate::engine;
    use crate::state::StateError;
    let mut report = Report::default();
    let severity = match error {
        OpenError::Store(error) => {
            report.halted = Some(error.clone());
            engine::severity(error)
        }
        OpenError::State(StateError::Locked { .. }) => Severity::Temporary,
        OpenError::State(_) => Severity::Partial,
        OpenError::Config(_)
        | OpenError::NoAccount(_)
        | OpenError::NoRun(_)
        | OpenError::Directory { .. } => Severity::Configuration,
    };
    let (mailbox, text) = (None, error.to_string());
    report.errors.push(engine::Trouble {
        mailbox,
        severity,
        text,
    });
    report
}
