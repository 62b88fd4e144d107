//! Signals. TERM and INT stop after the current batch, a second one at once, which loses no
//! recorded work. HUP and USR1 are commands to the watcher; HUP of a terminal that was closed stops
//! it.

use crate::engine::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{flag, low_level};
use std::io;
use std::os::unix::net;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// The exit status after a second signal.
const INTERRUPTED: i32 = 130;

/// Registers the handlers and returns the request to stop that they set.
pub fn stop_on_signals() -> io::Result<Stop> {
    Ok(Stop::from_flag(twice_is_at_once()?))
}

fn twice_is_at_once() -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Registered first, so that it acts only if an earlier signal set the flag.
        flag::register_conditional_shutdown(signal, INTERRUPTED, asked.clone())?;
        flag::register(signal, asked.clone())?;
    }
    Ok(asked)
}

/// What a signal requests of the watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalRequest {
    /// TERM, INT: stop.
    Stop,
    /// HUP: read the configuration again.
    Reload,
    /// USR1: sync all mailboxes now.
    Look,
}

/// Receives signals by one pipe for each request, so that none is lost.
pub struct Signals {
    stop: UnixStream,
    reload: UnixStream,
    look: UnixStream,
    /// Whether the program began on a terminal whose end should end it: not under nohup(1).
    on_terminal: bool,
}

impl Signals {
    /// Registers the handlers.
    pub fn new() -> io::Result<Signals> {
        // Before a handler takes the place of what nohup(1) set.
        let on_terminal = has_terminal() && !is_ignored(SIGHUP);
        twice_is_at_once()?;
        let (stop, end) = pipe()?;
        low_level::pipe::register(SIGTERM, end.try_clone()?)?;
        low_level::pipe::register(SIGINT, end)?;
        let (reload, end) = pipe()?;
        low_level::pipe::register(SIGHUP, end)?;
        let (look, end) = pipe()?;
        low_level::pipe::register(SIGUSR1, end)?;
        Ok(Signals {
            stop,
            reload,
            look,
            on_terminal,
        })
    }

    /// Waits for the next request. Equal signals may arrive as one.
    pub async fn next(&mut self) -> io::Result<SignalRequest> {
        let (mut a, mut b, mut c) = ([0; 64], [0; 64], [0; 64]);
        tokio::select! {
            read = self.stop.read(&mut a) => read.map(|_| SignalRequest::Stop),
            read = self.reload.read(&mut b) => read.map(|_| {
                match self.on_terminal && !has_terminal() {
                    true => SignalRequest::Stop,
                    false => SignalRequest::Reload,
                }
            }),
            read = self.look.read(&mut c) => read.map(|_| SignalRequest::Look),
        }
    }
}

/// Whether there is a controlling terminal.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether a signal is ignored (proc(5), `SigIgn`).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

fn pipe() -> io::Result<(UnixStream, net::UnixStream)> {
    let (read, write) = net::UnixStream::pair()?;
    read.set_nonblocking(true)?;
    Ok((UnixStream::from_std(read)?, write))
}
