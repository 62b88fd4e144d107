use super::*;
use crate::imap::played::{OPENS, run, session};
use crate::imap::protocol::uid_set::UidSet;

fn search(uid: u32) -> Command {
    Command::search_uids(&UidSet::from_ranges([(uid, uid)]), &[])
}

#[test]
fn commands_of_a_window_may_end_in_any_order() {
    run(async {
        let mut held = Vec::new();
        let (mut session, _) = session(move |tag, command| {
            held.push((tag.to_owned(), command.ends_with('2')));
            if held.len() < 3 {
                return String::new();
            }
            let ends = held.drain(..).rev();
            let ends = ends.map(|(tag, bad)| match bad {
                true => format!("* SEARCH 5\r\n{tag} NO no\r\n"),
                false => format!("* SEARCH 4\r\n{tag} OK done\r\n"),
            });
            ends.collect()
        });
        for _ in 0..2 {
            let answers = session.run_all(&[search(1), search(2), search(3)]).await;
            let answers = answers.unwrap();
            let ends: Vec<CompletionStatus> = answers.iter().map(|(_, done)| done.status).collect();
            assert_eq!(
                ends,
                [
                    CompletionStatus::Ok,
                    CompletionStatus::No,
                    CompletionStatus::Ok
                ]
            );
            let told: usize = answers.iter().map(|(replies, _)| replies.len()).sum();
            assert_eq!(told, 3, "nothing is lost");
            assert!(session.is_idle() && session.open.is_empty() && session.early.is_empty());
        }
    });
}

#[test]
fn questions_sent_ahead_may_end_in_any_order() {
    run(async {
        let mut held = None;
        let (mut session, _) = session(move |tag, command| match held.take() {
            _ if command.starts_with("SELECT") => format!("{OPENS}{tag} OK done\r\n"),
            None => {
                held = Some(tag.to_owned());
                String::new()
            }
            Some(first) => format!("* SEARCH 4\r\n{tag} OK b\r\n{first} OK a\r\n"),
        });
        let access = crate::imap::protocol::command::Access::ReadWrite;
        let since = crate::imap::protocol::command::Since::Nothing;
        let select = Command::select(b"A", access, since).unwrap();
        session
            .foresee(vec![select, search(1), search(2)])
            .await
            .unwrap();
        session.select(b"A", access, since).await.unwrap();
        assert_eq!(session.run(&search(1)).await.unwrap().1.text, "a");
        assert_eq!(session.run(&search(2)).await.unwrap().1.text, "b");
        assert!(session.is_idle());
    });
}

#[test]
fn a_tag_of_no_command_shows_a_server_that_takes_one_at_a_time() {
    run(async {
        let (mut session, _) = session(|_, _| "X9 OK done\r\n".into());
        assert!(session.run(&search(1)).await.is_err());
        assert!(session.learned.has(ServerTrait::OneAtATime));
    });
}

#[test]
fn one_command_at_a_time_is_sent_after_the_end_of_the_last() {
    run(async {
        let (mut session, said) =
            session(|tag, command| format!("* SEARCH {}\r\n{tag} OK done\r\n", command.len()));
        session.single = true;
        session.foresee(vec![search(1)]).await.unwrap();
        assert!(said.borrow().is_empty(), "nothing is sent ahead");
        let first = session.send(&search(1)).await.unwrap();
        let second = session.send(&search(2)).await.unwrap();
        assert_eq!(said.borrow().len(), 1, "the second waits in the buffer");
        assert_eq!(session.answer(&second).await.unwrap().0.len(), 1);
        assert_eq!(session.answer(&first).await.unwrap().0.len(), 1);
        assert_eq!(
            session
                .run_all(&[search(1), search(2)])
                .await
                .unwrap()
                .len(),
            2
        );
        assert!(session.is_idle());
    });
}
