//! Servers that follow a script: logins that Dovecot here does not offer, attacks, and lies. The
//! binary talks to them; what it says is checked, and that nothing is deleted or leaked.

mod alike;
mod bounds;
mod deletion;
mod few_connections;
mod gmail;
mod habits;
mod hostile;
mod people;
mod refused;
mod search;
mod setup;
mod slow;
mod unseen;
mod wire;

use crate::support::dovecot::{Dovecot, FULL, Home, read_maildir};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the client said, line by line.
type Said = Arc<Mutex<Vec<String>>>;

/// Answers each line with what `reply` makes of tag and command; an empty answer hangs up.
fn serve(
    greeting: &'static str,
    reply: impl Fn(&str, &str) -> String + Send + Sync + 'static,
) -> (u16, Said) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = Said::default();
    let noted = said.clone();
    let reply = Arc::new(reply);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (noted, reply) = (noted.clone(), reply.clone());
            std::thread::spawn(move || talk(stream, greeting, &noted, &*reply));
        }
    });
    (port, said)
}

fn talk(
    mut stream: TcpStream,
    greeting: &str,
    said: &Said,
    reply: &(dyn Fn(&str, &str) -> String + Send + Sync),
) {
    let reader = BufReader::new(stream.try_clone().unwrap());
    if stream.write_all(greeting.as_bytes()).is_err() {
        return;
    }
    for line in reader.lines() {
        let Ok(line) = line else { return };
        said.lock().unwrap().push(line.clone());
        let (tag, command) = line.split_once(' ').unwrap_or(("", &line));
        let answer = reply(tag, command);
        if answer.is_empty() || stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn home(port: u16, more: &str) -> Home {
    let home = Home {
        dir: tempfile::tempdir().unwrap(),
    };
    let dir = home.dir.path().display();
    home.write_config(&format!(
        "state_dir = \"{dir}/state\"\n[accounts.test]\nhost = \"127.0.0.1\"\nport = {port}\n\
         user = \"me\"\nmaildir = \"{dir}/Mail\"\ntimeout = 5\n{more}\n"
    ));
    home
}

/// Exit status and what was printed to standard error.
fn run(home: &Home, arguments: &[&str]) -> (i32, String) {
    let out = home.run(arguments);
    (
        out.status.code().unwrap(),
        String::from_utf8_lossy(&out.stderr).into_owned(),
    )
}

const CANARY: &str = "c4n4ry-s3cret";

/// One empty INBOX.
fn ordinary(tag: &str, command: &str) -> String {
    let verb = command.split(' ').next().unwrap_or("").to_ascii_uppercase();
    let lines = match verb.as_str() {
        "CAPABILITY" => "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n",
        "LIST" => "* LIST () \"/\" INBOX\r\n",
        "SELECT" | "EXAMINE" => {
            "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 1] x\r\n* FLAGS ()\r\n"
        }
        _ => "",
    };
    format!("{lines}{tag} OK done\r\n")
}

#[test]
fn tokens_are_sent_as_the_mechanisms_want_them() {
    for (auth, challenge) in [
        ("xoauth2", "user=me\u{1}auth=Bearer "),
        ("oauthbearer", "n,a=me,\u{1}"),
    ] {
        let (port, said) = serve("* OK hi\r\n", |tag, command| {
            if command.starts_with("AUTHENTICATE") {
                return format!("* X-PRE {tag}\r\n+ \r\n");
            }
            match tag.is_empty() && command.len() > 20 {
                // The token itself, a line in base64.
                true => "A0002 OK [CAPABILITY IMAP4rev1] in\r\n".into(),
                false => ordinary(tag, command),
            }
        });
        let home = home(
            port,
            &format!("tls = \"none\"\nauth = \"{auth}\"\npassword = \"{CANARY}\""),
        );
        let (code, text) = run(&home, &["sync", "-vvv"]);
        assert!(code == 0 && !text.contains(CANARY), "{auth}: {code} {text}");
        let said = said.lock().unwrap().join("\n");
        assert!(
            said.contains(&format!("AUTHENTICATE {}", auth.to_uppercase())),
            "{said}"
        );
        use base64::Engine;
        let sent = said
            .lines()
            .filter_map(|line| base64::engine::general_purpose::STANDARD.decode(line).ok());
        let sent: Vec<String> = sent.filter_map(|b| String::from_utf8(b).ok()).collect();
        let want = |s: &String| {
            s.starts_with(challenge) && s.contains(&format!("Bearer {CANARY}\u{1}\u{1}"))
        };
        assert!(sent.iter().any(want), "{sent:?}");
    }
}

#[test]
fn a_refused_login_says_so_and_never_shows_the_secret() {
    for auth in ["password", "xoauth2"] {
        let (port, _) = serve("* OK hi\r\n", move |tag, command| {
            if command.starts_with("AUTHENTICATE") {
                return "+ \r\n".into();
            }
            if command.starts_with("CAPABILITY") {
                return ordinary(tag, command);
            }
            // XOAUTH2 sends its error as a challenge first; a wise client answers with nothing.
            match (auth, tag.is_empty()) {
                ("xoauth2", false) => "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n".into(),
                _ => format!("A0002 NO [AUTHENTICATIONFAILED] no \u{1b}[31m {CANARY:.3}\r\n"),
            }
        });
        let home = home(
            port,
            &format!("tls = \"none\"\nauth = \"{auth}\"\npassword = \"{CANARY}\""),
        );
        let (code, text) = run(&home, &["sync", "-vvv"]);
        assert_eq!(code, 2, "{text}");
        assert!(
            text.contains("login of me at 127.0.0.1") && text.contains("was refused"),
            "{text}"
        );
        assert!(!text.contains(CANARY) && !text.contains('\u{1b}'), "{text}");
        for file in ["state/test.db", "state/test.lock"] {
            let bytes = std::fs::read(home.dir.path().join(file)).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{file}");
        }
    }
}

#[test]
fn starttls_fails_closed() {
    let starttls = format!("tls = \"starttls\"\npassword = \"{CANARY}\"");
    // Not offered; stripped by an attacker.
    let (port, said) = serve("* OK hi\r\n", |tag, command| match command {
        "STARTTLS" => format!("{tag} BAD what?\r\n"),
        _ => ordinary(tag, command),
    });
    let (code, text) = run(&home(port, &starttls), &["sync"]);
    assert!(
        code == 2 && text.contains("does not do STARTTLS"),
        "{code} {text}"
    );
    assert!(!said.lock().unwrap().join("\n").contains("AUTHENTICATE"));
    // Commands injected behind the answer.
    let (port, _) = serve("* OK hi\r\n", |tag, _| {
        format!("{tag} OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")
    });
    let (code, text) = run(&home(port, &starttls), &["sync"]);
    assert!(
        code == 2 && text.contains("between STARTTLS and TLS"),
        "{code} {text}"
    );
    // PREAUTH on an unprotected connection.
    let (port, _) = serve("* PREAUTH welcome\r\n", ordinary);
    let (code, text) = run(&home(port, &starttls), &["sync"]);
    assert!(
        code == 2 && text.contains("PREAUTH before TLS"),
        "{code} {text}"
    );
}

/// Two messages, in step; then the server begins to lie.
fn in_step_then(lie: &'static str) -> (Home, i32, String) {
    let lying = Arc::new(Mutex::new(false));
    let switch = lying.clone();
    let body = "Subject: a\r\n\r\nhello\r\n";
    let (port, _) = serve("* OK hi\r\n", move |tag, command| {
        let lie = if *lying.lock().unwrap() { lie } else { "" };
        let mut words = command.split(' ');
        let verb = words.next().unwrap_or("").to_ascii_uppercase();
        match (verb.as_str(), lie) {
            ("LIST", "no mailboxes") => format!("{tag} OK done\r\n"),
            ("LIST", "list refused") => format!("{tag} NO [UNAVAILABLE] later\r\n"),
            ("SELECT", "select refused") => format!("{tag} NO [INUSE] busy\r\n"),
            ("SELECT", _) => format!(
                "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 3] x\r\n{tag} OK done\r\n"
            ),
            ("UID", "hangs up") => String::new(),
            ("UID", "short list") => format!("* 1 FETCH (UID 1 FLAGS ())\r\n{tag} OK done\r\n"),
            ("UID", "refused") => format!("* 1 FETCH (UID 1 FLAGS ())\r\n{tag} NO sorry\r\n"),
            ("UID", "garbage") => format!("* 1 FETCH (UID 1 FLAGS\r\n* 2 FETCH ()\r\n{tag} OK\r\n"),
            ("UID", "other uids") => {
                format!("* 1 FETCH (UID 8 FLAGS ())\r\n* 2 FETCH (FLAGS ())\r\n{tag} OK done\r\n")
            }
            ("UID", _) if command.contains("BODY.PEEK[]") => {
                let one = |n: u32| {
                    format!(
                        "* {n} FETCH (UID {n} FLAGS () RFC822.SIZE {0} \
                         BODY[] {{{0}}}\r\n{body})\r\n",
                        body.len()
                    )
                };
                format!("{}{}{tag} OK done\r\n", one(1), one(2))
            }
            ("UID", _) => format!(
                "* 1 FETCH (UID 1 FLAGS ())\r\n* 2 FETCH (UID 2 FLAGS ())\r\n{tag} OK done\r\n"
            ),
            _ => ordinary(tag, command),
        }
    });
    let home = home(port, "tls = \"none\"\npassword = \"x\"");
    let (code, text) = run(&home, &["sync"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(read_maildir(&home.mail())["INBOX"].len(), 2);
    *switch.lock().unwrap() = true;
    let (code, text) = run(&home, &["sync"]);
    (home, code, text)
}

#[test]
fn no_lie_of_the_server_deletes_anything() {
    for (lie, status, says) in [
        ("no mailboxes", 3, "lists no INBOX"),
        ("list refused", 75, "UNAVAILABLE"),
        ("select refused", 1, "INUSE"),
        ("hangs up", 75, "closed the connection"),
        ("short list", 1, "is not complete"),
        ("refused", 1, "sorry"),
        ("garbage", 1, "could not be read"),
        ("other uids", 1, "is not complete"),
    ] {
        let (home, code, text) = in_step_then(lie);
        assert!(
            code == status && text.contains(says),
            "{lie}: {code} {text}"
        );
        assert_eq!(read_maildir(&home.mail())["INBOX"].len(), 2, "{lie}");
    }
}

#[test]
fn names_that_want_out_stay_inside() {
    let (port, _) = serve("* OK hi\r\n", |tag, command| {
        match command.split(' ').next() {
            Some("LIST") => format!(
                "* LIST () \"/\" INBOX\r\n* LIST () \"/\" \"../../evil\"\r\n\
             * LIST () \"/\" \"..\"\r\n\
             * LIST () \"/\" \"cur\"\r\n* LIST () \"|\" \"/tmp/evil\"\r\n{tag} OK done\r\n"
            ),
            _ => ordinary(tag, command),
        }
    });
    let home = home(port, "tls = \"none\"\npassword = \"x\"");
    let (code, text) = run(&home, &["sync"]);
    // An empty component cannot be a mailbox; it is named, and the others are synced.
    assert!(
        code == 1 && text.contains("%2Ftmp%2Fevil: its name has an empty part"),
        "{code} {text}"
    );
    let names: Vec<String> = read_maildir(&home.mail()).into_keys().collect();
    assert!(names.contains(&"../../evil".to_owned()), "{names:?}");
    let outside: Vec<String> = std::fs::read_dir(home.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(outside.len(), 3, "config, state and Mail only: {outside:?}");
}

#[test]
fn names_in_utf8_where_the_server_takes_nothing_else() {
    let (port, said) = serve("* OK hi\r\n", |tag, command| {
        match command.split(' ').next() {
            Some("CAPABILITY") => {
                format!("* CAPABILITY IMAP4rev1 AUTH=PLAIN ENABLE UTF8=ONLY\r\n{tag} OK done\r\n")
            }
            Some("ENABLE") => format!("* ENABLED UTF8=ACCEPT\r\n{tag} OK done\r\n"),
            Some("LIST") => format!(
                "* LIST () \"/\" INBOX\r\n* LIST () \"/\" \"Entwürfe\"\r\n{tag} OK done\r\n"
            ),
            _ => ordinary(tag, command),
        }
    });
    let home = home(port, "tls = \"none\"\npassword = \"x\"");
    let (code, text) = run(&home, &["sync"]);
    assert_eq!(code, 0, "{text}");
    assert!(read_maildir(&home.mail()).contains_key("Entwürfe"));
    let said = said.lock().unwrap().join("\n");
    assert!(
        said.contains("ENABLE UTF8=ACCEPT") && said.contains("SELECT \"Entwürfe\""),
        "{said}"
    );
}
