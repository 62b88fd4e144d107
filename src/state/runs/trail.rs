//! Where the message of a line of history is now, and where it was before.

use super::history::{HistoryChange, HistoryRow};
use crate::model::{AnyId, ContentHash, MailboxName, MaildirId, PairId, Side, Uid};
use crate::state::pairs::name_codec::NameCodec;
use crate::state::{State, StateError, doing};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The message of a change beyond the id that the change names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// Of a move, the mailbox that the message left; of a rename, the name before.
    pub source: Option<MailboxName>,
    /// The UID of the message when it was changed on disk.
    pub uid: Option<Uid>,
    /// The pair.
    pub pair: Option<PairId>,
    /// The content of the pair, for a number may mean another pair one day; filled in when the
    /// change is recorded, unless the pair ends with it.
    pub hash: Option<ContentHash>,
}

impl Trail {
    /// Returns the trail of a move or rename out of this mailbox.
    pub fn from(source: &MailboxName) -> Trail {
        Trail {
            source: Some(source.clone()),
            ..Trail::default()
        }
    }

    /// Returns the trail with this pair.
    pub fn of_pair(self, pair: PairId) -> Trail {
        Trail {
            pair: Some(pair),
            ..self
        }
    }

    /// Whether two changes concern one pair.
    pub fn is_of(&self, other: &Trail) -> bool {
        let same = self.pair == other.pair && self.hash == other.hash;
        same && self.pair.is_some() && self.hash.is_some()
    }
}

/// The columns that [`read`] reads.
pub(super) const COLUMNS: &str = "trail.source, trail.uid, trail.pair, trail.hash";

/// Reads the trail of a row, from this column on; `None`: the row has none.
pub(super) fn read(row: &Row<'_>, first: usize) -> Result<Option<Trail>, rusqlite::Error> {
    let source: Option<String> = row.get(first)?;
    let uid: Option<u32> = row.get(first + 1)?;
    let pair: Option<i64> = row.get(first + 2)?;
    let hash: Option<[u8; 32]> = row.get(first + 3)?;
    let trail = Trail {
        source: source.as_deref().and_then(MailboxName::parse),
        uid: uid.and_then(Uid::new),
        pair: pair.map(PairId),
        hash: hash.map(ContentHash),
    };
    Ok(Some(trail).filter(|trail| *trail != Trail::default()))
}

/// Inserts the trail of a row.
pub(super) fn write(db: &Connection, id: i64, trail: &Trail) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO trail (id, source, uid, pair, hash)
               VALUES (?1, ?2, ?3, ?4, coalesce(?5, (SELECT hash FROM pair WHERE id = ?4)))";
    db.prepare_cached(sql)?.execute(params![
        id,
        trail.source.as_ref().map(ToString::to_string),
        trail.uid.map(Uid::get),
        trail.pair.map(|pair| pair.0),
        trail.hash.map(|hash| hash.0),
    ])?;
    Ok(())
}

/// Names the pairs of files whose flags or mailbox were changed on disk only.
pub(super) fn with_pairs(
    db: &Connection,
    changes: &[HistoryChange],
) -> Result<Vec<HistoryChange>, rusqlite::Error> {
    let names = NameCodec::of(db);
    let sql = "SELECT pair.id FROM pair JOIN mailbox ON mailbox.id = pair.mailbox
               WHERE mailbox.name = ?1 AND pair.file = ?2";
    let mut query = db.prepare_cached(sql)?;
    let mut all = changes.to_vec();
    for change in &mut all {
        let Some(AnyId::Local(file)) = &change.message else {
            continue;
        };
        let Some(packed) = names.known(file)? else {
            continue;
        };
        let source = change
            .trail
            .as_ref()
            .and_then(|trail| trail.source.as_ref());
        let mailbox = source.unwrap_or(&change.mailbox).to_string();
        let found = query.query_row(params![mailbox, packed], |row| row.get(0));
        let pair = found.optional()?.map(PairId);
        if let Some(made) = &mut change.flags {
            made.pair = made.pair.or(pair);
        }
        if let Some(trail) = &mut change.trail {
            trail.pair = trail.pair.or(pair);
        }
    }
    Ok(all)
}

impl State {
    /// Returns the current place of the message of a change; `None`: it is no pair now.
    pub fn place_of(
        &self,
        row: &HistoryRow,
    ) -> Result<Option<(MailboxName, MaildirId)>, StateError> {
        let (flags, trail) = (row.flags.as_ref(), row.trail.as_ref());
        let pair = flags.and_then(|made| made.pair);
        let pair = pair.or_else(|| trail.and_then(|trail| trail.pair));
        let hash = flags.and_then(|made| made.hash);
        let hash = hash.or_else(|| trail.and_then(|trail| trail.hash));
        let names = NameCodec::of(&self.db);
        let read = |row: &Row<'_>| {
            let (mailbox, file) = (row.get::<_, String>(0)?, row.get_ref(1)?.as_blob()?);
            Ok((MailboxName::parse(&mailbox), names.unpack(file)?))
        };
        let columns = "SELECT mailbox.name, pair.file FROM pair
                       JOIN mailbox ON mailbox.id = pair.mailbox";
        let find = || match (pair, row.side) {
            (Some(pair), _) => {
                let sql = format!("{columns} WHERE pair.id = ?1 AND pair.hash = ?2");
                let mut query = self.db.prepare_cached(&sql)?;
                let key = params![pair.0, hash.map(|hash| hash.0)];
                query.query_row(key, read).optional()
            }
            (None, Side::Remote) => {
                let sql = format!("{columns} WHERE mailbox.name = ?1 AND pair.uid = ?2");
                let uid = row.message.parse::<u32>().unwrap_or(0);
                let mut query = self.db.prepare_cached(&sql)?;
                query.query_row(params![row.mailbox, uid], read).optional()
            }
            (None, Side::Local) => {
                let Some(file) = names.known(&row.file)? else {
                    return Ok(None);
                };
                let sql = format!("{columns} WHERE mailbox.name = ?1 AND pair.file = ?2");
                let mut query = self.db.prepare_cached(&sql)?;
                query.query_row(params![row.mailbox, file], read).optional()
            }
        };
        let found = find().map_err(doing("look for a message"))?;
        Ok(found.and_then(|(mailbox, file)| Some((mailbox?, file))))
    }
}
