//! Properties of file names and messages with any bytes. The fuzzers (`fuzz/`) check millions of
//! inputs, the tests the seeds and random changes to them. Not part of the program.

use crate::maildir::format::file_name;
use crate::maildir::format::keywords::{Common, FILE, Keywords};
use crate::maildir::format::layout::Layout;
use crate::maildir::format::line_ends::{Dropped, ToDisk, ToWire};
use crate::maildir::fs::real::RealFs;
use crate::model::*;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::rc::Rc;

/// File names: splitting and joining restores them, and a change of flags alters only these flags.
pub fn file_names(data: &[u8]) {
    let (base, info) = file_name::split(data);
    assert!(data.starts_with(base) && data.ends_with(info));
    let _origin = file_name::origin(&MaildirId::new(base));
    let letters: Vec<Keyword> = (b'a'..=b'z')
        .filter_map(|letter| Keyword::new(&char::from(letter).to_string()))
        .collect();
    let mut table = Keywords::default();
    let common = Common::on(Rc::new(RealFs));
    table.assign(letters.iter(), &BTreeSet::new(), &common);
    let name = |letter: u8| table.name(letter);
    let before = file_name::flags(info, name);
    for flag in [SystemFlag::Seen, SystemFlag::Flagged, SystemFlag::Deleted] {
        let after = before.clone().union(&Flags::of(&[flag]));
        let change = FlagChange::between(&before, &after);
        let changed = file_name::change(info, &change, &table);
        assert_eq!(
            file_name::flags(&changed, name),
            after,
            "{}",
            info.escape_ascii()
        );
        let back = FlagChange::between(&after, &before);
        let restored = file_name::change(&changed, &back, &table);
        assert_eq!(file_name::flags(&restored, name), before);
    }
}

/// Mailbox names: each path is below the root and unique.
pub fn paths(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let components: Vec<String> = text.split('\u{1e}').map(str::to_owned).collect();
    for layout in [Layout::Nested, Layout::MaildirPlusPlus] {
        drop(layout.decode(OsStr::from_bytes(data)));
        let Some(name) = MailboxName::new(components.clone()) else {
            continue;
        };
        let path = layout.path(&name);
        let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
        assert!(inside, "{}", path.display());
        for part in &path {
            assert!(part.len() <= 255 || layout == Layout::MaildirPlusPlus);
            let inner = ["cur", "new", "tmp", layout.own()];
            assert!(!inner.iter().any(|own| part == *own), "{}", path.display());
        }
        for component in name.components() {
            let encoded = layout.encode(component);
            if !encoded.contains("%~") {
                let decoded = layout.decode(OsStr::new(&encoded));
                assert_eq!(decoded.as_ref(), Some(component));
            }
        }
    }
}

/// Messages: conversion to disk and back restores them, in pieces of any size; their identity does
/// not depend on the pieces.
pub fn messages(data: &[u8]) {
    let (cut, wire) = data.split_first().unwrap_or((&1, b""));
    let pieces = || wire.chunks(usize::from(*cut).max(1));
    let mut hash = Canonical::default();
    let mut heading = Heading::default();
    pieces().for_each(|piece| {
        hash.update(piece);
        heading.update(piece);
    });
    assert_eq!(hash.finish(), Canonical::of(wire));
    let mut whole = Heading::default();
    whole.update(wire);
    assert_eq!(heading.message_id(), whole.message_id());
    let strip = |parts: &mut dyn Iterator<Item = &[u8]>| {
        let (mut bare, mut out) = (Bare::default(), Vec::new());
        parts.for_each(|part| bare.pass(part, &mut |bytes| out.extend_from_slice(bytes)));
        bare.end(&mut |bytes| out.extend_from_slice(bytes));
        out
    };
    assert_eq!(strip(&mut pieces()), strip(&mut std::iter::once(wire)));
    let _told_apart = (Fingerprint::of_wire(wire), Excerpt::of_wire(wire));
    // As the receiver does: LF on disk, or the original bytes.
    let (mut to_disk, mut disk) = (ToDisk::default(), Vec::new());
    for piece in pieces() {
        if to_disk.convert(piece, &mut disk) != Dropped::All {
            return;
        }
    }
    disk.extend_from_slice(to_disk.rest());
    let (mut to_wire, mut again) = (ToWire::default(), Vec::new());
    let step = usize::from(*cut).max(1) + 1;
    disk.chunks(step)
        .for_each(|piece| to_wire.convert(piece, &mut again));
    assert_eq!(again, wire);
}

/// The keyword file: each line is parsed or skipped; a file that we wrote is parsed.
pub fn keywords(data: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let mailbox: &Path = directory.path();
    std::fs::create_dir(mailbox.join("tmp")).unwrap();
    std::fs::write(mailbox.join(FILE), data).unwrap();
    let keywords = Keywords::load(&RealFs, mailbox).unwrap();
    keywords.save(&RealFs, mailbox).unwrap();
    assert_eq!(Keywords::load(&RealFs, mailbox).unwrap(), keywords);
}
