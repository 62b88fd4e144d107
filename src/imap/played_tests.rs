//! Test support: a session with a scripted server.

use crate::imap::protocol::wire::Wire;
use crate::imap::session::Session;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// The received commands, without tags.
pub type Said = Rc<RefCell<Vec<String>>>;

/// A server that answers as `answer` says, at once.
pub fn session(mut answer: impl FnMut(&str, &str) -> String + 'static) -> (Session, Said) {
    let (client, server) = tokio::io::duplex(1 << 16);
    let said = Said::default();
    let heard = said.clone();
    tokio::task::spawn_local(async move {
        let (read, mut write) = tokio::io::split(server);
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let (tag, command) = line.split_once(' ').unwrap_or(("", &line));
            heard.borrow_mut().push(command.to_owned());
            if write
                .write_all(answer(tag, command).as_bytes())
                .await
                .is_err()
            {
                return;
            }
        }
    });
    let wire = Wire::new(Box::new(client), "test".into(), Duration::from_secs(9));
    (Session::over(wire), said)
}

/// Runs a test on a paused clock.
pub fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// A mailbox that can be selected.
pub const OPENS: &str = "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n";
