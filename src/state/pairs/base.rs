//! The account, its mailboxes, pairs and cursors.

use crate::model::{
    AnyId, Aside, AsideReason, ContentHash, Flags, Keyword, Kin, MailboxBase, MailboxKey,
    MailboxName, MaildirId, Pair, PairId, Side, Stamp, Uid, UidValidity,
};
use crate::state::pairs::name_codec::NameCodec;
use crate::state::{State, StateError, doing};
use rusqlite::{OptionalExtension, Params, Row, params};
use std::collections::{BTreeMap, BTreeSet};

/// The row of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// The id that the marker of the Maildir contains, too.
    pub uuid: String,
    /// The settings of the last run without a held change.
    pub config: String,
}

impl State {
    /// Returns the account; `None` before its first run.
    pub fn account(&self) -> Result<Option<AccountRecord>, StateError> {
        let sql = "SELECT uuid, config FROM account WHERE id = 1";
        let read = |row: &Row<'_>| {
            Ok(AccountRecord {
                uuid: row.get(0)?,
                config: row.get(1)?,
            })
        };
        self.db
            .query_row(sql, [], read)
            .optional()
            .map_err(doing("read the account"))
    }

    /// Records the account.
    pub fn set_account(&mut self, account: &AccountRecord, now: i64) -> Result<(), StateError> {
        let sql = "INSERT INTO account (id, uuid, config, created_at) VALUES (1, ?1, ?2, ?3)
                   ON CONFLICT (id) DO UPDATE SET uuid = excluded.uuid, config = excluded.config";
        let values = params![account.uuid, account.config, now];
        self.db
            .execute(sql, values)
            .map_err(doing("remember the account"))?;
        Ok(())
    }

    /// Returns all mailboxes.
    pub fn mailboxes(&self) -> Result<BTreeMap<MailboxName, MailboxKey>, StateError> {
        let what = doing("list mailboxes");
        let sql = "SELECT name, id FROM mailbox";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, MailboxKey(row.get(1)?)));
        let rows = query.query_map([], read).map_err(&what)?;
        let mut all = BTreeMap::new();
        for row in rows {
            let (text, key) = row.map_err(&what)?;
            all.extend(MailboxName::parse(&text).map(|name| (name, key)));
        }
        Ok(all)
    }

    /// Returns the row of a mailbox.
    pub fn mailbox_key(&self, name: &MailboxName) -> Result<Option<MailboxKey>, StateError> {
        let what = doing("look for a mailbox");
        let sql = "SELECT id FROM mailbox WHERE name = ?1";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let key = query.query_row([name.to_string()], |row| row.get(0));
        Ok(key.optional().map_err(what)?.map(MailboxKey))
    }

    /// Returns the number of messages of a mailbox. Reads each row of it.
    pub fn count(&self, mailbox: MailboxKey) -> Result<usize, StateError> {
        let what = doing("count messages");
        let sql = "SELECT count(*) FROM pair WHERE mailbox = ?1";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let count = query.query_row([mailbox.0], |row| row.get::<_, i64>(0));
        Ok(usize::try_from(count.map_err(&what)?).unwrap_or(0))
    }

    /// Returns the UIDVALIDITY of a mailbox's UIDs.
    pub fn uid_validity(&self, key: MailboxKey) -> Result<Option<UidValidity>, StateError> {
        let sql = "SELECT epoch FROM mailbox WHERE id = ?1";
        let query = self.db.prepare_cached(sql);
        let uid_validity: Option<i64> = query
            .and_then(|mut query| query.query_row([key.0], |row| row.get(0)))
            .map_err(doing("read a mailbox"))?;
        Ok(uid_validity
            .and_then(|e| u64::try_from(e).ok())
            .map(UidValidity))
    }

    /// Returns the mailboxes that have to be read without a reported change: unresolved uploads,
    /// messages to retry, held messages.
    pub fn restless(&self, now: i64) -> Result<BTreeSet<MailboxKey>, StateError> {
        let what = doing("read what is due");
        let sql = "SELECT mailbox FROM upload WHERE phase < 2
                   UNION SELECT mailbox FROM aside WHERE retry_at <= ?1 OR reason = 'unmatched'";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query
            .query_map([now], |row| Ok(MailboxKey(row.get(0)?)))
            .map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// Returns the messages that a side refused or did not list, with their mailboxes.
    pub fn refused(&self) -> Result<Vec<(MailboxName, Aside)>, StateError> {
        let what = doing("read what was refused");
        let sql = "SELECT DISTINCT mailbox FROM aside WHERE reason IN ('refused', 'not-listed')";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let keys = query
            .query_map([], |row| row.get::<_, i64>(0))
            .map_err(&what)?;
        let keys: Vec<i64> = keys.collect::<Result<_, _>>().map_err(&what)?;
        let mut all = Vec::new();
        for key in keys {
            let base = self.base(MailboxKey(key))?;
            let refused = base.aside.into_iter().filter(|aside| {
                matches!(aside.reason, AsideReason::Refused | AsideReason::NotListed)
            });
            all.extend(refused.map(|aside| (base.name.clone(), aside)));
        }
        Ok(all)
    }

    /// Returns the base of a mailbox.
    pub fn base(&self, key: MailboxKey) -> Result<MailboxBase, StateError> {
        let what = doing("read a mailbox");
        let sql = "SELECT id, uid, file, flags, keywords, hash, size, tombstone, kin, stamp
                   FROM pair WHERE mailbox = ?1 ORDER BY uid";
        let mut base = self.head(key).map_err(&what)?;
        let names = NameCodec::of(&self.db);
        self.add_pairs(&mut base, &names, (sql, params![key.0]))
            .map_err(what)?;
        Ok(base)
    }

    pub(in crate::state) fn head(&self, key: MailboxKey) -> Result<MailboxBase, rusqlite::Error> {
        let sql = "SELECT name, tag, epoch FROM mailbox WHERE id = ?1";
        let mut query = self.db.prepare_cached(sql)?;
        query.query_row([key.0], |row| {
            Ok(MailboxBase {
                key,
                name: name_from(row.get_ref(0)?.as_str()?),
                tag: row.get(1)?,
                uid_validity: epoch_from(row.get(2)?),
                pairs: Vec::new(),
                others: BTreeSet::new(),
                aside: self.asides(key)?,
            })
        })
    }

    pub(in crate::state) fn add_pairs(
        &self,
        base: &mut MailboxBase,
        names: &NameCodec<'_>,
        (sql, values): (&str, impl Params),
    ) -> Result<(), rusqlite::Error> {
        let mut query = self.db.prepare_cached(sql)?;
        for pair in query.query_map(values, |row| pair_from(row, names))? {
            let pair = pair?;
            base.others.remove(&pair.uid);
            base.pairs.push(pair);
        }
        Ok(())
    }

    pub(in crate::state) fn asides(&self, key: MailboxKey) -> Result<Vec<Aside>, rusqlite::Error> {
        let sql = "SELECT side, message, reason, attempts, retry_at, flags, keywords, detail
                   FROM aside WHERE mailbox = ?1 ORDER BY side, message";
        let mut query = self.db.prepare_cached(sql)?;
        let rows = query.query_map([key.0], |row| {
            let message: Vec<u8> = row.get(1)?;
            Ok(Aside {
                id: id_from(side_from(row.get(0)?), message)
                    .ok_or(rusqlite::Error::InvalidQuery)?,
                reason: reason_from(row.get_ref(2)?.as_str()?),
                attempts: row.get(3)?,
                retry_at: row.get(4)?,
                flags: flags_from(row.get(5)?, row.get_ref(6)?.as_str()?),
                detail: row.get(7)?,
            })
        })?;
        rows.collect()
    }
}

/// Reads a pair from the columns id, uid, file, flags, keywords, hash, size, tombstone, kin, stamp.
pub(in crate::state) fn pair_from(
    row: &Row<'_>,
    names: &NameCodec<'_>,
) -> Result<Pair, rusqlite::Error> {
    Ok(Pair {
        id: PairId(row.get(0)?),
        uid: Uid::new(row.get(1)?).ok_or(rusqlite::Error::InvalidQuery)?,
        file: names.unpack(row.get_ref(2)?.as_blob()?)?,
        flags: flags_from(row.get(3)?, row.get_ref(4)?.as_str()?),
        hash: ContentHash(row.get(5)?),
        size: row.get::<_, i64>(6)?.unsigned_abs(),
        tombstone: row.get::<_, Option<i64>>(7)?.map(side_from),
        kin: row.get::<_, Option<i64>>(8)?.map(Kin::from_number),
        stamp: row.get::<_, Option<i64>>(9)?.map(Stamp::from_number),
    })
}

pub(in crate::state) fn name_from(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap_or_else(MailboxName::inbox)
}

pub(in crate::state) fn epoch_from(number: Option<i64>) -> Option<UidValidity> {
    let number = u64::try_from(number?).ok();
    number.map(UidValidity)
}

pub(in crate::state) fn side_number(side: Side) -> i64 {
    match side {
        Side::Remote => 0,
        Side::Local => 1,
    }
}

pub(in crate::state) fn side_from(number: i64) -> Side {
    if number == 0 {
        Side::Remote
    } else {
        Side::Local
    }
}

/// Returns the stored id of a message.
pub(in crate::state) fn id_bytes(id: &AnyId) -> Vec<u8> {
    match id {
        AnyId::Remote(uid) => uid.get().to_be_bytes().to_vec(),
        AnyId::Local(file) => file.as_bytes().to_vec(),
    }
}

pub(in crate::state) fn id_from(side: Side, bytes: Vec<u8>) -> Option<AnyId> {
    match side {
        Side::Remote => {
            let number = u32::from_be_bytes(bytes.try_into().ok()?);
            Uid::new(number).map(AnyId::Remote)
        }
        Side::Local => Some(AnyId::Local(MaildirId::new(bytes))),
    }
}

pub(in crate::state) fn keyword_text(flags: &Flags) -> String {
    flags
        .keywords()
        .map(Keyword::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

pub(in crate::state) fn flags_from(bits: i64, keywords: &str) -> Flags {
    let bits = u8::try_from(bits).unwrap_or(0);
    Flags::from_parts(bits, keywords.split(' ').filter_map(Keyword::new))
}

pub(in crate::state) fn reason_name(reason: AsideReason) -> &'static str {
    match reason {
        AsideReason::MarkedDeleted => "marked-deleted",
        AsideReason::MarkedByUs => "marked-by-us",
        AsideReason::Refused => "refused",
        AsideReason::Kept => "kept",
        AsideReason::Unmatched => "unmatched",
        AsideReason::NotListed => "not-listed",
    }
}

fn reason_from(name: &str) -> AsideReason {
    match name {
        "marked-deleted" => AsideReason::MarkedDeleted,
        "marked-by-us" => AsideReason::MarkedByUs,
        "refused" => AsideReason::Refused,
        "unmatched" => AsideReason::Unmatched,
        "not-listed" => AsideReason::NotListed,
        _ => AsideReason::Kept,
    }
}

#[cfg(test)]
#[path = "base_tests.rs"]
mod tests;
