//! What a search finds, here and on the server, joined by message.

use super::listing::{is_attached, row_there};
use super::local::{KnownUids, Local};
use super::row::{MessageRow, Sides};
use super::server::Remote;
use crate::config::{Account, Config, SearchWith};
use crate::daemon::state_path;
use crate::imap::{Envelope, Items, ReadError};
use crate::maildir::{Glance, split};
use crate::mime::{Mail, Summary};
use crate::model::{MailboxName, MaildirId, Timestamp, Uid, UidValidity};
use crate::search::{
    Document, IndexError, IndexProgram, MailIndex, MailboxDirectory, Query, SearchHit, ServerHits,
    Term, Words, begin, index_path, search, within,
};
use crate::store::StoreError;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Result;

/// So many messages of a server are looked at, where a search leaves open whether they answer,
const CHECKED: usize = 200;
/// and so many bytes of each.
const READ: usize = 1 << 20;
/// A day, s.
const DAY: i64 = 86_400;

/// A message that answers a query.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Its mailbox.
    pub mailbox: MailboxName,
    /// When it arrived.
    pub at: Timestamp,
    /// Where it is.
    pub lies: Lies,
}

/// Where a message is read.
#[derive(Clone, Debug)]
pub enum Lies {
    /// A file.
    Here(Glance),
    /// A message that only the server has.
    There(Uid, UidValidity),
}

/// Searches an account.
pub struct Finder<'a> {
    config: &'a Config,
    account: &'a Account,
    sides: Sides,
    local: Local,
    remote: Remote,
    /// The mailbox of the server that shows what lies in others, too.
    all: Option<MailboxName>,
    /// The query, where it holds by its words for all that the server finds.
    exact: Option<Query>,
    /// Sentences about what could not be searched.
    pub notes: Vec<String>,
}

/// Hits on the server by mailbox.
type Far = BTreeMap<MailboxName, (UidValidity, Vec<Uid>)>;

impl<'a> Finder<'a> {
    /// Reads which mailboxes there are here; nothing is connected yet.
    pub async fn open(config: &'a Config, account: &'a Account, sides: Sides) -> Result<Self> {
        Ok(Finder {
            config,
            account,
            sides,
            local: Local::open(config, account).await?,
            remote: Remote::of(account, sides),
            all: None,
            exact: None,
            notes: Vec::new(),
        })
    }

    /// The messages that answer a query, newest first; at most so many.
    pub async fn find(
        &mut self,
        query: &Query,
        fuzzy: bool,
        limit: Option<usize>,
    ) -> Result<Vec<Hit>> {
        let mut hits = match self.sides {
            Sides::There => Vec::new(),
            Sides::Both | Sides::Here => self.here(query, limit)?,
        };
        if self.sides != Sides::Here {
            match self.there(query, fuzzy, limit, &hits).await {
                Ok(more) => hits.extend(more),
                Err(error) if self.sides == Sides::Both => {
                    let name = &self.account.name;
                    let note = format!("{name}: only what is here was searched: {error}");
                    self.notes.push(note);
                }
                Err(error) => return Err(error),
            }
        }
        hits.sort_by(|a, b| (b.at, &b.mailbox).cmp(&(a.at, &a.mailbox)));
        hits.truncate(limit.unwrap_or(usize::MAX));
        Ok(hits)
    }

    fn here(&mut self, query: &Query, limit: Option<usize>) -> Result<Vec<Hit>> {
        let places = self.local.places();
        let program = match self.account.search_with {
            SearchWith::Index => None,
            SearchWith::Notmuch => Some(IndexProgram::Notmuch),
            SearchWith::Mu => Some(IndexProgram::Mu),
        };
        if let Some(program) = program {
            return self.by_program(program, query, &places);
        }
        let state = state_path(
            self.config.state_dir_of(&self.account.name),
            &self.account.name,
        );
        let found = MailIndex::open_beside(&index_path(&state))
            .and_then(|index| search(query, &places, index.as_ref(), limit));
        let here = match found {
            Err(error) => {
                self.notes
                    .push(format!("{error}; the files are read instead"));
                search(query, &places, None, limit).map_err(broken)?
            }
            Ok(here) => here,
        };
        self.notes.extend(here.problems.iter().take(5).cloned());
        let hit = |found: SearchHit| {
            let (base, _) = split(&found.name);
            let glance = Glance {
                id: MaildirId::new(base),
                path: place(&places, &found.mailbox)?.path(found.sub, &found.name),
                flags: found.flags,
            };
            Some(Hit {
                mailbox: found.mailbox,
                at: Timestamp(found.date),
                lies: Lies::Here(glance),
            })
        };
        Ok(here.found.into_iter().filter_map(hit).collect())
    }

    fn by_program(
        &mut self,
        program: IndexProgram,
        query: &Query,
        places: &[MailboxDirectory],
    ) -> Result<Vec<Hit>> {
        let named = program.search(query, places);
        let named = named.map_err(|error| StoreError::NeedsUser(error.to_string()))?;
        let mut hits = Vec::new();
        let mut listed: BTreeMap<MailboxName, HashMap<MaildirId, Glance>> = BTreeMap::new();
        for one in named {
            let (base, _) = split(&one.name);
            let id = MaildirId::new(base);
            if !listed.contains_key(&one.mailbox) {
                let glances = self.glances(&one.mailbox)?;
                listed.insert(one.mailbox.clone(), glances);
            }
            let glance = listed.get(&one.mailbox).and_then(|all| all.get(&id));
            hits.extend(glance.and_then(|glance| here(&one.mailbox, glance)));
        }
        Ok(hits)
    }

    fn glances(&self, mailbox: &MailboxName) -> Result<HashMap<MaildirId, Glance>> {
        let glances = self.local.glances(mailbox)?.into_iter();
        Ok(glances.map(|glance| (glance.id.clone(), glance)).collect())
    }

    /// What the server finds beside these hits.
    async fn there(
        &mut self,
        query: &Query,
        fuzzy: bool,
        limit: Option<usize>,
        hits: &[Hit],
    ) -> Result<Vec<Hit>> {
        let ServerHits {
            hits: far,
            open,
            all,
            words,
            notes,
        } = self.remote.search(query, fuzzy).await?;
        self.all = all;
        self.exact = words.then(|| query.clone());
        let name = &self.account.name;
        self.notes
            .extend(notes.into_iter().map(|note| format!("{name}: {note}")));
        // What SEARCH has no key for is answered by the files that are here.
        let judged: Vec<Hit> = match open && self.sides == Sides::There {
            true => self.here(query, None)?,
            false => Vec::new(),
        };
        let own: BTreeSet<(&MailboxName, &MaildirId)> =
            hits.iter().chain(&judged).filter_map(Hit::file).collect();
        let (mut more, mut only) = (Vec::new(), Far::new());
        for found in far {
            let known = self.local.known(&found.mailbox)?;
            let same = known.uid_validity == Some(found.uid_validity);
            let by_uid: HashMap<Uid, &MaildirId> = match same {
                true => known.uids.iter().map(|(file, uid)| (*uid, file)).collect(),
                false => HashMap::new(),
            };
            let mut glances = None;
            for uid in found.uids {
                let Some(file) = by_uid.get(&uid) else {
                    let far = only.entry(found.mailbox.clone());
                    far.or_insert((found.uid_validity, Vec::new())).1.push(uid);
                    continue;
                };
                let answers = own.contains(&(&found.mailbox, *file));
                let wanted = match self.sides {
                    Sides::There => answers || !open,
                    // What is here was looked at here; the server adds what is like the words.
                    Sides::Both | Sides::Here => !answers && fuzzy && !open,
                };
                if !wanted {
                    continue;
                }
                if glances.is_none() {
                    glances = Some(self.glances(&found.mailbox)?);
                }
                let glance = glances.as_ref().and_then(|all| all.get(*file));
                more.extend(glance.and_then(|glance| here(&found.mailbox, glance)));
            }
        }
        if let Some(limit) = limit.filter(|_| !open) {
            // The newest have the highest UIDs.
            for (_, uids) in only.values_mut() {
                uids.drain(..uids.len().saturating_sub(limit));
            }
        }
        more.extend(self.dated(query, only, open).await?);
        Ok(more)
    }

    /// Messages that only the server has, with the time when they arrived; where it was left open
    /// whether they answer, they are looked at.
    async fn dated(&mut self, query: &Query, only: Far, open: bool) -> Result<Vec<Hit>> {
        let mut hits = Vec::new();
        for (mailbox, (uid_validity, uids)) in only {
            let (reader, _) = self.remote.examine(&mailbox).await?;
            let marks = reader.fetch_uids(&uids, Items::Marks).await;
            for one in marks.map_err(ReadError::of_store)? {
                let Some(uid) = one.uid else { continue };
                hits.push(Hit {
                    mailbox: mailbox.clone(),
                    at: one.at.unwrap_or(Timestamp(0)),
                    lies: Lies::There(uid, uid_validity),
                });
            }
        }
        hits.sort_by(|a, b| (b.at, &b.mailbox).cmp(&(a.at, &a.mailbox)));
        match open {
            true => self.check(query, hits).await,
            false => Ok(hits),
        }
    }

    /// Those of these messages of the server that answer the query: what their envelopes leave
    /// open is read.
    async fn check(&mut self, query: &Query, mut hits: Vec<Hit>) -> Result<Vec<Hit>> {
        if hits.len() > CHECKED {
            let left = hits.len() - CHECKED;
            self.notes.push(format!(
                "{}: the server cannot tell whether {} more messages answer, and the newest \
                 {CHECKED} were looked at; add conditions, or name a mailbox with in:",
                self.account.name, left
            ));
            hits.truncate(CHECKED);
        }
        let mut asked: BTreeMap<MailboxName, Vec<Uid>> = BTreeMap::new();
        for hit in &hits {
            if let Lies::There(uid, _) = hit.lies {
                asked.entry(hit.mailbox.clone()).or_default().push(uid);
            }
        }
        let mut answer = BTreeSet::new();
        for (mailbox, uids) in asked {
            let left = within(query, &mailbox);
            for envelope in self.envelopes(&mailbox, &uids).await? {
                let Some(uid) = envelope.uid else { continue };
                let rest = given(&left, &envelope);
                let answers = match rest == Query::everything() || rest == Query::nothing() {
                    true => rest == Query::everything(),
                    false => {
                        let document = self.document(&mailbox, uid).await?;
                        document.is_some_and(|document| Words::of(&document).answer(&rest))
                    }
                };
                if answers {
                    answer.insert((mailbox.clone(), uid));
                }
            }
        }
        hits.retain(|hit| match hit.lies {
            Lies::There(uid, _) => answer.contains(&(hit.mailbox.clone(), uid)),
            Lies::Here(_) => true,
        });
        Ok(hits)
    }

    /// What a listing shows of messages; without BODYSTRUCTURE where that cannot be read.
    async fn envelopes(&mut self, mailbox: &MailboxName, uids: &[Uid]) -> Result<Vec<Envelope>> {
        let (reader, _) = self.remote.examine(mailbox).await?;
        match reader.fetch_uids(uids, Items::Row).await {
            Err(ReadError::Unreadable(_) | ReadError::Refused(_)) => {
                self.remote.begin_anew();
                let (reader, _) = self.remote.examine(mailbox).await?;
                let plain = reader.fetch_uids(uids, Items::PlainRow).await;
                Ok(plain.map_err(ReadError::of_store)?)
            }
            read => Ok(read.map_err(ReadError::of_store)?),
        }
    }

    /// A message of the server, or the beginning of it; `None`: it is gone.
    async fn document(&mut self, mailbox: &MailboxName, uid: Uid) -> Result<Option<Document>> {
        let (reader, _) = self.remote.examine(mailbox).await?;
        let mut bytes = Vec::new();
        let mut give = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            match bytes.len() > READ {
                true => Err(StoreError::Stale("enough".into())),
                false => Ok(()),
            }
        };
        let read = reader.section(uid, "", &mut give).await;
        match read {
            Ok(None) => Ok(None),
            Ok(Some(_)) | Err(ReadError::Store(StoreError::Stale(_))) => {
                Ok(Some(Document::read(&bytes)))
            }
            Err(error) => Err(error.of_store().into()),
        }
    }

    /// Rows of hits, in their order; of messages that the server shows in several mailboxes the
    /// first. A message that is gone meanwhile has none.
    pub async fn rows(&mut self, hits: &[Hit]) -> Result<Vec<MessageRow>> {
        let mut known: BTreeMap<MailboxName, KnownUids> = BTreeMap::new();
        let mut far: BTreeMap<MailboxName, Vec<Uid>> = BTreeMap::new();
        for hit in hits {
            if !known.contains_key(&hit.mailbox) {
                known.insert(hit.mailbox.clone(), self.local.known(&hit.mailbox)?);
            }
            if let Lies::There(uid, _) = hit.lies {
                far.entry(hit.mailbox.clone()).or_default().push(uid);
            }
        }
        let mut told: BTreeMap<(MailboxName, Uid), Envelope> = BTreeMap::new();
        for (mailbox, uids) in far {
            let envelopes = self.envelopes(&mailbox, &uids).await?.into_iter();
            let named = envelopes.filter_map(|one| Some(((mailbox.clone(), one.uid?), one)));
            told.extend(named);
        }
        let asked = told.len();
        told.retain(|(mailbox, _), one| !self.contradicts(mailbox, one));
        let wrong = asked - told.len();
        if wrong > 0 {
            self.notes.push(format!(
                "{}: {wrong} messages that the server found do not answer the query and are left \
                 out: its SEARCH cannot be relied on",
                self.account.name
            ));
        }
        let mut rows = Vec::new();
        for hit in hits {
            let Some(known) = known.get(&hit.mailbox) else {
                continue;
            };
            rows.extend(match &hit.lies {
                Lies::Here(glance) => self.local.row(&hit.mailbox, known, hit.at, glance),
                Lies::There(uid, uid_validity) => {
                    let envelope = told.remove(&(hit.mailbox.clone(), *uid));
                    envelope.and_then(|envelope| {
                        let place = (self.account.name.as_str(), &hit.mailbox);
                        row_there(place, known, self.sides, envelope, Some(*uid_validity))
                    })
                }
            });
        }
        Ok(once(rows, self.all.as_ref()))
    }

    /// Whether what is told of a message shows that the query does not hold for it, by the letter
    /// and a day more or less.
    fn contradicts(&self, mailbox: &MailboxName, one: &Envelope) -> bool {
        let Some(query) = &self.exact else {
            return false;
        };
        let header = one.header.as_deref().unwrap_or_default();
        let document = Document::of_header(&Mail::header(header).summary());
        let early = |day| one.at.is_some_and(|at| at.0 < begin(day) - DAY);
        let late = |day| one.at.is_some_and(|at| at.0 > begin(day) + DAY);
        let left = within(query, mailbox).given(&|term| match term {
            Term::Since(day) if early(*day) => Some(false),
            Term::Before(day) if late(*day) => Some(false),
            Term::Text(field, text) if one.header.is_some() => document.shows(*field, text),
            _ => None,
        });
        left == Query::nothing()
    }

    /// Ends the connection.
    pub async fn end(self) {
        self.remote.end().await;
    }
}

/// Rows without those of the mailbox that shows what lies in others, too, where they are there.
fn once(rows: Vec<MessageRow>, all: Option<&MailboxName>) -> Vec<MessageRow> {
    let ids: BTreeSet<(String, String)> = rows
        .iter()
        .filter(|row| Some(&row.id.mailbox) != all)
        .filter_map(|row| Some((row.id.account.clone(), row.summary.message_id.clone()?)))
        .collect();
    let twice = |row: &MessageRow| {
        let id = row.summary.message_id.clone();
        let id = id.map(|id| (row.id.account.clone(), id));
        Some(&row.id.mailbox) == all && id.is_some_and(|id| ids.contains(&id))
    };
    rows.into_iter().filter(|row| !twice(row)).collect()
}

impl Hit {
    /// The file, by mailbox and base name.
    fn file(&self) -> Option<(&MailboxName, &MaildirId)> {
        match &self.lies {
            Lies::Here(glance) => Some((&self.mailbox, &glance.id)),
            Lies::There(..) => None,
        }
    }
}

fn here(mailbox: &MailboxName, glance: &Glance) -> Option<Hit> {
    Some(Hit {
        mailbox: mailbox.clone(),
        at: glance.arrived()?,
        lies: Lies::Here(glance.clone()),
    })
}

fn place<'p>(
    places: &'p [MailboxDirectory],
    mailbox: &MailboxName,
) -> Option<&'p MailboxDirectory> {
    places.iter().find(|place| place.mailbox == *mailbox)
}

/// What is left of a query by what an envelope tells.
fn given(query: &Query, envelope: &Envelope) -> Query {
    let summary = match &envelope.header {
        Some(header) => Mail::header(header).summary(),
        None => Summary::default(),
    };
    query.given(&|term| match term {
        Term::Attachment => {
            let parts = envelope.parts.as_ref()?;
            Some(parts.iter().any(|(part, more)| is_attached(part, more)))
        }
        Term::Since(day) => Some(envelope.at?.0 >= begin(*day)),
        Term::Before(day) => Some(envelope.at?.0 < begin(*day)),
        Term::Larger(size) => Some(envelope.size? > *size),
        Term::Smaller(size) => Some(envelope.size? < *size),
        Term::Flag(mark) => {
            let (flag, set) = mark.flag();
            Some(envelope.flags.as_ref()?.has(flag) == set)
        }
        Term::Tag(keyword) => Some(envelope.flags.as_ref()?.has_keyword(keyword)),
        Term::Text(..) => {
            // A field that was told decides; the text of the message was not.
            let document = Document::of_header(&summary);
            document.decides(term)
        }
        Term::In(_) => None,
    })
}

fn broken(error: IndexError) -> StoreError {
    StoreError::Bug(error.to_string())
}
