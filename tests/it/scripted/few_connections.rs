//! Servers that allow few connections at once: listening gives way to work, and the accounts share.

use super::{Said, home, ordinary, run};
use crate::support::dovecot::Home;
use crate::support::watcher::{Watcher, wait_for};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PLAIN: &str = "tls = \"none\"\npassword = \"x\"";

/// A server that lets so many connections in at once, whoever they are for. Each line is noted
/// behind its user.
fn serve_logins(most: usize) -> (u16, Said) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (said, inside) = (Said::default(), Arc::new(AtomicUsize::new(0)));
    let noted = said.clone();
    let talk = move |mut stream: TcpStream, said: Said, inside: Arc<AtomicUsize>| {
        let reader = BufReader::new(stream.try_clone().unwrap());
        stream.write_all(b"* OK hi\r\n").unwrap();
        let (mut own, mut idle, mut user) = (0, String::new(), String::new());
        for line in reader.lines() {
            let Ok(line) = line else { break };
            if let Some((_, after)) = line.split_once(" LOGIN ") {
                user = after.split(' ').next().unwrap().replace('"', "");
            }
            said.lock().unwrap().push(format!("{user} {line}"));
            let (tag, command) = line.split_once(' ').unwrap_or(("", &line));
            let answer = match command.split(' ').next() {
                Some("CAPABILITY") => {
                    format!("* CAPABILITY IMAP4rev1 IDLE LITERAL+ UIDPLUS\r\n{tag} OK done\r\n")
                }
                Some("LOGIN") => {
                    let add = move |now| (now < most).then_some(now + 1);
                    let free = inside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
                    own += usize::from(free.is_ok());
                    match free {
                        Ok(_) => format!("{tag} OK in\r\n"),
                        Err(_) => format!("{tag} NO [LIMIT] Maximum number of connections\r\n"),
                    }
                }
                Some("IDLE") => {
                    idle = tag.to_owned();
                    "+ idling\r\n".into()
                }
                Some("DONE") => format!("{idle} OK done\r\n"),
                Some("LOGOUT") => break,
                Some("APPEND") => format!("{tag} NO not today\r\n"),
                Some("Subject:" | "hello") => continue,
                _ if line.is_empty() => continue,
                _ => ordinary(tag, command),
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
        inside.fetch_sub(own, Ordering::SeqCst);
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (said, inside) = (noted.clone(), inside.clone());
            std::thread::spawn(move || talk(stream, said, inside));
        }
    });
    (port, said)
}

#[test]
fn listening_gives_way_where_one_connection_is_allowed() {
    let (port, said) = serve_logins(1);
    let home = home(port, PLAIN);
    let watcher = Watcher::in_step(&home);
    watcher.wait("listening again, and why it gives way", |test| {
        let push = &test["push"][0];
        push["listening"] == true && push["trouble"].to_string().contains("connections = 1")
    });
    home.deliver("INBOX", "cur/7.mine:2,S", b"Subject: a\n\nhello\n");
    wait_for("the upload", || {
        said.lock()
            .unwrap()
            .iter()
            .any(|line| line.contains(" APPEND "))
    });
    // Quiet is kept: listening again is no reason to look again.
    watcher.wait("listening", |test| test["push"][0]["listening"] == true);
}

/// Accounts `test`, `b` and `c` on one server.
fn three_accounts(port: u16) -> Home {
    let home = home(port, PLAIN);
    let mut config = std::fs::read_to_string(home.config()).unwrap();
    let dir = home.dir.path().display();
    for name in ["b", "c"] {
        config.push_str(&format!(
            "[accounts.{name}]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{name}\"\n\
             maildir = \"{dir}/Mail-{name}\"\ntimeout = 5\n{PLAIN}\n"
        ));
    }
    home.write_config(&config);
    home
}

const ACCOUNTS: [&str; 3] = ["test", "b", "c"];

#[test]
fn accounts_take_turns_in_one_sync() {
    let (port, said) = serve_logins(2);
    let home = three_accounts(port);
    for _ in 0..3 {
        let (code, error) = run(&home, &["sync"]);
        assert_eq!(code, 0, "{error}");
    }
    // The number is remembered: the later runs are refused nothing.
    let logins = |said: &Said| {
        let said = said.lock().unwrap();
        said.iter().filter(|line| line.contains(" LOGIN ")).count()
    };
    let before = logins(&said);
    assert_eq!(run(&home, &["sync"]).0, 0);
    assert_eq!(logins(&said) - before, 3);
}

#[test]
fn no_account_starves_where_others_listen() {
    let (port, said) = serve_logins(2);
    let home = three_accounts(port);
    let watcher = Watcher::in_step(&home);
    for name in ACCOUNTS {
        wait_for(name, || watcher.account(name)["state"] == "synced");
    }
    for (name, folder) in [("me", "Mail"), ("b", "Mail-b"), ("c", "Mail-c")] {
        let path = home.dir.path().join(folder).join("INBOX/cur/7.mine:2,S");
        std::fs::write(path, b"Subject: a\n\nhello\n").unwrap();
        wait_for("the upload", || {
            let said = said.lock().unwrap();
            let own = format!("{name} ");
            said.iter()
                .any(|line| line.starts_with(&own) && line.contains(" APPEND "))
        });
    }
    // Whoever has a connection to spare listens.
    wait_for("a listener", || {
        ACCOUNTS
            .iter()
            .any(|name| watcher.account(name)["push"][0]["listening"] == true)
    });
}
