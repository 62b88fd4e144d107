//! Properties that must hold for any input bytes, one function for each input: [`TARGETS`]. The
//! fuzzers in `fuzz/` check millions of inputs; the test here checks the seeds in `fuzz/seeds` and
//! random changes to them. Not part of the program.

use crate::{config, daemon, imap, maildir, state};

/// A property of one kind of input.
pub type Property = fn(&[u8]);

/// All properties by name.
pub const TARGETS: &[(&str, Property)] = &[
    ("frames", imap::claims::frames),
    ("session", imap::claims::session),
    ("uid_sets", imap::claims::uid_sets),
    ("codes", imap::claims::codes),
    ("names", imap::claims::names),
    ("commands", imap::claims::commands),
    ("file_names", maildir::claims::file_names),
    ("paths", maildir::claims::paths),
    ("messages", maildir::claims::messages),
    ("keywords", maildir::claims::keywords),
    ("configs", configs),
    ("requests", requests),
    ("states", states),
];

/// Checks one input.
pub fn run(name: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    let (_, claim) = found.unwrap();
    claim(data);
}

/// Imported configurations are well-formed or an error.
fn configs(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for imported in [
        config::read_mbsyncrc(&text),
        config::read_offlineimaprc(&text),
    ] {
        let ours = config::render(&imported, "there");
        let parsed = ours.parse::<toml::Table>();
        assert!(parsed.is_ok(), "{ours}\n{parsed:?}");
    }
}

/// A request on the control socket is parsed or refused.
fn requests(data: &[u8]) {
    drop(serde_json::from_slice::<daemon::Request>(data));
    drop(serde_json::from_slice::<daemon::Answer>(data));
}

/// A damaged database is read or is an error, never a panic. The input says which bytes to
/// overwrite.
fn states(data: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let mut bytes = sound();
    for change in data.chunks_exact(4) {
        if let [a, b, c, to] = *change {
            let at = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            let length = bytes.len();
            bytes[at % length] = to;
        }
    }
    std::fs::write(&path, bytes).unwrap();
    let Ok(state) = state::State::open(&path) else {
        return;
    };
    drop(state.account());
    drop(state.history(0, 10, |_| true));
    drop(state.held());
    drop(state.integrity());
    for key in state.mailboxes().into_iter().flatten().map(|(_, key)| key) {
        drop(state.base(key));
        drop(state.open_uploads(key));
    }
}

/// Makes a database with rows in each table that a run fills.
fn sound() -> Vec<u8> {
    use crate::model::{MailboxName, Side};
    use crate::reconcile::Cursor;
    static SOUND: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let make = || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let mut state = state::State::open(&path).unwrap();
        let (uuid, config) = ("u".to_owned(), "c".to_owned());
        state
            .set_account(&state::AccountRecord { uuid, config }, 1)
            .unwrap();
        for (tag, name) in ["INBOX", "A", "A/B"].iter().enumerate() {
            let name = MailboxName::parse(name).unwrap();
            let key = state.add_mailbox(&name, tag as u32).unwrap();
            let cursor = Cursor("1 2 3 4".into());
            let left = state::Checkpoint::on(key, Side::Remote, cursor);
            let full_at = Some(5);
            state
                .leave(&[state::Checkpoint { full_at, ..left }])
                .unwrap();
        }
        drop(state);
        std::fs::read(&path).unwrap()
    };
    SOUND.get_or_init(make).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const TELLING: &[u8] = b"\r\n\0 \"\\(){}[]*%&-+:,~\x1e09aZ\xff";

    /// A small random generator (xorshift64*): equal inputs on every machine.
    fn next(random: &mut u64) -> usize {
        *random ^= *random >> 12;
        *random ^= *random << 25;
        *random ^= *random >> 27;
        (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
    }

    fn change(input: &mut Vec<u8>, all: &[Vec<u8>], random: &mut u64) {
        for _ in 0..1 + next(random) % 6 {
            let at = next(random) % (input.len() + 1);
            let other = &all[next(random) % all.len()];
            match next(random) % 6 {
                0 if at < input.len() => input[at] ^= 1 << (next(random) % 8),
                1 if at < input.len() => drop(input.remove(at)),
                2 => input.insert(at, TELLING[next(random) % TELLING.len()]),
                3 => input.truncate(at),
                4 => input.extend_from_slice(other),
                _ => {
                    let end = (at + 1 + next(random) % 16).min(input.len());
                    let piece = input[at.min(end)..end].to_vec();
                    let to = next(random) % (input.len() + 1);
                    input.splice(to..to, piece);
                }
            }
        }
    }

    #[test]
    fn any_bytes_will_do() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        for (name, claim) in TARGETS {
            let mut files: Vec<_> = std::fs::read_dir(seeds.join(name))
                .unwrap_or_else(|error| panic!("no seeds for {name}: {error}"))
                .map(|entry| entry.unwrap().path())
                .collect();
            files.sort();
            let all: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).unwrap()).collect();
            assert!(!all.is_empty(), "no seeds for {name}");
            all.iter().for_each(|seed| claim(seed));
            let mut random = 0x9e37_79b9_7f4a_7c15;
            let began = std::time::Instant::now();
            let rounds = if *name == "states" { 200 } else { 3000 };
            for _ in 0..rounds {
                let mut input = all[next(&mut random) % all.len()].clone();
                change(&mut input, &all, &mut random);
                let judged = std::panic::catch_unwind(|| claim(&input));
                assert!(judged.is_ok(), "{name}: {}", input.escape_ascii());
            }
            eprintln!("{name}: {rounds} in {:?}", began.elapsed());
        }
    }
}
