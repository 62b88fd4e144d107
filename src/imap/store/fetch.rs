//! Downloads messages: bodies stream from the wire into the sink. A message is complete only if the
//! response has its UID, its flags and every byte.

use crate::imap::protocol::command::Command;
use crate::imap::protocol::fetch_reply::PartialReplies;
use crate::imap::protocol::reply::{Body, CompletionStatus, Fetched, Reply};
use crate::imap::protocol::uid_set::UidSet;
use crate::imap::protocol::wire::{NoTap, Tap};
use crate::imap::session::Session;
use crate::imap::session::expect::{must, unknown};
use crate::imap::store::message_id::Objects;
use crate::model::{Fingerprint, Flags, Kin, Uid};
use crate::store::{About, Sink, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The items requested with a body.
fn items(objects: Objects) -> &'static str {
    match objects {
        Objects::None => "UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]",
        Objects::EmailId => "UID FLAGS INTERNALDATE RFC822.SIZE EMAILID BODY.PEEK[]",
        Objects::Gmail => "UID FLAGS INTERNALDATE RFC822.SIZE X-GM-MSGID BODY.PEEK[]",
    }
}

/// Returns the requests for these messages; see `session::pipeline`.
pub fn foreseen(session: &Session, ids: &[Uid]) -> Vec<Command> {
    let items = items(Objects::of(session));
    let pieces = UidSet::from_uids(ids).pieces();
    let fetch = |piece: &UidSet| Command::fetch(piece, items);
    pieces.iter().map(fetch).collect()
}

/// Reads messages of the selected mailbox.
pub async fn read<S: Sink<Uid>>(
    session: &mut Session,
    ids: &[Uid],
    sink: &mut S,
) -> Result<(), StoreError> {
    let mut asked: BTreeSet<Uid> = ids.iter().copied().collect();
    for piece in UidSet::from_uids(ids).pieces() {
        match fetch(session, &piece, &mut asked, sink).await? {
            FetchRefusal::None => {}
            // One bad message can make a server refuse the command (row 46) or send an invalid
            // response: read them one by one.
            FetchRefusal::Text(_) => {
                let left: Vec<Uid> = asked
                    .iter()
                    .filter(|uid| piece.contains(**uid))
                    .copied()
                    .collect();
                for uid in left {
                    let one = UidSet::from_uids([&uid]);
                    if let FetchRefusal::Text(why) = fetch(session, &one, &mut asked, sink).await?
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

enum FetchRefusal {
    None,
    Text(String),
}

async fn fetch<S: Sink<Uid>>(
    session: &mut Session,
    set: &UidSet,
    asked: &mut BTreeSet<Uid>,
    sink: &mut S,
) -> Result<FetchRefusal, StoreError> {
    let tag = session
        .send(&Command::fetch(set, items(Objects::of(session))))
        .await?;
    let mut tap = ToSink::new(sink);
    let (mut parts, mut apart) = (PartialReplies::default(), false);
    let mut unreadable: Option<String> = None;
    loop {
        let reply = match session.next_of(&tag, &mut tap).await {
            Ok(reply) => reply,
            Err(error) => {
                tap.abandon().await?;
                return Err(error);
            }
        };
        apart |= std::mem::take(&mut tap.lost);
        let begun = std::mem::take(&mut tap.begun);
        match reply {
            Reply::Tagged(_, done) => {
                if let Some(held) = tap.held.take() {
                    apart |= held.uid.is_none();
                    take(held, asked, tap.sink).await?;
                }
                if let Some(what) = unreadable {
                    return Ok(FetchRefusal::Text(unknown(&what).to_string()));
                }
                return Ok(match done.status {
                    CompletionStatus::Ok if apart => FetchRefusal::Text(APART.into()),
                    CompletionStatus::Ok => FetchRefusal::None,
                    CompletionStatus::No | CompletionStatus::Bad => {
                        let refused = must(done, "give a message");
                        FetchRefusal::Text(refused.err().map(|e| e.to_string()).unwrap_or_default())
                    }
                });
            }
            Reply::Fetch(fetched) => {
                let told = with_parts(*fetched, &mut tap.held, &mut parts);
                if begun && !matches!(told.body, Some(Body::Streamed(_))) {
                    tap.sink.abandon().await?;
                }
                if told.is_message() {
                    take(told, asked, tap.sink).await?;
                } else if matches!(told.body, Some(Body::Streamed(_))) {
                    tap.held = Some(told);
                } else {
                    parts.keep(told);
                }
            }
            Reply::Expunge | Reply::Vanished(..) => {
                parts.renumber();
                apart |= tap.held.is_some();
                tap.abandon().await?;
            }
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

/// Merges a response with earlier ones about the same message.
fn with_parts(fetched: Fetched, held: &mut Option<Fetched>, parts: &mut PartialReplies) -> Fetched {
    let held = held.take_if(|held| held.number == fetched.number);
    match held.or_else(|| parts.take(fetched.number)) {
        Some(mut first) => {
            first.absorb(fetched);
            first
        }
        None => fetched,
    }
}

/// Why a message is requested again, separately.
const APART: &str = "the server sent its text without saying which message it is";

/// Ends a message that was requested and is complete.
async fn take<S: Sink<Uid>>(
    fetched: Fetched,
    asked: &mut BTreeSet<Uid>,
    sink: &mut S,
) -> Result<(), StoreError> {
    let Fetched {
        uid,
        flags,
        hides_flags,
        date,
        size,
        body,
        object,
        ..
    } = fetched;
    let begun = matches!(body, Some(Body::Streamed(_)));
    // Invalid flags are read by a later snapshot; until then the message has none.
    let flags = flags.or(hides_flags.then(Flags::default));
    let wanted = uid.filter(|uid| asked.contains(uid));
    let (Some(uid), Some(body)) = (wanted, body) else {
        return if begun { sink.abandon().await } else { Ok(()) };
    };
    asked.remove(&uid);
    let length = body.length();
    let stored = size.filter(|size| *size > 0).unwrap_or(length);
    let problem = match (&body, &flags) {
        (_, None) => Some("the server did not tell its flags".to_owned()),
        // RFC 2180, 4.1.3: the message was expunged by another session; and H52.
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
    /// Whether the current response has a body.
    begun: bool,
    /// A message whose body is in the sink and whose other items are missing.
    held: Option<Fetched>,
    /// Whether another body precedes it.
    lost: bool,
}

impl<'a, S: Sink<Uid>> ToSink<'a, S> {
    fn new(sink: &'a mut S) -> Self {
        ToSink {
            sink,
            begun: false,
            held: None,
            lost: false,
        }
    }

    /// Drops the body in the sink.
    async fn abandon(&mut self) -> Result<(), StoreError> {
        let held = self.held.take().is_some();
        match std::mem::take(&mut self.begun) || held {
            true => self.sink.abandon().await,
            false => Ok(()),
        }
    }
}

impl<S: Sink<Uid>> Tap for ToSink<'_, S> {
    async fn begin(&mut self, size: u64) -> Result<(), StoreError> {
        self.lost |= self.begun || self.held.is_some();
        self.abandon().await?;
        self.begun = true;
        self.sink.begin(size, None).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.sink.chunk(bytes).await
    }
}

/// Reads cheap evidence: sizes first, then the headers of matching sizes.
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

pub(in crate::imap) async fn ask(
    session: &mut Session,
    ids: &[Uid],
    items: &'static str,
) -> Result<Vec<Fetched>, StoreError> {
    let mut all = ask_once(session, ids, items).await?;
    measure(session, &mut all).await?;
    Ok(all)
}

/// The same with the server's sizes.
pub(in crate::imap) async fn ask_once(
    session: &mut Session,
    ids: &[Uid],
    items: &'static str,
) -> Result<Vec<Fetched>, StoreError> {
    let asked: BTreeSet<&Uid> = ids.iter().collect();
    let ours = |f: &Fetched| f.uid.is_some_and(|uid| asked.contains(&uid));
    let mut all = Described::new(ids.len());
    for piece in UidSet::from_uids(ids).pieces() {
        let tag = session.send(&Command::fetch(&piece, items)).await?;
        let mut parts = PartialReplies::default();
        loop {
            match session.next_of(&tag, &mut NoTap).await? {
                Reply::Tagged(_, done) => {
                    must(done, "describe messages")?;
                    break;
                }
                Reply::Fetch(f) => {
                    let told = parts.add(*f, |f| f.tells(items));
                    if let Some(told) = told.filter(ours)
                        && !all.take(told)
                    {
                        let what = "describes messages with more than they hold";
                        return Err(session.wire.broken(what));
                    }
                }
                Reply::Expunge | Reply::Vanished(..) => parts.renumber(),
                _ => {}
            }
        }
        for told in parts.rest().filter(ours) {
            all.add_part(told);
        }
    }
    Ok(all.by_uid.into_values().collect())
}

/// Responses by UID, within a memory limit.
struct Described {
    by_uid: BTreeMap<Uid, Fetched>,
    left: usize,
}

impl Described {
    /// Makes one for this many messages.
    fn new(messages: usize) -> Described {
        Described {
            by_uid: BTreeMap::new(),
            left: (16 << 20) + messages.saturating_mul(EACH),
        }
    }

    /// Adds one; `false`: the limit is exceeded.
    fn take(&mut self, told: Fetched) -> bool {
        let Some(uid) = told.uid else { return true };
        let weight = told.weight();
        let before = self.by_uid.insert(uid, told).map_or(0, |f| f.weight());
        let left = (self.left + before).checked_sub(weight);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    /// Returns incomplete responses that nothing else completes.
    fn add_part(&mut self, told: Fetched) {
        if told.uid.is_some_and(|uid| !self.by_uid.contains_key(&uid)) {
            self.take(told);
        }
    }
}

/// Returns the bytes of memory of a response.
const EACH: usize = 12 << 10;

/// Some servers report size 0 for messages that they have not loaded (Proton Bridge, imapsync
/// #163). Evidence needs sizes, so these messages are read.
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
