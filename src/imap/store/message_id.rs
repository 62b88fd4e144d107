//! Ids of messages on the server.

use crate::imap::protocol::command::Command;
use crate::imap::protocol::reply::Fetched;
use crate::imap::protocol::uid_set::UidSet;
use crate::imap::session::Session;
use crate::imap::store::cursor::RemoteCursor;
use crate::imap::store::fetch::{ask, ask_once};
use crate::model::{Kin, Uid};
use crate::store::StoreError;
use std::collections::BTreeMap;

/// For this many new messages ids are requested with the snapshot, for more of them later.
const FEW: usize = 1000;

/// The kind of message ids of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Objects {
    /// None.
    #[default]
    None,
    /// EMAILID (RFC 8474).
    EmailId,
    /// X-GM-MSGID.
    Gmail,
}

impl Objects {
    /// Returns the kind of this server.
    pub fn of(session: &Session) -> Objects {
        if session.can("X-GM-EXT-1") {
            Objects::Gmail
        } else if session.can("OBJECTID") {
            Objects::EmailId
        } else {
            Objects::None
        }
    }

    fn kin(self, told: &Fetched) -> Option<(Uid, Kin)> {
        let kin = match self {
            Objects::None => {
                let id = told.message_id.as_deref().unwrap_or_default();
                let id = crate::model::kin::message_id(id);
                Kin::envelope(&id, told.date?, told.size?)
            }
            Objects::EmailId | Objects::Gmail => Kin::object(told.object.as_deref()?),
        };
        Some((told.uid?, kin))
    }

    fn items(self) -> &'static str {
        match self {
            Objects::None => "UID INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]",
            Objects::EmailId => "UID EMAILID",
            Objects::Gmail => "UID X-GM-MSGID",
        }
    }
}

/// Returns the request for ids; see `session::pipeline`.
pub fn foreseen(session: &Session, ids: &[Uid]) -> Vec<Command> {
    let items = Objects::of(session).items();
    let pieces = UidSet::from_uids(ids).pieces();
    let fetch = |piece: &UidSet| Command::fetch(piece, items);
    pieces.iter().map(fetch).collect()
}

/// Returns the ids of messages in the selected mailbox.
pub async fn kin(session: &mut Session, ids: &[Uid]) -> Result<Vec<(Uid, Kin)>, StoreError> {
    let objects = Objects::of(session);
    let told = ask(session, ids, objects.items()).await?;
    Ok(told.iter().filter_map(|one| objects.kin(one)).collect())
}

/// Returns the UIDs assigned since the checkpoint, without those known by now: most likely those of
/// the new messages.
pub fn given(left: RemoteCursor, known: Option<(Uid, Uid)>, next: Option<u32>) -> Vec<Uid> {
    let above = known.map_or(1, |(_, last)| u64::from(last.get()) + 1);
    let first = u32::try_from(left.uid_next.max(above)).unwrap_or(u32::MAX);
    let given = first..next.unwrap_or(first);
    match given.len() <= FEW {
        true => given.filter_map(Uid::new).collect(),
        false => Vec::new(),
    }
}

/// Returns the ids of these messages if they were pipelined alone, as a server may mix the answers
/// to two requests.
pub async fn with_look(
    session: &mut Session,
    uids: &[Uid],
) -> Result<BTreeMap<Uid, Kin>, StoreError> {
    let asked = foreseen(session, uids);
    if asked.is_empty() || !asked.iter().all(|command| session.ahead.expects(command)) {
        return Ok(BTreeMap::new());
    }
    let objects = Objects::of(session);
    let told = match ask_once(session, uids, objects.items()).await {
        Ok(told) => told,
        // They are requested again when needed.
        Err(error) if error.is_local_to_mailbox() => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    // A message without a size is measured later.
    let measured = told.iter().filter(|one| one.size != Some(0));
    Ok(measured.filter_map(|one| objects.kin(one)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_since_to_others_than_those_that_are_known() {
        let left = |uid_next| RemoteCursor {
            free: true,
            uid_validity: 1,
            uid_next,
            modseq: 1,
            exists: 0,
        };
        let uid = |n| Uid::new(n).unwrap();
        let numbers = |uids: Vec<Uid>| uids.into_iter().map(Uid::get).collect::<Vec<_>>();
        let known = Some((uid(2), uid(6)));
        assert_eq!(numbers(given(left(5), None, Some(8))), [5, 6, 7]);
        assert_eq!(numbers(given(left(5), known, Some(8))), [7]);
        assert_eq!(numbers(given(left(9), known, Some(11))), [9, 10]);
        assert_eq!(numbers(given(left(9), known, Some(9))), [0; 0]);
        assert_eq!(numbers(given(left(9), known, Some(8))), [0; 0]);
        assert_eq!(numbers(given(left(9), known, None)), [0; 0]);
        let many = u32::try_from(FEW).unwrap();
        assert_eq!(given(left(1), None, Some(many + 1)).len(), FEW);
        assert_eq!(given(left(1), None, Some(many + 2)).len(), 0);
    }
}
