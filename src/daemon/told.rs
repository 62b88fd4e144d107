//! A report as plain values that can be printed, sent over the control socket and read again.

use crate::engine::{Report, Severity};
use crate::reconcile::guard::{self, HeldKind};
use serde::{Deserialize, Serialize};

macro_rules! told {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a cycle of one account did; the object of `sync --json`.
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        pub struct Told {
            /// Whose.
            pub account: String,
            /// Whether nothing failed and nothing is held.
            pub ok: bool,
            /// How many changes were made on either side.
            pub changes: usize,
            $($(#[$doc])* pub $name: usize,)*
            /// Bytes of messages that came.
            pub bytes_down: u64,
            /// Bytes of messages that went.
            pub bytes_up: u64,
            /// How long it took.
            pub seconds: f64,
            /// What waits for the user.
            pub held: Vec<Held>,
            /// What went wrong.
            pub errors: Vec<Trouble>,
            /// What the user should know, though nothing went wrong.
            pub notes: Vec<String>,
            /// What would be done, of a dry run.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub plan: Option<Vec<String>>,
        }

        impl Told {
            /// Of a run that took so many seconds.
            pub fn of(account: &str, report: &Report, seconds: f64) -> Told {
                Told {
                    account: account.to_owned(),
                    ok: report.ok(),
                    changes: report.changes(),
                    $($name: report.$name,)*
                    bytes_down: report.bytes_down,
                    bytes_up: report.bytes_up,
                    seconds: (seconds * 1000.0).round() / 1000.0,
                    held: report.held.iter().map(Held::of).collect(),
                    errors: report.errors.iter().map(Trouble::of).collect(),
                    notes: report.notes.clone(),
                    plan: plan(report),
                }
            }
        }
    };
}

told! {
    /// Mailboxes in step or looked at.
    mailboxes,
    /// Messages copied to disk.
    downloaded,
    /// Messages copied to the server.
    uploaded,
    /// Messages found to be the same on both sides without copying.
    linked,
    /// Messages whose flags were changed on disk.
    flags_local,
    /// Messages whose flags were changed on the server.
    flags_remote,
    /// Messages deleted on disk.
    deleted_local,
    /// Messages deleted on the server.
    deleted_remote,
    /// Messages moved on disk.
    moved_local,
    /// Messages moved on the server.
    moved_remote,
    /// Messages copied within the disk.
    copied_local,
    /// Messages copied within the server.
    copied_remote,
    /// Mailboxes created on disk.
    mailboxes_created_local,
    /// Mailboxes created on the server.
    mailboxes_created_remote,
    /// Mailboxes renamed on disk.
    mailboxes_renamed_local,
    /// Mailboxes renamed on the server.
    mailboxes_renamed_remote,
    /// Mailboxes deleted on disk.
    mailboxes_deleted_local,
    /// Mailboxes deleted on the server.
    mailboxes_deleted_remote,
    /// Mailboxes compared message by message although nothing seemed to have changed.
    compared,
    /// Differences found by that.
    drift,
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

impl Told {
    /// What was done, in words.
    pub fn what(&self) -> String {
        let r = self;
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
        let some = counts.iter().filter(|(number, _)| *number > 0);
        let mut parts: Vec<String> = some
            .map(|(number, what)| match what.starts_with("mailboxes") {
                true => count(*number, what),
                false => format!("{number} {what}"),
            })
            .collect();
        if !r.held.is_empty() {
            let all: Vec<String> = r.held.iter().take(3).map(Held::in_short).collect();
            let (number, all) = (r.held.len(), all.join("; "));
            parts.push(format!("{number} held ({all})"));
        }
        if !r.errors.is_empty() {
            parts.push(count(r.errors.len(), "errors"));
        }
        match parts.is_empty() {
            true => "in step, nothing to do".into(),
            false => parts.join(", "),
        }
    }
}

/// A number of things: `1 mailbox`, `2 mailboxes`.
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

/// A part of a plan that waits for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Names it, and exactly it.
    pub id: String,
    /// Why it waits.
    pub kind: String,
    /// Why it waits, for people.
    #[serde(default)]
    pub cause: String,
    /// Where it would act: `remote` or `local`.
    pub side: String,
    /// In which mailbox; `None`: in several.
    pub mailbox: Option<String>,
    /// How many messages, those in mailboxes that would be deleted included.
    pub count: usize,
    /// How many mailboxes would be deleted.
    #[serde(default)]
    pub mailboxes: usize,
    /// What it would do, a line each.
    pub would: Vec<String>,
}

impl Held {
    fn of(held: &guard::Held) -> Held {
        Held {
            id: held.id.clone(),
            kind: held.kind.name().to_owned(),
            cause: held.kind.cause().to_owned(),
            side: held.side.to_string(),
            mailbox: held.mailbox.as_ref().map(ToString::to_string),
            count: held.count,
            mailboxes: held.mailboxes,
            would: held.lines.clone(),
        }
    }
}

impl Held {
    /// All that would go: `3 messages`, `2 mailboxes with 40 messages`.
    pub fn size(&self) -> String {
        let messages = count(self.count, "messages");
        match self.mailboxes {
            0 => messages,
            some => format!("{} with {messages}", count(some, "mailboxes")),
        }
    }

    /// What is held and how to decide, in one line.
    fn in_short(&self) -> String {
        let place = self.mailbox.as_deref().unwrap_or("several mailboxes");
        let (id, size) = (&self.id, self.size());
        format!(
            "{}: {size} in {place}: {}",
            self.kind,
            decisions(&self.kind, id)
        )
    }
}

/// The commands that decide about something held.
pub fn decisions(kind: &str, id: &str) -> String {
    match HeldKind::named(kind).is_some_and(HeldKind::uploads) {
        true => format!("mailtide approve {id}"),
        false => format!("mailtide approve {id} or mailtide reject {id}"),
    }
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// In which mailbox; `None`: in the account.
    pub mailbox: Option<String>,
    /// Whether it may mend itself.
    pub temporary: bool,
    /// What it means for the run.
    pub severity: Weight,
    /// What failed, on what, and what to do.
    pub text: String,
}

/// What a failure means for the run; see [`Severity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// The rest was synced.
    Partial,
    /// The network or the server failed for now.
    Temporary,
    /// A guard holds the account.
    Guard,
    /// The user has to change something.
    Configuration,
}

impl Trouble {
    fn of(trouble: &crate::engine::Trouble) -> Trouble {
        let severity = match trouble.severity {
            Severity::Partial => Weight::Partial,
            Severity::Temporary => Weight::Temporary,
            Severity::Guard => Weight::Guard,
            Severity::Configuration => Weight::Configuration,
        };
        Trouble {
            mailbox: trouble.mailbox.as_ref().map(ToString::to_string),
            temporary: severity == Weight::Temporary,
            severity,
            text: trouble.text.clone(),
        }
    }
}

/// An account that could not even begin, as a report.
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
