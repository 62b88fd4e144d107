//! Searches all mailboxes of a server.

use super::local::within;
use super::query::Query;
use super::there::QueryMethod;
use crate::imap::{CountsRequest, Folder, Hits, SearchKey, Unsearched, Visit};
use crate::model::MailboxName;
use crate::store::StoreError;

/// Views in which only messages lie that lie in other mailboxes, too.
const VIEWS: [&str; 2] = ["\\flagged", "\\important"];

/// What was found on a server.
#[derive(Clone, Debug, Default)]
pub struct ServerHits {
    /// What was found, by mailbox.
    pub hits: Vec<Hits>,
    /// Whether what was found only may answer the query, and is to be looked at.
    pub open: bool,
    /// The mailbox that holds what lies in the others, too (`\All`).
    pub all: Option<MailboxName>,
    /// Whether the server looks for the words by their letters (not Gmail, and not FUZZY).
    pub words: bool,
    /// Sentences about what was not searched.
    pub notes: Vec<String>,
}

/// Searches the mailboxes of a server; `fuzzy`: for what is like the words, too.
pub async fn search_there(
    visit: &mut Visit,
    query: &Query,
    fuzzy: bool,
) -> Result<ServerHits, StoreError> {
    let folders = visit.folders(CountsRequest::Left).await?;
    let offers = visit.search_offers();
    let mut way = QueryMethod {
        offers,
        fuzzy,
        ascii: false,
    };
    let mut found = ServerHits {
        words: !offers.gmail && !fuzzy,
        all: folders
            .iter()
            .find(|one| uses(one, "\\all"))
            .map(|one| one.name.clone()),
        ..ServerHits::default()
    };
    if fuzzy && !offers.fuzzy {
        let what = "the server does not search for what is like a word (SEARCH=FUZZY)";
        found.notes.push(what.into());
    }
    let chosen = folders
        .iter()
        .filter(|one| one.selectable && !is_view(one, query));
    let names: Vec<MailboxName> = chosen.map(|one| one.name.clone()).collect();
    let asked = questions(way, query, &names, &mut found);
    let mut searched = visit.search(&asked).await?;
    let refused: Vec<MailboxName> = searched
        .failed
        .iter()
        .filter(|one| one.charset)
        .map(|one| one.mailbox.clone())
        .collect();
    if !refused.is_empty() {
        way.ascii = true;
        let again = questions(way, query, &refused, &mut found);
        let again = visit.search(&again).await?;
        searched.failed.retain(|one| !one.charset);
        searched.failed.extend(again.failed);
        searched.hits.extend(again.hits);
    }
    found.hits = searched.hits;
    found.notes.extend(searched.failed.iter().map(note));
    Ok(found)
}

fn note(failed: &Unsearched) -> String {
    format!(
        "{} was not searched on the server: {}",
        failed.mailbox, failed.why
    )
}

fn uses(folder: &Folder, special: &str) -> bool {
    folder.special_use.as_deref() == Some(special)
}

/// Whether a mailbox only shows what lies elsewhere, and is not asked for by its name.
fn is_view(folder: &Folder, query: &Query) -> bool {
    let view = VIEWS.iter().any(|special| uses(folder, special));
    view && within(query, &folder.name) == query.given(&|_| None)
}

/// What is asked in each mailbox; none where nothing can answer the query.
fn questions(
    way: QueryMethod,
    query: &Query,
    names: &[MailboxName],
    found: &mut ServerHits,
) -> Vec<(MailboxName, SearchKey)> {
    let mut questions = Vec::new();
    for name in names {
        let left = within(query, name);
        if left != Query::nothing() {
            let asked = way.ask(&left);
            found.open |= asked.open;
            questions.push((name.clone(), asked.key));
        }
    }
    questions
}
