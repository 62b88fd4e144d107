//! Downloads that the disk has already. Before an upload into a mailbox, downloads from it are
//! compared with its new files, as sizes and headers of a server may be wrong, so that equal
//! messages were not matched. An equal one becomes a pair with that file, and is not stored again.

use crate::engine::context::Context;
use crate::engine::execute::job::{Work, Works};
use crate::engine::execute::transfer::request::change;
use crate::engine::identify::contents::{Content, Contents};
use crate::engine::report::Ended;
use crate::model::{AnyId, ContentHash, Flags, Id, Kin, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::anew::meeting_point;
use crate::reconcile::{Action, Outcome};
use crate::state::HistoryChange;
use crate::store::{LocalStore, Place, RemoteStore};
use std::collections::BTreeMap;

/// The new files of a mailbox by content.
#[derive(Default)]
pub(in crate::engine) struct Twins {
    files: BTreeMap<MaildirId, (Content, Flags)>,
    exact: BTreeMap<ContentHash, Vec<MaildirId>>,
    lenient: BTreeMap<ContentHash, Vec<MaildirId>>,
}

/// The new files of several mailboxes.
pub(in crate::engine) type AllTwins = BTreeMap<MailboxName, Twins>;

/// A downloaded message with its file.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Met {
    pub uid: Uid,
    pub file: MaildirId,
    content: Content,
    /// The flags of the base.
    flags: Flags,
    kin: Option<Kin>,
    /// Whether the server altered it.
    altered: bool,
}

impl Twins {
    fn of(files: BTreeMap<MaildirId, (Content, Flags)>) -> Twins {
        let mut twins = Twins::default();
        for (file, (content, _)) in &files {
            let exact = twins.exact.entry(content.hash).or_default();
            exact.push(file.clone());
            let lenient = twins.lenient.entry(content.lenient).or_default();
            lenient.push(file.clone());
        }
        twins.files = files;
        twins
    }

    /// Takes a file with the content of a message; each is taken once.
    pub fn take(
        &mut self,
        uid: Uid,
        content: &Content,
        there: &Flags,
        kin: Option<Kin>,
    ) -> Option<Met> {
        let exact = self.exact.get(&content.hash).into_iter();
        let lenient = self.lenient.get(&content.lenient).into_iter();
        let mut all = exact.chain(lenient).flatten();
        let file = all.find(|file| self.files.contains_key(file))?.clone();
        let (own, here) = self.files.remove(&file)?;
        Some(Met {
            uid,
            file,
            content: own,
            flags: meeting_point(there, &here),
            kin,
            altered: own.hash != content.hash,
        })
    }
}

impl Met {
    /// Returns the history row.
    pub fn change(&self, place: &Place) -> HistoryChange {
        let linked = change(place, Side::Local, self.file.any(), &self.uid);
        HistoryChange {
            what: "linked",
            why: format!("with {}", self.uid),
            ..linked
        }
    }

    /// Returns the changes of the base.
    pub fn outcomes(self) -> Vec<Outcome> {
        let (uid, file) = (self.uid, self.file);
        let called = Outcome::Called {
            uid,
            file: file.clone(),
            name: Some(self.content.called),
        };
        let paired = Outcome::Paired {
            uid,
            file,
            flags: self.flags,
            hash: self.content.hash,
            size: self.content.stored,
            stamp: self.content.stamp,
            kin: self.kin,
            replaces: None,
        };
        let called = self.altered.then_some(called);
        [paired].into_iter().chain(called).collect()
    }
}

/// Reads the new files of mailboxes with downloads. If they cannot be read, nothing is
/// uploaded.
pub(in crate::engine) async fn new_files<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
) -> Result<AllTwins, Ended> {
    let mut all = AllTwins::new();
    for (name, work) in works {
        if !work.sound || work.uploads.strangers.is_empty() || !downloads(work) {
            continue;
        }
        let files: Vec<MaildirId> = work.uploads.strangers.keys().cloned().collect();
        let mut sink = Contents::default();
        match ctx.local.read(&work.place(), &files, &mut sink).await {
            Err(error) if error.is_local_to_mailbox() => work.sound = false,
            read => read?,
        }
        let files = sink.all.into_iter().map(|(file, content)| {
            let flags = work
                .uploads
                .strangers
                .get(&file)
                .cloned()
                .unwrap_or_default();
            (file, (content, flags))
        });
        all.insert(name.clone(), Twins::of(files.collect()));
    }
    Ok(all)
}

/// Whether a mailbox has downloads.
fn downloads(work: &Work) -> bool {
    let new = |action: &Action| match action {
        Action::Copy { from, replaces, .. } => {
            matches!(from, AnyId::Remote(_)) && replaces.is_none()
        }
        _ => false,
    };
    work.plan.actions.iter().any(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::identify::contents::Measure;
    use crate::engine::plain_values::{file, uid};

    fn content(text: &[u8]) -> Content {
        let mut measure = Measure::default();
        measure.update(text);
        measure.finish(text.len() as u64)
    }

    #[test]
    fn equal_files_are_taken_once_each() {
        let own = |n, text: &[u8]| (file(n), (content(text), Flags::default()));
        let files = [own(1, b"\nx\n"), own(2, b"\nx\n"), own(3, b"S: \xe4\n\ny")];
        let mut twins = Twins::of(files.into());
        let none = Flags::default();
        let mut take = |n, text: &[u8]| twins.take(uid(n), &content(text), &none, None);
        assert!(take(1, b"\r\nz\r\n").is_none(), "another content");
        assert_eq!(take(2, b"\r\nx\r\n").unwrap().file, file(1));
        assert_eq!(take(3, b"\r\nx\r\n").unwrap().file, file(2));
        assert!(take(4, b"\r\nx\r\n").is_none(), "all are taken");
        let altered = take(5, b"S: X\r\n\r\ny\r\n").unwrap();
        assert_eq!(altered.file, file(3));
        assert_eq!(altered.outcomes().len(), 2, "it is known as altered");
    }
}
