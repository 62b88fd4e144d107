//! Records outcomes: a batch in one transaction, with its history.

use crate::model::{
    AnyId, Aside, AsideReason, Flags, Kin, MailboxKey, MaildirId, Pair, PairId, Side, Stamp, Uid,
    UidValidity, Weight,
};
use crate::reconcile::Outcome;
use crate::state::pairs::base::{
    id_bytes, id_from, keyword_text, pair_from, reason_name, side_from, side_number,
};
use crate::state::pairs::identity_index::bury;
use crate::state::pairs::letters;
use crate::state::pairs::name_codec::NameCodec;
use crate::state::runs::accepted_uploads;
use crate::state::{HistoryChange, QuarantinedRow, State, StateError, doing};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A pair with a new place or name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The pair.
    pub pair: PairId,
    /// Its mailbox.
    pub to: MailboxKey,
    /// Its UID.
    pub uid: Uid,
    /// Its file; `None`: unchanged.
    pub file: Option<MaildirId>,
    /// Bytes of its file; `None`: unchanged.
    pub size: Option<u64>,
}

/// The outcomes in a mailbox.
#[derive(Clone, Debug)]
pub struct MailboxOutcomes {
    /// The mailbox.
    pub key: MailboxKey,
    /// The changes of the base.
    pub outcomes: Vec<Outcome>,
    /// The rows of the history.
    pub changes: Vec<HistoryChange>,
    /// Messages put into quarantine, for later matches.
    pub buried: Vec<QuarantinedRow>,
    /// The time, seconds since 1970.
    pub at: i64,
}

impl MailboxOutcomes {
    /// Makes an empty one.
    pub fn of(key: MailboxKey) -> MailboxOutcomes {
        let (outcomes, changes, buried) = (Vec::new(), Vec::new(), Vec::new());
        MailboxOutcomes {
            key,
            outcomes,
            changes,
            buried,
            at: 0,
        }
    }
}

impl State {
    /// Records the outcomes in a mailbox.
    pub fn apply(
        &mut self,
        key: MailboxKey,
        outcomes: &[Outcome],
        changes: &[HistoryChange],
    ) -> Result<(), StateError> {
        let (outcomes, changes) = (outcomes.to_vec(), changes.to_vec());
        self.record(&[MailboxOutcomes {
            outcomes,
            changes,
            ..MailboxOutcomes::of(key)
        }])
    }

    /// Records the outcomes in several mailboxes in one transaction.
    pub fn record(&mut self, all: &[MailboxOutcomes]) -> Result<(), StateError> {
        let idle = |done: &MailboxOutcomes| done.outcomes.is_empty() && done.changes.is_empty();
        if all.iter().all(idle) {
            return Ok(());
        }
        let what = doing("record what was done");
        let run = match all.iter().all(|done| done.changes.is_empty()) {
            true => None,
            false => Some(self.run_row()?),
        };
        let tx = self.db.transaction().map_err(&what)?;
        let names = NameCodec::of(&tx);
        for done in all {
            for outcome in &done.outcomes {
                record(&tx, &names, done.key, outcome).map_err(&what)?;
            }
            forget_suspects(&tx, done).map_err(&what)?;
            crate::state::pairs::refused_changes::forget_agreed(&tx, &done.outcomes)
                .map_err(&what)?;
            bury(&tx, &done.buried, done.at).map_err(&what)?;
            if let Some(run) = run {
                crate::state::runs::history::write(&tx, &names, run, &done.changes)
                    .map_err(&what)?;
            }
        }
        tx.commit().map_err(what)?;
        for done in all {
            self.note_changes(&done.changes);
        }
        Ok(())
    }

    /// Whether a file belongs to a pair.
    pub fn has_file(&self, key: MailboxKey, file: &MaildirId) -> Result<bool, StateError> {
        let (names, id) = (NameCodec::of(&self.db), AnyId::Local(file.clone()));
        is_paired(&self.db, &names, key, &id).map_err(doing("look for a file"))
    }

    /// Records new places of pairs.
    pub fn apply_moves(
        &mut self,
        moved: &[Moved],
        changes: &[HistoryChange],
    ) -> Result<(), StateError> {
        match moved.is_empty() {
            true => Ok(()),
            false => self.move_and_pair(moved, None, changes),
        }
    }

    /// Records new places of pairs and the outcomes of other messages in one transaction.
    pub fn move_and_pair(
        &mut self,
        moved: &[Moved],
        beside: Option<(MailboxKey, &Outcome)>,
        changes: &[HistoryChange],
    ) -> Result<(), StateError> {
        let what = doing("record moves");
        let run = self.run_row()?;
        let tx = self.db.transaction().map_err(&what)?;
        rewrite(&tx, moved).map_err(&what)?;
        if let Some((key, outcome)) = beside {
            record(&tx, &NameCodec::of(&tx), key, outcome).map_err(&what)?;
        }
        crate::state::runs::history::write(&tx, &NameCodec::of(&tx), run, changes)
            .map_err(&what)?;
        tx.commit().map_err(what)?;
        self.note_changes(changes);
        Ok(())
    }

    /// Marks a mailbox to be read completely.
    pub fn look_anew(&mut self, key: MailboxKey) -> Result<(), StateError> {
        let sql = "UPDATE mailbox SET remote_cursor = NULL, local_cursor = NULL, full_at = 0
                   WHERE id = ?1";
        self.db
            .execute(sql, [key.0])
            .map_err(doing("forget a look"))?;
        Ok(())
    }

    /// Records the ids of messages on the server.
    pub fn learn_kin(&mut self, learned: &[(PairId, Kin)]) -> Result<(), StateError> {
        if learned.is_empty() {
            return Ok(());
        }
        let what = doing("remember ids of messages");
        let tx = self.db.transaction().map_err(&what)?;
        for (pair, kin) in learned {
            let sql = "UPDATE pair SET kin = ?2 WHERE id = ?1";
            let mut update = tx.prepare_cached(sql).map_err(&what)?;
            update.execute([pair.0, kin.number()]).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Records the stamps of the files of pairs.
    pub fn learn_weights(&mut self, learned: &[(PairId, Weight)]) -> Result<(), StateError> {
        if learned.is_empty() {
            return Ok(());
        }
        let what = doing("remember when files were touched");
        let tx = self.db.transaction().map_err(&what)?;
        for (pair, weight) in learned {
            let sql = "UPDATE pair SET size = ?2, stamp = ?3
                       WHERE id = ?1 AND (size <> ?2 OR stamp IS NOT ?3)";
            let mut update = tx.prepare_cached(sql).map_err(&what)?;
            let size = i64::try_from(weight.size).unwrap_or(i64::MAX);
            let stamp = weight.stamp.map(Stamp::number);
            update
                .execute(params![pair.0, size, stamp])
                .map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Moves a mailbox into another UIDVALIDITY in one transaction: pairs get new UIDs, those
    /// without one are skipped.
    pub fn rekey(
        &mut self,
        key: MailboxKey,
        uid_validity: UidValidity,
        rekeyed: &[(PairId, Uid)],
        orphans: &[(PairId, Option<Aside>)],
        gone: &[PairId],
    ) -> Result<(), StateError> {
        let what = doing("take over a new UIDVALIDITY");
        let tx = self.db.transaction().map_err(&what)?;
        let go = || -> Result<(), rusqlite::Error> {
            let uid_validity = i64::try_from(uid_validity.0).unwrap_or(i64::MAX);
            tx.execute(
                "UPDATE mailbox SET epoch = ?2, remote_cursor = NULL, doubted = 0 WHERE id = ?1",
                params![key.0, uid_validity],
            )?;
            tx.execute("DELETE FROM aside WHERE mailbox = ?1 AND side = 0", [key.0])?;
            tx.execute("UPDATE upload SET above = 0 WHERE mailbox = ?1", [key.0])?;
            let sql = "DELETE FROM upload WHERE mailbox = ?1 AND phase >= 2";
            tx.execute(sql, [key.0])?;
            for (pair, aside) in orphans {
                tx.execute("DELETE FROM pair WHERE id = ?1", [pair.0])?;
                if let Some(aside) = aside {
                    set_aside(&tx, key, aside)?;
                }
            }
            let moved: Vec<Moved> = rekeyed
                .iter()
                .map(|(pair, uid)| Moved {
                    pair: *pair,
                    to: key,
                    uid: *uid,
                    file: None,
                    size: None,
                })
                .collect();
            rewrite(&tx, &moved)?;
            for pair in gone {
                let sql = "UPDATE pair SET tombstone = ?2 WHERE id = ?1";
                tx.prepare_cached(sql)?
                    .execute(params![pair.0, side_number(Side::Local)])?;
            }
            Ok(())
        };
        go().map_err(&what)?;
        tx.commit().map_err(what)
    }
}

/// Updates places of pairs. Old and new ids may overlap, so all rows are deleted before the first
/// is inserted.
fn rewrite(db: &Connection, moved: &[Moved]) -> Result<(), rusqlite::Error> {
    let columns = "id, uid, file, flags, keywords, hash, size, tombstone, kin, stamp, unproven, \
                   sent, mailbox";
    let mut rows: Vec<(&Moved, StoredPair)> = Vec::new();
    let names = NameCodec::of(db);
    for one in moved {
        let sql = format!("SELECT {columns} FROM pair WHERE id = ?1");
        let row = db
            .prepare_cached(&sql)?
            .query_row([one.pair.0], |row| {
                Ok(StoredPair {
                    pair: pair_from(row, &names)?,
                    unproven: row.get(10)?,
                    sent: row.get(11)?,
                    mailbox: MailboxKey(row.get(12)?),
                })
            })
            .optional()?;
        db.prepare_cached("DELETE FROM pair WHERE id = ?1")?
            .execute([one.pair.0])?;
        rows.extend(row.map(|kept| (one, kept)));
    }
    for (one, kept) in rows {
        let pair = kept.pair;
        let file = one.file.clone().unwrap_or_else(|| pair.file.clone());
        unaside(db, one.to, &AnyId::Remote(one.uid))?;
        unaside(db, one.to, &AnyId::Local(file.clone()))?;
        end_upload(db, one.to, &file)?;
        if (one.to, &file) != (kept.mailbox, &pair.file) {
            letters::forget(db, one.to, &file)?;
            letters::forget(db, kept.mailbox, &pair.file)?;
        }
        let sql =
            "INSERT INTO pair (id, mailbox, uid, file, flags, keywords, hash, size, kin, stamp,
                                     unproven, sent)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        db.prepare_cached(sql)?.execute(params![
            pair.id.0,
            one.to.0,
            one.uid.get(),
            names.pack(&file)?,
            pair.flags.bits(),
            keyword_text(&pair.flags),
            pair.hash.0,
            i64::try_from(one.size.unwrap_or(pair.size)).unwrap_or(i64::MAX),
            pair.kin.map(Kin::number),
            pair.stamp.map(Stamp::number),
            kept.unproven,
            kept.sent
        ])?;
    }
    Ok(())
}

/// A pair with the columns that only the state uses.
struct StoredPair {
    pair: Pair,
    unproven: i64,
    sent: Option<i64>,
    mailbox: MailboxKey,
}

fn record_pair(
    db: &Connection,
    names: &NameCodec<'_>,
    key: MailboxKey,
    outcome: &Outcome,
) -> Result<(), rusqlite::Error> {
    let Outcome::Paired {
        uid,
        file,
        flags,
        hash,
        size,
        stamp,
        kin,
        replaces,
    } = outcome
    else {
        return Ok(());
    };
    if let Some(old) = replaces {
        db.prepare_cached("DELETE FROM pair WHERE id = ?1")?
            .execute([old.0])?;
    }
    unaside(db, key, &AnyId::Remote(*uid))?;
    unaside(db, key, &AnyId::Local(file.clone()))?;
    end_upload(db, key, file)?;
    letters::forget(db, key, file)?;
    if is_paired(db, names, key, &AnyId::Remote(*uid))? {
        return set_aside(db, key, &taken_for_another(file, *uid, flags));
    }
    let sql = "INSERT INTO pair (mailbox, uid, file, flags, keywords, hash, size, kin, stamp)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let size = i64::try_from(*size).unwrap_or(i64::MAX);
    db.prepare_cached(sql)?.execute(params![
        key.0,
        uid.get(),
        names.pack(file)?,
        flags.bits(),
        keyword_text(flags),
        hash.0,
        size,
        kin.map(Kin::number),
        stamp.map(Stamp::number)
    ])?;
    Ok(())
}

fn record(
    db: &Connection,
    names: &NameCodec<'_>,
    key: MailboxKey,
    outcome: &Outcome,
) -> Result<(), rusqlite::Error> {
    match outcome {
        Outcome::Paired { .. } => record_pair(db, names, key, outcome)?,
        Outcome::Unproven { uid } => {
            let sql = "UPDATE pair SET unproven = 1 WHERE mailbox = ?1 AND uid = ?2";
            db.prepare_cached(sql)?.execute(params![key.0, uid.get()])?;
        }
        Outcome::Unlisted { .. }
        | Outcome::Listed(_)
        | Outcome::Corrected(_)
        | Outcome::Called { .. } => record_upload(db, names, key, outcome)?,
        Outcome::Agreed { pair, flags } => {
            let sql = "UPDATE pair SET flags = ?2, keywords = ?3, tombstone = NULL WHERE id = ?1";
            let values = params![pair.0, flags.bits(), keyword_text(flags)];
            db.prepare_cached(sql)?.execute(values)?;
        }
        Outcome::Dropped { pair } => drop_pair(db, names, *pair)?,
        Outcome::Tombstone { pair, side } => {
            let sql = "UPDATE pair SET tombstone = ?2 WHERE id = ?1";
            db.prepare_cached(sql)?
                .execute(params![pair.0, side_number(*side)])?;
        }
        Outcome::Alone { pair, aside } => {
            if let Some(pair) = pair {
                db.prepare_cached("DELETE FROM pair WHERE id = ?1")?
                    .execute([pair.0])?;
            }
            if let AnyId::Local(file) = &aside.id {
                end_upload(db, key, file)?;
            }
            // Another message may have been downloaded under the name of a file that is gone.
            if !is_paired(db, names, key, &aside.id)? {
                set_aside(db, key, aside)?;
            }
        }
        Outcome::Unaside(id) => unaside(db, key, id)?,
    }
    Ok(())
}

/// Drops suspects that are pairs now.
fn forget_suspects(db: &Connection, done: &MailboxOutcomes) -> Result<(), rusqlite::Error> {
    let mut any = db.prepare_cached("SELECT 1 FROM suspect LIMIT 1")?;
    if done.outcomes.is_empty() || !any.exists([])? {
        return Ok(());
    }
    for outcome in &done.outcomes {
        if let Outcome::Paired { uid, file, .. } = outcome {
            let sql = "DELETE FROM suspect WHERE mailbox = ?1 AND message IN (?2, ?3)";
            let (uid, file) = (uid.get().to_be_bytes(), file.as_bytes());
            db.prepare_cached(sql)?
                .execute(params![done.key.0, &uid[..], file])?;
        }
    }
    Ok(())
}

/// Forgets the upload of a file that is one of a pair from now on.
fn end_upload(db: &Connection, key: MailboxKey, file: &MaildirId) -> Result<(), rusqlite::Error> {
    db.prepare_cached("DELETE FROM upload WHERE mailbox = ?1 AND file = ?2")?
        .execute(params![key.0, file.as_bytes()])?;
    Ok(())
}

/// Forgets a pair, and what the letters of its file said.
fn drop_pair(db: &Connection, names: &NameCodec<'_>, pair: PairId) -> Result<(), rusqlite::Error> {
    let sql = "DELETE FROM pair WHERE id = ?1 RETURNING mailbox, file";
    let read = |row: &Row<'_>| Ok((MailboxKey(row.get(0)?), row.get::<_, Vec<u8>>(1)?));
    let mut delete = db.prepare_cached(sql)?;
    if let Some((key, file)) = delete.query_row([pair.0], read).optional()? {
        letters::forget(db, key, &names.unpack(&file)?)?;
    }
    Ok(())
}

/// Records the resolution of an upload that the server accepted.
fn record_upload(
    db: &Connection,
    names: &NameCodec<'_>,
    key: MailboxKey,
    outcome: &Outcome,
) -> Result<(), rusqlite::Error> {
    let paired = |file: &MaildirId| is_paired(db, names, key, &AnyId::Local(file.clone()));
    match outcome {
        Outcome::Unlisted {
            uid,
            file,
            above,
            tries,
        } if paired(file)? => accepted_uploads::unlist(db, key, (file, *uid), (*above, *tries)),
        Outcome::Listed(file) => accepted_uploads::list(db, key, file),
        Outcome::Corrected(file) => accepted_uploads::correct(db, key, file),
        Outcome::Called { uid, file, name } if paired(file)? => {
            accepted_uploads::name(db, key, (*uid, *name))
        }
        _ => Ok(()),
    }
}

/// A file that the server identified with the message of another pair.
fn taken_for_another(file: &MaildirId, uid: Uid, flags: &Flags) -> Aside {
    Aside {
        id: AnyId::Local(file.clone()),
        reason: AsideReason::NotListed,
        attempts: 1,
        retry_at: None,
        flags: flags.clone(),
        detail: format!("the server took it for {uid}, which it had already"),
    }
}

fn is_paired(
    db: &Connection,
    names: &NameCodec<'_>,
    key: MailboxKey,
    id: &AnyId,
) -> Result<bool, rusqlite::Error> {
    match id {
        AnyId::Remote(uid) => db
            .prepare_cached("SELECT 1 FROM pair WHERE mailbox = ?1 AND uid = ?2")?
            .exists(params![key.0, uid.get()]),
        AnyId::Local(file) => match names.known(file)? {
            None => Ok(false),
            Some(file) => db
                .prepare_cached("SELECT 1 FROM pair WHERE mailbox = ?1 AND file = ?2")?
                .exists(params![key.0, file]),
        },
    }
}

/// Drops skipped messages that are pairs, for older databases.
pub(in crate::state) fn unaside_paired(db: &Connection) -> Result<(), rusqlite::Error> {
    let mut select = db.prepare("SELECT mailbox, side, message FROM aside")?;
    let read = |row: &Row<'_>| {
        let id = id_from(side_from(row.get(1)?), row.get(2)?);
        Ok((MailboxKey(row.get(0)?), id))
    };
    let all: Vec<_> = select.query_map([], read)?.collect::<Result<_, _>>()?;
    let names = NameCodec::of(db);
    for (key, id) in all {
        if let Some(id) = id
            && is_paired(db, &names, key, &id)?
        {
            unaside(db, key, &id)?;
        }
    }
    Ok(())
}

pub(in crate::state) fn set_aside(
    db: &Connection,
    key: MailboxKey,
    aside: &Aside,
) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO aside (mailbox, side, message, reason, attempts, retry_at, flags,
                                  keywords, detail)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
               ON CONFLICT (mailbox, side, message) DO UPDATE SET
                   reason = excluded.reason, attempts = excluded.attempts,
                   retry_at = excluded.retry_at, flags = excluded.flags,
                   keywords = excluded.keywords, detail = excluded.detail";
    db.prepare_cached(sql)?.execute(params![
        key.0,
        side_number(aside.id.side()),
        id_bytes(&aside.id),
        reason_name(aside.reason),
        aside.attempts,
        aside.retry_at,
        aside.flags.bits(),
        keyword_text(&aside.flags),
        aside.detail
    ])?;
    Ok(())
}

fn unaside(db: &Connection, key: MailboxKey, id: &AnyId) -> Result<(), rusqlite::Error> {
    let sql = "DELETE FROM aside WHERE mailbox = ?1 AND side = ?2 AND message = ?3";
    db.prepare_cached(sql)?
        .execute(params![key.0, side_number(id.side()), id_bytes(id)])?;
    Ok(())
}
