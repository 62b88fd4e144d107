use super::*;
use crate::model::MailboxName;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn some(text: &str) -> Scope {
    Scope::of(MailboxName::parse(text).unwrap())
}

fn pace() -> Intervals {
    Intervals::of(300 * S, 3600 * S)
}

fn task(next: NextAction) -> DueCycle {
    match next {
        NextAction::Cycle(task) => task,
        NextAction::Wait(until) => panic!("waits until {until:?}"),
    }
}

/// A synchronized account with notifications for all mailboxes.
fn in_step() -> Agenda {
    let mut agenda = Agenda::new(pace(), Duration::ZERO, None);
    agenda.covered(Scope::Everywhere, true);
    let first = task(agenda.next(Duration::ZERO));
    assert_eq!(first.kind, Trigger::Full);
    agenda.done(first, &CycleResult::InStep, Duration::ZERO, 0);
    agenda
}

#[test]
fn the_first_look_waits_for_the_listeners_but_not_for_ever() {
    let mut agenda = Agenda::new(pace(), Duration::ZERO, Some(5 * S));
    assert_eq!(agenda.next(S), NextAction::Wait(Some(5 * S)));
    let mut late = agenda.clone();
    assert_eq!(task(late.next(5 * S)).kind, Trigger::Full);
    agenda.listening();
    let first = task(agenda.next(S));
    assert_eq!(
        (first.remote, first.local),
        (Scope::Everywhere, Scope::Everywhere)
    );
}

#[test]
fn a_burst_is_one_cycle_and_an_endless_one_is_cut() {
    let mut agenda = in_step();
    for n in 0..1000 {
        let at = 10 * S + n * MS / 10;
        agenda.wake(Side::Local, some("INBOX"), at);
        assert!(matches!(agenda.next(at), NextAction::Wait(_)));
    }
    let quiet = 10 * S + 100 * MS + pace().settle;
    let burst = task(agenda.next(quiet));
    assert_eq!((burst.kind, burst.local), (Trigger::Wake, some("INBOX")));
    assert_eq!(burst.remote, Scope::Nothing);
    // One wake every 10 ms without end: one cycle a second.
    let cycles = (0..500).filter(|n| {
        let at = 20 * S + *n * 10 * MS;
        agenda.wake(Side::Remote, some("INBOX"), at);
        matches!(agenda.next(at), NextAction::Cycle(_))
    });
    assert_eq!(cycles.count(), 4);
}

#[test]
fn what_no_wake_told_is_found_on_schedule() {
    let mut agenda = in_step();
    assert_eq!(agenda.next(S), NextAction::Wait(Some(3600 * S)));
    // The server sends notifications for INBOX only; the other mailboxes are polled.
    agenda.covered(some("INBOX"), true);
    assert_eq!(agenda.next(S), NextAction::Wait(Some(300 * S)));
    let poll = task(agenda.next(300 * S));
    assert_eq!(
        (poll.kind, poll.remote, poll.local),
        (Trigger::Wake, Scope::Everywhere, Scope::Nothing)
    );
    // The disk cannot be watched: it is scanned.
    agenda.covered(Scope::Everywhere, false);
    let glance = task(agenda.next(301 * S));
    assert_eq!(
        (glance.remote, glance.local),
        (Scope::Nothing, Scope::Everywhere)
    );
    agenda.covered(Scope::Everywhere, true);
    let full = task(agenda.next(3600 * S));
    assert_eq!(
        (full.kind, full.remote, full.local),
        (Trigger::Full, Scope::Everywhere, Scope::Everywhere)
    );
}

#[test]
fn failures_are_tried_again_later_and_nothing_is_forgotten() {
    let mut agenda = in_step();
    agenda.wake(Side::Local, some("A"), 10 * S);
    let first = task(agenda.next(11 * S));
    agenda.done(first, &CycleResult::Later(None), 11 * S, u32::MAX);
    assert_eq!(agenda.next(11 * S), NextAction::Wait(Some(12 * S)));
    // Further wakes do not shorten the delay.
    agenda.wake(Side::Local, some("B"), 11 * S);
    assert_eq!(
        agenda.next(11 * S + 500 * MS),
        NextAction::Wait(Some(12 * S))
    );
    let again = task(agenda.next(12 * S));
    let mut both = some("A");
    both.add(some("B"));
    assert_eq!(again.local, both);
    agenda.done(again, &CycleResult::Later(None), 12 * S, u32::MAX);
    assert_eq!(agenda.next(12 * S), NextAction::Wait(Some(14 * S)));
    // A network change ends the delay.
    agenda.hurry(13 * S);
    let now = task(agenda.next(13 * S));
    assert_eq!(
        (now.remote.clone(), now.local.clone()),
        (Scope::Everywhere, both)
    );
    // The server names the delay.
    agenda.done(now, &CycleResult::Later(Some(299 * S)), 13 * S, 0);
    assert_eq!(agenda.next(13 * S), NextAction::Wait(Some(312 * S)));
}

#[test]
fn a_full_look_that_failed_is_due_again() {
    let mut agenda = Agenda::new(pace(), Duration::ZERO, None);
    let first = task(agenda.next(Duration::ZERO));
    agenda.done(first, &CycleResult::Later(None), Duration::ZERO, u32::MAX);
    assert_eq!(task(agenda.next(S)).kind, Trigger::Full);
}

#[test]
fn a_missing_disk_is_looked_for_and_its_return_is_noticed_at_once() {
    let mut agenda = in_step();
    agenda.wake(Side::Local, Scope::Everywhere, 10 * S);
    let gone = task(agenda.next(11 * S));
    agenda.done(gone, &CycleResult::Guarded, 11 * S, 0);
    agenda.wake(Side::Remote, some("INBOX"), 12 * S);
    assert_eq!(agenda.next(12 * S), NextAction::Wait(Some(41 * S)));
    agenda.wake(Side::Local, Scope::Everywhere, 20 * S);
    let back = task(agenda.next(20 * S + pace().settle));
    assert_eq!(
        (back.remote, back.local),
        (some("INBOX"), Scope::Everywhere)
    );
}

#[test]
fn a_refused_login_is_not_repeated_until_the_user_says_so() {
    let mut agenda = in_step();
    agenda.wake(Side::Remote, some("INBOX"), 10 * S);
    let first = task(agenda.next(11 * S));
    agenda.done(first, &CycleResult::Refused, 11 * S, 0);
    agenda.wake(Side::Local, some("INBOX"), 12 * S);
    agenda.hurry(13 * S);
    assert_eq!(agenda.next(9999 * S), NextAction::Wait(None));
    agenda.poke(10_000 * S);
    assert_eq!(task(agenda.next(10_000 * S)).kind, Trigger::Full);
}

#[test]
fn a_pause_keeps_what_happened() {
    let mut agenda = in_step();
    agenda.pause();
    agenda.wake(Side::Local, some("INBOX"), 10 * S);
    assert_eq!(agenda.next(9999 * S), NextAction::Wait(None));
    agenda.resume(10_000 * S);
    assert_eq!(task(agenda.next(10_000 * S)).local, Scope::Everywhere);
}

#[test]
fn trouble_in_some_mailboxes_holds_nothing_else_up() {
    let mut agenda = in_step();
    agenda.wake(Side::Remote, some("INBOX"), 10 * S);
    let first = task(agenda.next(11 * S));
    agenda.done(first, &CycleResult::Partly, 11 * S, 0);
    assert_eq!(agenda.next(11 * S), NextAction::Wait(Some(41 * S)));
    agenda.wake(Side::Local, some("B"), 12 * S);
    assert_eq!(task(agenda.next(13 * S)).local, some("B"));
    assert_eq!(task(agenda.next(41 * S)).kind, Trigger::Full);
}
