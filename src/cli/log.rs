//! The log: to standard error, for people or as JSON. Libraries that print what they send
//! (passwords among it) are kept silent at every level.

use super::arguments::{Arguments, LogFormat};
use crate::imap::TELLTALES;
use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;

/// Begins to log.
pub fn start(arguments: &Arguments) {
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "mailtide=info,warn",
        (false, 2) => "mailtide=debug,warn",
        (false, _) => "mailtide=trace,warn",
    };
    let silent: String = TELLTALES.map(|target| format!(",{target}=off")).concat();
    let filter = EnvFilter::new(format!("{level}{silent},rustls=warn"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    let started = match arguments.log_format {
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Text => lines
            .with_ansi(stderr().is_terminal())
            .with_target(false)
            .try_init(),
    };
    if let Err(error) = started {
        eprintln!("mailtide: the log cannot be written: {error}");
    }
}
