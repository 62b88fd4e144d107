//! The stream below async-imap's session that reads messages, on a logged-in connection. async-imap
//! makes a session only by a login, so its first line is answered here and not sent. Received bytes
//! are counted, and limited for each command.

use crate::imap::protocol::wire::Stream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A logged-in connection.
#[derive(Debug)]
pub struct Meter {
    inner: Box<dyn Stream>,
    login: Login,
    /// Received bytes.
    received: u64,
    /// The limit of received bytes.
    limit: u64,
}

/// The state of async-imap's login.
#[derive(Debug)]
enum Login {
    /// Its line, as far as it was sent.
    Awaited(Vec<u8>),
    /// The answer to it.
    Answered(Vec<u8>),
    /// It is complete.
    Past,
}

impl Meter {
    /// Wraps a logged-in connection.
    pub fn around(inner: Box<dyn Stream>) -> Meter {
        Meter {
            inner,
            login: Login::Awaited(Vec::new()),
            received: 0,
            limit: u64::MAX,
        }
    }

    /// Permits this many further bytes.
    pub fn allow(&mut self, bytes: u64) {
        self.limit = self.received.saturating_add(bytes);
    }

    /// Returns the received bytes.
    pub fn received(&self) -> u64 {
        self.received
    }
}

impl AsyncRead for Meter {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let meter = self.get_mut();
        if let Login::Answered(answer) = &mut meter.login {
            let count = answer.len().min(to.remaining());
            let rest = answer.split_off(count);
            to.put_slice(answer);
            meter.login = match rest.is_empty() {
                true => Login::Past,
                false => Login::Answered(rest),
            };
            return Poll::Ready(Ok(()));
        }
        let before = to.filled().len();
        ready!(Pin::new(&mut meter.inner).poll_read(cx, to))?;
        meter.received += (to.filled().len() - before) as u64;
        match meter.received > meter.limit {
            true => Poll::Ready(Err(io::Error::other("the answer is longer than it may be"))),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Meter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let meter = self.get_mut();
        if let Login::Awaited(line) = &mut meter.login {
            line.extend_from_slice(bytes);
            if line.ends_with(b"\r\n") {
                let tag = line.split(|byte| *byte == b' ').next().unwrap_or_default();
                let answer = [tag, b" OK here\r\n"].concat();
                meter.login = Login::Answered(answer);
            }
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut meter.inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
