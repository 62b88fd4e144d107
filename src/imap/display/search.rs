//! Searches on the server (RFC 9051, 6.4.4): a tree of keys, pipelined over all mailboxes, or in
//! one command (RFC 7377). No sync decision depends on a result.

use crate::imap::protocol::code::{Code, Completion};
use crate::imap::protocol::command::{Access, Command, CommandPieces, LiteralKind, Since};
use crate::imap::protocol::reply::{CompletionStatus, Reply};
use crate::imap::protocol::uid_set::UidSet;
use crate::imap::protocol::wire::NoTap;
use crate::imap::session::expect::must;
use crate::imap::session::{CommandReply, Session};
use crate::model::{Keyword, MailboxName, SystemFlag, Uid, UidValidity};
use crate::store::StoreError;
use jiff::civil::Date;

/// Most results of a mailbox: the newest.
const HITS: u64 = 100_000;
/// Mailboxes under way at once.
const WINDOW: usize = 20;
/// Mailboxes of one command (RFC 7377).
const AT_ONCE: usize = 100;

/// A search key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// All of these; empty: matches nothing.
    And(Vec<SearchKey>),
    /// One of these; empty: matches nothing.
    Or(Vec<SearchKey>),
    /// Not this.
    Not(Box<SearchKey>),
    /// A text in a part of the message; `true`: fuzzy (RFC 6203).
    Text(In, String, bool),
    /// A query in Gmail's syntax.
    Gmail(String),
    /// INTERNALDATE on that day or later.
    Since(Date),
    /// INTERNALDATE before that day.
    Before(Date),
    /// RFC822.SIZE above this.
    Larger(u64),
    /// RFC822.SIZE below this.
    Smaller(u64),
    /// A flag that is set, or not.
    Flag(SystemFlag, bool),
    /// A keyword.
    Keyword(Keyword),
}

/// The part of a message to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum In {
    /// The header From.
    From,
    /// The header To.
    To,
    /// The header Cc.
    Cc,
    /// The header Subject.
    Subject,
    /// The text.
    Body,
}

impl In {
    /// Returns its name in SEARCH.
    pub fn name(self) -> &'static str {
        match self {
            In::From => "FROM",
            In::To => "TO",
            In::Cc => "CC",
            In::Subject => "SUBJECT",
            In::Body => "BODY",
        }
    }
}

impl SearchKey {
    /// Whether all its texts can be quoted strings.
    fn is_one_piece(&self) -> bool {
        match self {
            SearchKey::And(all) | SearchKey::Or(all) => all.iter().all(SearchKey::is_one_piece),
            SearchKey::Not(inner) => inner.is_one_piece(),
            SearchKey::Text(_, text, _) | SearchKey::Gmail(text) => {
                crate::imap::protocol::command::is_quotable(text)
            }
            _ => true,
        }
    }

    /// Whether all its texts are ASCII.
    pub fn is_ascii(&self) -> bool {
        match self {
            SearchKey::And(all) | SearchKey::Or(all) => all.iter().all(SearchKey::is_ascii),
            SearchKey::Not(inner) => inner.is_ascii(),
            SearchKey::Text(_, text, _) | SearchKey::Gmail(text) => text.is_ascii(),
            _ => true,
        }
    }
}

/// The search extensions of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// X-GM-RAW.
    pub gmail: bool,
    /// FUZZY (RFC 6203).
    pub fuzzy: bool,
}

/// The results in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The messages, oldest first.
    pub uids: Vec<Uid>,
}

/// Why a mailbox was not searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsearched {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// Whether the server refuses the charset UTF-8.
    pub charset: bool,
    /// The server's text.
    pub why: String,
}

/// The results of all mailboxes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// Mailboxes with results.
    pub hits: Vec<Hits>,
    /// Mailboxes that were not searched.
    pub failed: Vec<Unsearched>,
}

/// The search in one mailbox.
pub(in crate::imap) struct Question {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// Its wire name.
    pub wire: Vec<u8>,
    /// The key.
    pub key: SearchKey,
}

impl Session {
    /// Returns the search extensions of the server.
    pub(in crate::imap) fn search_offers(&self) -> Offers {
        Offers {
            gmail: self.can("X-GM-EXT-1"),
            fuzzy: self.can("SEARCH=FUZZY"),
        }
    }

    /// Searches mailboxes. Changes nothing, and sets no `\Seen`.
    pub(in crate::imap) async fn search_all(
        &mut self,
        questions: &[Question],
    ) -> Result<Searched, StoreError> {
        let searched = self.search_open(questions).await;
        // Another mailbox may be open with EXAMINE.
        self.selected = None;
        searched
    }

    async fn search_open(&mut self, questions: &[Question]) -> Result<Searched, StoreError> {
        let mut searched = Searched::default();
        let same = questions.windows(2).all(|pair| match pair {
            [a, b] => a.key == b.key,
            _ => true,
        });
        if self.can("MULTISEARCH") && same && questions.len() > 1 {
            let mut refused = false;
            for group in questions.chunks(AT_ONCE) {
                refused |= !self.search_several(group, &mut searched).await?;
            }
            if !refused {
                return Ok(searched);
            }
            tracing::debug!("the server does not do MULTISEARCH; asking mailbox by mailbox");
            searched = Searched::default();
        }
        let waits = self.literals() == LiteralKind::Waiting;
        let (slow, quick): (Vec<&Question>, Vec<&Question>) = questions
            .iter()
            .partition(|one| waits && !one.key.is_one_piece());
        for window in quick.chunks(WINDOW) {
            let mut tags = Vec::new();
            for one in window {
                let (open, search) = self.ask(one)?;
                tags.push((self.send(&open).await?, self.send(&search.first).await?));
            }
            for (one, (open, search)) in window.iter().zip(tags) {
                let open = said(self.answer(&open).await)?;
                let found = said(self.answer(&search).await)?;
                searched.take(one, open, found);
            }
        }
        for one in slow {
            let (open, search) = self.ask(one)?;
            let open = said(self.run(&open).await)?;
            let found = match open
                .as_ref()
                .is_ok_and(|(_, done)| done.status == CompletionStatus::Ok)
            {
                true => said(self.run_pieces(&search).await)?,
                false => Err("it was not opened".into()),
            };
            searched.take(one, open, found);
        }
        Ok(searched)
    }

    /// Sends EXAMINE and the search.
    fn ask(&self, one: &Question) -> Result<(Command, CommandPieces), StoreError> {
        let open = Command::select(&one.wire, Access::ReadOnly, Since::Nothing)?;
        Ok((open, self.question(&[], &one.key)?))
    }

    fn question(&self, mailboxes: &[&[u8]], key: &SearchKey) -> Result<CommandPieces, StoreError> {
        let charset = !key.is_ascii() && !self.naming.utf8;
        Command::search(key, mailboxes, self.compact(), charset, self.literals())
    }

    /// The encoding of texts that are not ASCII.
    fn literals(&self) -> LiteralKind {
        match self.can("LITERAL+") || self.can("LITERAL-") {
            true => LiteralKind::AtOnce,
            false => LiteralKind::Waiting,
        }
    }

    /// Runs a command with synchronizing literals.
    async fn run_pieces(&mut self, command: &CommandPieces) -> Result<CommandReply, StoreError> {
        let tag = self.send(&command.first).await?;
        for piece in &command.rest {
            loop {
                match self.next_of(&tag, &mut NoTap).await? {
                    Reply::Continue => break,
                    Reply::Tagged(_, done) => return Ok((Vec::new(), done)),
                    _ => {}
                }
            }
            self.write(piece).await?;
            self.write(b"\r\n").await?;
        }
        self.answer(&tag).await
    }

    /// Searches several mailboxes in one command; `false`: the server cannot.
    async fn search_several(
        &mut self,
        group: &[Question],
        searched: &mut Searched,
    ) -> Result<bool, StoreError> {
        let Some(first) = group.first() else {
            return Ok(true);
        };
        let names: Vec<&[u8]> = group.iter().map(|one| one.wire.as_slice()).collect();
        let command = self.question(&names, &first.key)?;
        let (replies, done) = self.run_pieces(&command).await?;
        if done.status != CompletionStatus::Ok {
            return Ok(false);
        }
        for reply in replies {
            let Reply::SearchIn(found) = reply else {
                continue;
            };
            let own = group.iter().find(|one| one.wire == found.mailbox);
            let (Some(own), Some(uid_validity)) = (own, found.uid_validity) else {
                continue;
            };
            searched.add(&own.mailbox, UidValidity(uid_validity), &found.uids);
        }
        Ok(true)
    }
}

/// Returns an answer, or the invalid one.
type SearchReply = Result<CommandReply, String>;

/// An invalid answer concerns its mailbox only.
fn said(answer: Result<CommandReply, StoreError>) -> Result<SearchReply, StoreError> {
    match answer {
        Err(StoreError::Mailbox(why)) => Ok(Err(why)),
        other => Ok(Ok(other?)),
    }
}

impl Searched {
    fn add(&mut self, mailbox: &MailboxName, uid_validity: UidValidity, uids: &UidSet) {
        let uids: Vec<Uid> = uids.uids(HITS).into_iter().flatten().collect();
        if !uids.is_empty() {
            let mailbox = mailbox.clone();
            self.hits.push(Hits {
                mailbox,
                uid_validity,
                uids,
            });
        }
    }

    fn fail(&mut self, mailbox: &MailboxName, charset: bool, why: String) {
        let mailbox = mailbox.clone();
        self.failed.push(Unsearched {
            mailbox,
            charset,
            why,
        });
    }

    /// Evaluates the answers of EXAMINE and SEARCH.
    fn take(&mut self, one: &Question, open: SearchReply, found: SearchReply) {
        let name = &one.mailbox;
        let (about, opened) = match open {
            Ok(answer) => answer,
            Err(why) => return self.fail(name, false, why),
        };
        if let Err(error) = must(opened, "open it") {
            return self.fail(name, false, error.to_string());
        }
        let uid_validity = about.iter().find_map(|reply| match reply {
            Reply::Untagged(Completion {
                code: Some(Code::UidValidity(uid_validity)),
                ..
            }) => Some(UidValidity(*uid_validity)),
            _ => None,
        });
        let Some(uid_validity) = uid_validity else {
            return self.fail(name, false, "the server gave no UIDVALIDITY".into());
        };
        let (replies, done) = match found {
            Ok(answer) => answer,
            Err(why) => return self.fail(name, false, why),
        };
        let charset = match &done.code {
            Some(Code::Other(code)) => code.starts_with("BADCHARSET"),
            _ => false,
        };
        // RFC 3501, 6.4.4: NO with or without the code; some servers answer BAD.
        let charset = charset || (done.status != CompletionStatus::Ok && !one.key.is_ascii());
        if let Err(error) = must(done, "search in it") {
            return self.fail(name, charset, error.to_string());
        }
        let found = replies.iter().filter_map(|reply| match reply {
            Reply::Search(uids) => Some(uids),
            _ => None,
        });
        let all = found.fold(None, |all: Option<UidSet>, uids| {
            Some(all.map_or_else(|| uids.clone(), |all| all.union(uids)))
        });
        match all {
            Some(uids) => self.add(name, uid_validity, &uids),
            // An OK without ESEARCH is not a result (RFC 9051, 7.3.4).
            None => self.fail(name, false, "the server gave no answer to SEARCH".into()),
        }
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
