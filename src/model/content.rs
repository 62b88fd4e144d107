//! The identity of a message: its content, in a form that does not depend on what servers and
//! Maildirs do to line ends.
//!
//! A Message-ID is never identity: senders choose it, and mailing lists repeat it.

use super::bare::Bare;
use super::counted::counted;
use std::cmp::Ordering;
use std::fmt;

/// BLAKE3 of the normalized bytes of a message.
#[derive(Clone, Copy)]
pub struct ContentHash(pub [u8; 32]);

counted!(ContentHash);

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

/// Hashes a normalized message as a stream: without CR, with the newlines at its end counted as
/// one, and without header lines that mail readers add ([`Bare`]). Dovecot, Cyrus, Courier, LF
/// files and mutt alter nothing else.
#[derive(Default)]
pub struct Canonical {
    bare: Bare,
    lines: Lines,
}

#[derive(Default)]
struct Lines {
    hasher: blake3::Hasher,
    /// Bytes not hashed yet: BLAKE3 is several times faster over blocks than over lines.
    block: Vec<u8>,
    newlines: usize,
}

/// The block size: 16 chunks of BLAKE3, the most that it processes at once.
const BLOCK: usize = 16 << 10;

impl Canonical {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let Canonical { bare, lines } = self;
        bare.pass(bytes, &mut |part| lines.update(part));
    }

    /// Returns the hash of all bytes.
    pub fn finish(self) -> ContentHash {
        let Canonical { bare, mut lines } = self;
        bare.end(&mut |part| lines.update(part));
        lines.hash_block();
        lines.hasher.update(b"\n");
        ContentHash(*lines.hasher.finalize().as_bytes())
    }

    /// Returns the hash of these bytes.
    pub fn of(bytes: &[u8]) -> ContentHash {
        let mut canonical = Canonical::default();
        canonical.update(bytes);
        canonical.finish()
    }
}

/// Hashes a message without bytes that servers alter: NUL (Dovecot stores 0x80), and 8-bit bytes in
/// the header (Cyrus stores X).
#[derive(Default)]
pub struct Lenient {
    canonical: Canonical,
    /// Whether the header has ended.
    text: bool,
    /// Whether the current line has bytes.
    filled: bool,
}

impl Lenient {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let plain: Vec<u8> = bytes.iter().map(|byte| self.plain(*byte)).collect();
        self.canonical.update(&plain);
    }

    fn plain(&mut self, byte: u8) -> u8 {
        match byte {
            b'\r' => {}
            b'\n' => {
                self.text |= !self.filled;
                self.filled = false;
            }
            _ => self.filled = true,
        }
        match byte {
            0 | 0x80.. if !self.text => b'X',
            0 => 0x80,
            other => other,
        }
    }

    /// Returns the hash of all bytes.
    pub fn finish(self) -> ContentHash {
        self.canonical.finish()
    }

    /// Returns the hash of these bytes.
    pub fn of(bytes: &[u8]) -> ContentHash {
        let mut lenient = Lenient::default();
        lenient.update(bytes);
        lenient.finish()
    }
}

impl Lines {
    fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
            let (run, tail) = rest.split_at(end);
            self.take(run);
            rest = tail.get(1..).unwrap_or_default();
        }
    }

    /// Takes bytes without CR.
    fn take(&mut self, run: &[u8]) {
        let trailing = run.iter().rev().take_while(|b| **b == b'\n').count();
        if trailing == run.len() {
            self.newlines += trailing;
            return;
        }
        while self.newlines > 0 {
            let some = self.newlines.min(BLOCK);
            self.block.resize(self.block.len() + some, b'\n');
            self.newlines -= some;
            self.hash_full_block();
        }
        let (text, _) = run.split_at(run.len() - trailing);
        self.newlines = trailing;
        if text.len() >= BLOCK {
            self.hash_block();
            self.hasher.update(text);
        } else {
            self.block.extend_from_slice(text);
            self.hash_full_block();
        }
    }

    fn hash_full_block(&mut self) {
        if self.block.len() >= BLOCK {
            self.hash_block();
        }
    }

    fn hash_block(&mut self) {
        self.hasher.update(&self.block);
        self.block.clear();
    }
}

/// Cheap evidence that two messages are equal: RFC822.SIZE, and the hash of the header with the
/// first bytes of the text.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint {
    /// Bytes with CRLF line ends, without header lines that mail programs add.
    pub size: u64,
    /// Bytes of those lines; no evidence.
    pub whole: u64,
    /// The hash of the header and the first [`Fingerprint::TEXT`] bytes of the text.
    pub head: ContentHash,
    /// Whether the header has a trace field (`Received`, RFC 5321, 4.4). Only then do equal headers
    /// and sizes identify a delivery; two versions of a draft may have equal ones.
    pub traced: bool,
}

impl Fingerprint {
    fn key(&self) -> (u64, ContentHash, bool) {
        (self.size, self.head, self.traced)
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Fingerprint) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Fingerprint {}

impl PartialOrd for Fingerprint {
    fn partial_cmp(&self, other: &Fingerprint) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Fingerprint {
    fn cmp(&self, other: &Fingerprint) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Fingerprint {
    /// The bytes of text (with CRLF line ends) that are hashed with the header.
    pub const TEXT: usize = 512;

    /// Makes a fingerprint of the size of the message, its header and the start of its text, both
    /// with CRLF line ends.
    pub fn new(whole: u64, header: &[u8], text: &[u8]) -> Fingerprint {
        let header = header.trim_ascii_end();
        let size = whole.saturating_sub(added(header));
        let mut canonical = Canonical::default();
        canonical.update(header);
        canonical.update(b"\n\n");
        canonical.update(text.get(..Self::TEXT).unwrap_or(text));
        let mut lines = header.split(|b| *b == b'\n');
        let trace = |line: &[u8]| {
            line.get(..9)
                .is_some_and(|name| name.eq_ignore_ascii_case(b"Received:"))
        };
        Fingerprint {
            size,
            whole,
            head: canonical.finish(),
            traced: lines.any(trace),
        }
    }

    /// Makes a fingerprint of a complete message with CRLF line ends.
    pub fn of_wire(wire: &[u8]) -> Fingerprint {
        let (header, text) = match memchr::memmem::find(wire, b"\r\n\r\n") {
            Some(at) => wire.split_at(at + 4),
            None => (wire, &[][..]),
        };
        Fingerprint::new(wire.len() as u64, header, text)
    }
}

/// Counts the bytes that mail programs added to a header. The last line end may be missing.
fn added(header: &[u8]) -> u64 {
    let (mut bare, mut left) = (Bare::default(), 0);
    let mut count = |part: &[u8]| left += part.len();
    bare.pass(header, &mut count);
    bare.pass(b"\r\n", &mut count);
    bare.end(&mut count);
    (header.len() + 2).saturating_sub(left) as u64
}

/// Pieces of a message: equal pieces of two messages of equal size, date and Message-ID are
/// evidence that the messages are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Bytes of the complete message with CRLF line ends.
    pub size: u64,
    /// The hash of the pieces.
    pub hash: ContentHash,
}

impl Excerpt {
    /// Returns offset and length of the pieces: start, middle and end, or all of a small message.
    /// Equal for similar sizes, so that one FETCH serves many messages.
    pub fn ranges(size: u64) -> Vec<(u64, u64)> {
        if size <= 1792 {
            return vec![(0, size)];
        }
        let step = (size.next_power_of_two() / 32).max(1);
        let about = size / step * step;
        vec![(0, 1024), (about / 2, 256), (about - 512, 512)]
    }

    /// Whether the pieces of a message of this size, bytes, cover all of it.
    pub fn is_whole(size: u64) -> bool {
        Excerpt::ranges(size).len() == 1
    }

    /// Makes an excerpt of the pieces, in order.
    pub fn of_pieces<'a>(size: u64, pieces: impl IntoIterator<Item = &'a [u8]>) -> Excerpt {
        let mut canonical = Canonical::default();
        for piece in pieces {
            canonical.update(piece);
            canonical.update(b"\n|\n");
        }
        let hash = canonical.finish();
        Excerpt { size, hash }
    }

    /// Makes an excerpt of all bytes of a message, with CRLF line ends.
    pub fn of_wire(wire: &[u8]) -> Excerpt {
        let size = wire.len() as u64;
        let piece = |(at, length): (u64, u64)| {
            let (from, to) = (at as usize, (at + length) as usize);
            wire.get(from..to.min(wire.len())).unwrap_or_default()
        };
        Excerpt::of_pieces(size, Excerpt::ranges(size).into_iter().map(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_final_newlines_do_not_count() {
        let a = Canonical::of(b"Subject: x\r\n\r\nhello\r\n");
        assert_eq!(a, Canonical::of(b"Subject: x\n\nhello\n"));
        assert_eq!(a, Canonical::of(b"Subject: x\n\nhello"));
        assert_eq!(a, Canonical::of(b"Subject: x\n\nhello\n\r\n\n"));
        assert_ne!(a, Canonical::of(b"Subject: x\nhello\n"));
        assert_ne!(a, Canonical::of(b"Subject: x\n\n\nhello\n"));
    }

    /// State databases contain the hash, so it must never change.
    #[test]
    fn the_hash_is_that_of_the_plain_definition() {
        let long = format!("{}\r\n", "0123456789".repeat(11)).repeat(400);
        let newlines = "\n".repeat(3 * BLOCK);
        for text in [
            long.clone(),
            format!("{long}\n{newlines}{long}\r"),
            format!("{newlines}x"),
            "y".repeat(5 * BLOCK),
        ] {
            let message = format!("\n{text}");
            let plain = message.replace('\r', "");
            let want = blake3::hash(format!("{}\n", plain.trim_end_matches('\n')).as_bytes());
            for step in [1, 7, 1000, 8192, BLOCK + 1, message.len()] {
                let mut canonical = Canonical::default();
                message
                    .as_bytes()
                    .chunks(step)
                    .for_each(|part| canonical.update(part));
                assert_eq!(canonical.finish().0, *want.as_bytes(), "in steps of {step}");
            }
        }
    }

    #[test]
    fn known_alterations_of_servers_do_not_count_leniently() {
        let sent = b"Subject: \xc3\xa4\r\n\r\nnul \0, \xe4\r\n";
        let dovecot = b"Subject: \xc3\xa4\n\nnul \x80, \xe4\n";
        let cyrus = b"Subject: XX\n\nnul \0, \xe4";
        for made in [&dovecot[..], &cyrus[..]] {
            assert_ne!(Canonical::of(sent), Canonical::of(made));
            assert_eq!(Lenient::of(sent), Lenient::of(made));
        }
        assert_ne!(Lenient::of(sent), Lenient::of(b"Subject: XX\n\nnul X, X\n"));
        assert_ne!(Lenient::of(b"\n\xe4"), Lenient::of(b"\nX"), "no header");
    }

    #[test]
    fn any_split_gives_the_same_hash() {
        let bytes = b"a\r\n\r\n\nb\rc\n\n\r\nd\n\n";
        let whole = Canonical::of(bytes);
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            let mut canonical = Canonical::default();
            canonical.update(left);
            canonical.update(right);
            assert_eq!(canonical.finish(), whole, "cut at {cut}");
        }
    }
}
