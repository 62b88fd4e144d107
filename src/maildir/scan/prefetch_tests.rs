//! A scan in the background shows what a direct scan shows.

use super::*;
use crate::maildir::scan::Times;
use std::sync::mpsc::channel;

fn weight(size: u64) -> Weight {
    Weight {
        size,
        ..Weight::NOTHING
    }
}

/// A scan that shows this many files, named by a number, in this mailbox.
fn show_some(mailbox: &Path, count: usize, show: &mut ScanObserver<'_>) -> ScanPass {
    for n in 0..count {
        let base = format!("{}.{n}", mailbox.display());
        let (sub, weight) = match n % 2 {
            0 => (Subdir::New, None),
            _ => (Subdir::Cur, Some(weight(n as u64))),
        };
        show(sub, (base.as_bytes(), b":2,S"), Kind::File, weight);
    }
    ScanPass {
        times: Times::default(),
        at: count as i64,
        undisturbed: true,
    }
}

/// Shows a mailbox; returns its files and the time of the pass.
fn shown(ahead: &mut Prefetcher, mailbox: &str, depth: Depth) -> Option<(Vec<String>, i64)> {
    let mut all = Vec::new();
    let pass = ahead.show(
        Path::new(mailbox),
        depth,
        &mut |sub, (base, suffix), kind, weight| {
            let size = weight.map(|weight| weight.size);
            let name = [base, suffix].concat();
            let name = String::from_utf8(name).unwrap();
            all.push(format!("{} {name} {kind:?} {size:?}", sub.name()));
        },
    )?;
    Some((all, pass.unwrap().at))
}

fn begin(mailboxes: &[(&str, Depth)], count: usize) -> Prefetcher {
    let mailboxes = mailboxes.iter().map(|(name, depth)| (name.into(), *depth));
    let read =
        move |mailbox: &Path, _, show: &mut ScanObserver<'_>| Ok(show_some(mailbox, count, show));
    Prefetcher::begin(mailboxes.collect(), read).unwrap()
}

#[test]
fn all_of_a_mailbox_is_shown_whatever_its_size() {
    for count in [0, 1, FILES - 1, FILES, FILES + 1, FILES * (ROOM + 3)] {
        let mut ahead = begin(&[("a", Depth::Changes), ("b", Depth::Changes)], count);
        for name in ["a", "b"] {
            let (all, at) = shown(&mut ahead, name, Depth::Changes).unwrap();
            assert_eq!((all.len(), at), (count, count as i64));
            let wrong = all.iter().enumerate().find(|(n, line)| {
                let (sub, size) = match n % 2 {
                    0 => ("new", "None".to_owned()),
                    _ => ("cur", format!("Some({n})")),
                };
                **line != format!("{sub} {name}.{n}:2,S File {size}")
            });
            assert_eq!(wrong, None);
        }
        assert_eq!(shown(&mut ahead, "a", Depth::Changes), None, "once only");
    }
}

#[test]
fn what_is_not_asked_for_is_passed_over() {
    let all = [
        ("a", Depth::Changes),
        ("b", Depth::Everything),
        ("c", Depth::Changes),
        ("d", Depth::Changes),
    ];
    let mut ahead = begin(&all, 2 * FILES);
    assert_eq!(shown(&mut ahead, "x", Depth::Changes), None);
    assert_eq!(shown(&mut ahead, "b", Depth::Changes), None, "not so deep");
    let (files, _) = shown(&mut ahead, "c", Depth::Changes).unwrap();
    assert!(files.first().unwrap().starts_with("new c.0"));
    assert_eq!(shown(&mut ahead, "b", Depth::Everything), None, "gone by");
    let (files, _) = shown(&mut ahead, "d", Depth::Changes).unwrap();
    assert!(files.last().unwrap().starts_with("cur d.2047"));
}

#[test]
fn an_error_is_that_of_its_mailbox_only() {
    let read = |mailbox: &Path, _, show: &mut ScanObserver<'_>| match mailbox.ends_with("b") {
        true => Err(io::Error::other("broken")),
        false => Ok(show_some(mailbox, 1, show)),
    };
    let all = ["a", "b", "c"].map(|name| (name.into(), Depth::Changes));
    let mut ahead = Prefetcher::begin(all.into(), read).unwrap();
    let mut of = |name: &str| {
        let pass = ahead.show(Path::new(name), Depth::Changes, &mut |_, _, _, _| ());
        pass.unwrap().map_err(|error| error.to_string())
    };
    assert!(of("a").is_ok());
    assert_eq!(of("b").unwrap_err(), "broken");
    assert!(of("c").is_ok());
}

#[test]
fn a_reader_that_ends_is_an_error_and_not_the_end_of_a_mailbox() {
    let read =
        |_: &Path, _, _: &mut ScanObserver<'_>| -> io::Result<ScanPass> { panic!("on purpose") };
    let mut ahead = Prefetcher::begin(vec![("a".into(), Depth::Changes)], read).unwrap();
    let pass = ahead.show(Path::new("a"), Depth::Changes, &mut |_, _, _, _| ());
    assert!(pass.unwrap().is_err());
}

#[test]
fn the_reader_is_ahead_and_ends_when_nobody_asks_any_more() {
    let (told, reads) = channel();
    let read = move |mailbox: &Path, _, show: &mut ScanObserver<'_>| {
        let _gone = told.send(mailbox.to_owned());
        Ok(show_some(mailbox, FILES * ROOM, show))
    };
    let all = ["a", "b", "c"].map(|name| (name.into(), Depth::Changes));
    let mut ahead = Prefetcher::begin(all.into(), read).unwrap();
    assert_eq!(
        reads.recv().unwrap(),
        Path::new("a"),
        "before it is asked for"
    );
    shown(&mut ahead, "a", Depth::Changes).unwrap();
    assert_eq!(reads.recv().unwrap(), Path::new("b"));
    drop(ahead);
    // The queue is full before all of b, so c is never scanned; the thread ends when this is
    // dropped.
    assert!(reads.recv().is_err());
}
