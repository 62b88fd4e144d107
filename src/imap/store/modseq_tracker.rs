//! Proves by consecutive MODSEQs that only this client changed a mailbox, so that it need not be
//! read again.
//!
//! Each STORE gets a MODSEQ that no other STORE in the mailbox gets, and that is higher than all
//! before (RFC 7162, 3.1). If our changes got each one from HIGHESTMODSEQ of the snapshot on, no
//! other client changed flags. An EXPUNGE takes one, too, where QRESYNC reports it later. New and
//! expunged messages show in the counters of STATUS. A server with gaps is read again.

use crate::imap::protocol::reply::{Code, Completion, Reply};
use crate::imap::session::CommandReply;
use crate::imap::store::ImapStore;
use crate::imap::store::cursor::RemoteCursor;
use crate::model::{FlagChange, Flags, MailboxName, Uid};
use crate::reconcile::Cursor;
use std::collections::BTreeSet;

/// Our own changes, proven to be the only ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::imap) struct Ours {
    /// HIGHESTMODSEQ of the snapshot.
    pub since: u64,
    /// HIGHESTMODSEQ after the changes.
    pub upto: u64,
    /// The number of removed messages.
    pub gone: u64,
}

impl Ours {
    /// Adds these changes of flags, if they are the only ones since and cover each of these
    /// messages.
    pub fn and_flags(self, asked: &BTreeSet<Uid>, answers: &[CommandReply]) -> Option<Ours> {
        let (mut given, mut changed) = (BTreeSet::new(), BTreeSet::new());
        for reply in answers.iter().flat_map(|(replies, _)| replies) {
            let told = match reply {
                Reply::Fetch(told) => told,
                Reply::Exists(_) | Reply::Expunge | Reply::Vanished(..) => return None,
                _ => continue,
            };
            // Untagged flags report a change of another client (RFC 9051, 6.4.6, on .SILENT).
            let ours = told.flags.is_none();
            let (Some(uid), Some(modseq), true) = (told.uid, told.modseq, ours) else {
                return None;
            };
            given.insert(modseq);
            changed.insert(uid);
        }
        let (first, upto) = (*given.first()?, *given.last()?);
        let gapless = first == self.upto + 1 && upto - self.upto == given.len() as u64;
        (gapless && changed == *asked).then_some(Ours { upto, ..self })
    }

    /// Adds the removal of this many messages by this EXPUNGE, after this many STOREs. A server
    /// need not report their MODSEQs at once, but each command took at least one.
    pub fn and_expunge(self, marks: usize, gone: usize, done: &Completion) -> Option<Ours> {
        let upto = self.upto + marks as u64 + 1;
        let gone = self.gone + gone as u64;
        let only = matches!(done.code, Some(Code::HighestModSeq(now)) if now == upto);
        only.then_some(Ours { upto, gone, ..self })
    }
}

/// Whether the mailbox certainly can store this: a new keyword may exceed its limit.
pub(in crate::imap) fn knows_all<'a>(
    permanent: Option<&Flags>,
    mut changes: impl Iterator<Item = &'a FlagChange>,
) -> bool {
    let knows = |flags: &Flags| permanent.is_some_and(|all| flags.difference(all).is_empty());
    changes.all(|change| knows(&change.add) && knows(&change.remove))
}

impl ImapStore {
    /// See [`crate::store::RemoteStore::cursor_after_own_changes`].
    pub(in crate::imap) fn cursor_after_us(
        &self,
        mailbox: &MailboxName,
        left: &Cursor,
    ) -> Option<Cursor> {
        let (left, ours) = (RemoteCursor::read(left)?, self.ours.borrow());
        let ours = ours.get(mailbox).filter(|ours| ours.since == left.modseq)?;
        let left = RemoteCursor {
            modseq: ours.upto,
            exists: left.exists.checked_sub(ours.gone)?,
            ..left
        };
        Some(left.write())
    }

    /// Returns the proof so far. `None`: the mailbox was not read, or has no MODSEQs.
    pub(in crate::imap) fn ours(&self, mailbox: &MailboxName) -> Option<Ours> {
        let since = *self.looked.get(mailbox)?;
        let (upto, gone) = (since, 0);
        let proven = self.ours.borrow().get(mailbox).copied();
        Some(proven.unwrap_or(Ours { since, upto, gone }))
    }

    pub(in crate::imap) fn keep_ours(&self, mailbox: &MailboxName, ours: Option<Ours>) {
        if let Some(ours) = ours {
            self.ours.borrow_mut().insert(mailbox.clone(), ours);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::protocol::reply::{Completion, CompletionStatus, Fetched};
    use crate::model::{Keyword, SystemFlag};

    fn uid(n: u32) -> Uid {
        Uid::new(n).unwrap()
    }

    fn told(n: u32, modseq: u64) -> Reply {
        Reply::Fetch(Box::new(Fetched {
            uid: Some(uid(n)),
            modseq: Some(modseq),
            ..Fetched::default()
        }))
    }

    fn upto(asked: &[u32], replies: Vec<Reply>) -> Option<u64> {
        let done = Completion {
            status: CompletionStatus::Ok,
            code: None,
            text: String::new(),
        };
        let asked = asked.iter().map(|n| uid(*n)).collect();
        // In two commands.
        let mut replies = replies.into_iter();
        let first = replies.next().into_iter().collect();
        let answers = [(first, done.clone()), (replies.collect(), done)];
        begin().and_flags(&asked, &answers).map(|ours| ours.upto)
    }

    fn begin() -> Ours {
        Ours {
            since: 5,
            upto: 7,
            gone: 1,
        }
    }

    #[test]
    fn an_expunge_takes_one_number_after_those_of_its_marks() {
        let done = |code| {
            let done = Completion {
                status: CompletionStatus::Ok,
                code,
                text: String::new(),
            };
            begin().and_expunge(1, 3, &done)
        };
        let after = Ours {
            since: 5,
            upto: 9,
            gone: 4,
        };
        assert_eq!(done(Some(Code::HighestModSeq(9))), Some(after));
        assert_eq!(done(Some(Code::HighestModSeq(10))), None, "a gap");
        assert_eq!(done(Some(Code::HighestModSeq(8))), None, "one took none");
        assert_eq!(done(None), None);
    }

    #[test]
    fn what_has_no_gap_is_ours_alone() {
        assert_eq!(upto(&[1, 2], vec![told(1, 8), told(2, 8)]), Some(8));
        assert_eq!(upto(&[1, 2], vec![told(2, 9), told(1, 8)]), Some(9));
        assert_eq!(upto(&[1], vec![told(1, 8), told(1, 9)]), Some(9));
        assert_eq!(upto(&[1, 2], vec![told(1, 8), told(2, 10)]), None, "a gap");
        assert_eq!(upto(&[1], vec![told(1, 9)]), None, "a gap before");
        assert_eq!(
            upto(&[1], vec![told(1, 7), told(1, 8)]),
            None,
            "one from before"
        );
        assert_eq!(upto(&[1, 2], vec![told(1, 8)]), None, "one did not change");
        assert_eq!(
            upto(&[1], vec![told(1, 8), told(2, 9)]),
            None,
            "nobody asked for it"
        );
        assert_eq!(upto(&[], vec![]), None);
    }

    #[test]
    fn what_somebody_else_did_shows() {
        let with = |reply| upto(&[1], vec![told(1, 8), reply]);
        assert_eq!(with(Reply::Other), Some(8));
        assert_eq!(with(Reply::Exists(3)), None);
        assert_eq!(with(Reply::Expunge), None);
        let strange = |change: fn(&mut Fetched)| {
            let mut fetched = Fetched {
                uid: Some(uid(1)),
                modseq: Some(9),
                ..Fetched::default()
            };
            change(&mut fetched);
            with(Reply::Fetch(Box::new(fetched)))
        };
        assert_eq!(strange(|_| ()), Some(9));
        assert_eq!(strange(|f| f.flags = Some(Flags::default())), None);
        assert_eq!(strange(|f| f.uid = None), None);
        assert_eq!(strange(|f| f.modseq = None), None);
    }

    #[test]
    fn a_keyword_that_is_new_there_may_be_one_too_many() {
        let seen = Flags::of(&[SystemFlag::Seen]);
        let mut label = seen.clone();
        label.insert_keyword(Keyword::new("label").unwrap());
        let none = Flags::default();
        let knows = |permanent: Option<&Flags>, from: &Flags, to: &Flags| {
            let change = FlagChange::between(from, to);
            knows_all(permanent, [&change].into_iter())
        };
        assert!(knows(Some(&label), &none, &label));
        assert!(knows(Some(&seen), &none, &seen));
        assert!(!knows(Some(&seen), &none, &label));
        assert!(!knows(Some(&seen), &label, &seen));
        assert!(!knows(None, &none, &seen));
    }
}
