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
    framing: Framing,
}

/// Follows lines and literals. async-imap makes room for a literal as soon as it is announced.
#[derive(Debug, Default)]
struct Framing {
    /// The end of the current line.
    line: Vec<u8>,
    /// Bytes of a literal that are still to come.
    literal: u64,
}

impl Framing {
    /// Bytes of a line that suffice to read the size of a literal.
    const END: usize = 24;

    /// Takes received bytes; returns the largest literal that they announce.
    fn take(&mut self, mut bytes: &[u8]) -> u64 {
        let mut largest = 0;
        while !bytes.is_empty() {
            let line = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
            let literal = usize::try_from(self.literal).unwrap_or(usize::MAX);
            let count = if literal > 0 { literal } else { line };
            let (piece, rest) = bytes.split_at(count.min(bytes.len()));
            bytes = rest;
            if literal > 0 {
                self.literal -= piece.len() as u64;
                continue;
            }
            let end = piece.len().saturating_sub(Framing::END);
            self.line
                .extend_from_slice(piece.get(end..).unwrap_or(piece));
            let over = self.line.len().saturating_sub(Framing::END);
            self.line.drain(..over);
            if piece.ends_with(b"\n") {
                self.literal = announced(&self.line).unwrap_or(0);
                largest = largest.max(self.literal);
                self.line.clear();
            }
        }
        largest
    }
}

/// Returns the size of the literal that the end of a line announces: `{12}` or `{12+}`.
fn announced(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r\n")?.strip_suffix(b"}")?;
    let line = line.strip_suffix(b"+").unwrap_or(line);
    let open = line.iter().rposition(|byte| *byte == b'{')?;
    std::str::from_utf8(line.get(open + 1..)?)
        .ok()?
        .parse()
        .ok()
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
            framing: Framing::default(),
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
        let new = to.filled().get(before..).unwrap_or_default();
        meter.received += new.len() as u64;
        let literal = meter.framing.take(new);
        match meter.received.saturating_add(literal) > meter.limit {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_announced_at_ends_of_lines_only() {
        let text = b"* 1 FETCH (X {5}\r\n{9}\r\n Y {12+}\r\n0123456789{} {7})\r\n* {2000}\r\n";
        for step in 1..text.len() {
            let mut framing = Framing::default();
            let told: Vec<u64> = text
                .chunks(step)
                .map(|piece| framing.take(piece))
                .filter(|size| *size > 0)
                .collect();
            assert_eq!(told.iter().max(), Some(&2000), "{step} {told:?}");
            assert!(!told.contains(&9) && !told.contains(&7), "{step} {told:?}");
        }
    }
}
