//! Lists mailboxes and their counts for display, on a connection that changes nothing.

use crate::imap::display::reader::Reader;
use crate::imap::display::search::{Offers, Question, SearchKey, Searched};
use crate::imap::net::connect::Server;
use crate::imap::protocol::command::Command;
use crate::imap::protocol::reply::{CompletionStatus, Listing, Reply, StatusReply};
use crate::imap::session::expect::must;
use crate::imap::session::{Session, WireNames};
use crate::model::{MailboxName, UidValidity};
use crate::store::StoreError;
use std::collections::BTreeMap;

/// Special uses that are shown (RFC 6154, 8457).
const USES: [&str; 8] = [
    "\\all",
    "\\archive",
    "\\drafts",
    "\\flagged",
    "\\important",
    "\\junk",
    "\\sent",
    "\\trash",
];

/// A mailbox of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its name.
    pub name: MailboxName,
    /// Its special use in lower case: `\trash`.
    pub special_use: Option<String>,
    /// Whether it can contain messages.
    pub selectable: bool,
    /// MESSAGES; `None`: unknown.
    pub messages: Option<u64>,
    /// UNSEEN.
    pub unseen: Option<u64>,
    /// SIZE (RFC 8438), bytes.
    pub size: Option<u64>,
    /// UIDVALIDITY.
    pub uid_validity: Option<UidValidity>,
}

/// Whether STATUS is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountsRequest {
    /// Yes.
    Taken,
    /// No, only names.
    Left,
}

/// A connection that lists mailboxes.
pub struct Visit {
    session: Session,
    names: WireNames,
}

impl Visit {
    /// Connects and logs in.
    pub async fn to(server: &Server) -> Result<Visit, StoreError> {
        let session = Session::open(server, |_| Ok(Vec::new())).await?;
        let names = WireNames::new();
        Ok(Visit { session, names })
    }

    /// Returns the mailboxes of the server by name.
    pub async fn folders(&mut self, census: CountsRequest) -> Result<Vec<Folder>, StoreError> {
        let (listings, mut statuses) = self.list(census).await?;
        let told = listings.iter().map(|listing| listing.name.as_slice());
        self.session.naming.check(told);
        if self.session.naming.delimiter.is_none() {
            let mut told = listings.iter();
            self.session.naming.delimiter = told.find_map(|listing| listing.delimiter);
        }
        if census == CountsRequest::Taken && statuses.is_empty() {
            statuses = self.statuses(&listings).await?;
        }
        let mut folders = BTreeMap::new();
        for listing in listings {
            let Some(name) = self.session.naming.decode(&listing.name) else {
                continue;
            };
            let status = statuses.get(&listing.name);
            let folder = folder(&name, &listing, status);
            self.names.insert(name.clone(), listing.name);
            folders.insert(name, folder);
        }
        Ok(folders.into_values().collect())
    }

    async fn list(
        &mut self,
        census: CountsRequest,
    ) -> Result<(Vec<Listing>, BTreeMap<Vec<u8>, StatusReply>), StoreError> {
        let mut options: Vec<String> = Vec::new();
        let session = &self.session;
        if session.can("SPECIAL-USE") && session.can("LIST-EXTENDED") {
            options.push("SPECIAL-USE".into());
        }
        if session.can("LIST-STATUS") && census == CountsRequest::Taken {
            options.push(format!("STATUS ({})", items(session)));
        }
        let mut answer = (Vec::new(), None);
        if !options.is_empty() {
            let list = Command::list_all(&format!(" RETURN ({})", options.join(" ")));
            let (replies, done) = self.session.run(&list).await?;
            answer = (replies, Some(done));
        }
        // A server that refuses the options it announces is asked without.
        if answer
            .1
            .as_ref()
            .is_none_or(|done| done.status != CompletionStatus::Ok)
        {
            let (replies, done) = self.session.run(&Command::list_all("")).await?;
            must(done, "list the mailboxes")?;
            answer.0 = replies;
        }
        let (mut listings, mut statuses) = (Vec::new(), BTreeMap::new());
        for reply in answer.0 {
            match reply {
                Reply::List(listing) => listings.push(listing),
                Reply::Status(status) => {
                    statuses.insert(status.name.clone(), status);
                }
                _ => {}
            }
        }
        Ok((listings, statuses))
    }

    /// Requests STATUS of each mailbox; omits those that are refused.
    async fn statuses(
        &mut self,
        listings: &[Listing],
    ) -> Result<BTreeMap<Vec<u8>, StatusReply>, StoreError> {
        let items = items(&self.session);
        let open = listings.iter().filter(|listing| is_mailbox(listing));
        let commands: Result<Vec<_>, _> = open
            .map(|listing| Command::status(&listing.name, &items))
            .collect();
        let mut statuses = BTreeMap::new();
        for (replies, _) in self.session.run_all(&commands?).await? {
            for reply in replies {
                if let Reply::Status(status) = reply {
                    statuses.insert(status.name.clone(), status);
                }
            }
        }
        Ok(statuses)
    }

    /// Returns the search extensions of the server.
    pub fn search_offers(&self) -> Offers {
        self.session.search_offers()
    }

    /// Searches mailboxes after [`Self::folders`]. Changes nothing, and sets no `\Seen`.
    pub async fn search(
        &mut self,
        asked: &[(MailboxName, SearchKey)],
    ) -> Result<Searched, StoreError> {
        let mut questions = Vec::new();
        for (mailbox, key) in asked {
            let wire = self.names.get(mailbox).cloned();
            let none = || StoreError::Stale(format!("{mailbox} is not on the server"));
            questions.push(Question {
                mailbox: mailbox.clone(),
                wire: wire.ok_or_else(none)?,
                key: key.clone(),
            });
        }
        self.session.search_all(&questions).await
    }

    /// Returns the same connection for reading messages, after [`Self::folders`].
    pub fn into_reader(self) -> Result<Reader, StoreError> {
        let capabilities = self.session.capabilities().clone();
        let (stream, peer, timeout, hush) = self.session.into_stream()?;
        Ok(Reader::new(
            stream,
            (peer, timeout, hush),
            self.names,
            capabilities,
        ))
    }

    /// Logs out.
    pub async fn end(self) {
        self.session.log_out().await;
    }
}

fn items(session: &Session) -> String {
    let size = if session.can("STATUS=SIZE") {
        " SIZE"
    } else {
        ""
    };
    format!("MESSAGES UNSEEN UIDVALIDITY{size}")
}

fn folder(name: &MailboxName, listing: &Listing, status: Option<&StatusReply>) -> Folder {
    let special_use = listing
        .attributes
        .iter()
        .find(|attribute| USES.contains(&attribute.as_str()));
    let of = |value: fn(&StatusReply) -> Option<u64>| status.and_then(value);
    Folder {
        name: name.clone(),
        special_use: special_use.cloned(),
        selectable: is_mailbox(listing),
        messages: of(|status| status.messages),
        unseen: of(|status| status.unseen),
        size: of(|status| status.size),
        uid_validity: of(|status| status.uid_validity).map(UidValidity),
    }
}

fn is_mailbox(listing: &Listing) -> bool {
    let no = ["\\noselect", "\\nonexistent"];
    !listing
        .attributes
        .iter()
        .any(|attribute| no.contains(&attribute.as_str()))
}
