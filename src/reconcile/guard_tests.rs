//! Where the limits are, exactly.

use super::*;
use crate::model::{MaildirId, PairId, Uid};
use crate::reconcile::action::{DeleteWhy, PairRef};
use crate::reconcile::plan::MailboxPlan;

fn mb(n: usize) -> MailboxName {
    MailboxName::parse(&format!("m{n:03}")).unwrap()
}

/// So many messages of a mailbox go on the server.
fn deletions(count: usize) -> MailboxPlan {
    let delete = |n: usize| Action::Delete {
        on: Side::Remote,
        pair: PairRef {
            id: PairId(n as i64),
            uid: Uid::new(n as u32).unwrap(),
            file: MaildirId::new(format!("f{n}")),
        },
        saw: None,
        why: DeleteWhy::DeletedAcross,
    };
    MailboxPlan {
        actions: (1..=count).map(delete).collect(),
        notes: Vec::new(),
    }
}

/// What is held of a plan, where each mailbox held so many messages; earlier in the run so many
/// were deleted on the server.
fn held(plan: Plan, known: &[usize], already: usize) -> Vec<Held> {
    let held = known.iter().enumerate().map(|(n, count)| (mb(n), *count));
    let verdict = check(
        plan,
        &Context {
            limits: Limits::default(),
            mailboxes: known.len(),
            held_before: &held.collect(),
            approved: &BTreeSet::new(),
            rejected: &BTreeSet::new(),
            config_changed: false,
            already: BTreeMap::from([(Side::Remote, already)]),
        },
    );
    verdict.held
}

/// So many mailboxes of few messages go.
fn mailboxes(count: usize, messages: usize) -> Plan {
    let delete = |n| MailboxAction::Delete {
        on: Side::Remote,
        name: mb(n),
        messages,
    };
    Plan {
        mailboxes: (0..count).map(delete).collect(),
        messages: Vec::new(),
    }
}

fn messages(counts: &[usize]) -> Plan {
    let plans = counts.iter().enumerate();
    Plan {
        mailboxes: Vec::new(),
        messages: plans.map(|(n, count)| (mb(n), deletions(*count))).collect(),
    }
}

#[test]
fn more_than_three_mailboxes_and_a_quarter_of_them_wait() {
    let kinds = |count, known: usize| -> Vec<HeldKind> {
        let held = held(mailboxes(count, 1), &vec![1; known], 0);
        held.iter().map(|held| held.kind).collect()
    };
    assert_eq!(kinds(3, 3), []);
    assert_eq!(kinds(4, 16), []);
    assert_eq!(kinds(4, 15), [HeldKind::Mailboxes]);
    assert_eq!(kinds(5, 19), [HeldKind::Mailboxes]);
}

#[test]
fn a_mailbox_of_more_than_ten_messages_waits_and_is_named() {
    assert_eq!(held(mailboxes(1, 10), &[10; 9], 0), []);
    let one = held(mailboxes(1, 11), &[11; 9], 0);
    let told: Vec<_> = one
        .iter()
        .map(|h| (h.kind, h.mailbox.clone(), h.count))
        .collect();
    assert_eq!(told, [(HeldKind::Emptied, Some(mb(0)), 1)]);
    let many = held(mailboxes(4, 11), &[11; 9], 0);
    let told: Vec<_> = many
        .iter()
        .map(|h| (h.kind, h.mailbox.clone(), h.count))
        .collect();
    assert_eq!(told, [(HeldKind::Mailboxes, None, 4)]);
}

#[test]
fn more_than_25_messages_and_a_tenth_of_a_mailbox_wait() {
    let kinds = |count, before| -> Vec<HeldKind> {
        let held = held(messages(&[count]), &[before], 0);
        held.iter().map(|held| held.kind).collect()
    };
    assert_eq!(kinds(25, 26), []);
    assert_eq!(kinds(26, 260), []);
    assert_eq!(kinds(26, 259), [HeldKind::MassDeletion]);
    assert_eq!(kinds(10, 10), []);
    assert_eq!(kinds(11, 11), [HeldKind::Emptied]);
    assert_eq!(kinds(10, 11), []);
}

#[test]
fn more_than_500_messages_of_an_account_wait_those_before_included() {
    let kinds = |counts: &[usize], already| -> Vec<(HeldKind, usize)> {
        let held = held(messages(counts), &vec![100_000; counts.len()], already);
        held.iter().map(|held| (held.kind, held.count)).collect()
    };
    assert_eq!(kinds(&[300, 200], 0), []);
    let all = [(HeldKind::MassDeletionAccount, 501)];
    assert_eq!(kinds(&[300, 201], 0), all);
    assert_eq!(kinds(&[100, 100], 300), []);
    assert_eq!(
        kinds(&[100, 101], 300),
        [(HeldKind::MassDeletionAccount, 201)]
    );
    assert_eq!(kinds(&[0], 600), []);
}
