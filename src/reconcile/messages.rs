//! The table of messages: the action for each combination of base, server and disk. `docs/sync.md`
//! has the row numbers.
//!
//! Absence is deletion only if a snapshot proves it ([`Look::shows_gone`]); otherwise it is
//! unknown.

use super::action::{Action, CopyWhy, DeleteWhy, Link, Merge};
use super::look::Look;
use super::plan::{MailboxPlan, Note};
use super::policy::Policy;
pub use super::seen::Known;
use super::seen::{
    Links, Seen, is_as_agreed, left_marked, lone, name, opinion, see, state_of, unmark,
};
use super::settled::Settled;
use super::three_way::{Opinion, agree, first_meeting, merge, shows_interest};
use super::unlisted::{Next, Unlisted};
use crate::model::{
    AnyId, Aside, AsideReason, Flags, Id, MailboxBase, MaildirId, Pair, Side, SystemFlag, Uid,
};
use std::collections::BTreeSet;

const IN_DOUBT: &str = "its upload was cut; waiting to see whether it arrived";

const NOT_LISTED: &str = "the server said that it stored it, and does not list it";

/// The inputs about a mailbox.
#[derive(Debug)]
pub struct Case<'a> {
    /// The base.
    pub base: &'a MailboxBase,
    /// The snapshot of the server.
    pub remote: &'a Look<Uid>,
    /// The snapshot of the disk.
    pub local: &'a Look<MaildirId>,
    /// New messages that are equal (see [`super::matching`]).
    pub links: &'a [(Uid, MaildirId)],
    /// Files of cut uploads that may still appear on the server.
    pub in_doubt: &'a BTreeSet<MaildirId>,
    /// Files whose upload began: a linked message is our own.
    pub uploads: &'a BTreeSet<MaildirId>,
    /// Uploads that the server accepted.
    pub unlisted: &'a Unlisted,
    /// Decisions for the whole account (see [`super::moves`]).
    pub settled: &'a Settled<'a>,
    /// The policy.
    pub policy: &'a Policy,
    /// The time, seconds since 1970.
    pub now: i64,
}

/// Decides about the messages of the mailbox.
pub fn decide(case: &Case<'_>) -> MailboxPlan {
    let mut table = Table {
        case,
        links: Links::of(case.links),
        plan: MailboxPlan::with_room(case.base, case.remote.seen.len() + case.local.seen.len()),
    };
    for pair in &case.base.pairs {
        if !case.settled.pairs.contains(&pair.id) {
            table.pair(pair);
        }
    }
    table.asides();
    table.new_messages();
    // A first run has as many as messages, all kept until they are executed.
    table.plan.actions.shrink_to_fit();
    table.plan
}

struct Table<'a> {
    case: &'a Case<'a>,
    links: Links<'a>,
    plan: MailboxPlan,
}

impl Table<'_> {
    fn pair(&mut self, pair: &Pair) {
        if let Some((uid, file)) = self.links.with_one_of(pair) {
            // A cut run restored the message and did not record it.
            return self.link(uid, &file, Some(pair));
        }
        if is_as_agreed(pair, self.case.remote, self.case.local) {
            return;
        }
        let remote = see(self.case.remote, &pair.uid, &pair.flags);
        let local = see(self.case.local, &pair.file, &pair.flags);
        match (local, remote) {
            // Rows 5, 11, 17, 23-25, 30, 36: no action on an unknown message.
            (Seen::Unknown, _) | (_, Seen::Unknown) => {}
            (local, Seen::Here(remote)) if left_marked(pair, &local, &remote) => {
                if self.follows(Side::Remote) {
                    self.act(unmark(pair));
                }
            }
            (Seen::Here(local), Seen::Here(remote)) => self.flags(pair, &remote, &local),
            (Seen::Here(local), Seen::Gone) => self.remote_gone(pair, local),
            // Rows 6 and 12: flags do not depend on the body.
            (Seen::Here(local), Seen::Broken) => self.flags(pair, &pair.flags, &local),
            (Seen::Gone, Seen::Here(remote)) => self.local_gone(pair, remote),
            (Seen::Gone, Seen::Gone) => self.act(Action::Forget { pair: name(pair) }),
            (Seen::Gone, Seen::Broken) => {
                self.note(
                    pair.uid,
                    "deleted here, but its body cannot be had there: kept",
                );
            }
            (Seen::Broken, Seen::Here(remote)) => self.restore(pair, remote),
            (Seen::Broken, Seen::Gone) => {
                self.note(
                    pair.file.clone(),
                    "broken here and deleted there: quarantined",
                );
                let (on, why) = (Side::Local, DeleteWhy::Broken);
                self.act(Action::Delete {
                    on,
                    pair: name(pair),
                    saw: None,
                    why,
                });
            }
            (Seen::Broken, Seen::Broken) => {
                self.note(pair.file.clone(), "broken on both sides: left as it is");
            }
            (Seen::Edited(_), Seen::Here(remote)) => self.split(pair, Some(remote)),
            (Seen::Edited(_), Seen::Gone) => self.split(pair, None),
            (Seen::Edited(local), Seen::Broken) => self.flags(pair, &pair.flags, &local),
            // A snapshot of the server has no edited message: the content of a UID never changes.
            (_, Seen::Edited(_)) => {}
        }
    }

    /// Rows 1, 2, 7, 8.
    fn flags(&mut self, pair: &Pair, remote: &Flags, local: &Flags) {
        let case = self.case;
        let sees = case.unlisted.sees(pair, case.remote);
        let there = opinion(case.remote, &pair.uid, remote, self.follows(Side::Remote));
        let here = opinion(case.local, &pair.file, local, self.follows(Side::Local));
        let out = merge(
            &pair.flags,
            &Opinion {
                sees: sees.as_ref().unwrap_or(there.sees),
                ..there
            },
            &Opinion {
                vague: here.vague || case.local.may_lack(&pair.file, local, &pair.flags),
                ..here
            },
        );
        let changed = out.merged != pair.flags || !out.remote.is_empty() || !out.local.is_empty();
        // A tombstone on a message that both sides have is of a deletion that did not happen.
        if changed || pair.tombstone.is_some() {
            let (merged, remote, local) = (out.merged, out.remote, out.local);
            let pair = name(pair);
            self.act(Action::Flags(Box::new(Merge {
                pair,
                merged,
                remote,
                local,
            })));
        }
    }

    /// Rows 3 and 9: the server no longer has it.
    fn remote_gone(&mut self, pair: &Pair, local: Flags) {
        let kept = AnyId::Local(pair.file.clone());
        let unlisted = self.case.unlisted;
        let next = unlisted.never_listed(pair);
        let next = next.or_else(|| unlisted.untold.get(&pair.file).copied());
        let ours = pair.tombstone == Some(Side::Remote);
        if let Some(next) = next.filter(|_| !ours && !self.case.in_doubt.contains(&pair.file)) {
            self.not_listed(pair, local, next);
        } else if pair.tombstone == Some(Side::Remote) || shows_interest(&pair.flags, &local) {
            if self.case.in_doubt.contains(&pair.file) {
                self.note(pair.file.clone(), IN_DOUBT);
            } else if self.follows(Side::Remote) {
                self.note(
                    pair.file.clone(),
                    "deleted there, but wanted here: uploaded again",
                );
                self.copy(kept, local, Some(pair), CopyWhy::Wanted);
            } else {
                self.detach(pair, kept, local);
            }
        } else if self.case.policy.deletes_on(Side::Local) && self.follows(Side::Local) {
            self.delete(Side::Local, pair, local);
        } else {
            self.detach(pair, kept, local);
        }
    }

    /// An upload that was never listed: its absence is not a deletion.
    fn not_listed(&mut self, pair: &Pair, local: Flags, next: Next) {
        let kept = AnyId::Local(pair.file.clone());
        match next {
            Next::Wait => self.note(pair.file.clone(), NOT_LISTED),
            Next::Again => self.copy(kept, local, Some(pair), CopyWhy::Unlisted),
            Next::SetAside => self.act(Action::Detach {
                pair: name(pair),
                aside: unlisted(kept, local).into(),
            }),
        }
    }

    /// Rows 13 and 14: the disk no longer has it.
    fn local_gone(&mut self, pair: &Pair, remote: Flags) {
        let kept = AnyId::Remote(pair.uid);
        if pair.tombstone == Some(Side::Local) || shows_interest(&pair.flags, &remote) {
            if self.follows(Side::Local) {
                self.note(pair.uid, "deleted here, but wanted there: downloaded again");
                self.copy(kept, remote, Some(pair), CopyWhy::Wanted);
            }
        } else if !self.case.policy.flows_to(Side::Remote) || !self.case.remote.writable {
            // No change is permitted; the pair stays, so that it is not downloaded again.
        } else if self.case.policy.deletes_on(Side::Remote) {
            self.delete(Side::Remote, pair, remote);
        } else {
            self.detach(pair, kept, remote);
        }
    }

    /// Rows 26 and 27: the broken file goes to quarantine, then the message is downloaded.
    fn restore(&mut self, pair: &Pair, remote: Flags) {
        if self.follows(Side::Local) {
            self.note(pair.file.clone(), "broken here: downloaded again");
            self.act(Action::Discard { pair: name(pair) });
            self.copy(
                AnyId::Remote(pair.uid),
                remote,
                Some(pair),
                CopyWhy::Restore,
            );
        } else {
            self.note(pair.file.clone(), "broken here; direction allows no repair");
        }
    }

    /// Rows 32 to 34: an edited file is a new message (the content of a file name never changes).
    fn split(&mut self, pair: &Pair, remote: Option<Flags>) {
        if !self.follows(Side::Local) {
            return;
        }
        self.note(
            pair.file.clone(),
            "edited in place: now a message of its own",
        );
        self.act(Action::Split { pair: name(pair) });
        match remote {
            Some(flags) => {
                self.copy(AnyId::Remote(pair.uid), flags, Some(pair), CopyWhy::Restore);
            }
            None => self.act(Action::Forget { pair: name(pair) }),
        }
    }

    /// Rows 45 and 46: skipped messages.
    fn asides(&mut self) {
        for aside in &self.case.base.aside {
            let (gone, flags) = match &aside.id {
                AnyId::Remote(uid) => state_of(self.case.remote, uid, aside),
                AnyId::Local(file) => state_of(self.case.local, file, aside),
            };
            if gone {
                self.act(Action::Unaside(aside.id.clone()));
                continue;
            }
            if let Some((uid, file)) = self.links.with(&aside.id) {
                self.link(uid, &file, None);
                continue;
            }
            let due = aside.retry_at.is_some_and(|at| at <= self.case.now);
            let undeleted = !flags.has(SystemFlag::Deleted);
            match aside.reason {
                AsideReason::MarkedDeleted | AsideReason::MarkedByUs if undeleted => {
                    self.copy(aside.id.clone(), flags, None, CopyWhy::New);
                }
                AsideReason::Refused if due => {
                    self.copy(aside.id.clone(), flags, None, CopyWhy::Retry);
                }
                AsideReason::Unmatched => {
                    self.copy(aside.id.clone(), flags, None, CopyWhy::Unmatched);
                }
                AsideReason::MarkedDeleted
                | AsideReason::MarkedByUs
                | AsideReason::Refused
                | AsideReason::NotListed
                | AsideReason::Kept => {}
            }
        }
    }

    /// Rows 38 to 45: unknown messages.
    fn new_messages(&mut self) {
        let case = self.case;
        let known = Known::of(case.base);
        for (uid, flags) in case
            .remote
            .seen
            .iter()
            .filter(|(uid, _)| !known.uid(uid) && !case.settled.uids.contains(uid))
        {
            match self.links.file_of(uid) {
                // A link with a known message is decided there.
                Some(file) if known.file(file) => {}
                Some(file) => self.link(*uid, file, None),
                None => self.new_remote(*uid, flags.clone().unwrap_or_default()),
            }
        }
        let files = case
            .local
            .seen
            .iter()
            .filter(|(file, _)| !known.file(file) && !case.settled.files.contains(file));
        for (file, flags) in files {
            if self.links.uid_of(file).is_none() {
                self.new_local(file, flags.clone().unwrap_or_default());
            }
        }
    }

    /// Row 40; with a pair its flags are the base of the merge.
    fn link(&mut self, uid: Uid, file: &MaildirId, pair: Option<&Pair>) {
        let case = self.case;
        let before = pair.map(|pair| pair.flags.clone()).unwrap_or_default();
        // A snapshot without changes omits messages; a skipped message keeps its flags, and a side
        // without knowledge has no change.
        let aside = |id: &AnyId| {
            let found = case.base.aside.iter().find(|aside| aside.id == *id);
            found.map(|aside| aside.flags.clone())
        };
        let flags_of = |seen: Option<&Option<Flags>>, id: &AnyId| {
            let known = seen.cloned().flatten();
            let agreed = || pair.map(|pair| pair.flags.clone());
            known.or_else(agreed).or_else(|| aside(id))
        };
        let there = flags_of(case.remote.seen.get(&uid), &uid.any());
        let here = flags_of(case.local.seen.get(file), &file.any());
        let either = here.clone().or_else(|| there.clone()).unwrap_or_default();
        let there = there.unwrap_or_else(|| either.clone());
        let here = here.unwrap_or_else(|| there.clone());
        let remote = opinion(case.remote, &uid, &there, self.follows(Side::Remote));
        let local = opinion(case.local, file, &here, self.follows(Side::Local));
        let met = first_meeting(&there, &here);
        let out = match pair {
            Some(pair) if !case.unlisted.is_new(pair) => merge(&before, &remote, &local),
            // The message is as we sent it: no change of another client.
            _ if case.uploads.contains(file) => merge(&there, &remote, &local),
            _ => agree(&met, &remote, &local),
        };
        self.act(Action::Link(Box::new(Link {
            uid,
            file: file.clone(),
            flags: out.merged,
            remote: out.remote,
            local: out.local,
            replaces: pair.map(|pair| pair.id),
        })));
    }

    /// Rows 39 and 45.
    fn new_remote(&mut self, uid: Uid, flags: Flags) {
        if flags.has(SystemFlag::Deleted) {
            let reason = AsideReason::MarkedDeleted;
            let aside = lone(AnyId::Remote(uid), reason, flags);
            self.act(Action::SetAside(aside.into()));
        } else {
            self.copy(AnyId::Remote(uid), flags, None, self.why_new(uid.any()));
        }
    }

    /// Rows 38 and 44. A broken or empty file is never uploaded.
    fn new_local(&mut self, file: &MaildirId, flags: Flags) {
        if self.case.local.broken.contains(file) {
            self.note(file.clone(), "empty or unreadable: not uploaded");
        } else if self.case.in_doubt.contains(file) {
            self.note(file.clone(), IN_DOUBT);
        } else if let Some(next) = self.case.unlisted.untold.get(file) {
            match next {
                Next::Wait => self.note(file.clone(), NOT_LISTED),
                Next::Again => self.copy(file.any(), flags, None, CopyWhy::Unlisted),
                Next::SetAside => {
                    let aside = unlisted(file.any(), flags);
                    self.act(Action::SetAside(aside.into()));
                }
            }
        } else if !flags.has(SystemFlag::Deleted) {
            self.copy(file.any(), flags, None, self.why_new(file.any()));
        }
    }

    fn why_new(&self, id: AnyId) -> CopyWhy {
        match self.case.settled.lost.contains(&id) {
            true => CopyWhy::Moved,
            false => CopyWhy::New,
        }
    }

    fn copy(&mut self, from: AnyId, flags: Flags, replaces: Option<&Pair>, why: CopyWhy) {
        if self.follows(from.side().other()) {
            let replaces = replaces.map(|pair| pair.id);
            self.act(Action::Copy {
                from,
                flags,
                replaces,
                why,
            });
        }
    }

    fn delete(&mut self, on: Side, pair: &Pair, saw: Flags) {
        let (why, saw) = (DeleteWhy::DeletedAcross, Some(saw));
        self.act(Action::Delete {
            on,
            pair: name(pair),
            saw,
            why,
        });
    }

    fn detach(&mut self, pair: &Pair, kept: AnyId, flags: Flags) {
        let aside = lone(kept, AsideReason::Kept, flags);
        self.act(Action::Detach {
            pair: name(pair),
            aside: aside.into(),
        });
    }

    fn follows(&self, side: Side) -> bool {
        let writable = match side {
            Side::Remote => self.case.remote.writable,
            Side::Local => self.case.local.writable,
        };
        writable && self.case.policy.flows_to(side)
    }

    fn act(&mut self, action: Action) {
        self.plan.actions.push(action);
    }

    fn note<I: Id>(&mut self, id: I, text: &'static str) {
        self.plan.notes.push(Note { id: id.any(), text });
    }
}

/// A file whose upload had no effect.
fn unlisted(id: AnyId, flags: Flags) -> Aside {
    Aside {
        attempts: 2,
        detail: format!("{NOT_LISTED}, after two uploads"),
        ..lone(id, AsideReason::NotListed, flags)
    }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
