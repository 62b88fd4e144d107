use super::*;
use crate::model::{AnyId, AsideReason, Flags, MailboxKey, UidValidity};
use crate::reconcile::{Direction, Presence, Travel};

const REASONS: [AsideReason; 5] = [
    AsideReason::MarkedDeleted,
    AsideReason::MarkedByUs,
    AsideReason::Refused,
    AsideReason::Kept,
    AsideReason::Unmatched,
];

fn base(aside: &[(AnyId, AsideReason)]) -> MailboxBase {
    let aside = aside.iter().map(|(id, reason)| Aside {
        id: id.clone(),
        reason: *reason,
        attempts: 0,
        retry_at: None,
        flags: Flags::default(),
        detail: String::new(),
    });
    MailboxBase {
        key: MailboxKey(1),
        name: MailboxName::parse("A").unwrap(),
        tag: 1,
        uid_validity: Some(UidValidity(7)),
        pairs: Vec::new(),
        others: BTreeSet::from([Uid::new(1).unwrap()]),
        aside: aside.collect(),
    }
}

fn there(uids: &[u32]) -> Look<Uid> {
    let mut look = Look::empty();
    look.uid_validity = Some(UidValidity(7));
    let uids = uids.iter().map(|n| (Uid::new(*n).unwrap(), None));
    look.seen = uids.collect();
    look
}

#[test]
fn what_is_set_aside_holds_its_mailbox() {
    let policy = Policy::default();
    let uid = AnyId::Remote(Uid::new(2).unwrap());
    for reason in REASONS {
        let base = base(&[(uid.clone(), reason)]);
        let goes = gone_from_disk(&policy, &base, &there(&[1, 2])) != Missing::Returns;
        assert_eq!(goes, reason == AsideReason::MarkedByUs, "{reason:?}");
        // It is gone on the server.
        let missing = gone_from_disk(&policy, &base, &there(&[1]));
        let action = MailboxAction::Delete {
            on: Side::Remote,
            name: base.name.clone(),
            messages: 1,
        };
        assert_eq!(missing, Missing::Goes(action), "{reason:?}");
    }
    let file = MaildirId::new("f");
    for reason in REASONS {
        let base = base(&[(AnyId::Local(file.clone()), reason)]);
        let mut local = Look::empty();
        local.seen.insert(file.clone(), None);
        let goes = gone_from_server(&policy, &base, &local) != Missing::Returns;
        assert_eq!(goes, reason == AsideReason::MarkedByUs, "{reason:?}");
    }
}

#[test]
fn uids_of_another_uidvalidity_or_a_partial_look_hold_it() {
    let (policy, base) = (Policy::default(), base(&[]));
    let goes = |look: &Look<Uid>| gone_from_disk(&policy, &base, look) != Missing::Returns;
    let mut look = there(&[1]);
    assert!(goes(&look));
    look.uid_validity = Some(UidValidity(8));
    assert!(!goes(&look));
    look = there(&[1]);
    look.renumbered = true;
    assert!(!goes(&look));
    look = there(&[1]);
    look.coverage = Coverage::Partial;
    assert!(!goes(&look));
}

#[test]
fn nothing_is_created_against_the_direction() {
    let file = MaildirId::new("f");
    let mut local = Look::empty();
    local.seen.insert(file, None);
    let of = |direction| {
        let policy = Policy {
            direction,
            ..Policy::default()
        };
        gone_from_server(&policy, &base(&[]), &local)
    };
    assert_eq!(of(Direction::Both), Missing::Returns);
    assert_eq!(of(Direction::Push), Missing::Returns);
    assert_eq!(of(Direction::Pull), Missing::Stays);
}

/// The table of docs/sync.md.
#[test]
fn each_policy_says_what_becomes_of_a_mailbox_that_is_gone() {
    let name = MailboxName::parse("A").unwrap();
    let listed = |name: &MailboxName| Listed {
        name: name.clone(),
        presence: Presence::Mailbox,
        view: false,
        news: crate::reconcile::News::None,
        special_use: None,
        identity: None,
        census: None,
    };
    let inbox = listed(&MailboxName::inbox());
    let base = BTreeSet::from([MailboxName::inbox(), name.clone()]);
    let with = [inbox.clone(), listed(&name)];
    let without = [inbox];
    let becomes = |direction, travel| {
        let policy = Policy {
            direction,
            delete: travel,
            delete_mailboxes: travel,
            ..Policy::default()
        };
        [(&without[..], &with[..]), (&with[..], &without[..])].map(|(remote, local)| {
            let case = Case {
                base: &base,
                remote,
                local,
                policy: &policy,
            };
            let steps = decide(&case).unwrap();
            match steps.iter().find(|step| step.name() == &name).unwrap() {
                Step::Missing(..) => "goes",
                Step::Recreate(..) => "returns",
                Step::Keep(..) => "stays",
                other => panic!("{other:?}"),
            }
        })
    };
    for (direction, travel, want) in [
        (Direction::Both, Travel::Both, ["goes", "goes"]),
        (Direction::Both, Travel::Local, ["goes", "returns"]),
        (Direction::Both, Travel::Remote, ["returns", "goes"]),
        (Direction::Both, Travel::None, ["returns", "returns"]),
        (Direction::Pull, Travel::Both, ["goes", "returns"]),
        (Direction::Pull, Travel::Local, ["goes", "returns"]),
        (Direction::Pull, Travel::Remote, ["stays", "returns"]),
        (Direction::Pull, Travel::None, ["stays", "returns"]),
        (Direction::Push, Travel::Both, ["returns", "goes"]),
        (Direction::Push, Travel::Local, ["returns", "stays"]),
        (Direction::Push, Travel::Remote, ["returns", "goes"]),
        (Direction::Push, Travel::None, ["returns", "stays"]),
    ] {
        assert_eq!(becomes(direction, travel), want, "{direction:?} {travel:?}");
    }
}
