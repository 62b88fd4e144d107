//! Whether UIDs still mean the same messages: a restored or recreated server may assign UIDs again
//! under an equal UIDVALIDITY.

use crate::model::{ContentHash, Kin, MailboxKey, Pair, PairId, Uid};
use crate::state::pairs::base::pair_from;
use crate::state::pairs::name_codec::NameCodec;
use crate::state::{HistoryChange, State, StateError, doing};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use std::collections::{BTreeMap, BTreeSet};

/// A pair that can be compared with the message that its UID means now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The pair.
    pub pair: PairId,
    /// Its UID.
    pub uid: Uid,
    /// The recorded id on the server.
    pub kin: Kin,
    /// The recorded content.
    pub hash: ContentHash,
}

/// How certain a change of the meaning of UIDs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UidDoubt {
    /// The id of a message differs from its pair's: its content has to be read.
    Suspected,
    /// The content of a message differs from its pair's.
    Proven,
}

impl UidDoubt {
    fn number(self) -> i64 {
        match self {
            UidDoubt::Suspected => 1,
            UidDoubt::Proven => 2,
        }
    }
}

/// The result of comparing the halves of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparedHalves {
    /// They are equal.
    Same,
    /// They differ; this is the content on the server.
    Other(ContentHash),
    /// The message on the server cannot be read.
    Untold,
}

impl State {
    /// Returns the mailboxes with pairs that were linked by cheap evidence and not compared yet.
    pub fn unproven_mailboxes(&self) -> Result<BTreeSet<MailboxKey>, StateError> {
        let what = doing("read what is not proven");
        let sql = "SELECT DISTINCT mailbox FROM pair INDEXED BY pair_unproven WHERE unproven = 1";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([], |row| Ok(MailboxKey(row.get(0)?)));
        rows.and_then(Iterator::collect).map_err(what)
    }

    /// Returns at most so many of these pairs of a mailbox.
    pub fn unproven(&self, key: MailboxKey, most: usize) -> Result<Vec<Pair>, StateError> {
        let what = doing("read what is not proven");
        let sql = "SELECT id, uid, file, flags, keywords, hash, size, tombstone, kin, stamp
                   FROM pair INDEXED BY pair_unproven
                   WHERE mailbox = ?1 AND unproven = 1 AND tombstone IS NULL LIMIT ?2";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let names = NameCodec::of(&self.db);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = query.query_map([key.0, most], |row| pair_from(row, &names));
        rows.and_then(Iterator::collect).map_err(what)
    }

    /// Records the compared contents of pairs of a mailbox. If the file of a pair has another
    /// content, the mailbox is marked to be read completely, as the file may have been edited.
    pub fn record_compared(
        &mut self,
        key: MailboxKey,
        compared: &[(PairId, ComparedHalves)],
        changes: &[HistoryChange],
    ) -> Result<(), StateError> {
        let what = doing("record what is proven");
        let tx = self.db.transaction().map_err(&what)?;
        for (pair, compared) in compared {
            let done = match compared {
                ComparedHalves::Same => set(&tx, "unproven = 0", params![pair.0]),
                ComparedHalves::Untold => set(&tx, "unproven = 2", params![pair.0]),
                ComparedHalves::Other(hash) => {
                    let values = params![pair.0, hash.0];
                    set(&tx, "unproven = 0, stamp = NULL, hash = ?2", values).and_then(|_| {
                        let sql = "UPDATE mailbox SET remote_cursor = NULL, local_cursor = NULL,
                                          full_at = 0 WHERE id = ?1";
                        tx.prepare_cached(sql)?.execute([key.0])
                    })
                }
            };
            done.map_err(&what)?;
        }
        tx.commit().map_err(what)?;
        self.apply(key, &[], changes)
    }

    /// Returns those of these messages whose id on the server is recorded.
    pub fn proofs(
        &self,
        key: MailboxKey,
        uids: impl IntoIterator<Item = Uid>,
    ) -> Result<Vec<Proof>, StateError> {
        let what = doing("read what messages are called");
        let sql = "SELECT id, kin, hash FROM pair
                   WHERE mailbox = ?1 AND uid = ?2 AND kin IS NOT NULL";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let mut proofs = Vec::new();
        for uid in uids {
            let read = |row: &Row<'_>| {
                Ok(Proof {
                    pair: PairId(row.get(0)?),
                    uid,
                    kin: Kin::from_number(row.get(1)?),
                    hash: ContentHash(row.get(2)?),
                })
            };
            let proof = query.query_row(params![key.0, uid.get()], read).optional();
            proofs.extend(proof.map_err(&what)?);
        }
        Ok(proofs)
    }

    /// Records that UIDs of a mailbox may mean other messages: the next read verifies it and finds
    /// the new UIDs.
    pub fn doubt(&self, key: MailboxKey, doubt: UidDoubt) -> Result<(), StateError> {
        let sql = "UPDATE mailbox SET doubted = max(doubted, ?2) WHERE id = ?1";
        self.db
            .execute(sql, [key.0, doubt.number()])
            .map_err(doing("remember that UIDs are in doubt"))?;
        Ok(())
    }

    /// Records that suspected UIDs are valid.
    pub fn end_suspicion(&self, key: MailboxKey) -> Result<(), StateError> {
        let sql = "UPDATE mailbox SET doubted = 0 WHERE id = ?1 AND doubted = ?2";
        self.db
            .execute(sql, [key.0, UidDoubt::Suspected.number()])
            .map_err(doing("remember that UIDs are sound"))?;
        Ok(())
    }

    /// Returns the mailboxes with suspected UIDs.
    pub fn doubted(&self) -> Result<BTreeMap<MailboxKey, UidDoubt>, StateError> {
        let what = doing("read which UIDs are in doubt");
        let sql = "SELECT id, doubted FROM mailbox WHERE doubted <> 0";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([], |row| {
            let doubt = match row.get::<_, i64>(1)? == UidDoubt::Suspected.number() {
                true => UidDoubt::Suspected,
                false => UidDoubt::Proven,
            };
            Ok((MailboxKey(row.get(0)?), doubt))
        });
        rows.and_then(Iterator::collect).map_err(what)
    }
}

fn set(db: &Connection, columns: &str, values: impl Params) -> rusqlite::Result<usize> {
    let sql = format!("UPDATE pair SET {columns} WHERE id = ?1");
    db.prepare_cached(&sql)?.execute(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Canonical, Flags, MailboxName, MaildirId, UidValidity};
    use crate::reconcile::Outcome;
    use crate::state::Moved;

    fn uid(n: u32) -> Uid {
        Uid::new(n).unwrap()
    }

    /// Makes two pairs, one with an id on the server.
    fn state() -> (State, MailboxKey) {
        let mut state = State::in_memory().unwrap();
        let key = state.add_mailbox(&MailboxName::inbox(), 1).unwrap();
        let paired = |n: u32, kin| Outcome::Paired {
            uid: uid(n),
            file: MaildirId::new(format!("f{n}")),
            flags: Flags::default(),
            hash: Canonical::of(b"x"),
            size: 1,
            stamp: None,
            kin,
            replaces: None,
        };
        let kin = Some(Kin::from_number(4));
        let outcomes = [paired(1, kin), paired(2, None)];
        state.apply(key, &outcomes, &[]).unwrap();
        (state, key)
    }

    #[test]
    fn pairs_without_a_name_there_prove_nothing() {
        let (state, key) = state();
        let proofs = state.proofs(key, (1..4).map(uid)).unwrap();
        let told: Vec<_> = proofs.iter().map(|p| (p.uid, p.kin, p.hash)).collect();
        let hash = Canonical::of(b"x");
        assert_eq!(told, [(uid(1), Kin::from_number(4), hash)]);
    }

    #[test]
    fn what_is_not_proven_stays_so_where_it_is_moved() {
        let (mut state, key) = state();
        let unproven = |state: &State| -> BTreeSet<Uid> {
            let pairs = state.unproven(key, 9).unwrap();
            pairs.into_iter().map(|pair| pair.uid).collect()
        };
        assert_eq!(
            (unproven(&state), state.unproven_mailboxes().unwrap().len()),
            (BTreeSet::new(), 0)
        );
        let outcomes = [1, 2].map(|n| Outcome::Unproven { uid: uid(n) });
        state.apply(key, &outcomes, &[]).unwrap();
        let pair = state.unproven(key, 9).unwrap()[0].clone();
        let moved = Moved {
            pair: pair.id,
            to: key,
            uid: uid(7),
            file: None,
            size: None,
        };
        state.apply_moves(&[moved], &[]).unwrap();
        assert_eq!(unproven(&state), [uid(2), uid(7)].into());
        assert_eq!(state.unproven_mailboxes().unwrap(), [key].into());
        let other = Canonical::of(b"y");
        let compared = [(pair.id, ComparedHalves::Other(other))];
        state.record_compared(key, &compared, &[]).unwrap();
        assert_eq!(unproven(&state), [uid(2)].into());
        let pairs = state.base(key).unwrap().pairs;
        let now = pairs.iter().find(|known| known.id == pair.id).unwrap();
        assert_eq!((now.hash, now.stamp), (other, None));
        assert_eq!(state.full_at(key).unwrap(), 0);
    }

    #[test]
    fn only_new_uids_end_a_doubt_that_is_proven() {
        let (mut state, key) = state();
        let doubted = |state: &State| state.doubted().unwrap().get(&key).copied();
        assert_eq!(doubted(&state), None);
        state.doubt(key, UidDoubt::Suspected).unwrap();
        assert_eq!(doubted(&state), Some(UidDoubt::Suspected));
        state.end_suspicion(key).unwrap();
        assert_eq!(doubted(&state), None);
        state.doubt(key, UidDoubt::Proven).unwrap();
        state.doubt(key, UidDoubt::Suspected).unwrap();
        state.end_suspicion(key).unwrap();
        assert_eq!(doubted(&state), Some(UidDoubt::Proven));
        state.rekey(key, UidValidity(1), &[], &[], &[]).unwrap();
        assert_eq!(doubted(&state), None);
    }
}
