//! An account that is kept in step: wakes, bursts, wakes that are lost, back-off, orders. Time is
//! tokio's paused clock, so hours pass in no time; the sides are in memory.

use crate::support::kept::*;
use mailtide::daemon::*;
use mailtide::model::*;
use mailtide::store::StoreError;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

#[test]
fn a_wake_from_either_side_brings_the_change_across_in_a_moment() {
    on_paused_clock(async || {
        let kept = Kept::in_step().await;
        kept.flag_there(3);
        kept.ring(Side::Remote);
        assert!(kept.wait_until(|| kept.same()).await < 100 * MS);
        kept.flag_here(5);
        kept.ring(Side::Local);
        assert!(kept.wait_until(|| kept.same()).await < 100 * MS);
        assert_eq!(kept.cycles(), 3);
    });
}

#[test]
fn a_thousand_changes_are_a_cycle_or_two() {
    on_paused_clock(async || {
        let kept = Kept::in_step().await;
        for n in 0..1000 {
            kept.flag_here(n % 20);
            kept.ring(Side::Local);
            if n % 10 == 0 {
                sleep(MS).await;
            }
        }
        sleep(10 * S).await;
        assert!(kept.same());
        assert!((2..=3).contains(&kept.cycles()), "{}", kept.cycles());
    });
}

#[test]
fn what_we_did_ourselves_wakes_nobody_a_second_time() {
    on_paused_clock(async || {
        let kept = Kept::in_step().await;
        kept.flag_there(1);
        kept.ring(Side::Remote);
        sleep(S).await;
        assert_eq!(kept.cycles(), 2);
        // inotify tells of our own rename.
        kept.ring(Side::Local);
        kept.bell.ring(Side::Local, Scope::Everywhere);
        sleep(10 * S).await;
        assert_eq!(kept.cycles(), 2);
        assert_eq!(kept.state(), AccountState::Synced);
    });
}

#[test]
fn a_lost_wake_is_found_by_the_schedule() {
    on_paused_clock(async || {
        let kept = Kept::in_step().await;
        kept.flag_there(2);
        kept.flag_here(7);
        sleep(3500 * S).await;
        assert!(!kept.same());
        sleep(200 * S).await;
        assert!(kept.same());
        // A server that tells nothing is asked every five minutes.
        let kept = Kept::start(Scope::Nothing, Vec::new());
        sleep(10 * S).await;
        kept.flag_there(2);
        sleep(280 * S).await;
        assert!(!kept.same());
        sleep(30 * S).await;
        assert!(kept.same());
    });
}

#[test]
fn failures_back_off_and_a_new_network_ends_the_wait() {
    on_paused_clock(async || {
        let fates = vec![retry("the network is unreachable"); 8];
        let kept = Kept::start(Scope::Everywhere, fates);
        sleep(130 * S).await;
        let at: Vec<u64> = kept
            .seen
            .borrow()
            .cycles
            .iter()
            .map(|(at, _)| at.as_secs())
            .collect();
        assert_eq!(at, [0, 1, 3, 7, 15, 31, 63, 127]);
        assert_eq!(kept.state(), AccountState::Waiting);
        let reason = kept.board.status().reason.unwrap();
        assert!(reason.contains("unreachable"), "{reason}");
        assert!(kept.board.status().next_at > Some(1000 + 100));
        kept.orders.send(TaskCommand::Hurry).unwrap();
        assert!(
            kept.wait_until(|| kept.state() == AccountState::Synced)
                .await
                < 2 * S
        );
        assert_eq!(kept.local.ids(&inbox()).len(), 20);
        // What was wrong was told once, not eight times.
        let seen = kept.seen.borrow();
        assert_eq!(
            seen.told
                .iter()
                .filter(|facts| !facts.errors.is_empty())
                .count(),
            1
        );
    });
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    on_paused_clock(async || {
        let busy = Fate::Fails(StoreError::Busy {
            what: "Request is throttled".into(),
            wait: Some(299 * S),
        });
        let kept = Kept::start(Scope::Everywhere, vec![busy]);
        sleep(298 * S).await;
        kept.ring(Side::Remote);
        assert_eq!(kept.cycles(), 1);
        sleep(2 * S).await;
        assert_eq!(kept.cycles(), 2);
        assert_eq!(kept.state(), AccountState::Synced);
    });
}

#[test]
fn a_wrong_password_is_tried_once_until_the_user_says_so() {
    on_paused_clock(async || {
        let wrong = Fate::Fails(StoreError::LoginRefused("login was refused".into()));
        let kept = Kept::start(Scope::Everywhere, vec![wrong]);
        sleep(24 * 3600 * S).await;
        kept.ring(Side::Local);
        kept.orders.send(TaskCommand::Hurry).unwrap();
        sleep(S).await;
        assert_eq!(
            (kept.cycles(), kept.state()),
            (1, AccountState::LoginFailed)
        );
        kept.orders.send(TaskCommand::Poke).unwrap();
        sleep(S).await;
        assert_eq!((kept.cycles(), kept.state()), (2, AccountState::Synced));
        assert_eq!(kept.seen.borrow().secrets, 1);
        // Or until the file that holds it is another.
        let wrong = Fate::Fails(StoreError::LoginRefused("login was refused".into()));
        kept.seen.borrow_mut().fates.push_back(wrong);
        kept.ring(Side::Remote);
        sleep(3600 * S).await;
        assert_eq!(
            (kept.cycles(), kept.state()),
            (3, AccountState::LoginFailed)
        );
        kept.seen.borrow_mut().secret_changed = true;
        sleep(40 * S).await;
        assert_eq!((kept.cycles(), kept.state()), (4, AccountState::Synced));
    });
}

#[test]
fn a_disk_that_is_not_there_deletes_nothing_and_is_waited_for() {
    on_paused_clock(async || {
        let guard = Fate::Fails(StoreError::Guard("the Maildir is not there".into()));
        let kept = Kept::in_step().await;
        kept.seen.borrow_mut().fates = vec![guard; 3].into();
        kept.bell.ring(Side::Local, Scope::Everywhere);
        kept.flag_here(1);
        kept.ring(Side::Remote);
        sleep(S).await;
        assert_eq!(kept.state(), AccountState::Waiting);
        sleep(100 * S).await;
        assert_eq!((kept.state(), kept.cycles()), (AccountState::Synced, 5));
        assert!(kept.same());
    });
}

#[test]
fn one_that_hangs_delays_no_other_and_shows_in_its_pulse() {
    on_paused_clock(async || {
        let stuck = Kept::start(Scope::Everywhere, vec![Fate::Hangs]);
        let kept = Kept::in_step().await;
        kept.flag_there(3);
        kept.ring(Side::Remote);
        assert!(kept.wait_until(|| kept.same()).await < 100 * MS);
        // The pulse goes by the clock of the machine, which is not paused here.
        for one in [&stuck, &kept] {
            one.orders.send(TaskCommand::Ping).unwrap();
        }
        std::thread::sleep(20 * MS);
        sleep(S).await;
        assert!(stuck.pulse.silent_for() >= 20 * MS);
        assert!(kept.pulse.silent_for() < stuck.pulse.silent_for());
        assert_eq!(stuck.state(), AccountState::Syncing);
        // Both end in time when they are told to.
        let asked = Instant::now();
        for one in [&stuck, &kept] {
            one.stop.request();
        }
        let (a, b) = (stuck.task.await, kept.task.await);
        assert!(a.is_ok() && b.is_ok() && asked.elapsed() < 5 * S);
        assert!(stuck.began.elapsed() > S);
    });
}

#[test]
fn orders_are_followed() {
    on_paused_clock(async || {
        let kept = Kept::in_step().await;
        kept.orders.send(TaskCommand::Pause).unwrap();
        kept.flag_there(3);
        kept.flag_here(4);
        kept.ring(Side::Remote);
        sleep(10_000 * S).await;
        assert_eq!((kept.cycles(), kept.state()), (1, AccountState::Paused));
        // Who asks for a sync gets one.
        let (send, answer) = oneshot::channel();
        kept.orders
            .send(TaskCommand::Sync(SyncRequest::default(), send))
            .unwrap();
        let told = answer.await.unwrap();
        assert_eq!(
            (
                told.changes,
                told.counts.flags_local,
                told.counts.flags_remote
            ),
            (2, 1, 1)
        );
        kept.flag_there(5);
        kept.orders.send(TaskCommand::Resume).unwrap();
        sleep(S).await;
        assert!(kept.same());
        assert_eq!(kept.state(), AccountState::Synced);
        kept.flag_there(6);
        kept.orders.send(TaskCommand::Look).unwrap();
        sleep(S).await;
        assert!(kept.same());
    });
}

#[test]
fn a_pause_ends_a_cycle_under_way_and_what_is_held_can_be_decided() {
    on_paused_clock(async || {
        let kept = Kept::in_step().await;
        for _ in 0..20 {
            let id = kept.local.ids(&inbox())[0].clone();
            kept.local.delete(&inbox(), &id);
        }
        kept.ring(Side::Local);
        sleep(S).await;
        let status = kept.board.status();
        assert_eq!(
            (status.state, status.held.len()),
            (AccountState::ApprovalNeeded, 1)
        );
        assert_eq!(kept.remote.ids(&inbox()).len(), 20);
        for (id, known) in [("nonsense", false), (status.held[0].id.as_str(), true)] {
            let (send, answer) = oneshot::channel();
            let order = TaskCommand::Decide(id.to_owned(), UserVerdict::Reject, send);
            kept.orders.send(order).unwrap();
            assert_eq!(answer.await.unwrap(), Ok(known));
        }
        sleep(S).await;
        assert_eq!(kept.local.ids(&inbox()).len(), 20);
        assert_eq!(kept.state(), AccountState::Synced);
    });
}

#[test]
fn new_mail_is_told_and_old_is_not() {
    on_paused_clock(async || {
        let kept = Kept::in_step().await;
        assert!(
            kept.seen
                .borrow()
                .told
                .iter()
                .all(|facts| facts.new.is_empty())
        );
        kept.remote
            .add(&inbox(), b"Subject: new\r\n\r\n", Flags::default());
        let read = Flags::of(&[SystemFlag::Seen]);
        kept.remote
            .add(&inbox(), b"Subject: read elsewhere\r\n\r\n", read);
        kept.ring(Side::Remote);
        sleep(S).await;
        let seen = kept.seen.borrow();
        let facts = seen.told.last().unwrap();
        assert_eq!(facts.new.get("INBOX"), Some(&1));
        assert_eq!(facts.changed, ["INBOX"]);
    });
}
