//! The log: to standard error, for people or as JSON, or to the journal with its fields. Libraries
//! that print what they send (passwords among it) are kept silent at every level.

use super::arguments::{Arguments, CliCommand, LogFormat};
use super::outside::Outside;
use super::print::complain;
use super::terminal;
use crate::imap::TELLTALES;
use std::io::{IsTerminal, stderr};
use std::os::unix::fs::MetadataExt;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins to log.
pub fn start(arguments: &Arguments) {
    // A service says what it changes; a command says it in its result.
    let quiet = match arguments.command {
        // Each message is too much: a first sync has a million of them.
        CliCommand::Watch(_) => "mailtide=info,mailtide::state=warn,warn",
        _ => "warn",
    };
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => "error",
        (false, 0) => quiet,
        (false, 1) if quiet == "warn" => "mailtide=info,warn",
        (false, 1 | 2) => "mailtide=debug,warn",
        (false, _) => "mailtide=trace,warn",
    };
    let silent: String = TELLTALES.map(|target| format!(",{target}=off")).concat();
    let filter = EnvFilter::new(format!("{level}{silent},rustls=warn,zbus=off"));
    let journal = match arguments.log_format {
        None if stderr_is_journal() => tracing_journald::layer().ok(),
        _ => None,
    };
    if let Some(journal) = journal {
        let journal = journal
            .with_field_prefix(Some("MAILTIDE".into()))
            .with_syslog_identifier("mailtide".into());
        said(
            tracing_subscriber::registry()
                .with(filter)
                .with(Outside(journal))
                .try_init(),
        );
        return;
    }
    let registry = tracing_subscriber::registry().with(filter);
    // What cannot be written is lost: a closed standard error ends nothing.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_timer(Zoned)
        .log_internal_errors(false);
    match arguments.log_format {
        Some(LogFormat::Json) => said(registry.with(Outside(lines.json())).try_init()),
        Some(LogFormat::Text) | None => {
            let lines = lines
                .with_ansi(stderr().is_terminal() && terminal::wants_colour())
                .with_target(false);
            said(registry.with(Outside(lines)).try_init());
        }
    }
}

/// The time of a line: RFC 3339, in the zone of the machine.
struct Zoned;

impl FormatTime for Zoned {
    fn format_time(&self, out: &mut Writer<'_>) -> std::fmt::Result {
        let now = jiff::Zoned::now();
        write!(out, "{}", now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z"))
    }
}

fn said<E: std::fmt::Display>(started: Result<(), E>) {
    if let Err(error) = started {
        complain(format!("mailtide: the log cannot be written: {error}"));
    }
}

/// systemd says which file its journal is (systemd.exec(5), `JOURNAL_STREAM`): device and inode.
fn stderr_is_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else {
        return false;
    };
    let Ok(meta) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", meta.dev(), meta.ino())
}
