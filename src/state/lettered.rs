//! New files that are no half of a pair yet and have the letters of their mailbox: which keywords
//! these letters say. The name of a file does not tell for which mailbox its letters were written.

use super::base::{flags_from, keyword_text};
use super::{State, StateError, doing};
use crate::model::{Flags, MailboxKey, MaildirId};
use rusqlite::{Row, params};

/// A file with the letters of its mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lettered {
    /// The mailbox.
    pub mailbox: MailboxKey,
    /// The file.
    pub file: MaildirId,
    /// The keywords that its letters said when they were read.
    pub keywords: Flags,
}

impl State {
    /// All files of which the letters were read. A row goes with the record of a pair.
    pub fn lettered(&self) -> Result<Vec<Lettered>, StateError> {
        let what = doing("read which letters are known");
        let sql = "SELECT mailbox, file, keywords FROM lettered ORDER BY mailbox, file";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            Ok(Lettered {
                mailbox: MailboxKey(row.get(0)?),
                file: MaildirId::new(row.get::<_, Vec<u8>>(1)?),
                keywords: flags_from(0, &row.get::<_, String>(2)?),
            })
        };
        let rows = query.query_map([], read).map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// Notes files of which the letters were read.
    pub fn note_letters(&mut self, all: &[Lettered]) -> Result<(), StateError> {
        if all.is_empty() {
            return Ok(());
        }
        let what = doing("note which letters are known");
        let tx = self.db.transaction().map_err(&what)?;
        for one in all {
            let sql = "INSERT OR REPLACE INTO lettered (mailbox, file, keywords)
                       VALUES (?1, ?2, ?3)";
            let mut insert = tx.prepare_cached(sql).map_err(&what)?;
            let keywords = keyword_text(&one.keywords);
            insert
                .execute(params![one.mailbox.0, one.file.as_bytes(), keywords])
                .map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Forgets files that are gone.
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
            let sql = "DELETE FROM lettered WHERE mailbox = ?1 AND file = ?2";
            let mut delete = tx.prepare_cached(sql).map_err(&what)?;
            delete
                .execute(params![key.0, file.as_bytes()])
                .map_err(&what)?;
        }
        tx.commit().map_err(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContentHash, Keyword, MailboxName, Uid};
    use crate::reconcile::Outcome;

    #[test]
    fn letters_are_known_until_the_file_is_paired_or_gone() {
        let mut state = State::in_memory().unwrap();
        let key = state.add_mailbox(&MailboxName::inbox(), 1).unwrap();
        let one = |name: &str, keyword: &str| Lettered {
            mailbox: key,
            file: MaildirId::new(name),
            keywords: Flags::from_parts(0, Keyword::new(keyword)),
        };
        let all = [one("a", "work"), one("b", "todo"), one("c", "")];
        state.note_letters(&all).unwrap();
        assert_eq!(state.lettered().unwrap(), all);
        let paired = Outcome::Paired {
            uid: Uid::FIRST,
            file: MaildirId::new("a"),
            flags: Flags::default(),
            hash: ContentHash([0; 32]),
            size: 1,
            stamp: None,
            kin: None,
            replaces: None,
        };
        state.apply(key, &[paired], &[]).unwrap();
        state.forget_letters(key, &[MaildirId::new("b")]).unwrap();
        assert_eq!(state.lettered().unwrap(), [one("c", "")]);
    }
}
