//! Filters the stream of async-imap during login: one line a read, so that its buffer is empty
//! afterwards, and only needed lines, reduced to their status, so that no text of a server can
//! break its parser. After login it passes bytes unchanged.

use crate::imap::protocol::secret_mask::SecretMask;
use crate::imap::protocol::wire::Stream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest line before login, bytes.
const LIMIT: usize = 64 << 10;

/// A connection during login.
#[derive(Debug)]
pub struct LoginFilter {
    inner: Box<dyn Stream>,
    read: Vec<u8>,
    given: Vec<u8>,
    open: bool,
    /// The last announced capabilities in upper case; `None`: none.
    pub capabilities: Option<Vec<String>>,
    /// The last status line without its tag.
    pub said: String,
    hush: SecretMask,
}

impl LoginFilter {
    /// Wraps a new connection; `hush` is masked in the server's texts.
    pub fn new(inner: Box<dyn Stream>, hush: SecretMask) -> LoginFilter {
        LoginFilter {
            inner,
            read: Vec::new(),
            given: Vec::new(),
            open: false,
            capabilities: None,
            said: String::new(),
            hush,
        }
    }

    /// Passes bytes unchanged from now on.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Returns the connection and the bytes after the last line.
    pub fn into_parts(self) -> (Box<dyn Stream>, Vec<u8>) {
        (self.inner, self.read)
    }

    /// Returns a line for async-imap; `None`: it is dropped.
    fn reduce(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>, std::io::Error> {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        // Empty lines answer nothing.
        if text.is_empty() {
            return Ok(None);
        }
        if text.ends_with('}') && text.contains('{') {
            return Err(std::io::Error::other(
                "the server sent a literal before login",
            ));
        }
        // Any continuation request invites the response: some servers send words where RFC 9051
        // demands base64, and the error of XOAUTH2 is answered with an empty line.
        if text.starts_with('+') {
            return Ok(Some(b"+ \r\n".to_vec()));
        }
        let (tag, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let (word, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        let word = word.to_ascii_uppercase();
        if let Some(list) = capability_code(rest) {
            self.capabilities = Some(list);
        }
        match (tag, word.as_str()) {
            ("*", "CAPABILITY") => {
                self.capabilities = Some(words(tail));
                Ok(None)
            }
            ("*", "OK" | "NO" | "BAD" | "BYE" | "PREAUTH") => {
                self.said = self.hush.mask(rest);
                Ok(Some(format!("* {word} x\r\n").into_bytes()))
            }
            ("*", _) => Ok(None),
            (tag, "OK" | "NO" | "BAD") => {
                self.said = self.hush.mask(rest);
                Ok(Some(format!("{tag} {word} x\r\n").into_bytes()))
            }
            _ => Err(std::io::Error::other("this is not an IMAP server")),
        }
    }
}

fn capability_code(rest: &str) -> Option<Vec<String>> {
    let start = rest.to_ascii_uppercase().find("[CAPABILITY ")?;
    let inner = rest.get(start + "[CAPABILITY ".len()..)?;
    Some(words(inner.split(']').next()?))
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace()
        .map(str::to_ascii_uppercase)
        .collect()
}

fn give(from: &mut Vec<u8>, to: &mut ReadBuf<'_>) {
    let count = from.len().min(to.remaining());
    let rest = from.split_off(count);
    to.put_slice(from);
    *from = rest;
}

impl AsyncRead for LoginFilter {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let gate = self.get_mut();
        loop {
            if !gate.given.is_empty() {
                give(&mut gate.given, to);
                return Poll::Ready(Ok(()));
            }
            if gate.open {
                if gate.read.is_empty() {
                    return Pin::new(&mut gate.inner).poll_read(cx, to);
                }
                give(&mut gate.read, to);
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = memchr::memchr(b'\n', &gate.read) {
                let rest = gate.read.split_off(end + 1);
                let line = std::mem::replace(&mut gate.read, rest);
                if let Some(reduced) = gate.reduce(&line)? {
                    gate.given = reduced;
                }
                continue;
            }
            if gate.read.len() > LIMIT {
                let what = "the server sent an endless line before login";
                return Poll::Ready(Err(std::io::Error::other(what)));
            }
            let mut space = [0; 4096];
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut gate.inner).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            gate.read.extend_from_slice(buffer.filled());
        }
    }
}

impl AsyncWrite for LoginFilter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
