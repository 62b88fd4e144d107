//! Summaries of mailboxes: with few changes only these are loaded, to bound the memory.

use crate::model::{
    Aside, Flags, MailboxBase, MailboxKey, Outline, Pair, Recorded, Stamp, Uid, Weight, last, span,
};
use crate::state::pairs::base::{epoch_from, flags_from, name_from, pair_from};
use crate::state::pairs::name_codec::NameCodec;
use crate::state::{State, StateError, doing};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use std::collections::BTreeSet;

impl State {
    /// The summary of a mailbox.
    pub fn outline(&self, key: MailboxKey) -> Result<Outline, StateError> {
        let what = doing("read about a mailbox");
        let _reading = self.reading().map_err(&what)?;
        let sql = "SELECT name, epoch, (SELECT min(uid) FROM pair WHERE mailbox = ?1)
                   FROM mailbox WHERE id = ?1";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            let first = row.get::<_, Option<u32>>(2)?.and_then(Uid::new);
            let (highest, asides) = (self.highest(key)?, self.asides(key)?);
            let known = highest.into_iter().chain(first);
            let known = known.chain(asides.iter().filter_map(Aside::uid)).collect();
            Ok(Outline {
                key,
                name: name_from(row.get_ref(0)?.as_str()?),
                uid_validity: epoch_from(row.get(1)?),
                uids: span(&known),
                last: last(&known),
            })
        };
        query.query_row([key.0], read).map_err(&what)
    }

    /// Loads the base of a mailbox, but only the UIDs of pairs, except for those with a tombstone.
    pub fn sketch(&self, key: MailboxKey) -> Result<MailboxBase, StateError> {
        let what = doing("read about a mailbox");
        let _reading = self.reading().map_err(&what)?;
        let mut base = self.head(key).map_err(&what)?;
        base.others = self.uids(key).map_err(&what)?;
        let sql = "SELECT id, uid, file, flags, keywords, hash, size, tombstone, kin, stamp
                   FROM pair INDEXED BY pair_tombstone
                   WHERE mailbox = ?1 AND tombstone IS NOT NULL ORDER BY uid";
        let names = NameCodec::of(&self.db);
        self.add_pairs(&mut base, &names, (sql, params![key.0]))
            .map_err(what)?;
        Ok(base)
    }

    /// Loads these pairs of a mailbox of which only the UIDs are known.
    pub fn read_pairs(
        &self,
        base: &mut MailboxBase,
        uids: &BTreeSet<Uid>,
    ) -> Result<(), StateError> {
        let sql = "SELECT id, uid, file, flags, keywords, hash, size, tombstone, kin, stamp
                   FROM pair WHERE mailbox = ?1 AND uid = ?2";
        let what = doing("read messages");
        let _reading = self.reading().map_err(&what)?;
        let (key, names) = (base.key.0, NameCodec::of(&self.db));
        for uid in uids {
            if base.others.contains(uid) {
                self.add_pairs(base, &names, (sql, params![key, uid.get()]))
                    .map_err(&what)?;
            }
        }
        base.pairs.sort_by_key(|pair| pair.uid);
        Ok(())
    }

    /// Returns those of these pairs of a mailbox that exist.
    pub fn pairs_at(&self, key: MailboxKey, uids: &[Uid]) -> Result<Vec<Pair>, StateError> {
        let sql = "SELECT id, uid, file, flags, keywords, hash, size, tombstone, kin, stamp
                   FROM pair WHERE mailbox = ?1 AND uid = ?2";
        let what = doing("read messages");
        let _reading = self.reading().map_err(&what)?;
        let names = NameCodec::of(&self.db);
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let mut pairs = Vec::with_capacity(uids.len());
        for uid in uids {
            let read = |row: &Row<'_>| pair_from(row, &names);
            let pair = query.query_row(params![key.0, uid.get()], read).optional();
            pairs.extend(pair.map_err(&what)?);
        }
        Ok(pairs)
    }

    /// Returns those of these pairs whose flags differ.
    pub fn pairs_unlike(
        &self,
        key: MailboxKey,
        uids: &BTreeSet<Uid>,
        like: impl Fn(&Uid, &Flags) -> bool,
    ) -> Result<BTreeSet<Uid>, StateError> {
        let what = doing("read flags");
        let sql = "SELECT uid, flags, keywords FROM pair WHERE mailbox = ?1 ORDER BY uid";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            let uid = Uid::new(row.get(0)?).ok_or(rusqlite::Error::InvalidQuery)?;
            let flags = flags_from(row.get(1)?, row.get_ref(2)?.as_str()?);
            Ok((uids.contains(&uid) && !like(&uid, &flags)).then_some(uid))
        };
        let rows = query.query_map([key.0], read).map_err(&what)?;
        let unlike: Result<Vec<Option<Uid>>, _> =
            rows.filter(|row| !matches!(row, Ok(None))).collect();
        Ok(unlike.map_err(what)?.into_iter().flatten().collect())
    }

    /// Returns the index of the recorded files of a mailbox. `None`: the mailbox has to be read
    /// completely.
    pub fn recorded(&self, key: MailboxKey) -> Result<Option<Recorded>, StateError> {
        let what = doing("read about files");
        let _reading = self.reading().map_err(&what)?;
        let sql = "SELECT EXISTS (SELECT 1 FROM aside WHERE mailbox = ?1)
                       OR EXISTS (SELECT 1 FROM lettered WHERE mailbox = ?1)
                       OR EXISTS (SELECT 1 FROM pair INDEXED BY pair_tombstone
                                  WHERE mailbox = ?1 AND tombstone IS NOT NULL),
                       (SELECT count(*) FROM pair WHERE mailbox = ?1)";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?));
        let (unsettled, count) = query.query_row([key.0], read).map_err(&what)?;
        if unsettled {
            return Ok(None);
        }
        let mut all = Recorded::with_capacity(usize::try_from(count).unwrap_or(0));
        let sql = "SELECT uid, file, flags, keywords, size, stamp FROM pair WHERE mailbox = ?1";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let names = NameCodec::of(&self.db);
        let mut rows = query.query([key.0]).map_err(&what)?;
        while let Some(row) = rows.next().map_err(&what)? {
            let mut add = || {
                let uid = Uid::new(row.get(0)?).ok_or(rusqlite::Error::InvalidQuery)?;
                let file = names.unpack(row.get_ref(1)?.as_blob()?)?;
                let flags = flags_from(row.get(2)?, row.get_ref(3)?.as_str()?);
                let weight = Weight {
                    size: row.get::<_, i64>(4)?.unsigned_abs(),
                    stamp: row.get::<_, Option<i64>>(5)?.map(Stamp::from_number),
                };
                all.add(uid, file.as_bytes(), flags, weight);
                Ok::<_, rusqlite::Error>(())
            };
            add().map_err(&what)?;
        }
        Ok(Some(all))
    }

    /// Begins a read transaction: queries until its end see one state and take one lock.
    fn reading(&self) -> Result<Transaction<'_>, rusqlite::Error> {
        self.db.unchecked_transaction()
    }

    /// Returns the highest few UIDs of pairs.
    fn highest(&self, key: MailboxKey) -> Result<Vec<Uid>, rusqlite::Error> {
        let sql = "SELECT uid FROM pair WHERE mailbox = ?1 ORDER BY uid DESC LIMIT ?2";
        let mut query = self.db.prepare_cached(sql)?;
        let uid = |row: &Row<'_>| Uid::new(row.get(0)?).ok_or(rusqlite::Error::InvalidQuery);
        let most = i64::try_from(Outline::LAST).unwrap_or(1);
        query.query_map([key.0, most], uid)?.collect()
    }

    fn uids(&self, key: MailboxKey) -> Result<BTreeSet<Uid>, rusqlite::Error> {
        let sql = "SELECT uid FROM pair WHERE mailbox = ?1 ORDER BY uid";
        let mut query = self.db.prepare_cached(sql)?;
        let rows = query.query_map([key.0], |row| {
            Uid::new(row.get(0)?).ok_or(rusqlite::Error::InvalidQuery)
        })?;
        rows.collect()
    }
}

#[cfg(test)]
#[path = "base_summary_tests.rs"]
mod tests;
