use super::*;
use crate::imap::played::{run, session};
use std::cell::Cell;
use std::rc::Rc;

fn listener(session: Session) -> Listener {
    Listener {
        session: session.with(&["IDLE"]),
        covers: Scope::of(MailboxName::inbox()),
        open: Some(MailboxName::inbox()),
        idling: false,
        renew_at: Instant::now() + Duration::from_secs(540),
        renew: Duration::from_secs(540),
        began: Instant::now(),
        soon: 0,
        heard: Scope::Nothing,
    }
}

#[test]
fn idle_that_ends_at_once_is_begun_later_each_time_and_then_not() {
    run(async {
        let (session, said) = session(|tag, _| format!("+ idling\r\n{tag} OK done\r\n"));
        let mut listener = listener(session);
        let began = Instant::now();
        assert!(listener.begin().await.unwrap());
        let heard = listener.hear(Duration::from_secs(3600)).await.unwrap();
        assert_eq!(heard, WatchEvent::Deaf);
        assert_eq!(said.borrow().len(), 6);
        assert_eq!(began.elapsed().as_secs(), 1 + 2 + 4 + 8 + 16);
    });
}

#[test]
fn idle_that_is_not_begun_is_not_begun_again() {
    for end in ["OK done", "NO no", "BAD what?"] {
        run(async {
            let (session, said) = session(move |tag, _| format!("{tag} {end}\r\n"));
            assert!(!listener(session).begin().await.unwrap());
            assert_eq!(said.borrow().len(), 1);
        });
    }
}

#[test]
fn idle_that_ended_once_goes_on_and_loses_nothing() {
    run(async {
        let times = Rc::new(Cell::new(0));
        let count = times.clone();
        let (session, _) = session(move |tag, _| {
            count.set(count.get() + 1);
            match count.get() {
                1 => format!("+ idling\r\n{tag} OK done\r\n"),
                _ => "* 4 EXISTS\r\n+ idling\r\n".into(),
            }
        });
        let mut listener = listener(session);
        assert!(listener.begin().await.unwrap());
        let heard = listener.hear(Duration::from_secs(60)).await.unwrap();
        assert_eq!(heard, WatchEvent::Stir(Scope::of(MailboxName::inbox())));
        assert_eq!(times.get(), 2);
    });
}
