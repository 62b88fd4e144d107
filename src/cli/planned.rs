//! The plan of a dry run as a table by mailbox and kind, and message by message.

use super::columns::{apart, pad, width};
use super::list::date;
use super::print::say;
use crate::browse::{Depth, Facts, Planned, Wanted, facts};
use crate::config::{Account, Config};
use crate::daemon::{OpenError, bytes, count};
use crate::engine::Report;
use crate::maildir::free_space;
use crate::model::{AnyId, MailboxName, Side};
use crate::reconcile::Action;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// What a dry run says.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// Mailbox and kind, with messages and bytes.
    rows: BTreeMap<(MailboxName, &'static str), Sum>,
    /// Actions on mailboxes.
    mailboxes: Vec<String>,
    /// A line for each message.
    lines: Vec<String>,
    /// Bytes that are free where the Maildir lies.
    free: Option<u64>,
    /// Why sizes are not known.
    trouble: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    messages: usize,
    bytes: u64,
    /// Whether a size is missing.
    open: bool,
    /// Whether the bytes are written to the disk.
    here: bool,
}

/// Describes the plan of a dry run, with what both sides tell of its messages.
pub async fn describe(
    (config, account): (&Config, &Account),
    report: &Report,
    verbose: bool,
) -> Described {
    let Some(plan) = &report.plan else {
        return Described::default();
    };
    let mut all = Described {
        mailboxes: plan.mailboxes.iter().map(ToString::to_string).collect(),
        free: free_space(&account.maildir),
        ..Described::default()
    };
    let mut wanted = Wanted::new();
    for (name, plan) in &plan.messages {
        let ids = plan.actions.iter().filter_map(message);
        wanted.entry(name.clone()).or_default().extend(ids);
    }
    wanted.retain(|_, ids| !ids.is_empty());
    let depth = if verbose {
        Depth::Headers
    } else {
        Depth::Sizes
    };
    let known = facts((config, account), &wanted, depth).await;
    let known = known.unwrap_or_else(|error: OpenError| {
        all.trouble = Some(error.to_string());
        Planned::new()
    });
    for (name, plan) in &plan.messages {
        for action in &plan.actions {
            let about = message(action).and_then(|id| known.get(&(name.clone(), id)));
            all.add(name, action, about);
        }
    }
    all
}

/// The message of which the bytes are concerned.
fn message(action: &Action) -> Option<AnyId> {
    match action {
        Action::Copy { from, .. } => Some(from.clone()),
        Action::Delete { on, pair, .. } => Some(pair.on(*on)),
        Action::Flags(set) => Some(AnyId::Local(set.pair.file.clone())),
        Action::Discard { pair } | Action::Split { pair } => Some(AnyId::Local(pair.file.clone())),
        _ => None,
    }
}

/// The kind of an action in the table; `None`: it changes neither side.
fn kind(action: &Action) -> Option<&'static str> {
    Some(match action {
        Action::Copy { from, .. } if from.side() == Side::Remote => "download",
        Action::Copy { .. } => "upload",
        Action::Recall(_) => "restore from quarantine",
        Action::Link(_) => "found on both sides",
        Action::Delete { on, .. } if *on == Side::Remote => "delete on the server",
        Action::Delete { .. } => "delete here",
        Action::Move(step) if step.id.side() == Side::Remote => "move on the server",
        Action::Move(_) => "move here",
        Action::Duplicate(copy) if copy.id.side() == Side::Remote => "copy on the server",
        Action::Duplicate(_) => "copy here",
        Action::Flags(set) if !set.remote.is_empty() => "flags on the server",
        Action::Flags(set) if !set.local.is_empty() => "flags here",
        Action::Unmark { .. } => "flags on the server",
        Action::Discard { .. } => "to quarantine, broken",
        Action::Split { .. } => "edited in place",
        _ => return None,
    })
}

impl Described {
    fn add(&mut self, name: &MailboxName, action: &Action, about: Option<&Facts>) {
        let about_text = about.map(words).unwrap_or_default();
        self.lines.push(format!("{name}: {action}{about_text}"));
        let Some(kind) = kind(action) else { return };
        let sum = self.rows.entry((name.clone(), kind)).or_default();
        sum.messages += 1;
        match about.and_then(|about| about.size) {
            Some(size) => sum.bytes += size,
            None => sum.open = true,
        }
        sum.here = kind == "download";
    }

    /// Prints the table, and with `verbose` each message.
    pub fn show(&self, account: &str, verbose: bool) {
        for line in &self.mailboxes {
            say(format!("{account}: would {line}"));
        }
        if verbose {
            for line in &self.lines {
                say(format!("{account}: would {line}"));
            }
        }
        let names = self.rows.keys().map(|(name, _)| width(&name.to_string()));
        let names = names.max().unwrap_or(0);
        let kinds = self
            .rows
            .keys()
            .map(|(_, kind)| kind.len())
            .max()
            .unwrap_or(0);
        for ((name, kind), sum) in &self.rows {
            let name = pad(&name.to_string(), names);
            let row = format!(
                "{name}  {kind:<kinds$}  {:>7}  {}",
                sum.messages,
                sum.size()
            );
            say(format!("{account}: {}", row.trim_end()));
        }
        if self.rows.len() > 1 {
            let total: usize = self.rows.values().map(|sum| sum.messages).sum();
            say(format!("{account}: in all {}", count(total, "messages")));
        }
        let written = self.rows.values().filter(|sum| sum.here);
        let written: u64 = written.map(|sum| sum.bytes).sum();
        if written > 0 {
            let free = self.free.map(|free| format!(", {} are free", bytes(free)));
            let short = self.free.is_some_and(|free| free < written);
            say(format!(
                "{account}: {} to be written here{}{}",
                bytes(written),
                free.unwrap_or_default(),
                if short { ": TOO LITTLE" } else { "" }
            ));
        }
        if let Some(trouble) = &self.trouble {
            say(format!("{account}: sizes are not known: {trouble}"));
        }
    }
}

impl Sum {
    fn size(&self) -> String {
        match (self.bytes, self.open) {
            (0, true) => String::new(),
            (some, true) => format!("{} and more", bytes(some)),
            (some, false) => bytes(some),
        }
    }
}

/// Date, sender and subject of a message, for the user's own terminal only.
pub fn words(about: &Facts) -> String {
    let Some(summary) = &about.summary else {
        return String::new();
    };
    let at = summary.date.or(about.at);
    let at = at.map(|at| date(at, &TimeZone::system()));
    let from = summary.from.first().map(|from| from.short().to_owned());
    let parts = [at, from, Some(summary.subject.clone())];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .map(|part| apart(&part))
        .collect();
    format!(" ({})", parts.join(", "))
}
