//! The metrics of all accounts as OpenMetrics text, which the textfile collector of the node
//! exporter reads, too.

use crate::daemon::last_run::replace;
use crate::daemon::status_board::AccountStatus;
use std::io;
use std::path::Path;

/// Writes the metrics file as a whole; everybody may read it.
pub fn write_metrics(path: &Path, all: &[AccountStatus]) -> io::Result<()> {
    replace(path, text(all).as_bytes(), 0o644)
}

/// A metric: name, kind, unit, help.
struct Family(&'static str, &'static str, &'static str, &'static str);

const GOOD: Family = Family(
    "mailtide_last_good_run_timestamp_seconds",
    "gauge",
    "seconds",
    "End of the last run without an error or a held change, since 1970.",
);
const LAST: Family = Family(
    "mailtide_last_run_timestamp_seconds",
    "gauge",
    "seconds",
    "End of the last run, since 1970.",
);
const LAG: Family = Family(
    "mailtide_lag_seconds",
    "gauge",
    "seconds",
    "Age of the oldest change that is not synchronized.",
);
const HELD: Family = Family(
    "mailtide_held_changes",
    "gauge",
    "",
    "Changes that wait for approval.",
);
const ERRORS: Family = Family("mailtide_current_errors", "gauge", "", "Current errors.");
const MESSAGES: Family = Family(
    "mailtide_synchronized_messages",
    "gauge",
    "",
    "Messages on both sides.",
);
const COPIED: Family = Family(
    "mailtide_copied_messages",
    "counter",
    "",
    "Messages copied, by direction.",
);
const BYTES: Family = Family(
    "mailtide_copied_bytes",
    "counter",
    "bytes",
    "Bytes of messages copied, by direction.",
);
const FAILURES: Family = Family("mailtide_errors", "counter", "", "Errors of all runs.");
const DRIFT: Family = Family(
    "mailtide_drift",
    "counter",
    "",
    "Changes that incremental runs missed; should stay 0.",
);

/// A sample of an account: more labels, and the value; `None`: not known.
type Sample = (&'static str, Option<f64>);

fn text(all: &[AccountStatus]) -> String {
    let mut out = String::new();
    let mut add = |family: &Family, samples: &dyn Fn(&AccountStatus) -> Vec<Sample>| {
        let Family(name, kind, unit, help) = family;
        out.push_str(&format!("# TYPE {name} {kind}\n"));
        if !unit.is_empty() {
            out.push_str(&format!("# UNIT {name} {unit}\n"));
        }
        out.push_str(&format!("# HELP {name} {help}\n"));
        let suffix = if *kind == "counter" { "_total" } else { "" };
        for one in all {
            // The name of an account needs no escapes: letters, digits and ._@+- only.
            let account = &one.account;
            for (labels, value) in samples(one) {
                let Some(value) = value else { continue };
                let labels = format!("account=\"{account}\"{labels}");
                out.push_str(&format!("{name}{suffix}{{{labels}}} {value}\n"));
            }
        }
    };
    let one = |value: f64| vec![("", Some(value))];
    add(&GOOD, &|a| vec![("", a.synced_at.map(|at| at as f64))]);
    add(&LAST, &|a| vec![("", a.last_at.map(|at| at as f64))]);
    add(&LAG, &|a| one(a.lag));
    add(&HELD, &|a| one(a.held.len() as f64));
    add(&ERRORS, &|a| one(a.errors.len() as f64));
    let messages = |a: &AccountStatus| a.mailboxes.iter().map(|m| m.messages).sum::<usize>();
    add(&MESSAGES, &|a| one(messages(a) as f64));
    let ways = |down: u64, up: u64| {
        let down = (",direction=\"down\"", Some(down as f64));
        vec![down, (",direction=\"up\"", Some(up as f64))]
    };
    add(&COPIED, &|a| ways(a.totals.downloaded, a.totals.uploaded));
    add(&BYTES, &|a| ways(a.totals.bytes_down, a.totals.bytes_up));
    add(&FAILURES, &|a| one(a.totals.errors as f64));
    add(&DRIFT, &|a| one(a.totals.drift as f64));
    out.push_str("# EOF\n");
    out
}
