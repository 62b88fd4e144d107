use super::*;
use crate::imap::protocol::command::Access;
use crate::imap::protocol::uid_set::UidSet;
use crate::imap::protocol::wire::Wire;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

type Said = Rc<std::cell::RefCell<Vec<String>>>;

/// A server that selects any mailbox, answers OK to all else, and records its commands.
fn session() -> (Session, Said) {
    let (client, server) = tokio::io::duplex(64);
    let said = Said::default();
    let heard = said.clone();
    tokio::task::spawn_local(async move {
        let (read, mut write) = tokio::io::split(server);
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let (tag, command) = line.split_once(' ').unwrap();
            heard.borrow_mut().push(command.to_owned());
            let opens = command.starts_with("SELECT");
            let more = match opens {
                true => "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n",
                false => "* SEARCH 1 2 3\r\n",
            };
            let answer = format!("{more}{tag} OK [READ-WRITE] done\r\n");
            write.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let wire = Wire::new(Box::new(client), "test".into(), Duration::from_secs(9));
    (Session::over(wire), said)
}

fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

fn select(name: &str) -> Command {
    Command::select(name.as_bytes(), Access::ReadWrite, Since::Nothing).unwrap()
}

fn search(uid: u32) -> Command {
    Command::search_uids(&UidSet::from_ranges([(uid, uid)]), &[])
}

async fn open(session: &mut Session, name: &str) {
    let opened = session.select(name.as_bytes(), Access::ReadWrite, Since::Nothing);
    opened.await.unwrap();
}

#[test]
fn what_was_sent_ahead_is_not_sent_again() {
    run(async {
        let (mut session, said) = session();
        let next = vec![select("a"), search(1), select("b"), search(2)];
        session.foresee(next).await.unwrap();
        assert!(session.is_idle());
        open(&mut session, "a").await;
        session.run(&search(1)).await.unwrap();
        // The search in b was not used; c was not announced, and b is not selected any more.
        open(&mut session, "b").await;
        open(&mut session, "c").await;
        assert!(session.is_idle());
        assert_eq!(session.open_mailbox().unwrap().name, b"c");
        let all = [
            "SELECT \"a\"",
            "UID SEARCH UID 1",
            "SELECT \"b\"",
            "UID SEARCH UID 2",
        ];
        assert_eq!(said.borrow()[..4], all);
        assert_eq!(said.borrow()[4..], ["SELECT \"c\""]);
    });
}

#[test]
fn a_mailbox_that_is_passed_over_is_read_past() {
    run(async {
        let (mut session, said) = session();
        let next = vec![select("a"), search(1), select("b"), search(2)];
        session.foresee(next).await.unwrap();
        open(&mut session, "b").await;
        session.run(&search(2)).await.unwrap();
        assert_eq!(said.borrow().len(), 4);
    });
}

#[test]
fn a_question_that_was_not_foreseen_is_asked_where_it_belongs() {
    run(async {
        let (mut session, said) = session();
        session
            .foresee(vec![select("a"), search(1), select("b")])
            .await
            .unwrap();
        open(&mut session, "a").await;
        session.run(&search(9)).await.unwrap();
        assert_eq!(session.open_mailbox().unwrap().name, b"a");
        let then = ["SELECT \"a\"", "UID SEARCH UID 9"];
        assert_eq!(said.borrow()[3..], then);
    });
}

#[test]
fn an_answer_that_may_be_old_is_not_used() {
    run(async {
        let (mut session, said) = session();
        session.foresee(vec![select("a"), search(1)]).await.unwrap();
        open(&mut session, "a").await;
        session.pass_over();
        session.run(&search(1)).await.unwrap();
        assert_eq!(said.borrow()[1..], ["UID SEARCH UID 1", "UID SEARCH UID 1"]);
        assert_eq!(session.open_mailbox().unwrap().name, b"a");
    });
}

#[test]
fn thousands_are_sent_while_the_server_waits_to_be_read() {
    run(async {
        let (mut session, said) = session();
        let groups = (0..2000).flat_map(|n| [select(&n.to_string()), search(n + 1)]);
        session.foresee(groups.collect()).await.unwrap();
        for n in 0..2000 {
            open(&mut session, &n.to_string()).await;
            session.run(&search(n + 1)).await.unwrap();
        }
        assert_eq!(said.borrow().len(), 4000);
        assert!(session.is_idle());
        // One write that exceeds the buffers of both ends.
        let many: Vec<Command> = (1..40).map(search).collect();
        session.run_all(&many).await.unwrap();
        assert_eq!(said.borrow().len(), 4039);
    });
}
