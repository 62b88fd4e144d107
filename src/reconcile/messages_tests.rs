//! Single rows of the table, by their decision.

#[path = "messages_new_tests.rs"]
mod new;

use super::*;
use crate::model::{Aside, Canonical, Keyword, MailboxKey, MailboxName, PairId};
use crate::reconcile::look::{Coverage, Cursor, FlagMask};
use crate::reconcile::policy::{Direction, Travel};

/// A mailbox with one message, UID 1 and file `f1`, with `\Seen` on both sides.
struct World {
    base: MailboxBase,
    remote: Look<Uid>,
    local: Look<MaildirId>,
    links: Vec<(Uid, MaildirId)>,
    in_doubt: BTreeSet<MaildirId>,
    uploads: BTreeSet<MaildirId>,
    unlisted: Unlisted,
    policy: Policy,
}

fn uid(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

fn file(name: &str) -> MaildirId {
    MaildirId::new(name)
}

fn flags(all: &[SystemFlag]) -> Flags {
    Flags::of(all)
}

const SEEN: SystemFlag = SystemFlag::Seen;
const FLAGGED: SystemFlag = SystemFlag::Flagged;
const DELETED: SystemFlag = SystemFlag::Deleted;

fn world() -> World {
    let pair = Pair {
        id: PairId(1),
        uid: uid(1),
        file: file("f1"),
        flags: flags(&[SEEN]),
        hash: Canonical::of(b"x"),
        size: 1,
        stamp: None,
        kin: None,
        tombstone: None,
    };
    let base = MailboxBase {
        key: MailboxKey(1),
        name: MailboxName::inbox(),
        tag: 1,
        uid_validity: None,
        pairs: vec![pair],
        others: BTreeSet::new(),
        aside: Vec::new(),
    };
    World {
        base,
        remote: Look::unchanged(None, Cursor::default()),
        local: Look::unchanged(None, Cursor::default()),
        links: Vec::new(),
        in_doubt: BTreeSet::new(),
        uploads: BTreeSet::new(),
        unlisted: Unlisted::default(),
        policy: Policy::default(),
    }
}

impl World {
    fn plan(&self) -> MailboxPlan {
        decide(&Case {
            base: &self.base,
            remote: &self.remote,
            local: &self.local,
            links: &self.links,
            in_doubt: &self.in_doubt,
            uploads: &self.uploads,
            unlisted: &self.unlisted,
            settled: &Settled::default(),
            policy: &self.policy,
            now: 100,
        })
    }

    /// Returns the decision.
    fn decided(&self) -> String {
        let lines: Vec<String> = self.plan().actions.iter().map(Action::to_string).collect();
        lines.join("; ").replace("file ", "")
    }

    fn noted(&self) -> String {
        let notes = self.plan().notes;
        let texts: Vec<&str> = notes.iter().map(|note| note.text).collect();
        texts.join("; ")
    }

    fn there(&mut self, n: u32, all: &[SystemFlag]) {
        self.remote.seen.insert(uid(n), Some(flags(all)));
    }

    fn here(&mut self, name: &str, all: &[SystemFlag]) {
        self.local.seen.insert(file(name), Some(flags(all)));
    }

    fn gone_there(&mut self) {
        let gone = BTreeSet::from([uid(1)]);
        self.remote.coverage = Coverage::Delta { gone };
    }

    fn gone_here(&mut self) {
        let gone = BTreeSet::from([file("f1")]);
        self.local.coverage = Coverage::Delta { gone };
    }

    fn one_way(&mut self, direction: Direction) {
        self.policy.direction = direction;
    }

    fn set_aside(&mut self, id: AnyId, reason: AsideReason, all: &[SystemFlag]) -> &mut Aside {
        self.base.aside.push(lone(id, reason, flags(all)));
        self.base.aside.last_mut().unwrap()
    }
}

#[test]
fn what_both_changed_in_the_same_way_only_the_base_learns() {
    let mut w = world();
    w.there(1, &[SEEN, FLAGGED]);
    w.here("f1", &[SEEN, FLAGGED]);
    let plan = w.plan();
    let [Action::Flags(set)] = &plan.actions[..] else {
        panic!("{plan:?}");
    };
    assert_eq!(set.merged, flags(&[SEEN, FLAGGED]));
    assert!(set.remote.is_empty() && set.local.is_empty());
}

#[test]
fn what_one_side_lacks_is_given_to_it() {
    let mut w = world();
    w.there(1, &[SEEN]);
    w.here("f1", &[SEEN, FLAGGED]);
    assert_eq!(w.decided(), r"flags of UID 1 f1: remote +(\Flagged)");
    let mut w = world();
    w.there(1, &[SEEN, FLAGGED]);
    w.here("f1", &[SEEN]);
    assert_eq!(w.decided(), r"flags of UID 1 f1: local +(\Flagged)");
}

/// A side that lost its list of keywords has no opinion on a missing keyword; where it can store
/// it, it gets it back.
#[test]
fn what_a_side_cannot_tell_of_is_given_back_to_it() {
    let mut w = world();
    let work = Keyword::new("$Work").unwrap();
    w.base.pairs[0].flags.insert_keyword(work.clone());
    w.here("f1", &[SEEN]);
    assert_eq!(w.decided(), "flags of UID 1 f1: remote -($Work)");
    w.local.sees = FlagMask::Only(Flags::of(&SystemFlag::ALL));
    assert_eq!(w.decided(), "flags of UID 1 f1: local +($Work)");
    w.local.stores = FlagMask::Only(Flags::of(&SystemFlag::ALL));
    assert_eq!(w.decided(), "");
}

#[test]
fn a_tombstone_on_a_message_that_both_have_is_taken_away() {
    let mut w = world();
    assert_eq!(w.decided(), "");
    w.base.pairs[0].tombstone = Some(Side::Local);
    assert_eq!(w.decided(), "flags of UID 1 f1:");
}

#[test]
fn our_own_mark_is_taken_away_only_where_the_server_may_be_changed() {
    let mut w = world();
    w.base.pairs[0].tombstone = Some(Side::Remote);
    w.there(1, &[SEEN, DELETED]);
    assert!(w.decided().starts_with("unmark UID 1"), "{}", w.decided());
    w.remote.writable = false;
    assert_eq!(w.decided(), "");
    // A mark of another client is a flag like others.
    let mut w = world();
    w.there(1, &[SEEN, DELETED]);
    assert_eq!(w.decided(), r"flags of UID 1 f1: local +(\Deleted)");
}

#[test]
fn what_is_gone_there_goes_here_unless_it_is_wanted_or_may_not_go() {
    let mut w = world();
    w.gone_there();
    assert_eq!(w.decided(), "delete f1 on local");
    w.base.pairs[0].tombstone = Some(Side::Remote);
    assert!(w.decided().starts_with("copy f1 to remote"));
    w.base.pairs[0].tombstone = Some(Side::Local);
    assert_eq!(w.decided(), "delete f1 on local");
    w.policy.delete = Travel::None;
    assert_eq!(w.decided(), "leave f1 alone");

    let mut w = world();
    w.gone_there();
    w.here("f1", &[SEEN, FLAGGED]);
    assert!(w.decided().starts_with("copy f1 to remote"));
    assert_eq!(w.noted(), "deleted there, but wanted here: uploaded again");
    w.in_doubt.insert(file("f1"));
    assert_eq!((w.decided().as_str(), w.noted().as_str()), ("", IN_DOUBT));
    w.in_doubt.clear();
    w.one_way(Direction::Pull);
    assert_eq!(w.decided(), "leave f1 alone");

    let mut w = world();
    w.gone_there();
    w.local.writable = false;
    assert_eq!(w.decided(), "leave f1 alone");
}

#[test]
fn what_is_gone_here_goes_there_unless_it_is_wanted_or_may_not_go() {
    let mut w = world();
    w.gone_here();
    assert_eq!(w.decided(), "delete UID 1 on remote");
    w.base.pairs[0].tombstone = Some(Side::Local);
    assert!(w.decided().starts_with("copy UID 1 to local"));
    w.base.pairs[0].tombstone = Some(Side::Remote);
    assert_eq!(w.decided(), "delete UID 1 on remote");
    w.remote.writable = false;
    assert_eq!(w.decided(), "");
    w.remote.writable = true;
    w.policy.delete = Travel::None;
    assert_eq!(w.decided(), "leave UID 1 alone");

    let mut w = world();
    w.gone_here();
    w.one_way(Direction::Pull);
    assert_eq!(w.decided(), "");
    w.there(1, &[SEEN, FLAGGED]);
    assert!(w.decided().starts_with("copy UID 1 to local"));
    assert_eq!(
        w.noted(),
        "deleted here, but wanted there: downloaded again"
    );
    w.one_way(Direction::Push);
    assert_eq!((w.decided().as_str(), w.noted().as_str()), ("", ""));
}

#[test]
fn what_is_gone_or_broken_on_both_sides() {
    let mut w = world();
    w.gone_there();
    w.gone_here();
    assert_eq!(w.decided(), "forget UID 1, deleted on both");
    let mut w = world();
    w.gone_here();
    w.remote.broken.insert(uid(1));
    assert_eq!(w.decided(), "");
    assert_eq!(
        w.noted(),
        "deleted here, but its body cannot be had there: kept"
    );
    w.local.coverage = Coverage::Partial;
    w.local.broken.insert(file("f1"));
    assert_eq!(w.decided(), "");
    assert_eq!(w.noted(), "broken on both sides: left as it is");
    let mut w = world();
    w.gone_there();
    w.local.broken.insert(file("f1"));
    assert_eq!(w.decided(), "delete f1 on local");
    assert_eq!(w.noted(), "broken here and deleted there: quarantined");
}

#[test]
fn a_broken_file_is_replaced_where_that_is_allowed() {
    let mut w = world();
    w.local.broken.insert(file("f1"));
    let want = "quarantine f1, broken; copy UID 1 to local (the copy there is damaged or edited)";
    assert_eq!(w.decided(), want);
    w.one_way(Direction::Push);
    assert_eq!(w.decided(), "");
    assert_eq!(w.noted(), "broken here; direction allows no repair");
}

#[test]
fn an_edited_file_is_a_message_of_its_own() {
    let mut w = world();
    w.here("f1", &[SEEN]);
    w.local.edited.insert(file("f1"));
    let want = "rename f1, edited in place; \
                copy UID 1 to local (the copy there is damaged or edited)";
    assert_eq!(w.decided(), want);
    w.gone_there();
    assert_eq!(
        w.decided(),
        "rename f1, edited in place; forget UID 1, deleted on both"
    );
    w.one_way(Direction::Push);
    assert_eq!((w.decided().as_str(), w.noted().as_str()), ("", ""));
    // The body is not readable: only flags.
    let mut w = world();
    w.here("f1", &[SEEN, FLAGGED]);
    w.local.edited.insert(file("f1"));
    w.remote.broken.insert(uid(1));
    assert_eq!(w.decided(), r"flags of UID 1 f1: remote +(\Flagged)");
}

#[test]
fn flags_do_not_depend_on_the_body() {
    let mut w = world();
    w.here("f1", &[SEEN, FLAGGED]);
    w.remote.broken.insert(uid(1));
    assert_eq!(w.decided(), r"flags of UID 1 f1: remote +(\Flagged)");
}

#[test]
fn what_is_not_known_is_not_acted_on() {
    let mut w = world();
    w.gone_there();
    w.local.coverage = Coverage::Partial;
    assert_eq!(w.decided(), "");
    let mut w = world();
    w.gone_here();
    w.remote.coverage = Coverage::Partial;
    assert_eq!(w.decided(), "");
}
