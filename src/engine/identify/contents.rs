//! The contents of messages, in several forms for comparison.

use crate::model::{Canonical, ContentHash, Heading, Id, Lenient, MaildirId, Stamp, Uid};
use crate::reconcile::matching::{Seeker, by_content};
use crate::store::{About, Sink, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The content of a message.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Content {
    /// The hash of its normalized content.
    pub hash: ContentHash,
    /// The hash without bytes that servers are known to alter.
    pub lenient: ContentHash,
    /// A number made of its Message-ID, if it has one.
    pub name: Option<i64>,
    /// Its number as an upload.
    pub called: i64,
    /// Bytes on the wire.
    pub wire: u64,
    /// Bytes as stored.
    pub stored: u64,
    /// The stamp of its file.
    pub stamp: Option<Stamp>,
}

impl Content {
    /// Whether a server may have made it of an upload with this number.
    pub fn is_called(&self, name: Option<i64>) -> bool {
        name.is_some() && (name == self.name || name == Some(number(&self.lenient)))
    }
}

/// Returns the number of an upload: made of its Message-ID, or of its content without one.
pub(in crate::engine) struct Naming {
    pub heading: Heading,
    lenient: Option<Lenient>,
}

impl Default for Naming {
    fn default() -> Naming {
        Naming {
            heading: Heading::default(),
            lenient: Some(Lenient::default()),
        }
    }
}

impl Naming {
    pub fn update(&mut self, bytes: &[u8]) {
        self.heading.update(bytes);
        // Nearly all have a Message-ID and need no hash.
        let named = self.heading.is_over() && self.heading.name().is_some();
        self.lenient = self.lenient.take().filter(|_| !named);
        if let Some(lenient) = &mut self.lenient {
            lenient.update(bytes);
        }
    }

    pub fn finish(self) -> Option<i64> {
        let lenient = || self.lenient.map(|lenient| number(&lenient.finish()));
        self.heading.name().or_else(lenient)
    }
}

fn number(hash: &ContentHash) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = hash.0;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// A sink that computes contents and stores nothing else.
#[derive(Default)]
pub(in crate::engine) struct Measure {
    canonical: Canonical,
    lenient: Lenient,
    heading: Heading,
    wire: u64,
}

impl Measure {
    pub fn update(&mut self, bytes: &[u8]) {
        self.canonical.update(bytes);
        self.lenient.update(bytes);
        self.heading.update(bytes);
        self.wire += bytes.len() as u64;
    }

    pub fn finish(self, stored: u64) -> Content {
        let (lenient, name) = (self.lenient.finish(), self.heading.name());
        Content {
            hash: self.canonical.finish(),
            called: name.unwrap_or(number(&lenient)),
            lenient,
            name,
            wire: self.wire,
            stored,
            stamp: None,
        }
    }
}

/// The contents by id.
pub(in crate::engine) struct Contents<I: Id> {
    current: Measure,
    pub all: BTreeMap<I, Content>,
    /// Messages that exist but could not be read.
    pub failed: BTreeSet<I>,
}

impl<I: Id> Default for Contents<I> {
    fn default() -> Contents<I> {
        Contents {
            current: Measure::default(),
            all: BTreeMap::new(),
            failed: BTreeSet::new(),
        }
    }
}

impl<I: Id> Sink<I> for Contents<I> {
    async fn begin(&mut self, _: u64, _: Option<&About<I>>) -> Result<(), StoreError> {
        self.current = Measure::default();
        Ok(())
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.current.update(bytes);
        Ok(())
    }

    async fn end(&mut self, about: About<I>) -> Result<(), StoreError> {
        let content = std::mem::take(&mut self.current).finish(about.stored);
        let stamp = about.stamp;
        self.all.insert(about.id, Content { stamp, ..content });
        Ok(())
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn fail(&mut self, id: I, _: String) -> Result<(), StoreError> {
        self.failed.insert(id);
        Ok(())
    }
}

/// An uploaded file, and the highest UID before it. `None`: a message that servers do not rebuild.
pub(in crate::engine) type Above = Option<u32>;

/// Matches uploaded files with messages: by content, then without bytes that servers are known to
/// alter, then by Message-ID, UID and approximate size, for servers that rebuild messages.
pub(in crate::engine) fn match_sent(
    there: &BTreeMap<Uid, Content>,
    here: &BTreeMap<MaildirId, Content>,
    above: &BTreeMap<MaildirId, Above>,
) -> Vec<(Uid, MaildirId)> {
    let mut links = Vec::new();
    let (mut uids, mut files) = (there.clone(), here.clone());
    for key in [|one: &Content| one.hash, |one: &Content| one.lenient] {
        let remote = uids.iter().map(|(uid, one)| (*uid, key(one))).collect();
        let seeker = |(file, one): (&MaildirId, &Content)| Seeker {
            file: file.clone(),
            key: key(one),
            hint: None,
            above: above.get(file).copied().flatten(),
        };
        let found = by_content(remote, files.iter().map(seeker).collect()).links;
        for (uid, file) in &found {
            uids.remove(uid);
            files.remove(file);
        }
        links.extend(found);
    }
    let mut named: BTreeMap<i64, Vec<(&MaildirId, &Content, u32)>> = BTreeMap::new();
    for (file, one) in &files {
        if let (Some(name), Some(Some(above))) = (one.name, above.get(file)) {
            named.entry(name).or_default().push((file, one, *above));
        }
    }
    for (name, mut own) in named {
        own.sort_by_key(|(_, one, _)| one.wire);
        let fits = |(uid, one): &(&Uid, &Content)| {
            let like = |(_, own, above): &(&MaildirId, &Content, u32)| {
                uid.get() > *above && is_about(own.wire, one.wire)
            };
            one.name == Some(name) && own.iter().any(like)
        };
        let mut like: Vec<(&Uid, &Content)> = uids.iter().filter(fits).collect();
        like.truncate(own.len());
        like.sort_by_key(|(_, one)| one.wire);
        let found = like.into_iter().zip(own);
        links.extend(found.map(|((uid, _), (file, ..))| (*uid, file.clone())));
    }
    links
}

/// Whether a message of one size may have been rebuilt to the other: added header lines, or another
/// transfer encoding.
fn is_about(one: u64, other: u64) -> bool {
    const LINES: u64 = 16 << 10;
    let (small, large) = (one.min(other), one.max(other));
    large <= small.saturating_mul(2).saturating_add(LINES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plain_values::{file, uid};

    fn content(text: &[u8]) -> Content {
        let mut measure = Measure::default();
        measure.update(text);
        measure.finish(text.len() as u64)
    }

    fn matched(there: &[&[u8]], here: &[&[u8]], above: Above) -> Vec<(u32, String)> {
        let number = |at: usize| u32::try_from(at).unwrap() + 1;
        let uids = there.iter().enumerate();
        let uids = uids.map(|(at, text)| (uid(number(at)), content(text)));
        let files = here.iter().enumerate();
        let files: BTreeMap<_, _> = files
            .map(|(at, text)| (file(number(at)), content(text)))
            .collect();
        let above = files.keys().map(|file| (file.clone(), above)).collect();
        let mut links = match_sent(&uids.collect(), &files, &above);
        links.sort();
        let text = |(uid, file): (Uid, MaildirId)| (uid.get(), file.to_string());
        links.into_iter().map(text).collect()
    }

    const SENT: &[u8] = b"Message-ID: <1>\r\n\r\ntext\r\n";
    const MADE: &[u8] = b"X-Made: yes\r\nMessage-ID: <1>\r\n\r\ntext\r\n";
    const OTHER: &[u8] = b"Message-ID: <2>\r\n\r\ntext\r\n";

    #[test]
    fn equal_content_is_found_before_equal_message_ids() {
        let link = |uid, name: &str| (uid, name.to_owned());
        assert_eq!(
            matched(&[MADE, SENT], &[SENT], Some(0)),
            [link(2, "file f1")]
        );
        assert_eq!(
            matched(&[MADE, OTHER], &[SENT], Some(0)),
            [link(1, "file f1")]
        );
        let both = [link(1, "file f1"), link(2, "file f2")];
        assert_eq!(matched(&[MADE, MADE], &[SENT, SENT], Some(0)), both);
    }

    #[test]
    fn rebuilt_messages_are_above_and_of_about_the_size() {
        assert!(matched(&[MADE], &[SENT], Some(1)).is_empty(), "not above");
        assert!(matched(&[MADE], &[SENT], None).is_empty(), "not sent");
        let long = [MADE, &[b'x'; 40_000][..]].concat();
        assert!(matched(&[&long], &[SENT], Some(0)).is_empty(), "too long");
        assert!(matched(&[OTHER], &[SENT], Some(0)).is_empty());
    }

    #[test]
    fn known_alterations_need_no_message_id() {
        let found = matched(
            &[b"Subject: XX\r\n\r\n"],
            &[b"Subject: \xc3\xa4\r\n\r\n"],
            None,
        );
        assert_eq!(found.len(), 1);
    }
}
