//! The exact limits.

use super::*;
use crate::model::{MaildirId, PairId, Uid};
use crate::reconcile::action::{DeleteWhy, PairRef};
use crate::reconcile::budget::Charge;
use crate::reconcile::plan::MailboxPlan;

fn mb(n: usize) -> MailboxName {
    MailboxName::parse(&format!("m{n:03}")).unwrap()
}

/// Makes the pair of a message of a mailbox.
fn pair_id(mailbox: usize, n: usize) -> PairId {
    PairId((mailbox * 1_000_000 + n) as i64)
}

/// A plan that deletes this many messages of a mailbox on the server.
fn deletions(mailbox: usize, count: usize) -> MailboxPlan {
    let delete = |n: usize| Action::Delete {
        on: Side::Remote,
        pair: PairRef {
            id: pair_id(mailbox, n),
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

/// The inputs of the guard in a test.
struct Facts {
    before: BTreeMap<MailboxName, Before>,
    account: Option<AccountBefore>,
    charges: Vec<Charge>,
    elsewhere: BTreeSet<PairId>,
    spared: BTreeMap<MailboxName, usize>,
    approved: BTreeSet<String>,
    rejected: BTreeSet<String>,
    held_uploads: bool,
}

impl Facts {
    /// Each mailbox has this many messages.
    fn of(known: &[usize]) -> Facts {
        let before = known.iter().enumerate().map(|(n, messages)| {
            let (messages, uid_validity) = (*messages, None);
            (
                mb(n),
                Before {
                    messages,
                    uid_validity,
                },
            )
        });
        Facts {
            before: before.collect(),
            account: None,
            charges: Vec::new(),
            elsewhere: BTreeSet::new(),
            spared: BTreeMap::new(),
            approved: BTreeSet::new(),
            rejected: BTreeSet::new(),
            held_uploads: false,
        }
    }

    fn check(&self, plan: Plan) -> Verdict {
        let context = GuardInput {
            limits: Limits::default(),
            mailboxes: self.before.len(),
            before: &self.before,
            account: self.account,
            budget: &Budget::of(&self.charges),
            elsewhere: &self.elsewhere,
            spared: &self.spared,
            approved: &self.approved,
            rejected: &self.rejected,
            config: "",
            config_changed: false,
            held_uploads: self.held_uploads,
        };
        check(plan, &context)
    }
}

/// Charges for UIDs of a mailbox with this many messages, deleted on the server earlier in the day.
fn charge(mailbox: usize, held: usize, uids: std::ops::Range<u32>) -> Charge {
    Charge {
        side: Side::Remote,
        mailbox: mb(mailbox),
        uid_validity: None,
        held,
        whole: false,
        consent: Consent::Unasked,
        uids: uids.filter_map(Uid::new).collect(),
    }
}

/// Returns what is held of a plan, where each mailbox had this many messages, and this many were
/// deleted in another one earlier in the day.
fn held(plan: Plan, known: &[usize], already: usize) -> Vec<Held> {
    let mut facts = Facts::of(known);
    let gone = 1_000_000..1_000_000 + already as u32;
    facts.charges.push(charge(999, 1_000_000, gone));
    facts.check(plan).held
}

/// A plan that deletes this many small mailboxes.
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
        messages: plans
            .map(|(n, count)| (mb(n), deletions(n, *count)))
            .collect(),
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
        .map(|h| (h.kind, h.mailbox.clone(), h.mailboxes, h.count))
        .collect();
    assert_eq!(told, [(HeldKind::Emptied, Some(mb(0)), 1, 11)]);
    let many = held(mailboxes(4, 11), &[11; 9], 0);
    let told: Vec<_> = many
        .iter()
        .map(|h| (h.kind, h.mailbox.clone(), h.mailboxes, h.count))
        .collect();
    assert_eq!(told, [(HeldKind::Mailboxes, None, 4, 44)]);
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

#[test]
fn a_day_of_small_deletions_counts_like_a_large_one() {
    let kinds = |spent: u32, before| -> Vec<HeldKind> {
        let mut facts = Facts::of(&[before]);
        facts
            .charges
            .push(charge(0, before + spent as usize, 1000..1000 + spent));
        let held = facts.check(messages(&[1])).held;
        held.iter().map(|held| held.kind).collect()
    };
    assert_eq!(kinds(24, 100), []);
    assert_eq!(kinds(25, 100), [HeldKind::MassDeletion]);
    assert_eq!(kinds(29, 271), [], "a tenth of 300");
    assert_eq!(kinds(30, 270), [HeldKind::MassDeletion]);
    assert_eq!(kinds(10, 1), [HeldKind::Emptied], "11 in all");
    assert_eq!(kinds(9, 1), []);
    assert_eq!(kinds(10, 2), [], "one is left");
}

#[test]
fn mailboxes_deleted_one_by_one_count_together() {
    let kinds = |before: usize, left: usize| -> Vec<HeldKind> {
        let mut facts = Facts::of(&vec![1; left]);
        for n in 0..before {
            let whole = charge(500 + n, 1, 1..2);
            facts.charges.push(Charge {
                whole: true,
                ..whole
            });
        }
        let held = facts.check(mailboxes(1, 1)).held;
        held.iter().map(|held| held.kind).collect()
    };
    assert_eq!(kinds(2, 2), []);
    assert_eq!(kinds(3, 13), [], "4 of 16");
    assert_eq!(kinds(3, 12), [HeldKind::Mailboxes], "4 of 15");
}

#[test]
fn messages_of_deleted_mailboxes_count_in_the_account() {
    let many = vec![10; 200];
    assert_eq!(held(mailboxes(50, 10), &many, 0), []);
    let one_more = held(mailboxes(50, 10), &many, 1);
    let told: Vec<_> = one_more.iter().map(|h| (h.kind, h.count)).collect();
    assert_eq!(told, [(HeldKind::MassDeletionAccount, 500)]);
}

#[test]
fn most_of_a_small_account_waits_wherever_it_lies() {
    let kinds = |each: usize, boxes: usize, all: usize| -> Vec<HeldKind> {
        let mut facts = Facts::of(&vec![10; boxes]);
        let there = all;
        facts.account = Some(AccountBefore {
            messages: all,
            there,
        });
        let held = facts.check(messages(&vec![each; boxes])).held;
        held.iter().map(|held| held.kind).collect()
    };
    assert_eq!(kinds(5, 5, 26), [], "25 go");
    assert_eq!(kinds(5, 6, 60), [], "half of them");
    assert_eq!(kinds(5, 6, 59), [HeldKind::MassDeletionAccount]);
}

#[test]
fn an_approval_lifts_no_limit_for_anything_else() {
    let known = [vec![100_000; 3], vec![60]].concat();
    let plan = messages(&[200, 200, 101, 40]);
    let mut facts = Facts::of(&known);
    let first = facts.check(plan.clone());
    let told: Vec<_> = first.held.iter().map(|h| (h.kind, h.count)).collect();
    let (mass, account) = (HeldKind::MassDeletion, HeldKind::MassDeletionAccount);
    assert_eq!(told, [(mass, 40), (account, 501)]);
    facts.approved.insert(first.held[0].id.clone());
    let second = facts.check(plan.clone());
    let told: Vec<_> = second.held.iter().map(|h| (h.kind, h.count)).collect();
    assert_eq!(told, [(account, 501)], "what was approved counts nowhere");
    assert_eq!(
        second
            .plan
            .messages
            .iter()
            .map(|(_, p)| p.actions.len())
            .sum::<usize>(),
        40
    );
    facts.approved.insert(second.held[0].id.clone());
    assert_eq!(facts.check(plan).held, []);
}

#[test]
fn what_was_approved_and_begun_goes_on() {
    let mut facts = Facts::of(&[60]);
    let consent = Consent::Approved;
    facts.charges.push(Charge {
        consent,
        ..charge(0, 80, 1..51)
    });
    let verdict = facts.check(messages(&[40]));
    assert_eq!(verdict.held, []);
    assert!(verdict.messages.is_empty(), "charged already");
}

#[test]
fn deletions_of_what_lies_elsewhere_are_never_held() {
    let mut facts = Facts::of(&[300]);
    facts.elsewhere = (1..=300).map(PairId).collect();
    let verdict = facts.check(messages(&[300]));
    assert_eq!(verdict.held, []);
    assert!(verdict.messages.is_empty(), "and do not count");
    facts.elsewhere.remove(&PairId(7));
    assert_eq!(facts.check(messages(&[300])).messages.len(), 1);
    facts.elsewhere.retain(|pair| pair.0 > 40);
    let told = facts.check(messages(&[300])).held;
    assert_eq!((told[0].kind, told[0].count), (HeldKind::MassDeletion, 40));
    let mut facts = Facts::of(&[300; 5]);
    facts.spared = BTreeMap::from([(mb(0), 290)]);
    assert_eq!(facts.check(mailboxes(1, 300)).held, []);
}

/// A plan with this many uploads, in an account with this many pairs.
fn meeting(uploads: usize, links: usize) -> Plan {
    use crate::model::{Flags, Id};
    use crate::reconcile::action::Link;
    let file = |n| MaildirId::new(format!("f{n}"));
    let copy = |n| Action::Copy {
        from: file(n).any(),
        flags: Flags::default(),
        replaces: None,
        why: CopyWhy::New,
    };
    let link = |n| {
        Action::Link(Box::new(Link {
            uid: Uid::new(n as u32 + 1).unwrap(),
            file: file(n),
            flags: Flags::default(),
            remote: Default::default(),
            local: Default::default(),
            replaces: None,
        }))
    };
    let actions = (0..links)
        .map(link)
        .chain((links..links + uploads).map(copy));
    let plan = MailboxPlan {
        actions: actions.collect(),
        notes: Vec::new(),
    };
    let forget = crate::reconcile::mailbox_action::Forget::Nothing;
    let create = |on, n| MailboxAction::Create {
        on,
        name: mb(n),
        forget,
    };
    Plan {
        mailboxes: vec![create(Side::Remote, 1), create(Side::Local, 2)],
        messages: vec![(mb(0), plan)],
    }
}

#[test]
fn uploads_to_a_server_that_knows_nothing_wait() {
    let mut facts = Facts::of(&[]);
    let waits = |facts: &Facts, uploads, links| {
        let verdict = facts.check(meeting(uploads, links));
        let left: usize = verdict
            .plan
            .messages
            .iter()
            .map(|(_, p)| p.actions.len())
            .sum();
        let kinds: Vec<HeldKind> = verdict.held.iter().map(|held| held.kind).collect();
        match kinds.as_slice() {
            [] => assert_eq!((left, verdict.plan.mailboxes.len()), (uploads + links, 2)),
            [HeldKind::MassUpload] => {
                assert_eq!((left, verdict.plan.mailboxes.len()), (links, 1));
                assert_eq!(verdict.uncreated, [mb(1)].into());
            }
            _ => panic!("{kinds:?}"),
        }
        !kinds.is_empty()
    };
    assert!(!waits(&facts, 10, 0));
    assert!(waits(&facts, 11, 0));
    assert!(waits(&facts, 100, 10) && !waits(&facts, 100, 11));
    let account = |messages, there| Some(AccountBefore { messages, there });
    facts.account = account(5, 5);
    assert!(!waits(&facts, 500, 0), "it has what it had");
    facts.account = account(500, 0);
    assert!(waits(&facts, 500, 0), "it has nothing of what it had");
    facts.account = account(5, 5);
    facts.held_uploads = true;
    assert!(
        waits(&facts, 500, 0),
        "new mail there does not end the doubt"
    );
}

#[test]
fn uploads_once_approved_go_on_to_the_end() {
    let mut facts = Facts::of(&[]);
    let id = facts.check(meeting(20, 0)).held[0].id.clone();
    facts.rejected.insert(id.clone());
    assert_eq!(
        facts.check(meeting(20, 0)).held.len(),
        1,
        "nothing can undo it"
    );
    facts.approved.insert(id.clone());
    let verdict = facts.check(meeting(21, 0));
    assert_eq!((verdict.held.len(), verdict.lasting), (0, [id].into()));
}
