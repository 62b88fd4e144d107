//! A part of a MIME message, for listings.

/// A part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its number (RFC 9051, 6.4.5): `1.2`; empty: a multipart that is the whole message.
    pub number: String,
    /// Its depth; 0 for the message.
    pub depth: usize,
    /// Its media type in lower case: `text/plain`.
    pub kind: String,
    /// Its character set.
    pub charset: Option<String>,
    /// Its transfer encoding: `base64`.
    pub encoding: String,
    /// Its file name.
    pub name: Option<String>,
    /// Bytes before decoding.
    pub size: u64,
    /// Whether its disposition is `attachment`.
    pub attached: bool,
}

impl Part {
    /// Whether it contains parts.
    pub fn is_multipart(&self) -> bool {
        self.kind.starts_with("multipart/")
    }

    /// Whether it counts as an attachment.
    pub fn is_attachment(&self) -> bool {
        !self.is_multipart() && (self.attached || self.name.is_some())
    }

    /// Returns the index of the part with this number, else of the only part with this file name.
    pub fn find(parts: &[Part], which: &str) -> Option<usize> {
        let number = parts.iter().position(|part| {
            !part.number.is_empty() && part.number == which && !part.is_multipart()
        });
        let mut named = parts
            .iter()
            .enumerate()
            .filter(|(_, part)| part.name.as_deref() == Some(which))
            .map(|(at, _)| at);
        number.or_else(|| named.next().filter(|_| named.next().is_none()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_comes_before_name_and_doubtful_name_finds_none() {
        let part = |number: &str, name: Option<&str>| Part {
            number: number.to_owned(),
            kind: "image/png".to_owned(),
            name: name.map(str::to_owned),
            ..Part::default()
        };
        let all = [
            part("1", Some("2")),
            part("2", Some("a.png")),
            part("3.1", Some("b.png")),
            part("3.2", Some("b.png")),
        ];
        assert_eq!(Part::find(&all, "2"), Some(1));
        assert_eq!(Part::find(&all, "a.png"), Some(1));
        assert_eq!(Part::find(&all, "b.png"), None);
        assert_eq!(Part::find(&all, ""), None);
    }
}
