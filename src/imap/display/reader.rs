//! Reads messages for display: EXAMINE, FETCH of headers and BODYSTRUCTURE, BODY.PEEK of parts. No
//! command sets a flag. async-imap parses; an answer that it cannot parse ends the connection, and
//! its result is unknown.

use crate::imap::display::body_structure::{Parameters, parts};
use crate::imap::display::session_adapter::Meter;
use crate::imap::net::connect::clean;
use crate::imap::protocol::command::{Access, Command, Since};
use crate::imap::protocol::secret_mask::SecretMask;
use crate::imap::protocol::wire::Stream;
use crate::imap::session::WireNames;
use crate::imap::session::throttle::patience;
use crate::model::{Flags, Keyword, MailboxName, Part, SystemFlag, Timestamp, Uid, UidValidity};
use crate::store::StoreError;
use async_imap::imap_proto::{
    AttributeValue, MailboxDatum, MessageSection, Response, ResponseCode, SectionPath, Status,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Messages in one request.
const WINDOW: usize = 200;
/// Most bytes for each message of a listing.
const FOR_EACH: u64 = 128 << 10;
/// Bytes of a part in one request.
const PIECE: u64 = 256 << 10;
/// Most bytes beside the requested ones.
const BESIDE: u64 = 1 << 20;

/// The header fields of a listing.
const FIELDS: &str = "DATE FROM TO SUBJECT MESSAGE-ID CONTENT-TYPE CONTENT-DISPOSITION";

/// Why a read failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The answer is invalid; the connection is closed.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
    /// The server answered NO or BAD.
    #[error("the server refused: {0}")]
    Refused(String),
    /// Another error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReadError {
    /// Converts it to a store error.
    pub fn of_store(self) -> StoreError {
        match self {
            ReadError::Store(error) => error,
            other => StoreError::Mailbox(other.to_string()),
        }
    }
}

type Result<T> = std::result::Result<T, ReadError>;

/// A message of a listing.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// UID.
    pub uid: Option<Uid>,
    /// FLAGS; `None`: unknown.
    pub flags: Option<Flags>,
    /// INTERNALDATE.
    pub at: Option<Timestamp>,
    /// RFC822.SIZE.
    pub size: Option<u64>,
    /// The header, or the fields of a listing.
    pub header: Option<Vec<u8>>,
    /// BODYSTRUCTURE.
    pub parts: Option<Vec<(Part, Parameters)>>,
}

/// The requested items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items {
    /// UID, FLAGS and INTERNALDATE.
    Marks,
    /// UID and RFC822.SIZE.
    Sizes,
    /// All items of a listing.
    Row,
    /// The same without BODYSTRUCTURE, for servers where that is invalid.
    PlainRow,
    /// BODYSTRUCTURE.
    Structure,
}

/// The requested messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// All.
    All,
    /// The last ones, this many.
    Last(u32),
}

/// A mailbox opened for reading.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Its name.
    pub name: MailboxName,
    /// UIDVALIDITY, if known.
    pub uid_validity: Option<UidValidity>,
    /// The number of messages.
    pub exists: u32,
}

/// A connection that reads messages.
pub struct Reader {
    session: Option<async_imap::Session<Meter>>,
    stream: Option<Meter>,
    peer: String,
    timeout: Duration,
    hush: SecretMask,
    names: WireNames,
    capabilities: BTreeSet<String>,
    open: Option<Examined>,
}

impl Reader {
    pub(in crate::imap) fn new(
        stream: Box<dyn Stream>,
        (peer, timeout, hush): (String, Duration, SecretMask),
        names: WireNames,
        capabilities: BTreeSet<String>,
    ) -> Reader {
        Reader {
            session: None,
            stream: Some(Meter::around(stream)),
            peer,
            timeout,
            hush,
            names,
            capabilities,
            open: None,
        }
    }

    /// Whether the server announces a capability.
    pub fn can(&self, name: &str) -> bool {
        self.capabilities.contains(name)
    }

    /// Returns the bytes received for messages.
    pub fn received(&self) -> u64 {
        self.session
            .as_ref()
            .map_or(0, |session| session.get_ref().received())
    }

    /// Opens a mailbox with EXAMINE, if it is not open.
    pub async fn examine(&mut self, name: &MailboxName) -> Result<Examined> {
        if let Some(open) = self.open.as_ref().filter(|open| open.name == *name) {
            return Ok(open.clone());
        }
        let wire = self
            .names
            .get(name)
            .cloned()
            .ok_or_else(|| StoreError::Stale(format!("the server has no mailbox {name}")))?;
        let command = Command::select(&wire, Access::ReadOnly, Since::Nothing)?;
        let command = String::from_utf8_lossy(command.bytes()).into_owned();
        self.open = None;
        let mut examined = Examined {
            name: name.clone(),
            uid_validity: None,
            exists: 0,
        };
        let note = |response: &Response<'_>| match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => examined.exists = *count,
            Response::Data { outcome, .. } => {
                if let Some(ResponseCode::UidValidity(uid_validity)) = outcome.code {
                    examined.uid_validity = Some(UidValidity(uid_validity.into()))
                        .filter(|uid_validity| uid_validity.0 > 0);
                }
            }
            _ => {}
        };
        self.run(&command, BESIDE, note).await?;
        self.open = Some(examined.clone());
        Ok(examined)
    }

    /// Returns items of these messages of the open mailbox, in no order.
    pub async fn fetch_range(&mut self, range: Range, items: Items) -> Result<Vec<Envelope>> {
        let exists = self.open.as_ref().map_or(0, |open| open.exists);
        let first = match range {
            Range::All => 1,
            Range::Last(count) => exists.saturating_sub(count).saturating_add(1).max(1),
        };
        let mut all = Vec::new();
        let step = u32::try_from(WINDOW).unwrap_or(200);
        let mut at = first;
        while at <= exists {
            let last = at.saturating_add(step - 1).min(exists);
            let count = usize::try_from(last - at).unwrap_or(WINDOW) + 1;
            self.fetch("FETCH", &format!("{at}:{last}"), count, items, &mut all)
                .await?;
            at = last.saturating_add(1);
            if last == u32::MAX {
                break;
            }
        }
        Ok(all)
    }

    /// Returns items of messages with these UIDs.
    pub async fn fetch_uids(&mut self, uids: &[Uid], items: Items) -> Result<Vec<Envelope>> {
        let mut all = Vec::new();
        for window in uids.chunks(WINDOW) {
            let set: Vec<String> = window.iter().map(|uid| uid.get().to_string()).collect();
            let set = set.join(",");
            self.fetch("UID FETCH", &set, window.len(), items, &mut all)
                .await?;
        }
        let wanted: BTreeSet<Uid> = uids.iter().copied().collect();
        all.retain(|one| one.uid.is_some_and(|uid| wanted.contains(&uid)));
        Ok(all)
    }

    async fn fetch(
        &mut self,
        verb: &str,
        set: &str,
        count: usize,
        items: Items,
        all: &mut Vec<Envelope>,
    ) -> Result<()> {
        let marks = "UID FLAGS INTERNALDATE";
        let header = format!("RFC822.SIZE BODY.PEEK[HEADER.FIELDS ({FIELDS})]");
        let asked = match items {
            Items::Marks => marks.to_owned(),
            Items::Sizes => "UID RFC822.SIZE".to_owned(),
            Items::Structure => format!("{marks} RFC822.SIZE BODYSTRUCTURE"),
            Items::Row => format!("{marks} BODYSTRUCTURE {header}"),
            Items::PlainRow => format!("{marks} {header}"),
        };
        let limit = BESIDE + FOR_EACH * count as u64;
        // A server may answer about one message in two parts.
        let most = all.len() + 2 * count + 100;
        let mut over = false;
        let note = |response: &Response<'_>| {
            if let Response::Fetch(_, values) = response {
                over |= all.len() >= most;
                let envelope = Some(envelope(values)).filter(|one| one.uid.is_some() && !over);
                all.extend(envelope);
            }
        };
        self.run(&format!("{verb} {set} ({asked})"), limit, note)
            .await?;
        match over {
            true => Err(ReadError::Unreadable(format!(
                "more answers than the {count} messages that were asked for"
            ))),
            false => Ok(()),
        }
    }

    /// Returns the header of a message; `None`: it was expunged.
    pub async fn header(&mut self, uid: Uid) -> Result<Option<Vec<u8>>> {
        let mut bytes = None;
        let command = format!("UID FETCH {} (UID BODY.PEEK[HEADER])", uid.get());
        let note = |response: &Response<'_>| {
            if let Response::Fetch(_, values) = response {
                let own = envelope(values);
                bytes = own.header.filter(|_| own.uid == Some(uid)).or(bytes.take());
            }
        };
        self.run(&command, BESIDE * 4, note).await?;
        Ok(bytes)
    }

    /// Returns a section with header fields of a part; `None`: it does not exist.
    pub async fn part_header(&mut self, uid: Uid, section: &str) -> Result<Option<Vec<u8>>> {
        let mut bytes = None;
        let command = format!("UID FETCH {} (UID BODY.PEEK[{section}])", uid.get());
        let note = |response: &Response<'_>| {
            if let Response::Fetch(_, values) = response {
                for value in values {
                    if let AttributeValue::BodySection {
                        data: Some(data), ..
                    } = value
                    {
                        bytes = Some(data.to_vec());
                    }
                }
            }
        };
        self.run(&command, BESIDE, note).await?;
        Ok(bytes.filter(|bytes| !bytes.is_empty()))
    }

    /// Passes the bytes of a section on: `1.2`, or empty for the whole message. Returns their
    /// number; `None`: the section does not exist.
    pub async fn section(
        &mut self,
        uid: Uid,
        section: &str,
        give: &mut dyn FnMut(&[u8]) -> std::result::Result<(), StoreError>,
    ) -> Result<Option<u64>> {
        let mut at = 0;
        loop {
            let mut piece = None;
            let command = format!(
                "UID FETCH {} (UID BODY.PEEK[{section}]<{at}.{PIECE}>)",
                uid.get()
            );
            let note = |response: &Response<'_>| {
                if let Response::Fetch(_, values) = response {
                    piece = body(values, uid).or(piece.take());
                }
            };
            // A server without partial FETCH sends all of it.
            let limit = if at == 0 { WHOLE } else { PIECE + BESIDE };
            self.run(&command, limit, note).await?;
            let Some((index, bytes)) = piece else {
                return Ok(None);
            };
            if index.is_some_and(|index| u64::from(index) != at) {
                let what = "a piece of another place than the one that was asked for";
                return Err(ReadError::Unreadable(what.into()));
            }
            give(&bytes)?;
            at += bytes.len() as u64;
            if index.is_none() || (bytes.len() as u64) < PIECE {
                return Ok(Some(at));
            }
        }
    }

    /// Runs a command and shows each response.
    async fn run(
        &mut self,
        command: &str,
        limit: u64,
        mut note: impl FnMut(&Response<'_>),
    ) -> Result<()> {
        let (peer, timeout, hush) = (self.peer.clone(), self.timeout, self.hush.clone());
        let lost = |what: &str| {
            let what = hush.mask(&clean(what));
            StoreError::Retry(format!("{peer}: {what}"))
        };
        let silent = || StoreError::Retry(format!("{peer} has not answered in time (timeout)"));
        let session = self.session().await?;
        session.get_mut().allow(limit);
        let sent = tokio::time::timeout(timeout, session.run_command(command)).await;
        let sent = sent.map_err(|_| silent())?;
        let tag = sent.map_err(|error| lost(&error.to_string()))?;
        loop {
            let next = tokio::time::timeout(timeout, session.read_response()).await;
            let next = match next.map_err(|_| silent()) {
                Ok(Ok(Some(next))) => next,
                Ok(Ok(None)) => {
                    self.session = None;
                    return Err(lost("the connection was closed").into());
                }
                Ok(Err(error)) => {
                    self.session = None;
                    return Err(broken(&error, lost));
                }
                Err(error) => {
                    self.session = None;
                    return Err(error.into());
                }
            };
            match next.parsed() {
                Response::Done {
                    tag: own,
                    status,
                    outcome,
                } if *own == tag => {
                    let said = outcome.information.as_deref().unwrap_or_default();
                    return match status {
                        Status::Ok => Ok(()),
                        _ => Err(ReadError::Refused(hush.mask(&clean(said)))),
                    };
                }
                Response::Data {
                    status: Status::Bye,
                    outcome,
                } => {
                    let said = outcome.information.as_deref().unwrap_or_default();
                    let error = lost(&format!("the server ended the session: {said}"));
                    self.session = None;
                    return Err(patience(error, said).into());
                }
                response => note(response),
            }
        }
    }

    async fn session(&mut self) -> Result<&mut async_imap::Session<Meter>> {
        if let Some(stream) = self.stream.take() {
            let login = async_imap::Client::new(stream).login("-", "-").await;
            self.session = login.ok();
        }
        let over = || StoreError::Retry(format!("the connection to {} is over", self.peer));
        match &mut self.session {
            Some(session) => Ok(session),
            None => Err(over().into()),
        }
    }

    /// Logs out without waiting for the answer.
    pub async fn end(mut self) {
        if let Some(session) = &mut self.session {
            let logout = tokio::time::timeout(self.timeout, session.run_command("LOGOUT")).await;
            tracing::trace!(ok = logout.is_ok(), "logged out");
        }
    }
}

/// Most bytes of a message without partial FETCH.
const WHOLE: u64 = 64 << 20;

/// Maps an error of async-imap.
fn broken(error: &std::io::Error, lost: impl Fn(&str) -> StoreError) -> ReadError {
    let text = error.to_string();
    match text.split_once("during parsing of") {
        Some((_, shown)) => ReadError::Unreadable(clean(shown.trim())),
        None => lost(&text).into(),
    }
}

fn envelope(values: &[AttributeValue<'_>]) -> Envelope {
    let mut told = Envelope::default();
    for value in values {
        match value {
            AttributeValue::Uid(uid) => told.uid = Uid::new(*uid),
            AttributeValue::Flags(words) => told.flags = Some(flags(words)),
            AttributeValue::InternalDate(date) => {
                told.at = crate::imap::protocol::date::parse(date.as_bytes())
            }
            AttributeValue::Rfc822Size(size) => told.size = Some(u64::from(*size)),
            AttributeValue::BodyStructure(structure) => told.parts = Some(parts(structure)),
            AttributeValue::BodySection {
                section: Some(SectionPath::Full(MessageSection::Header)),
                data,
                ..
            } => told.header = data.as_ref().map(|data| data.to_vec()),
            _ => {}
        }
    }
    told
}

/// Returns offset and bytes of the section in a FETCH response.
fn body(values: &[AttributeValue<'_>], uid: Uid) -> Option<(Option<u32>, Vec<u8>)> {
    let own = values.contains(&AttributeValue::Uid(uid.get()));
    values.iter().filter(|_| own).find_map(|value| match value {
        AttributeValue::BodySection { index, data, .. } => Some((*index, data.as_ref()?.to_vec())),
        _ => None,
    })
}

fn flags(words: &[std::borrow::Cow<'_, str>]) -> Flags {
    let mut flags = Flags::default();
    for word in words {
        let system = SystemFlag::ALL;
        match system
            .iter()
            .find(|flag| flag.name().eq_ignore_ascii_case(word))
        {
            Some(flag) => flags.insert(*flag),
            None => {
                if let Some(keyword) = Keyword::new(word).filter(|_| !word.starts_with('\\')) {
                    flags.insert_keyword(keyword);
                }
            }
        }
    }
    flags
}
