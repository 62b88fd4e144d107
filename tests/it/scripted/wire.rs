//! Servers that speak the protocol in their own way: odd flags and dates, FETCH in several lines,
//! logins by LOGIN only, one command at a time, answers without end.

use super::{Said, home, ordinary, run, serve};
use crate::support::dovecot::{Home, read_maildir};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const PLAIN: &str = "tls = \"none\"\npassword = \"x\"";

/// Two messages; what is told of the first is made by `first`, of the second in the usual way.
/// `{}` stands for the items that were asked for beside UID and FLAGS.
fn two_messages(tag: &str, command: &str, first: &str) -> String {
    let body = "RFC822.SIZE 14 BODY[] {14}\r\nSubject: a\r\n\r\n";
    let items = match command.contains("BODY.PEEK[]") {
        true => body,
        false => "RFC822.SIZE 14",
    };
    match command.split(' ').next().unwrap_or("") {
        "SELECT" | "EXAMINE" => format!(
            "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 3] x\r\n{tag} OK done\r\n"
        ),
        "UID" if command.starts_with("UID FETCH") => {
            let both = command.contains("1:");
            let one = match both || command.starts_with("UID FETCH 1 ") {
                true => first.replace("{}", items),
                false => String::new(),
            };
            let two = match both || command.starts_with("UID FETCH 2 ") {
                true => format!("* 2 FETCH (UID 2 FLAGS (\\Seen) {items})\r\n"),
                false => String::new(),
            };
            format!("{one}{two}{tag} OK done\r\n")
        }
        _ => ordinary(tag, command),
    }
}

#[test]
fn an_odd_answer_about_one_message_stops_no_other() {
    for first in [
        "* 1 FETCH (UID 1 FLAGS (\"\\\\Flagged\") {})\r\n",
        "* 1 FETCH (UID 1 FLAGS (a(b) \\Flagged) {})\r\n",
        "* 1 FETCH (UID 1 FLAGS ([x \\Flagged) {})\r\n",
        "* 1 FETCH (UID 1 FLAGS (NIL \\Flagged) {})\r\n",
        "* 1 FETCH (UID 1 FLAGS (\\* \"\" :) \\Flagged) {})\r\n",
        "* 1 FETCH (UID 1 INTERNALDATE NIL FLAGS (\\Flagged) {})\r\n",
        "* 1 FETCH (UID 1 INTERNALDATE 17-Jul-2024 02:44:25 FLAGS (\\Flagged) {})\r\n",
        "* 1 FETCH ({} FLAGS (\\Flagged) UID 1)\r\n",
        "* 1 FETCH (UID 1)\r\n* 1 FETCH (FLAGS (\\Flagged))\r\n* 1 FETCH ({})\r\n",
        "* 1 FETCH ({})\r\n* 1 FETCH (FLAGS (\\Flagged) UID 1)\r\n",
        "* 1 FETCH (FLAGS (\\Flagged))\r\n* 1 FETCH (UID 1 {})\r\n",
    ] {
        let (port, _) = serve("* OK hi\r\n", move |tag, command| {
            two_messages(tag, command, first)
        });
        let home = home(port, PLAIN);
        let (code, text) = run(&home, &["sync"]);
        assert_eq!(code, 0, "{first}: {text}");
        let inbox = &read_maildir(&home.mail())["INBOX"];
        assert_eq!(inbox.len(), 2, "{first}: {text}");
        let flagged = inbox
            .iter()
            .filter(|m| format!("{:?}", m.flags).contains("flagged"));
        assert_eq!(flagged.count(), 1, "{first}: {inbox:?}");
        let (code, object) = home.sync();
        assert_eq!((code, object["changes"].as_u64()), (0, Some(0)), "{first}");
    }
}

#[test]
fn inbox_with_flags_as_attributes_is_synced() {
    let (port, _) = serve("* OK hi\r\n", |tag, command| {
        match command.split(' ').next() {
            Some("LIST") => {
                format!("* LIST (\\Flagged \\Important) \"/\" INBOX\r\n{tag} OK done\r\n")
            }
            _ => two_messages(tag, command, "* 1 FETCH (UID 1 FLAGS () {})\r\n"),
        }
    });
    let home = home(port, PLAIN);
    assert_eq!(run(&home, &["sync"]).0, 0);
    assert_eq!(read_maildir(&home.mail())["INBOX"].len(), 2);
}

/// Logins that were tried, and how the run ended.
fn logins(said: &Said) -> Vec<String> {
    let mut said = said.lock().unwrap();
    let verbs = said.iter().filter_map(|line| line.split(' ').nth(1));
    let tried = verbs.filter(|verb| ["AUTHENTICATE", "LOGIN"].contains(verb));
    let tried = tried.map(str::to_owned).collect();
    said.clear();
    tried
}

#[test]
fn login_follows_a_refused_plain_and_is_remembered() {
    for (refusal, tried, code) in [
        ("NO AUTHENTICATE failed.", &["AUTHENTICATE", "LOGIN"][..], 0),
        ("BAD what?", &["AUTHENTICATE", "LOGIN"], 0),
        ("NO [AUTHENTICATIONFAILED] no", &["AUTHENTICATE"], 2),
        ("NO [UNAVAILABLE] later", &["AUTHENTICATE"], 75),
    ] {
        let last = Mutex::new(String::new());
        let (port, said) = serve("* OK hi\r\n", move |tag, command| {
            let mut last = last.lock().unwrap();
            if command.starts_with("AUTHENTICATE") {
                *last = tag.to_owned();
                return "+ go ahead\r\n".into();
            }
            match std::mem::take(&mut *last) {
                tag if !tag.is_empty() => format!("{tag} {refusal}\r\n"),
                _ => ordinary(tag, command),
            }
        });
        let own = home(port, PLAIN);
        let (ended, text) = run(&own, &["sync"]);
        assert_eq!(ended, code, "{refusal}: {text}");
        assert_eq!(logins(&said), tried, "{refusal}");
        if code == 0 {
            assert_eq!(run(&own, &["sync"]).0, 0);
            assert_eq!(logins(&said), ["LOGIN"], "{refusal}: remembered");
        }
        for more in ["auth = \"login\"", "disable_extensions = [\"AUTH=PLAIN\"]"] {
            let own = home(port, &format!("{PLAIN}\n{more}"));
            assert_eq!(run(&own, &["sync"]).0, 0, "{more}");
            assert_eq!(logins(&said), ["LOGIN"], "{more}");
        }
    }
}

#[test]
fn words_after_the_plus_are_no_challenge() {
    for challenge in [
        "+ go ahead\r\n",
        "+\r\n",
        "+ \r\n",
        "+ not=base64!\r\n",
        "+ a b\r\n",
    ] {
        let (port, _) = serve("* OK hi\r\n", move |tag, command| {
            match command.starts_with("AUTHENTICATE") {
                true => challenge.into(),
                // The response is a line of its own.
                false if tag.is_empty() => "A0002 OK in\r\n".into(),
                false => ordinary(tag, command),
            }
        });
        let (code, text) = run(&home(port, PLAIN), &["sync"]);
        assert_eq!(code, 0, "{challenge}: {text}");
    }
}

#[test]
fn trycreate_for_a_mailbox_that_is_there_is_a_refusal() {
    let (port, said) = serve("* OK hi\r\n", |tag, command| {
        let verb = command.split(' ').next().unwrap_or("");
        match verb {
            "CAPABILITY" => {
                format!("* CAPABILITY IMAP4rev1 AUTH=PLAIN UIDPLUS\r\n{tag} OK done\r\n")
            }
            "LIST" if command.contains("\"Work\"") => {
                format!("* LIST () \"/\" Work\r\n{tag} OK done\r\n")
            }
            "LIST" => format!("* LIST () \"/\" INBOX\r\n* LIST () \"/\" Work\r\n{tag} OK done\r\n"),
            "APPEND" => format!("{tag} NO [TRYCREATE] no such mailbox\r\n"),
            _ => ordinary(tag, command),
        }
    });
    let home = home(port, PLAIN);
    home.deliver("Work", "cur/7.mine:2,S", b"Subject: a\n\nhello\n");
    let (code, text) = run(&home, &["sync"]);
    assert!(code == 1 && text.contains("TRYCREATE"), "{code} {text}");
    let appends = |said: &Said| {
        let said = said.lock().unwrap();
        said.iter().filter(|line| line.contains(" APPEND ")).count()
    };
    assert_eq!(appends(&said), 1);
    assert_eq!(read_maildir(&home.mail())["Work"].len(), 1);
}

/// Another device renames a mailbox while a message is sent to it: not all servers say that by a
/// code.
#[test]
fn a_no_for_a_mailbox_that_is_gone_is_no_refusal() {
    let gone = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::SeqCst;
    let (port, said) = serve("* OK hi\r\n", move |tag, command| {
        let verb = command.split(' ').next().unwrap_or("");
        match verb {
            "LIST" if gone.load(order) => {
                let all = command.contains('*');
                let inbox = if all { "* LIST () \"/\" INBOX\r\n" } else { "" };
                format!("{inbox}{tag} OK done\r\n")
            }
            "LIST" => format!("* LIST () \"/\" INBOX\r\n* LIST () \"/\" Work\r\n{tag} OK done\r\n"),
            "APPEND" => {
                gone.store(true, order);
                format!("{tag} NO Mailbox was deleted under us\r\n")
            }
            "CREATE" => format!("{tag} NO not today\r\n"),
            "STATUS" => format!("{tag} NO [NONEXISTENT] no such mailbox\r\n"),
            _ => ordinary(tag, command),
        }
    });
    let home = home(port, PLAIN);
    home.deliver("Work", "cur/7.mine:2,S", b"Subject: a\n\nhello\n");
    let (code, text) = run(&home, &["sync"]);
    assert!(code == 1 && !text.contains("set aside"), "{code} {text}");
    let said = said.lock().unwrap();
    assert!(
        said.iter().any(|line| line.contains(" CREATE ")),
        "{said:?}"
    );
    assert_eq!(read_maildir(&home.mail())["Work"].len(), 1);
}

/// A server that answers one command at a time: of several that come at once it mixes up the tags.
fn serve_one_at_a_time() -> (u16, Said) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = Said::default();
    let noted = said.clone();
    let talk = |mut stream: TcpStream, said: Said| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        stream.write_all(b"* OK hi\r\n").unwrap();
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|size| size > 0) {
            let command = std::mem::take(&mut line);
            let (tag, command) = command.trim_end().split_once(' ').unwrap();
            said.lock().unwrap().push(format!("{tag} {command}"));
            let several = !reader.buffer().is_empty();
            let tag = if several { "X9" } else { tag };
            let answer = match command.split(' ').next() {
                Some("CAPABILITY") => format!(
                    "* CAPABILITY IMAP4rev1 LITERAL+ ID NAMESPACE UNSELECT\r\n{tag} OK done\r\n"
                ),
                Some("NAMESPACE") => {
                    format!("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n{tag} OK done\r\n")
                }
                _ => two_messages(tag, command, "* 1 FETCH (UID 1 FLAGS () {})\r\n"),
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let said = noted.clone();
            std::thread::spawn(move || talk(stream, said));
        }
    });
    (port, said)
}

#[test]
fn a_server_that_mixes_up_gets_one_command_at_a_time() {
    let (port, said) = serve_one_at_a_time();
    let home = home(port, PLAIN);
    let (code, text) = run(&home, &["sync"]);
    assert!(code == 0 && text.contains("one at a time"), "{code} {text}");
    assert_eq!(read_maildir(&home.mail())["INBOX"].len(), 2);
    let logins = |said: &Said| {
        let mut said = said.lock().unwrap();
        let count = said.iter().filter(|line| line.contains(" LOGIN ")).count();
        said.clear();
        count
    };
    assert_eq!(logins(&said), 2, "the run goes on with a new connection");
    // That is remembered.
    let (code, text) = run(&home, &["sync"]);
    assert!(
        code == 0 && !text.contains("one at a time"),
        "{code} {text}"
    );
    assert_eq!(logins(&said), 1);
    // And it can be said beforehand.
    let other = super::home(port, &format!("{PLAIN}\npipelining = false"));
    assert_eq!(run(&other, &["sync"]).0, 0);
    assert_eq!(logins(&said), 1);
}

/// A server that answers LIST with this again and again, as fast as it is read or as slowly as it
/// likes; how the run ended, after which time, and what memory it took, KiB.
fn flood(start: &'static str, more: String, pause: Duration) -> (i32, String, Duration, u64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sends = more.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let more = sends.clone();
            std::thread::spawn(move || {
                let reader = BufReader::new(stream.try_clone().unwrap());
                stream.write_all(b"* OK hi\r\n").unwrap();
                for line in reader.lines().map_while(Result::ok) {
                    let (tag, command) = line.split_once(' ').unwrap_or(("", &line));
                    if !command.starts_with("LIST") {
                        let answer = ordinary(tag, command).replace(" AUTH=PLAIN", "");
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                        continue;
                    }
                    let mut sent = stream.write_all(start.as_bytes());
                    while sent.is_ok() {
                        sent = stream.write_all(more.as_bytes());
                        std::thread::sleep(pause);
                    }
                    return;
                }
            });
        }
    });
    let home: Home = home(port, PLAIN);
    let config = std::fs::read_to_string(home.config()).unwrap();
    home.write_config(&config.replace("timeout = 5", "timeout = 1"));
    let began = Instant::now();
    let mut child = home
        .mailtide()
        .arg("sync")
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(home.dir.path().join("err")).unwrap())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let code = loop {
        if let Some(done) = child.try_wait().unwrap() {
            break done.code().unwrap_or(-1);
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse().ok());
        most = most.max(now.unwrap_or(0));
        assert!(
            began.elapsed() < Duration::from_secs(100),
            "{start}: no end"
        );
        std::thread::sleep(Duration::from_millis(3));
    };
    let text = std::fs::read_to_string(home.dir.path().join("err")).unwrap();
    (code, text, began.elapsed(), most)
}

#[test]
fn an_answer_without_end_ends_within_its_budget() {
    let literal = format!("{{1000000}}\r\n{} ", "x".repeat(1_000_000));
    let lists: String = (0..500)
        .map(|n| format!("* LIST () \"/\" \"box{n}-{}\"\r\n", "y".repeat(200)))
        .collect();
    for (start, more) in [
        ("* LIST () \"/\" ", literal),
        ("", lists),
        ("", "* OK still working\r\n".repeat(1000)),
        ("", "* OK [UIDVALIDITY 7] still working\r\n".repeat(1000)),
        ("", "* 1 FETCH (UID 1 FLAGS (\\Seen work))\r\n".repeat(1000)),
        ("", "* 5 EXISTS\r\n".repeat(1000)),
        ("", format!("* CAPABILITY {}\r\n", "ABC ".repeat(100_000))),
        (
            "",
            format!("* NAMESPACE (({}))\r\n", "(a b) ".repeat(100_000)),
        ),
        ("* LIST () ", "(a b) ".repeat(1000)),
        ("* SEARCH ", "1 3 5 ".repeat(1000)),
    ] {
        let shown: String = more.chars().take(30).collect();
        let (code, text, _, most) = flood(start, more, Duration::ZERO);
        assert!(code == 75, "{start}{shown}: {code} {text:.300}");
        assert!(most < 72 << 10, "{start}{shown}: {most} KiB");
    }
}

#[test]
fn an_answer_that_drips_comes_to_an_end() {
    for (start, more) in [
        ("* LIST () \"/\" ", "x"),
        ("", "* OK still working\r\n"),
        ("* LIST () \"/\" {100000}\r\n", "x"),
    ] {
        let (code, text, took, _) = flood(start, more.into(), Duration::from_millis(300));
        assert!(code == 75, "{start}{more}: {code} {text:.300}");
        assert!(took < Duration::from_secs(40), "{start}{more}: {took:?}");
    }
}
