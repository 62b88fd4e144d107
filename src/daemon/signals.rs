//! Signals: TERM and INT ask to stop after the batch under way; a second one stops at once, which
//! is safe too, only less tidy.

use crate::engine::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The exit status of a run that was ended by a second signal.
const INTERRUPTED: i32 = 130;

/// From now on signals set the request that is returned.
pub fn stop_on_signals() -> io::Result<Stop> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Registered first, so it acts only when the flag was set by an earlier signal.
        flag::register_conditional_shutdown(signal, INTERRUPTED, asked.clone())?;
        flag::register(signal, asked.clone())?;
    }
    Ok(Stop::from_flag(asked))
}
