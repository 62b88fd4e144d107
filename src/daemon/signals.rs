//! Signals: TERM and INT ask to stop after the batch under way; a second one stops at once, which
//! is safe too, only less tidy. HUP and USR1 are orders to the watcher.

use crate::engine::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{flag, low_level};
use std::io;
use std::os::unix::net;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// The exit status of a run that was ended by a second signal.
const INTERRUPTED: i32 = 130;

/// From now on signals set the request that is returned.
pub fn stop_on_signals() -> io::Result<Stop> {
    Ok(Stop::from_flag(twice_is_at_once()?))
}

fn twice_is_at_once() -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Registered first, so it acts only when the flag was set by an earlier signal.
        flag::register_conditional_shutdown(signal, INTERRUPTED, asked.clone())?;
        flag::register(signal, asked.clone())?;
    }
    Ok(asked)
}

/// What a signal asks of the watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// TERM, INT: stop.
    Stop,
    /// HUP: read the configuration again.
    Reload,
    /// USR1: look everywhere now.
    Look,
}

/// Signals as they come. A pipe for each kind, so that none is lost and nothing is done where a
/// signal strikes.
pub struct Signals {
    stop: UnixStream,
    reload: UnixStream,
    look: UnixStream,
}

impl Signals {
    /// From now on.
    pub fn new() -> io::Result<Signals> {
        twice_is_at_once()?;
        let (stop, end) = pipe()?;
        low_level::pipe::register(SIGTERM, end.try_clone()?)?;
        low_level::pipe::register(SIGINT, end)?;
        let (reload, end) = pipe()?;
        low_level::pipe::register(SIGHUP, end)?;
        let (look, end) = pipe()?;
        low_level::pipe::register(SIGUSR1, end)?;
        Ok(Signals { stop, reload, look })
    }

    /// The next. Several of one kind may come as one.
    pub async fn next(&mut self) -> io::Result<Asked> {
        let (mut a, mut b, mut c) = ([0; 64], [0; 64], [0; 64]);
        tokio::select! {
            read = self.stop.read(&mut a) => read.map(|_| Asked::Stop),
            read = self.reload.read(&mut b) => read.map(|_| Asked::Reload),
            read = self.look.read(&mut c) => read.map(|_| Asked::Look),
        }
    }
}

fn pipe() -> io::Result<(UnixStream, net::UnixStream)> {
    let (read, write) = net::UnixStream::pair()?;
    read.set_nonblocking(true)?;
    Ok((UnixStream::from_std(read)?, write))
}
