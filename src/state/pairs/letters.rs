//! Files whose letters were read, and say what no pair does: new files that are no half of a pair,
//! and files of pairs with keywords of their own, as the server may not be changed. The name of a
//! file does not tell for which mailbox its letters were written.

use crate::model::{ContentHash, Flags, MailboxKey, MaildirId};
use crate::state::pairs::base::{flags_from, keyword_text};
use crate::state::{State, StateError, doing};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeSet;

/// A file with keyword letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lettered {
    /// The mailbox.
    pub mailbox: MailboxKey,
    /// The file.
    pub file: MaildirId,
    /// The keywords of its letters when they were read.
    pub keywords: Flags,
    /// Its content, by which it is known under another name; `None`: not read yet.
    pub body: Option<LetteredContent>,
}

/// The content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetteredContent {
    /// Its hash.
    pub hash: ContentHash,
    /// Bytes on disk.
    pub size: u64,
}

impl State {
    /// Returns all such files. The record of a pair removes its row.
    pub fn lettered(&self) -> Result<Vec<Lettered>, StateError> {
        let what = doing("read which letters are known");
        let sql = "SELECT mailbox, file, keywords, hash, size FROM lettered
                   ORDER BY mailbox, file";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            Ok(Lettered {
                mailbox: MailboxKey(row.get(0)?),
                file: MaildirId::new(row.get::<_, Vec<u8>>(1)?),
                keywords: flags_from(0, &row.get::<_, String>(2)?),
                body: body_from(row.get(3)?, row.get(4)?),
            })
        };
        let rows = query.query_map([], read).map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// The mailboxes with such files.
    pub fn lettered_mailboxes(&self) -> Result<BTreeSet<MailboxKey>, StateError> {
        let what = doing("read where letters are known");
        let sql = "SELECT DISTINCT mailbox FROM lettered";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([], |row| Ok(MailboxKey(row.get(0)?)));
        rows.map_err(&what)?.collect::<Result<_, _>>().map_err(what)
    }

    /// Notes files of which the letters were read.
    pub fn note_letters(&mut self, all: &[Lettered]) -> Result<(), StateError> {
        if all.is_empty() {
            return Ok(());
        }
        let what = doing("note which letters are known");
        let tx = self.db.transaction().map_err(&what)?;
        for one in all {
            let sql = "INSERT OR REPLACE INTO lettered (mailbox, file, keywords, hash, size)
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            let mut insert = tx.prepare_cached(sql).map_err(&what)?;
            let keywords = keyword_text(&one.keywords);
            let hash = one.body.map(|body| body.hash.0);
            let size = one.body.and_then(|body| i64::try_from(body.size).ok());
            let values = params![one.mailbox.0, one.file.as_bytes(), keywords, hash, size];
            insert.execute(values).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Drops files that no longer exist.
    pub fn forget_letters(
        &mut self,
        key: MailboxKey,
        files: &[MaildirId],
    ) -> Result<(), StateError> {
        if files.is_empty() {
            return Ok(());
        }
        let what = doing("forget the letters of files");
        let tx = self.db.transaction().map_err(&what)?;
        for file in files {
            forget(&tx, key, file).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }
}

fn body_from(hash: Option<[u8; 32]>, size: Option<i64>) -> Option<LetteredContent> {
    let hash = ContentHash(hash?);
    let size = u64::try_from(size?).ok()?;
    Some(LetteredContent { hash, size })
}

/// Forgets what the letters of a file said.
pub(in crate::state) fn forget(
    db: &Connection,
    key: MailboxKey,
    file: &MaildirId,
) -> Result<(), rusqlite::Error> {
    db.prepare_cached("DELETE FROM lettered WHERE mailbox = ?1 AND file = ?2")?
        .execute(params![key.0, file.as_bytes()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Keyword, MailboxName, PairId, Uid};
    use crate::reconcile::Outcome;
    use crate::state::Moved;

    fn paired(file: &str, uid: u32) -> Outcome {
        Outcome::Paired {
            uid: Uid::new(uid).unwrap(),
            file: MaildirId::new(file),
            flags: Flags::default(),
            hash: ContentHash([0; 32]),
            size: 1,
            stamp: None,
            kin: None,
            replaces: None,
        }
    }

    #[test]
    fn letters_are_known_until_the_file_is_paired_or_gone() {
        let mut state = State::in_memory().unwrap();
        let key = state.add_mailbox(&MailboxName::inbox(), 1).unwrap();
        let one = |name: &str, keyword: &str| Lettered {
            mailbox: key,
            file: MaildirId::new(name),
            keywords: Flags::from_parts(0, Keyword::new(keyword)),
            body: (name != "c").then_some(LetteredContent {
                hash: ContentHash([7; 32]),
                size: 3,
            }),
        };
        let all = [one("a", "work"), one("b", "todo"), one("c", "")];
        state.note_letters(&all).unwrap();
        assert_eq!(state.lettered().unwrap(), all);
        state.apply(key, &[paired("a", 1)], &[]).unwrap();
        state.forget_letters(key, &[MaildirId::new("b")]).unwrap();
        assert_eq!(state.lettered().unwrap(), [one("c", "")]);
    }

    #[test]
    fn letters_of_a_pair_are_known_as_long_as_it_lies_there() {
        let mut state = State::in_memory().unwrap();
        let key = state.add_mailbox(&MailboxName::inbox(), 1).unwrap();
        let files = ["a", "b"];
        let outcomes = [paired("a", 1), paired("b", 2)];
        state.apply(key, &outcomes, &[]).unwrap();
        let notes = files.map(|file| Lettered {
            mailbox: key,
            file: MaildirId::new(file),
            keywords: Flags::from_parts(0, Keyword::new("work")),
            body: None,
        });
        state.note_letters(&notes).unwrap();
        let ids: Vec<PairId> = state
            .base(key)
            .unwrap()
            .pairs
            .iter()
            .map(|p| p.id)
            .collect();
        let moved = |pair: usize, file: Option<&str>| Moved {
            pair: ids[pair],
            to: key,
            uid: Uid::new(10 + pair as u32).unwrap(),
            file: file.map(MaildirId::new),
            size: None,
        };
        // Only the UID is another.
        let moves = [moved(0, None), moved(1, Some("c"))];
        state.apply_moves(&moves, &[]).unwrap();
        assert_eq!(state.lettered().unwrap(), notes[..1]);
        let dropped = Outcome::Dropped { pair: ids[0] };
        state.apply(key, &[dropped], &[]).unwrap();
        assert!(state.lettered().unwrap().is_empty());
    }
}
