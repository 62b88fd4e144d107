//! Mailboxes that a side cannot read.

use super::super::look::News;
use super::*;

fn mb(name: &str) -> MailboxName {
    MailboxName::parse(name).unwrap()
}

fn listed(all: &[(&str, Presence)]) -> Vec<Listed> {
    let one = |(name, presence): &(&str, Presence)| Listed {
        name: mb(name),
        presence: presence.clone(),
        view: false,
        news: News::Some,
        special_use: None,
        identity: None,
        census: None,
    };
    all.iter().map(one).collect()
}

/// Returns the decision about A/B, which the base may contain.
fn step(known: bool, remote: Option<Presence>, local: &[(&str, Presence)]) -> Option<Step> {
    let base = known.then(|| mb("A/B")).into_iter().collect();
    let there = remote.map(|presence| ("A/B", presence));
    let there: Vec<_> = there
        .into_iter()
        .chain([("INBOX", Presence::Mailbox)])
        .collect();
    let local: Vec<_> = local
        .iter()
        .cloned()
        .chain([("INBOX", Presence::Mailbox)])
        .collect();
    let case = Case {
        base: &base,
        remote: &listed(&there),
        local: &listed(&local),
        policy: &Policy::default(),
    };
    let steps = decide(&case).unwrap();
    steps.into_iter().find(|step| *step.name() == mb("A/B"))
}

#[test]
fn what_cannot_be_told_is_left_alone_on_the_sides_that_hold_it() {
    let why = || "why".to_owned();
    let there = || Some(Presence::Mailbox);
    let unseen = |sides| Some(Step::Unseen(mb("A/B"), why(), sides));
    for known in [true, false] {
        for presence in [Presence::Unknown(why()), Presence::Closed(why())] {
            let own = [("A/B", presence.clone())];
            assert_eq!(step(known, there(), &own), unseen(&Side::BOTH));
            assert_eq!(step(known, None, &own), unseen(&[Side::Local]));
            let remote = Some(presence.clone());
            let both = [("A/B", Presence::Mailbox)];
            assert_eq!(step(known, remote.clone(), &both), unseen(&Side::BOTH));
            assert_eq!(step(known, remote, &[]), unseen(&[Side::Remote]));
        }
    }
}

#[test]
fn below_what_is_closed_nothing_is_gone_or_made() {
    let closed = [("A", Presence::Closed("link".into()))];
    for known in [true, false] {
        let unseen = |sides| Some(Step::Unseen(mb("A/B"), "link".into(), sides));
        assert_eq!(
            step(known, Some(Presence::Mailbox), &closed),
            unseen(&Side::BOTH)
        );
    }
    let half = [("A", Presence::Unknown("half".into()))];
    let gone = Some(Step::Missing(Side::Local, mb("A/B")));
    assert_eq!(step(true, Some(Presence::Mailbox), &half), gone);
}

#[test]
fn a_vacant_directory_waits_unless_the_server_lacks_the_mailbox_too() {
    let vacant = [("A/B", Presence::Vacant("mounted?".into()))];
    let waits = Step::Unseen(mb("A/B"), "mounted?".into(), &Side::BOTH);
    assert_eq!(step(true, Some(Presence::Mailbox), &vacant), Some(waits));
    assert_eq!(step(true, None, &vacant), Some(Step::Forget(mb("A/B"))));
    let create = Step::Create(Side::Local, mb("A/B"));
    assert_eq!(step(false, Some(Presence::Mailbox), &vacant), Some(create));
}

#[test]
fn mailbox_below_a_vacant_one_waits_while_the_server_has_that() {
    let decided = |there: &[(&str, Presence)]| {
        let remote = [("INBOX", Presence::Mailbox), ("A/B", Presence::Mailbox)];
        let remote: Vec<_> = remote.into_iter().chain(there.iter().cloned()).collect();
        let local = [
            ("INBOX", Presence::Mailbox),
            ("A", Presence::Vacant("mounted?".into())),
        ];
        let case = Case {
            base: &[mb("A")].into(),
            remote: &listed(&remote),
            local: &listed(&local),
            policy: &Policy::default(),
        };
        let mut steps = decide(&case).unwrap().into_iter();
        steps.find(|step| *step.name() == mb("A/B"))
    };
    let waits = Step::Unseen(mb("A/B"), "mounted?".into(), &Side::BOTH);
    assert_eq!(decided(&[("A", Presence::Mailbox)]), Some(waits));
    let create = Step::Create(Side::Local, mb("A/B"));
    assert_eq!(decided(&[]), Some(create));
}
