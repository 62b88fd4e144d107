//! Ids that the copies of a message on the server share: an id of the server, or a number made of
//! the envelope.

use super::id::Timestamp;
use std::fmt;

/// The id that a message keeps when it is copied or moved. Odd numbers come from the server
/// (EMAILID, X-GM-MSGID) and are proof; even ones are made of Message-ID, INTERNALDATE and
/// RFC822.SIZE and are evidence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kin(i64);

impl Kin {
    /// Makes an id of EMAILID (RFC 8474, 5.1) or X-GM-MSGID: unique in an account, and equal only
    /// for equal content.
    pub fn object(id: &[u8]) -> Kin {
        Kin(Kin::number_of(b"object", &[id]) | 1)
    }

    /// Makes an id of Message-ID (empty if absent), INTERNALDATE and size on the wire.
    pub fn envelope(message_id: &[u8], date: Timestamp, size: u64) -> Kin {
        let parts = [message_id, &date.0.to_be_bytes(), &size.to_be_bytes()];
        Kin(Kin::number_of(b"envelope", &parts) & !1)
    }

    fn number_of(kind: &[u8], parts: &[&[u8]]) -> i64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(kind);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut number = [0; 8];
        hasher.finalize_xof().fill(&mut number);
        i64::from_be_bytes(number)
    }

    /// Whether the server issued it.
    pub fn proves(self) -> bool {
        self.0 & 1 == 1
    }

    /// Returns the stored number.
    pub fn number(self) -> i64 {
        self.0
    }

    /// Makes an id of the stored number.
    pub fn from_number(number: i64) -> Kin {
        Kin(number)
    }
}

impl fmt::Debug for Kin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kin {:016x}", self.0)
    }
}

/// Finds the Message-ID of a message as a stream. Evidence only: senders choose it.
#[derive(Clone, Debug, Default)]
pub struct Heading {
    header: Vec<u8>,
    over: bool,
}

impl Heading {
    /// Most bytes of header to read.
    const LONGEST: usize = 256 << 10;

    /// Takes the next bytes, with CRLF line ends.
    pub fn update(&mut self, bytes: &[u8]) {
        if self.over {
            return;
        }
        let from = self.header.len().saturating_sub(3);
        self.header.extend_from_slice(bytes);
        let rest = self.header.get(from..).unwrap_or_default();
        let end = memchr::memmem::find(rest, b"\r\n\r\n").map(|at| from + at);
        if let Some(end) = end {
            self.header.truncate(end);
        }
        self.over = end.is_some() || self.header.len() > Self::LONGEST;
    }

    /// Returns the value of the first Message-ID field; empty if absent.
    pub fn message_id(&self) -> Vec<u8> {
        message_id(&self.header)
    }

    /// Whether the header has ended.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Returns a number made of the Message-ID; `None` if absent.
    pub fn name(&self) -> Option<i64> {
        let id = self.message_id();
        let number = || Kin::envelope(&id, Timestamp(0), 0).number();
        (!id.is_empty()).then(number)
    }
}

/// Returns the value of the first Message-ID field of a header, unfolded; empty if absent.
pub fn message_id(header: &[u8]) -> Vec<u8> {
    let mut value: Option<Vec<u8>> = None;
    for line in header.split(|b| *b == b'\n') {
        let folded = line.first().is_some_and(|b| matches!(b, b' ' | b'\t'));
        match &mut value {
            Some(value) if folded => value.extend_from_slice(line.trim_ascii()),
            Some(_) => break,
            None => {
                let name = line.get(..11).unwrap_or_default();
                if name.eq_ignore_ascii_case(b"Message-ID:") {
                    value = Some(line.get(11..).unwrap_or_default().trim_ascii().to_vec());
                }
            }
        }
    }
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_id_is_found_however_the_bytes_come() {
        let text = b"Subject: x\r\nmessage-id:\r\n <a@b>\r\nX: y\r\n\r\nMessage-ID: <no>\r\n";
        for cut in 0..text.len() {
            let mut heading = Heading::default();
            heading.update(&text[..cut]);
            heading.update(&text[cut..]);
            assert_eq!(heading.message_id(), b"<a@b>", "cut at {cut}");
        }
        assert_eq!(message_id(b"Subject: x\r\n"), b"");
    }

    #[test]
    fn the_two_kinds_never_meet() {
        let object = Kin::object(b"M1");
        let envelope = Kin::envelope(b"<a@b>", Timestamp(5), 7);
        assert!(object.proves() && !envelope.proves());
        assert_eq!(Kin::from_number(object.number()), object);
        assert_ne!(envelope, Kin::envelope(b"<a@b>", Timestamp(5), 8));
    }
}
