//! Reading messages from the server: bodies stream from the wire into the sink. A message is ended
//! only when the answer named its UID and its flags, and every byte came.

use super::answer::{must, unknown};
use super::command::Command;
use super::kin::Objects;
use super::reply::{Body, Fetched, Reply, Status};
use super::session::Session;
use super::uid_set::UidSet;
use super::wire::{NoTap, Tap};
use crate::model::{Fingerprint, Kin, Uid};
use crate::store::{About, Sink, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// What is asked for with a body.
fn items(objects: Objects) -> &'static str {
    match objects {
        Objects::None => "UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]",
        Objects::EmailId => "UID FLAGS INTERNALDATE RFC822.SIZE EMAILID BODY.PEEK[]",
        Objects::Gmail => "UID FLAGS INTERNALDATE RFC822.SIZE X-GM-MSGID BODY.PEEK[]",
    }
}

/// What reading these messages will ask; see [`super::ahead`].
pub fn foreseen(session: &Session, ids: &[Uid]) -> Vec<Command> {
    let items = items(Objects::of(session));
    let pieces = UidSet::from_uids(ids).pieces();
    let fetch = |piece: &UidSet| Command::fetch(piece, items);
    pieces.iter().map(fetch).collect()
}

/// Reads messages of the mailbox that is open.
pub async fn read<S: Sink<Uid>>(
    session: &mut Session,
    ids: &[Uid],
    sink: &mut S,
) -> Result<(), StoreError> {
    let mut asked: BTreeSet<Uid> = ids.iter().copied().collect();
    for piece in UidSet::from_uids(ids).pieces() {
        match fetch(session, &piece, &mut asked, sink).await? {
            Refusal::None => {}
            // One bad message can make a server refuse the whole command (row 46), or answer what
            // cannot be read: one by one.
            Refusal::Text(_) => {
                let left: Vec<Uid> = asked
                    .iter()
                    .filter(|uid| piece.contains(**uid))
                    .copied()
                    .collect();
                for uid in left {
                    let one = UidSet::from_uids([&uid]);
                    if let Refusal::Text(why) = fetch(session, &one, &mut asked, sink).await?
                        && asked.remove(&uid)
                    {
                        sink.fail(uid, why).await?;
                    }
                }
            }
        }
    }
    Ok(())
}

enum Refusal {
    None,
    Text(String),
}

async fn fetch<S: Sink<Uid>>(
    session: &mut Session,
    set: &UidSet,
    asked: &mut BTreeSet<Uid>,
    sink: &mut S,
) -> Result<Refusal, StoreError> {
    let tag = session
        .send(&Command::fetch(set, items(Objects::of(session))))
        .await?;
    let mut tap = ToSink { sink, begun: false };
    let mut unreadable: Option<String> = None;
    loop {
        let reply = session.next(&mut tap).await;
        let begun = std::mem::take(&mut tap.begun);
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                if begun {
                    tap.sink.abandon().await?;
                }
                return Err(error);
            }
        };
        match reply {
            Reply::Tagged(own, done) if own == tag => {
                if let Some(what) = unreadable {
                    return Ok(Refusal::Text(unknown(&what).to_string()));
                }
                return Ok(match done.status {
                    Status::Ok => Refusal::None,
                    Status::No | Status::Bad => {
                        let refused = must(done, "give a message");
                        Refusal::Text(refused.err().map(|e| e.to_string()).unwrap_or_default())
                    }
                });
            }
            Reply::Fetch(fetched) => take(*fetched, begun, asked, tap.sink).await?,
            Reply::Unreadable(what) => {
                if begun {
                    tap.sink.abandon().await?;
                }
                unreadable = Some(what);
            }
            _ if begun => tap.sink.abandon().await?,
            _ => {}
        }
    }
}

/// Ends one message, if it is one that was asked for and all of it is there.
async fn take<S: Sink<Uid>>(
    fetched: Fetched,
    begun: bool,
    asked: &mut BTreeSet<Uid>,
    sink: &mut S,
) -> Result<(), StoreError> {
    let Fetched {
        uid,
        flags,
        date,
        size,
        body,
        object,
        ..
    } = fetched;
    let wanted = uid.filter(|uid| asked.contains(uid));
    let (Some(uid), Some(body)) = (wanted, body) else {
        return if begun { sink.abandon().await } else { Ok(()) };
    };
    asked.remove(&uid);
    let length = body.length();
    let stored = size.filter(|size| *size > 0).unwrap_or(length);
    let problem = match (&body, &flags) {
        (_, None) => Some("the server did not tell its flags".to_owned()),
        // RFC 2180, 4.1.3: the answer for a message that another session expunged; and H52.
        (Body::Nil, _) => Some("the server gave no body".to_owned()),
        (Body::Streamed(0), _) => Some(format!("the server gave an empty body for {stored} bytes")),
        (Body::Bytes(bytes), _) if bytes.is_empty() => {
            Some(format!("the server gave an empty body for {stored} bytes"))
        }
        _ => None,
    };
    if let Some(why) = problem {
        if begun {
            sink.abandon().await?;
        }
        return sink.fail(uid, why).await;
    }
    let about = About {
        id: uid,
        flags: flags.unwrap_or_default(),
        date,
        stored,
        stamp: None,
        kin: object.as_deref().map(Kin::object),
    };
    if let Body::Bytes(bytes) = body {
        sink.begin(bytes.len() as u64, Some(&about)).await?;
        sink.chunk(&bytes).await?;
    }
    sink.end(about).await
}

struct ToSink<'a, S> {
    sink: &'a mut S,
    begun: bool,
}

impl<S: Sink<Uid>> Tap for ToSink<'_, S> {
    async fn begin(&mut self, size: u64) -> Result<(), StoreError> {
        self.begun = true;
        self.sink.begin(size, None).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.sink.chunk(bytes).await
    }
}

/// Cheap evidence: sizes first, and heads only of those whose size is looked for.
pub async fn fingerprints(
    session: &mut Session,
    ids: &[Uid],
    sizes: Option<&BTreeSet<u64>>,
) -> Result<Vec<(Uid, Fingerprint)>, StoreError> {
    let mut candidates: Vec<Uid> = Vec::new();
    for fetched in ask(session, ids, "UID RFC822.SIZE").await? {
        if let (Some(uid), Some(size)) = (fetched.uid, fetched.size)
            && sizes.is_none_or(|sizes| sizes.contains(&size))
        {
            candidates.push(uid);
        }
    }
    let items = "UID RFC822.SIZE BODY.PEEK[HEADER] BODY.PEEK[TEXT]<0.512>";
    let mut prints = Vec::new();
    for fetched in ask(session, &candidates, items).await? {
        if let (Some(uid), Some(size), Some(header)) = (fetched.uid, fetched.size, fetched.header) {
            let text = fetched.text.unwrap_or_default();
            prints.push((uid, Fingerprint::new(size, &header, &text)));
        }
    }
    Ok(prints)
}

pub(super) async fn ask(
    session: &mut Session,
    ids: &[Uid],
    items: &'static str,
) -> Result<Vec<Fetched>, StoreError> {
    let mut all = ask_once(session, ids, items).await?;
    measure(session, &mut all).await?;
    Ok(all)
}

/// The same, with the sizes that the server gives.
pub(super) async fn ask_once(
    session: &mut Session,
    ids: &[Uid],
    items: &'static str,
) -> Result<Vec<Fetched>, StoreError> {
    let asked: BTreeSet<&Uid> = ids.iter().collect();
    let mut all = Vec::new();
    for piece in UidSet::from_uids(ids).pieces() {
        let tag = session.send(&Command::fetch(&piece, items)).await?;
        loop {
            match session.next(&mut NoTap).await? {
                Reply::Tagged(own, done) if own == tag => {
                    must(done, "describe messages")?;
                    break;
                }
                Reply::Fetch(f) if f.uid.is_some_and(|uid| asked.contains(&uid)) => all.push(*f),
                _ => {}
            }
        }
    }
    Ok(all)
}

/// Some servers give 0 for the size of a message that they have not loaded themselves (Proton
/// Bridge, imapsync #163). Evidence rests on sizes, so these are read to learn theirs.
async fn measure(session: &mut Session, all: &mut [Fetched]) -> Result<(), StoreError> {
    let unsized_ = all.iter().filter(|fetched| fetched.size == Some(0));
    let unsized_: BTreeSet<Uid> = unsized_.filter_map(|fetched| fetched.uid).collect();
    let mut sizes: BTreeMap<Uid, u64> = BTreeMap::new();
    for piece in UidSet::from_uids(&unsized_).pieces() {
        let (replies, done) = session
            .run(&Command::fetch(&piece, "UID BODY.PEEK[]"))
            .await?;
        must(done, "tell the sizes of messages")?;
        for reply in replies {
            if let Reply::Fetch(fetched) = reply
                && let (Some(uid), Some(body)) = (fetched.uid, fetched.body)
            {
                sizes.insert(uid, body.length());
            }
        }
    }
    for fetched in all.iter_mut().filter(|fetched| fetched.size == Some(0)) {
        fetched.size = fetched.uid.and_then(|uid| sizes.get(&uid).copied());
    }
    Ok(())
}
