//! Reads and writes the connection: large buffers, a time limit for everything, and a framer that
//! finds the end of a response. Bodies stream through a tap and are not buffered.
//!
//! Knows lines and literals, not their meaning.

use crate::imap::net::connection_limit::Ticket;
use crate::imap::protocol::secret_mask::SecretMask;
use crate::store::StoreError;
use bytes::BytesMut;
use std::future::poll_fn;
use std::io::ErrorKind::{UnexpectedEof, WriteZero};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

/// A byte stream of any kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug> Stream for T {}

/// The slowest accepted line, bytes a second.
pub const SLOWEST: u64 = 100;
/// Stands for a literal in a frame's text, after its `{n}`.
pub const LITERAL: u8 = 0;
/// Longest response without literals, bytes.
const LINE_LIMIT: usize = 1 << 20;
/// The same for one of numbers only; real SEARCH and VANISHED lines are long.
const NUMBERS_LIMIT: usize = 16 << 20;
/// Growth of the buffer of a long response.
const STEP: usize = 1 << 20;
/// Longest literal that is not a body.
const KEPT_LIMIT: u64 = 1 << 20;
/// Bytes of literals of one response that are kept.
const FRAME_LIMIT: u64 = 2 << 20;
/// Literals of one response, and bytes of those that are not bodies.
const LITERALS: usize = 1000;
const PASSED_LIMIT: u64 = 5 << 30;
/// RFC 9051: number, below 4 GiB.
const LITERAL_LIMIT: u64 = u32::MAX as u64;
/// Bytes of answers that are buffered while the server does not read.
const TAKEN_IN: usize = 1 << 20;
/// Bytes of one read; also the largest chunk of a tap.
const CHUNK: usize = 64 << 10;

/// A complete response: its text with [`LITERAL`] for each literal, and the literals.
#[derive(Debug, Default)]
pub struct Frame {
    /// Without the line end.
    pub text: Vec<u8>,
    /// In order.
    pub literals: Vec<Literal>,
}

/// A literal of a response.
#[derive(Debug)]
pub enum Literal {
    /// Its bytes.
    Kept(Vec<u8>),
    /// It was streamed, or was too large.
    Passed(u64),
}

/// Receives bodies (`BODY[]`) as streams.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread (decision 0003)"
)]
pub trait Tap {
    /// Begins a body of this size.
    async fn begin(&mut self, size: u64) -> Result<(), StoreError>;
    /// Its next bytes.
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError>;
}

/// A tap for commands that request no body; it drops one.
pub struct NoTap;

impl Tap for NoTap {
    async fn begin(&mut self, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn chunk(&mut self, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A connection after login.
#[derive(Debug)]
pub struct Wire {
    stream: Box<dyn Stream>,
    peer: String,
    timeout: Duration,
    incoming: BytesMut,
    outgoing: Vec<u8>,
    hush: SecretMask,
    /// Received bytes.
    received: u64,
    /// The wait for the current response, and where it began.
    waited: Duration,
    began: u64,
    /// Counts the connection until it is dropped.
    _ticket: Option<Ticket>,
}

impl Wire {
    /// Takes a connection over. `peer` is for messages.
    pub fn new(stream: Box<dyn Stream>, peer: String, timeout: Duration) -> Wire {
        let (incoming, outgoing) = (BytesMut::with_capacity(CHUNK), Vec::new());
        Wire {
            stream,
            peer,
            timeout,
            incoming,
            outgoing,
            hush: SecretMask::default(),
            received: 0,
            waited: Duration::ZERO,
            began: 0,
            _ticket: None,
        }
    }

    /// Counts the connection for as long as it is open.
    pub fn counted(self, ticket: Ticket) -> Wire {
        Wire {
            _ticket: Some(ticket),
            ..self
        }
    }

    /// Sets the secret to mask.
    pub fn hushed(self, hush: SecretMask) -> Wire {
        Wire { hush, ..self }
    }

    /// Returns the connection with its settings; `None`: unread bytes remain.
    pub fn into_stream(self) -> Option<(Box<dyn Stream>, String, Duration, SecretMask)> {
        let empty = self.incoming.is_empty() && self.outgoing.is_empty();
        empty.then_some((self.stream, self.peer, self.timeout, self.hush))
    }

    /// Returns the secret to mask.
    pub fn hush(&self) -> &SecretMask {
        &self.hush
    }

    /// Returns the number of received bytes.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Returns the time limit of a response.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Buffers bytes; sends a large buffer.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.outgoing.extend_from_slice(bytes);
        if self.outgoing.len() >= CHUNK {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Sends the buffer. While the server does not read, its responses are read, as it may wait for
    /// that.
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let (stream, incoming) = (&mut self.stream, &mut self.incoming);
        let received = &mut self.received;
        let mut left = self.outgoing.as_slice();
        let send = poll_fn(|cx| {
            while !left.is_empty() {
                match Pin::new(&mut *stream).poll_write(cx, left) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(WriteZero.into())),
                    Poll::Ready(Ok(count)) => left = left.get(count..).unwrap_or_default(),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if incoming.len() >= TAKEN_IN => return Poll::Pending,
                    Poll::Pending => {
                        let mut piece = [0; 8 << 10];
                        let mut piece = ReadBuf::new(&mut piece);
                        ready!(Pin::new(&mut *stream).poll_read(cx, &mut piece))?;
                        if piece.filled().is_empty() {
                            return Poll::Ready(Err(UnexpectedEof.into()));
                        }
                        incoming.extend_from_slice(piece.filled());
                        *received += piece.filled().len() as u64;
                    }
                }
            }
            Pin::new(&mut *stream).poll_flush(cx)
        });
        let sent = tokio::time::timeout(self.timeout, send).await;
        let sent = sent.map_err(|_| self.silent())?;
        sent.map_err(|error| self.lost(&error))?;
        self.outgoing.clear();
        Ok(())
    }

    /// Sends the buffer, and closes the write side.
    pub async fn close(&mut self) -> Result<(), StoreError> {
        self.flush().await?;
        let closed = tokio::time::timeout(self.timeout, self.stream.shutdown()).await;
        let closed = closed.map_err(|_| self.silent())?;
        closed.map_err(|error| self.lost(&error))
    }

    /// Returns the next response; its bodies go through the tap.
    pub async fn frame<T: Tap>(&mut self, tap: &mut T) -> Result<Frame, StoreError> {
        let mut frame = Frame::default();
        (self.waited, self.began) = (Duration::ZERO, self.received);
        let (mut kept, mut passed) = (0, 0);
        loop {
            self.line(&mut frame.text).await?;
            let Some(size) = literal_size(&frame.text)? else {
                return Ok(frame);
            };
            if is_body(&frame.text) {
                tap.begin(size).await?;
                self.pass(size, tap).await?;
                frame.literals.push(Literal::Passed(size));
            } else if size > KEPT_LIMIT || kept + size > FRAME_LIMIT {
                passed += size;
                self.pass(size, &mut NoTap).await?;
                frame.literals.push(Literal::Passed(size));
            } else {
                kept += size;
                let kept = self.keep(size).await?;
                frame.literals.push(Literal::Kept(kept));
            }
            if frame.literals.len() > LITERALS || passed > PASSED_LIMIT {
                return Err(self.broken("sent one response without end"));
            }
            frame.text.push(LITERAL);
        }
    }

    /// Appends a line without its end.
    async fn line(&mut self, text: &mut Vec<u8>) -> Result<(), StoreError> {
        loop {
            let end = memchr::memchr(b'\n', &self.incoming);
            let mut part = match end {
                Some(at) => self.incoming.split_to(at + 1),
                // A CR at the end waits for its LF.
                None => {
                    let half = usize::from(self.incoming.last() == Some(&b'\r'));
                    self.incoming.split_to(self.incoming.len() - half)
                }
            };
            for byte in part.iter_mut().filter(|byte| **byte == LITERAL) {
                *byte = b'?';
            }
            let line = part.strip_suffix(b"\n").unwrap_or(&part);
            let line = line
                .strip_suffix(b"\r")
                .filter(|_| end.is_some())
                .unwrap_or(line);
            if text.len() + line.len() > limit(text) {
                let limit = limit(text) >> 20;
                return Err(self.broken(&format!("sent a line of more than {limit} MiB")));
            }
            if text.len() >= STEP && text.capacity() < text.len() + line.len() {
                text.reserve_exact(line.len().max(STEP));
            }
            text.extend_from_slice(line);
            if end.is_some() {
                return Ok(());
            }
            self.read().await?;
        }
    }

    async fn pass<T: Tap>(&mut self, mut left: u64, tap: &mut T) -> Result<(), StoreError> {
        while left > 0 {
            if self.incoming.is_empty() {
                self.read().await?;
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let chunk = self.incoming.split_to(self.incoming.len().min(most));
            left -= chunk.len() as u64;
            tap.chunk(&chunk).await?;
        }
        Ok(())
    }

    async fn keep(&mut self, size: u64) -> Result<Vec<u8>, StoreError> {
        let mut kept = Vec::new();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        while kept.len() < size {
            if self.incoming.is_empty() {
                self.read().await?;
            }
            let chunk = self
                .incoming
                .split_to(self.incoming.len().min(size - kept.len()));
            kept.extend_from_slice(&chunk);
        }
        Ok(kept)
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        self.incoming.reserve(CHUNK);
        let began = Instant::now();
        let read = self.stream.read_buf(&mut self.incoming);
        let read = tokio::time::timeout(self.timeout, read).await;
        self.waited += began.elapsed();
        match read {
            Ok(Ok(0)) => Err(self.broken("closed the connection")),
            Ok(Ok(count)) => {
                self.received += count as u64;
                let bytes = self.received - self.began;
                let most = 2 * self.timeout + Duration::from_secs(bytes / SLOWEST);
                match self.waited > most {
                    true => Err(self.broken("answers too slowly to come to an end")),
                    false => Ok(()),
                }
            }
            Ok(Err(error)) => Err(self.lost(&error)),
            Err(_) => Err(self.silent()),
        }
    }

    /// Sends the buffer, and waits at most this long for bytes. `false`: none arrived. Cancel safe:
    /// consumes nothing.
    pub async fn arrives(&mut self, within: Duration) -> Result<bool, StoreError> {
        self.flush().await?;
        if !self.incoming.is_empty() {
            return Ok(true);
        }
        self.incoming.reserve(1024);
        let read = self.stream.read_buf(&mut self.incoming);
        match tokio::time::timeout(within, read).await {
            Ok(Ok(0)) => Err(self.broken("closed the connection")),
            Ok(Ok(count)) => {
                self.received += count as u64;
                Ok(true)
            }
            Ok(Err(error)) => Err(self.lost(&error)),
            Err(_) => Ok(false),
        }
    }

    /// Sets the time limit; returns the former one.
    pub fn set_timeout(&mut self, timeout: Duration) -> Duration {
        std::mem::replace(&mut self.timeout, timeout)
    }

    /// Makes an error of this connection.
    pub fn broken(&self, what: &str) -> StoreError {
        StoreError::Retry(format!("{} {what}", self.peer))
    }

    fn lost(&self, error: &std::io::Error) -> StoreError {
        StoreError::Retry(format!("the connection to {} was lost: {error}", self.peer))
    }

    fn silent(&self) -> StoreError {
        let seconds = self.timeout.as_secs();
        StoreError::Retry(format!(
            "{} did not answer within {seconds} s (timeout)",
            self.peer
        ))
    }
}

/// Returns the byte limit of a response by its start, without literals.
fn limit(text: &[u8]) -> usize {
    let begin = text.get(..text.len().min(24)).unwrap_or(text);
    let begin = begin.to_ascii_uppercase();
    let numbers = [&b"* SEARCH"[..], b"* ESEARCH", b"* VANISHED"];
    match numbers.iter().any(|name| begin.starts_with(name)) {
        true => NUMBERS_LIMIT,
        false => LINE_LIMIT,
    }
}

/// Returns the size that a line announces at its end: `{n}`, `{n+}`.
fn literal_size(text: &[u8]) -> Result<Option<u64>, StoreError> {
    let Some(inner) = text.strip_suffix(b"}") else {
        return Ok(None);
    };
    let Some(open) = inner.iter().rposition(|b| *b == b'{') else {
        return Ok(None);
    };
    let digits = inner.get(open + 1..).unwrap_or_default();
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    let size = std::str::from_utf8(digits)
        .ok()
        .and_then(|d| d.parse::<u64>().ok());
    match size {
        Some(size) if size <= LITERAL_LIMIT => Ok(Some(size)),
        _ => Err(StoreError::Retry(format!(
            "the server announced an absurd literal of {} bytes",
            String::from_utf8_lossy(digits)
        ))),
    }
}

fn is_body(text: &[u8]) -> bool {
    let open = text.iter().rposition(|b| *b == b'{').unwrap_or(0);
    let before = text.get(..open).unwrap_or_default();
    let before = before.strip_suffix(b"~").unwrap_or(before).trim_ascii_end();
    let tail = before
        .get(before.len().saturating_sub(6)..)
        .unwrap_or_default();
    tail.eq_ignore_ascii_case(b"BODY[]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Catch(Vec<u8>);

    impl Tap for Catch {
        async fn begin(&mut self, size: u64) -> Result<(), StoreError> {
            self.0.extend(format!("<{size}>").bytes());
            Ok(())
        }
        async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(work)
    }

    fn wire(read: &[u8], step: usize) -> Wire {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        let bytes = read.to_vec();
        tokio::spawn(async move {
            for piece in bytes.chunks(step) {
                server.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        });
        Wire::new(
            Box::new(client),
            "test server".into(),
            Duration::from_secs(9),
        )
    }

    #[test]
    fn frames_do_not_depend_on_how_bytes_arrive() {
        let session = b"* 1 FETCH (BODY[] {5}\r\nab\r\n! UID 3 BODY[HEADER] {2}\r\nhi)\r\n* OK\n";
        for step in 1..session.len() {
            block_on(async {
                let (mut wire, mut tap) = (wire(session, step), Catch::default());
                let frame = wire.frame(&mut tap).await.unwrap();
                assert_eq!(
                    frame.text,
                    b"* 1 FETCH (BODY[] {5}\0 UID 3 BODY[HEADER] {2}\0)"
                );
                assert_eq!(tap.0, b"<5>ab\r\n!");
                assert!(matches!(&frame.literals[1], Literal::Kept(bytes) if bytes == b"hi"));
                assert_eq!(wire.frame(&mut tap).await.unwrap().text, b"* OK");
                let silent = wire.frame(&mut tap).await.unwrap_err().to_string();
                assert_eq!(silent, "test server did not answer within 9 s (timeout)");
            });
        }
    }

    #[test]
    fn absurd_sizes_are_refused_without_allocating() {
        for size in [
            "4294967296",
            "9223372036854775808",
            "99999999999999999999999",
        ] {
            block_on(async {
                let line = format!("* 1 FETCH (BODY[] {{{size}}}\r\n");
                let error = wire(line.as_bytes(), 10)
                    .frame(&mut NoTap)
                    .await
                    .unwrap_err();
                assert!(error.to_string().contains("absurd literal"), "{error}");
            });
        }
        // Not a literal.
        block_on(async {
            let frame = wire(b"* OK {-1}\r\n", 3).frame(&mut NoTap).await.unwrap();
            assert_eq!(frame.text, b"* OK {-1}");
        });
    }
}
