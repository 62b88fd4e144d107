//! Lists mailboxes, and those that cannot have changed.

use crate::imap::protocol::command::Command;
use crate::imap::protocol::reply::{Listing, Reply, StatusReply};
use crate::imap::session::expect::must;
use crate::imap::session::sync_capability::{Tier, tier};
use crate::imap::session::{CommandReply, Session, WireNames};
use crate::imap::store::ImapStore;
use crate::imap::store::cursor::RemoteCursor;
use crate::imap::store::message_id::Objects;
use crate::model::MailboxName;
use crate::reconcile::{Census, Cursor, Identity, Listed, News, Presence};
use crate::store::StoreError;
use std::collections::{BTreeMap, BTreeSet};

impl ImapStore {
    pub(in crate::imap) async fn list_with(
        &mut self,
        session: &mut Session,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, StoreError> {
        let asked = self.list_once(session, left).await;
        match asked {
            // An untrusted MAILBOXID is not missed: UIDVALIDITY and messages distinguish mailboxes,
            // too.
            Err(StoreError::Mailbox(what)) if session.mailbox_ids => {
                tracing::warn!(%what, "asking again, without MAILBOXID");
                session.mailbox_ids = false;
                self.list_once(session, left).await
            }
            asked => asked,
        }
    }

    async fn list_once(
        &mut self,
        session: &mut Session,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, StoreError> {
        let modseq = tier(session) > Tier::Plain;
        let with_status = session.can("LIST-STATUS") && modseq;
        let (replies, done) = list_all(session).await?;
        must(done, "list the mailboxes").map_err(|error| StoreError::Retry(error.to_string()))?;
        let (mut listings, mut statuses) = (Vec::new(), BTreeMap::new());
        for reply in replies {
            match reply {
                Reply::List(listing) => listings.push(listing),
                Reply::Status(status) => {
                    statuses.insert(status.name.clone(), status);
                }
                _ => {}
            }
        }
        if modseq && !with_status {
            // Without CONDSTORE a STATUS cannot prove unchanged flags.
            let open = listings.iter().filter(|listing| is_mailbox(listing));
            let commands: Result<Vec<_>, _> = open
                .map(|listing| Command::status(&listing.name, items(session)))
                .collect();
            for (replies, _) in session.run_all(&commands?).await? {
                for reply in replies {
                    if let Reply::Status(status) = reply {
                        statuses.insert(status.name.clone(), status);
                    }
                }
            }
        }
        if session.mailbox_ids && !believable(statuses.values()) {
            tracing::warn!("the server's MAILBOXIDs are none, left out");
            session.mailbox_ids = false;
            statuses
                .values_mut()
                .for_each(|status| status.mailbox_id = None);
        }
        let told = listings.iter().map(|listing| listing.name.as_slice());
        session.naming.check(told);
        Ok(self.note_names(session, listings, &statuses, left))
    }

    fn note_names(
        &mut self,
        session: &mut Session,
        listings: Vec<Listing>,
        statuses: &BTreeMap<Vec<u8>, StatusReply>,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Vec<Listed> {
        let tells = tier(session) > Tier::Plain;
        let wild = session.can("OBJECTID") && !session.mailbox_ids;
        if session.naming.delimiter.is_none() {
            session.naming.delimiter = listings.iter().find_map(|listing| listing.delimiter);
        }
        let mut all: BTreeMap<MailboxName, Listed> = BTreeMap::new();
        let (mut names, mut trash) = (WireNames::new(), None);
        self.grown.clear();
        for listing in listings {
            let Some(name) = session.naming.decode(&listing.name) else {
                all.extend(without_name(&listing).map(|one| (one.name.clone(), one)));
                continue;
            };
            let special = |use_: &str| listing.attributes.iter().any(|a| a == use_);
            let mut presence = match is_mailbox(&listing) {
                true => Presence::Mailbox,
                false => Presence::Container,
            };
            if names.get(&name).is_some_and(|other| *other != listing.name) {
                // F30: rather neither than one for the other.
                let what = format!("two mailboxes of the server would both be called {name}");
                presence = Presence::Unknown(what);
            }
            // Gmail removes a label on EXPUNGE; only messages in the trash are deleted.
            let gmail = self.objects.get() == Objects::Gmail;
            let wanted = self.settings.trash.as_deref();
            let wanted = wanted.or(gmail.then_some("\\Trash"));
            if wanted.is_some_and(|t| special(&t.to_ascii_lowercase())) {
                trash = Some(name.clone());
            }
            let status = statuses.get(&listing.name);
            let cursor = left.get(&name).and_then(RemoteCursor::read);
            let news = match (cursor, status) {
                _ if !tells => News::Untold,
                (Some(cursor), Some(status)) if cursor.still_holds(status) => News::None,
                _ => News::Some,
            };
            let next = cursor.zip(status).and_then(|(left, now)| left.grown(now));
            self.grown.extend(next.map(|next| (name.clone(), next)));
            let listed = Listed {
                name: name.clone(),
                presence,
                view: is_view(&name, &listing),
                news,
                special_use: listing
                    .attributes
                    .iter()
                    .find(|a| is_special_use(a) && !tells_flags(&listing))
                    .cloned(),
                identity: status.and_then(identity),
                // Without MAILBOXID no two names count as one mailbox. On servers with invalid
                // MAILBOXIDs UIDVALIDITY is the second of creation, and equal ones prove nothing.
                census: status.filter(|_| !wild).and_then(census),
            };
            names.insert(name.clone(), listing.name);
            all.insert(name, listed);
        }
        let named = self.settings.trash.as_deref().and_then(MailboxName::parse);
        *self.trash.borrow_mut() = trash.or(named.filter(|name| all.contains_key(name)));
        *self.names.borrow_mut() = names;
        all.into_values().collect()
    }
}

/// Special uses of virtual mailboxes (RFC 6154, 8457).
const VIEWS: [&str; 3] = ["\\all", "\\flagged", "\\important"];

/// Flags of messages that are no attributes of mailboxes.
const FLAGS: [&str; 3] = ["\\seen", "\\answered", "\\deleted"];

/// Whether a server lists flags of messages as attributes (Twisted): then `\Flagged` is no special
/// use.
fn tells_flags(listing: &Listing) -> bool {
    let has = |flag: &&str| listing.attributes.iter().any(|a| a == flag);
    FLAGS.iter().any(has)
}

/// Whether a mailbox shows messages that lie elsewhere.
fn is_view(name: &MailboxName, listing: &Listing) -> bool {
    let has = |use_: &&str| listing.attributes.iter().any(|a| a == use_);
    !name.is_inbox() && !tells_flags(listing) && VIEWS.iter().any(has)
}

/// A mailbox whose name has an empty part, so that it cannot be kept on disk.
fn without_name(listing: &Listing) -> Option<Listed> {
    let name = MailboxName::new(vec![listing.name.escape_ascii().to_string()])?;
    let why = "its name has an empty part, so it cannot be kept on disk; rename it on the server, \
               or leave it out with `mailboxes`";
    is_mailbox(listing).then(|| Listed {
        name,
        presence: Presence::Unknown(why.to_owned()),
        view: false,
        news: News::Some,
        special_use: None,
        identity: None,
        census: None,
    })
}

/// The request of a new session before its other answers are known.
pub fn foreseen(session: &Session) -> Result<Vec<Command>, StoreError> {
    Ok(vec![command(session)])
}

fn command(session: &Session) -> Command {
    let with_status = session.can("LIST-STATUS") && tier(session) > Tier::Plain;
    let mut options: Vec<String> = Vec::new();
    if session.can("SPECIAL-USE") && (with_status || session.can("LIST-EXTENDED")) {
        options.push("SPECIAL-USE".into());
    }
    if with_status {
        options.push(format!("STATUS ({})", items(session)));
    }
    match options.is_empty() {
        true => Command::list_all(""),
        false => Command::list_all(&format!(" RETURN ({})", options.join(" "))),
    }
}

fn items(session: &Session) -> &'static str {
    match session.mailbox_ids {
        true => "MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ MAILBOXID",
        false => "MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ",
    }
}

/// STATUS is unreliable for the selected mailbox (RFC 9051, 6.3.11), so it is closed first where
/// that needs no EXPUNGE. A server may answer LIST before the preceding command.
async fn list_all(session: &mut Session) -> Result<CommandReply, StoreError> {
    let list = command(session);
    if session.selected.is_none() || !session.can("UNSELECT") {
        return session.run(&list).await;
    }
    session.selected = None;
    let mut answers = session.run_all(&[Command::unselect(), list]).await?;
    let lost = || StoreError::Bug("an answer was lost".into());
    answers.pop().ok_or_else(lost)
}

/// RFC 8474, 4 and 7: letters, digits, `_` and `-`, unique.
fn believable<'a>(statuses: impl Iterator<Item = &'a StatusReply>) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut seen = BTreeSet::new();
    statuses
        .filter_map(|status| status.mailbox_id.as_deref())
        .all(|id| (1..=255).contains(&id.len()) && id.chars().all(plain) && seen.insert(id))
}

/// UIDVALIDITYs below count mailboxes, or are constants; times since 1970 are above.
const LEAST_CLOCK: u64 = 1 << 24;

/// Returns counters that can show two names to be one mailbox. `None`: it is empty, or its
/// UIDVALIDITY is no time (hoodiecrow gives several mailboxes the same small one).
fn census(status: &StatusReply) -> Option<Census> {
    status
        .uid_validity
        .filter(|validity| *validity >= LEAST_CLOCK)?;
    let messages = status.messages.filter(|count| *count > 0)?;
    let next = u32::try_from(status.uid_next?).ok()?;
    let modseq = status.highest_modseq.unwrap_or(0);
    let text = format!("{messages} {next} {modseq}");
    Some(Census { text, next })
}

fn identity(status: &StatusReply) -> Option<Identity> {
    if let Some(id) = &status.mailbox_id {
        let text = format!("id {id}");
        return Some(Identity { text, proves: true });
    }
    // Servers without UIDVALIDITY send 0 for all mailboxes (H05).
    let validity = status.uid_validity.filter(|validity| *validity > 0)?;
    let text = format!("uidvalidity {validity}");
    Some(Identity {
        text,
        proves: false,
    })
}

fn is_mailbox(listing: &Listing) -> bool {
    let no = ["\\noselect", "\\nonexistent"];
    !listing
        .attributes
        .iter()
        .any(|attribute| no.contains(&attribute.as_str()))
}

fn is_special_use(attribute: &str) -> bool {
    let uses = ["\\archive", "\\drafts", "\\junk", "\\sent", "\\trash"];
    uses.contains(&attribute)
}
