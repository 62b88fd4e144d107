//! Normalizes a message: omits the header lines that mail programs add when they copy or move it.
//! mutt and neomutt write `Content-Length`, others `Lines`, `Status` and `X-Status`, mbsync
//! `X-TUID`, OfflineIMAP `X-OfflineIMAP`.

/// The names of these lines.
const ADDED: [&[u8]; 6] = [
    b"content-length",
    b"lines",
    b"status",
    b"x-status",
    b"x-tuid",
    b"x-offlineimap",
];
/// A longer line is kept.
const LONG: usize = 1000;

/// Omits these lines from a message as a stream.
#[derive(Debug, Default)]
pub struct Bare {
    in_body: bool,
    /// The start of a header line that is not classified yet.
    line: Vec<u8>,
    /// Whether the remainder of a long line is kept.
    rest: Option<bool>,
    /// Whether the current field is omitted.
    dropping: bool,
}

impl Bare {
    /// Takes the next bytes and passes on those that are kept.
    pub fn pass(&mut self, bytes: &[u8], give: &mut impl FnMut(&[u8])) {
        let mut bytes = bytes;
        while !self.in_body && !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
            let (part, tail) = bytes.split_at(end.unwrap_or(bytes.len()));
            match self.rest {
                Some(true) => give(part),
                Some(false) => {}
                None => self.line.extend_from_slice(part),
            }
            if self.rest.is_none() && (end.is_some() || self.line.len() > LONG) {
                self.settle(give);
            }
            if end.is_some() {
                self.rest = None;
            }
            bytes = tail;
        }
        if !bytes.is_empty() {
            give(bytes);
        }
    }

    /// Whether the header has ended: all further bytes are kept.
    pub fn is_over(&self) -> bool {
        self.in_body
    }

    /// Ends the message.
    pub fn end(mut self, give: &mut impl FnMut(&[u8])) {
        self.settle(give);
    }

    fn settle(&mut self, give: &mut impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.line);
        match line.first() {
            None => return,
            Some(b' ' | b'\t') => {}
            Some(_) => {
                let colon = memchr::memchr(b':', &line).unwrap_or(0);
                let name = line.get(..colon).unwrap_or_default();
                self.dropping = ADDED.iter().any(|added| name.eq_ignore_ascii_case(added));
            }
        }
        self.in_body = line.trim_ascii().is_empty();
        if self.in_body || !self.dropping {
            give(&line);
        }
        self.rest = Some(!self.dropping);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(message: &str, step: usize) -> String {
        let (mut bare, mut out) = (Bare::default(), Vec::new());
        let mut give = |part: &[u8]| out.extend_from_slice(part);
        for part in message.as_bytes().chunks(step) {
            bare.pass(part, &mut give);
        }
        bare.end(&mut give);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_these_lines_go() {
        let long = format!("X-Long: {}", "y".repeat(3000));
        let message = format!(
            "Subject: a\r\ncontent-LENGTH: 12\r\nStatus: RO\r\n folded\r\nStatus-Of: x\r\n\
             {long}\r\nLines: 3\r\n\r\nStatus: in the text\r\nLines: 4\r\n"
        );
        let want = format!(
            "Subject: a\r\nStatus-Of: x\r\n{long}\r\n\r\nStatus: in the text\r\nLines: 4\r\n"
        );
        for step in [1, 2, 3, 7, 64, 5000] {
            assert_eq!(bare(&message, step), want, "in steps of {step}");
        }
    }

    #[test]
    fn what_is_no_header_stays() {
        for message in ["", "\n\nStatus: x\n", "no header at all", "Status", "a:b\n"] {
            assert_eq!(bare(message, 4), message);
        }
        assert_eq!(bare("Status: x", 4), "", "a line without an end");
    }
}
