//! Line ends: LF on disk, CRLF on the wire. Upload adds a CR to each LF without one. Download drops
//! CRs before LFs if an upload would restore the same bytes; else the message is stored unchanged.

/// Adds missing CRs to a stream.
#[derive(Debug, Default)]
pub struct ToWire {
    after_cr: bool,
}

impl ToWire {
    /// Converts the next piece.
    pub fn convert(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, tail) = rest.split_at(at);
            let has_cr = line.last().map_or(self.after_cr, |last| *last == b'\r');
            out.extend_from_slice(line);
            out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
            self.after_cr = false;
            rest = tail.get(1..).unwrap_or_default();
        }
        if let Some(last) = rest.last() {
            self.after_cr = *last == b'\r';
        }
        out.extend_from_slice(rest);
    }
}

/// Drops CRs from a stream, and detects when they could not be restored.
#[derive(Debug, Default)]
pub struct ToDisk {
    /// Whether a CR is pending, as an LF may follow.
    held: bool,
    /// Whether the last byte written was a CR.
    wrote_cr: bool,
}

/// The result for a piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It was converted.
    All,
    /// After this many bytes the message turned out to need its original bytes. The output so far
    /// stands for CRLF lines only.
    Stuck(usize),
}

impl ToDisk {
    /// Converts the next piece.
    pub fn convert(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Dropped {
        let mut rest = piece;
        while let Some(first) = rest.first() {
            // Nearly all bytes are copied in runs.
            let plain = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let (run, tail) = rest.split_at(plain);
            if !run.is_empty() {
                if self.held {
                    out.push(b'\r');
                }
                out.extend_from_slice(run);
                (self.held, self.wrote_cr) = (false, false);
                if let Some(next) = tail.strip_prefix(b"\r\n") {
                    out.push(b'\n');
                    rest = next;
                } else {
                    rest = tail;
                }
                continue;
            }
            match (*first, self.held) {
                // A bare LF or CR CR LF: an upload would add or lose a CR.
                (b'\n', false) => return Dropped::Stuck(piece.len() - rest.len()),
                (b'\n', true) if self.wrote_cr => {
                    return Dropped::Stuck(piece.len() - rest.len());
                }
                (b'\n', true) => {
                    out.push(b'\n');
                    (self.held, self.wrote_cr) = (false, false);
                }
                (_, false) => self.held = true,
                (_, true) => {
                    out.push(b'\r');
                    self.wrote_cr = true;
                }
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        Dropped::All
    }

    /// Returns the pending CR, at the end or after a failure.
    pub fn rest(&self) -> &'static [u8] {
        if self.held { b"\r" } else { b"" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_wire(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        ToWire::default().convert(bytes, &mut out);
        out
    }

    proptest! {
        #[test]
        fn what_is_dropped_comes_back(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'x')], 0..40),
            cut in 0usize..40,
        ) {
            let (left, right) = bytes.split_at(cut.min(bytes.len()));
            let (mut drop, mut out) = (ToDisk::default(), Vec::new());
            if drop.convert(left, &mut out) == Dropped::All
                && drop.convert(right, &mut out) == Dropped::All
            {
                out.extend_from_slice(drop.rest());
                prop_assert_eq!(to_wire(&out), bytes.clone());
            }
            let (mut add, mut split) = (ToWire::default(), Vec::new());
            add.convert(left, &mut split);
            add.convert(right, &mut split);
            prop_assert_eq!(split, to_wire(&bytes));
        }
    }

    #[test]
    fn ordinary_mail_is_never_stuck() {
        let mut out = Vec::new();
        let mail = b"Subject: x\r\n\r\nlone \r in line\r\nlast\r\n";
        assert_eq!(ToDisk::default().convert(mail, &mut out), Dropped::All);
        assert_eq!(out, b"Subject: x\n\nlone \r in line\nlast\n");
    }
}
