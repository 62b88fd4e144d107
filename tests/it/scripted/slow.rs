//! A server that takes its time.

use super::{home, ordinary, run, serve};
use crate::support::dovecot::Home;
use crate::support::watcher::wait_for;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What came is published with what comes next, but does not wait for it.
#[test]
fn what_came_is_there_while_the_rest_is_waited_for() {
    let new: Arc<Mutex<PathBuf>> = Arc::default();
    let (inbox, opened) = (new.clone(), Mutex::new(String::new()));
    let (port, said) = serve("* OK hi\r\n", move |tag, command| {
        let mut opened = opened.lock().unwrap();
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "LIST" => format!("* LIST () \"/\" INBOX\r\n* LIST () \"/\" Slow\r\n{tag} OK done\r\n"),
            "SELECT" => {
                *opened = rest.trim_matches('"').to_owned();
                format!(
                    "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 2] x\r\n\
                     {tag} OK done\r\n"
                )
            }
            "UID" if command.contains("BODY.PEEK[]") => {
                if *opened == "Slow" {
                    let inbox = inbox.lock().unwrap();
                    wait_for("the mail in INBOX", || files(&inbox) == 1);
                }
                format!(
                    "* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 14 BODY[] {{14}}\r\n\
                     Subject: a\r\n\r\n)\r\n{tag} OK done\r\n"
                )
            }
            "UID" => format!("* 1 FETCH (UID 1 FLAGS ())\r\n{tag} OK done\r\n"),
            _ => ordinary(tag, command),
        }
    });
    let home: Home = home(port, "tls = \"none\"\npassword = \"x\"");
    *new.lock().unwrap() = home.mail().join("INBOX/new");
    // One that waits for longer than `timeout` ends the run.
    let (code, text) = run(&home, &["sync"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(files(&home.mail().join("Slow/new")), 1);
    let said = said.lock().unwrap();
    let logins = said.iter().filter(|line| line.contains("AUTHENTICATE"));
    assert_eq!(logins.count(), 1, "{said:?}");
}

fn files(directory: &std::path::Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}
