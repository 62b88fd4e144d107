//! Finds pairs equal to a new message, and locally deleted messages that may reappear.

use crate::model::{ContentHash, Flags, Kin, MailboxKey, Pair, PairId, Uid};
use crate::state::pairs::base::{flags_from, keyword_text, pair_from};
use crate::state::pairs::name_codec::NameCodec;
use crate::state::{State, StateError, doing};
use rusqlite::{Connection, Params, Row, ToSql, params};
use std::collections::{BTreeMap, BTreeSet};

/// A pair that may be equal to a new message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelatedPair {
    /// The pair.
    pub pair: Pair,
    /// Its place.
    pub mailbox: MailboxKey,
}

/// A pair with the content of another one in another mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equal {
    /// The pair that was looked for.
    pub pair: PairId,
    /// The other pair.
    pub other: PairId,
    /// The place of the other.
    pub mailbox: MailboxKey,
}

/// A message that was deleted locally because it was gone on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRow {
    /// Its id on the server.
    pub kin: Kin,
    /// The hash of its content.
    pub hash: ContentHash,
    /// The flags last agreed on.
    pub agreed: Flags,
    /// The flags of its file.
    pub here: Flags,
    /// Its path in quarantine.
    pub path: Vec<u8>,
}

/// Records messages that were put into quarantine.
pub(in crate::state) fn bury(
    db: &Connection,
    buried: &[QuarantinedRow],
    now: i64,
) -> Result<(), rusqlite::Error> {
    for one in buried {
        let sql = "INSERT OR REPLACE INTO buried (kin, hash, flags, keywords, flags_here,
                                                  keywords_here, path, at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        db.prepare_cached(sql)?.execute(params![
            one.kin.number(),
            one.hash.0,
            one.agreed.bits(),
            keyword_text(&one.agreed),
            one.here.bits(),
            keyword_text(&one.here),
            one.path,
            now
        ])?;
    }
    Ok(())
}

impl State {
    /// Whether any record could match a new message.
    pub fn knows_messages(&self) -> Result<bool, StateError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pair) OR EXISTS (SELECT 1 FROM buried)";
        self.db
            .query_row(sql, [], |row| row.get(0))
            .map_err(doing("read whether messages are known"))
    }

    /// Returns the pairs with this id on the server.
    pub fn pairs_by_kin(&self, kin: &BTreeSet<Kin>) -> Result<Vec<RelatedPair>, StateError> {
        let sql = "SELECT id, uid, file, flags, keywords, hash, size, tombstone, kin, stamp,
                          mailbox
                   FROM pair WHERE kin = ?1 ORDER BY mailbox, uid";
        self.relatives(sql, kin.iter().map(|kin| [kin.number()]))
    }

    /// Returns the pair with this number, if it exists.
    pub fn pair(&self, id: PairId) -> Result<Option<RelatedPair>, StateError> {
        let sql = "SELECT id, uid, file, flags, keywords, hash, size, tombstone, kin, stamp,
                          mailbox
                   FROM pair WHERE id = ?1";
        Ok(self.relatives(sql, [[id.0]].into_iter())?.pop())
    }

    /// Returns those of the sizes, bytes, that a pair has. A file of another size is new and need
    /// not be read.
    pub fn known_sizes(&self, sizes: &BTreeSet<u64>) -> Result<BTreeSet<u64>, StateError> {
        let what = doing("look for a message elsewhere");
        let sql = "SELECT EXISTS (SELECT 1 FROM pair WHERE size = ?1)";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let mut known = BTreeSet::new();
        for size in sizes {
            let is_known = match i64::try_from(*size) {
                Ok(size) => query.query_row([size], |row| row.get(0)).map_err(&what)?,
                Err(_) => false,
            };
            known.extend(is_known.then_some(*size));
        }
        Ok(known)
    }

    /// Returns the pairs with such a size, bytes, and content.
    pub fn pairs_by_content(
        &self,
        contents: &BTreeSet<(u64, ContentHash)>,
    ) -> Result<Vec<RelatedPair>, StateError> {
        // Sizes are indexed, hashes are not: the pairs of one size are read once for all contents.
        let sql = "SELECT id, uid, file, flags, keywords, hash, size, tombstone, kin, stamp,
                          mailbox
                   FROM pair WHERE size = ?1 ORDER BY mailbox, uid";
        let sizes: BTreeSet<u64> = contents.iter().map(|(size, _)| *size).collect();
        let each = sizes.iter().filter_map(|size| i64::try_from(*size).ok());
        let mut all = self.relatives(sql, each.map(|size| [size]))?;
        all.retain(|one| contents.contains(&(one.pair.size, one.pair.hash)));
        Ok(all)
    }

    fn relatives(
        &self,
        sql: &str,
        values: impl Iterator<Item = impl Params>,
    ) -> Result<Vec<RelatedPair>, StateError> {
        let what = doing("look for a message elsewhere");
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let names = NameCodec::of(&self.db);
        let mut all = Vec::new();
        for value in values {
            let read = |row: &Row<'_>| {
                Ok(RelatedPair {
                    pair: pair_from(row, &names)?,
                    mailbox: MailboxKey(row.get(10)?),
                })
            };
            let rows = query.query_map(value, read).map_err(&what)?;
            for row in rows {
                all.push(row.map_err(&what)?);
            }
        }
        Ok(all)
    }

    /// Returns the pairs of a mailbox whose message is in another mailbox, too.
    pub fn in_several_places(&self, key: MailboxKey) -> Result<BTreeSet<PairId>, StateError> {
        let what = doing("look for a message elsewhere");
        let sql = "SELECT p.id FROM pair p WHERE p.mailbox = ?1 AND p.kin IS NOT NULL
                   AND EXISTS (SELECT 1 FROM pair q WHERE q.kin = p.kin AND q.mailbox <> ?1)";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query
            .query_map([key.0], |row| Ok(PairId(row.get(0)?)))
            .map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// Returns pairs in other mailboxes that have the content of these: by the id on the server; if
    /// that is unknown or `thorough` is set, by size.
    pub fn equals(
        &self,
        pairs: &BTreeSet<PairId>,
        thorough: bool,
    ) -> Result<Vec<Equal>, StateError> {
        let what = doing("look for a message elsewhere");
        let by_kin = "SELECT q.id, q.mailbox FROM pair p JOIN pair q ON q.kin = p.kin
                      WHERE p.id = ?1 AND q.hash = p.hash AND q.mailbox <> p.mailbox";
        let by_size = "SELECT q.id, q.mailbox FROM pair p JOIN pair q ON q.size = p.size
                       WHERE p.id = ?1 AND (?2 OR p.kin IS NULL)
                       AND q.hash = p.hash AND q.mailbox <> p.mailbox";
        let mut by_kin = self.db.prepare_cached(by_kin).map_err(&what)?;
        let mut by_size = self.db.prepare_cached(by_size).map_err(&what)?;
        let mut all = Vec::new();
        for pair in pairs {
            let equal = |row: &Row<'_>| {
                Ok(Equal {
                    pair: *pair,
                    other: PairId(row.get(0)?),
                    mailbox: MailboxKey(row.get(1)?),
                })
            };
            let found: Result<Vec<Equal>, _> = by_kin
                .query_map([pair.0], equal)
                .and_then(Iterator::collect);
            let mut found = found.map_err(&what)?;
            if found.is_empty() {
                let rows = by_size.query_map(params![pair.0, thorough], equal);
                found = rows.and_then(Iterator::collect).map_err(&what)?;
            }
            all.extend(found);
        }
        Ok(all)
    }

    /// Returns the pairs of a mailbox with their UIDs.
    pub fn uids_of_pairs(&self, key: MailboxKey) -> Result<BTreeMap<PairId, Uid>, StateError> {
        let what = doing("read a mailbox");
        let sql = "SELECT id, uid FROM pair WHERE mailbox = ?1";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            let uid = Uid::new(row.get(1)?).ok_or(rusqlite::Error::InvalidQuery)?;
            Ok((PairId(row.get(0)?), uid))
        };
        let rows = query.query_map([key.0], read).map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// Returns the number of pairs of the account.
    pub fn messages(&self) -> Result<usize, StateError> {
        let sql = "SELECT count(*) FROM pair";
        let count = self.db.query_row(sql, [], |row| row.get::<_, i64>(0));
        let count = count.map_err(doing("count messages"))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Returns the pairs without a recorded id on the server, by mailbox.
    pub fn nameless(&self) -> Result<BTreeMap<MailboxKey, BTreeMap<Uid, PairId>>, StateError> {
        let what = doing("look for messages without an id");
        let sql = "SELECT mailbox, uid, id FROM pair WHERE kin IS NULL";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            let uid = Uid::new(row.get(1)?).ok_or(rusqlite::Error::InvalidQuery)?;
            Ok((MailboxKey(row.get(0)?), uid, PairId(row.get(2)?)))
        };
        let rows = query.query_map([], read).map_err(&what)?;
        let mut all: BTreeMap<MailboxKey, BTreeMap<Uid, PairId>> = BTreeMap::new();
        for row in rows {
            let (mailbox, uid, pair) = row.map_err(&what)?;
            all.entry(mailbox).or_default().insert(uid, pair);
        }
        Ok(all)
    }

    /// Returns the messages in quarantine with this id.
    pub fn buried(&self, kin: &BTreeSet<Kin>) -> Result<Vec<QuarantinedRow>, StateError> {
        let what = doing("read what is in quarantine");
        let sql = "SELECT kin, hash, flags, keywords, flags_here, keywords_here, path
                   FROM buried WHERE kin = ?1 ORDER BY at DESC, path";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let mut all = Vec::new();
        for kin in kin {
            let read = |row: &Row<'_>| {
                Ok(QuarantinedRow {
                    kin: Kin::from_number(row.get(0)?),
                    hash: ContentHash(row.get(1)?),
                    agreed: flags_from(row.get(2)?, row.get_ref(3)?.as_str()?),
                    here: flags_from(row.get(4)?, row.get_ref(5)?.as_str()?),
                    path: row.get(6)?,
                })
            };
            let rows = query.query_map([kin.number()], read).map_err(&what)?;
            for row in rows {
                all.push(row.map_err(&what)?);
            }
        }
        Ok(all)
    }

    /// Drops messages from the index of the quarantine: they were restored, or their bytes are
    /// gone.
    pub fn unbury(&mut self, paths: &[Vec<u8>]) -> Result<(), StateError> {
        if paths.is_empty() {
            return Ok(());
        }
        let what = doing("forget what was in quarantine");
        let tx = self.db.transaction().map_err(&what)?;
        for path in paths {
            let sql = "DELETE FROM buried WHERE path = ?1";
            tx.execute(sql, [path as &dyn ToSql]).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Drops the messages in the directories of these days.
    pub fn unbury_days(&mut self, days: &[String]) -> Result<(), StateError> {
        for day in days {
            // All paths with that directory name and a slash; `0` follows the slash in ASCII.
            let (from, to) = (format!("{day}/"), format!("{day}0"));
            let sql = "DELETE FROM buried WHERE path >= ?1 AND path < ?2";
            self.db
                .execute(sql, [from.as_bytes(), to.as_bytes()])
                .map_err(doing("forget what was in quarantine"))?;
        }
        Ok(())
    }
}
