//! What goes wrong before the first command: configuration, certificates, the network.

use super::*;
use crate::support::watcher::Watcher;

#[test]
fn wrong_configurations_say_file_line_and_hint() {
    let home = home(1, "");
    let base = "[accounts.a]\nhost = \"h\"\nuser = \"u\"\nmaildir = \"/nowhere/m\"\n";
    for (text, says) in [
        (
            format!("{base}hots = \"x\"\n"),
            "config.toml:5: account a: unknown key `hots`; did you mean `host`?",
        ),
        (
            format!("{base}port = \"x\"\n"),
            "config.toml:5: account a: port is a number from 1 to 65535",
        ),
        (format!("{base}port = 1\n"), "no secret"),
        (
            format!("{base}password = \"a\"\npassword_file = \"b\"\n"),
            "are both set; keep one",
        ),
        (
            format!("{base}password = 4711\n"),
            "a password is a text in quotes",
        ),
        (
            format!("{base}password = \"a\"\ntls_pin_sha256 = [\"zz\"]\n"),
            "config.toml:6:",
        ),
        ("state_dir = \"/x\"\n".into(), "there is no account"),
        (
            format!("{base}password = \"a\"\ntimeout = 0\n"),
            "config.toml:6: account a: timeout",
        ),
        (
            base.replace("/nowhere", "nowhere") + "password = \"a\"\n",
            "must begin with /",
        ),
        (
            format!("{base}password_command = []\n"),
            "password_command is empty",
        ),
        (
            base.replace("\"h\"", "\"h.example:993\"") + "password = \"a\"\n",
            "config.toml:2: account a: host = \"h.example:993\" is no name of a server; write \
             host = \"h.example\" and port = 993",
        ),
        (
            base.replace("\"h\"", "\"imaps://h.example\"") + "password = \"a\"\n",
            "write host = \"h.example\"",
        ),
    ] {
        home.write_config(&text);
        let (code, shown) = run(&home, &["sync"]);
        assert!(code == 2 && shown.contains(says), "{text}: {code} {shown}");
        assert!(!shown.contains("4711"), "{shown}");
    }
    home.write_config(&format!("{base}password_command = [\"false\"]\n"));
    let (code, shown) = run(&home, &["check"]);
    assert!(
        code == 2 && shown.contains("password_command \"false\" failed"),
        "{code} {shown}"
    );
    home.write_config(&format!("{base}password = \"a\"\n"));
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(home.config(), open).unwrap();
    let (code, shown) = run(&home, &["sync"]);
    assert!(code == 2 && shown.contains("chmod 600"), "{code} {shown}");
    std::fs::remove_file(home.config()).unwrap();
    let (code, shown) = run(&home, &["sync"]);
    assert!(
        code == 2 && shown.contains("docs/configuration.md"),
        "{code} {shown}"
    );
}

#[test]
fn certificates_are_checked() {
    let server = Dovecot::start(FULL);
    let (tls, plain) = (server.tls_port, server.port);
    let ca = server.ca();
    let user = "password = \"pass\"";
    let ok = |port: u16, more: &str| {
        let (code, text) = run(&home(port, &format!("{user}\n{more}")), &["sync"]);
        assert_eq!(code, 0, "{more}: {text}");
    };
    let refused = |port: u16, more: &str, why: &str| {
        let (code, text) = run(&home(port, &format!("{user}\n{more}")), &["sync"]);
        assert!(code == 2 && text.contains(why), "{more}: {code} {text}");
    };
    let ca_file = format!("tls_ca_file = \"{}\"", ca.display());
    ok(tls, &ca_file);
    ok(plain, &format!("tls = \"starttls\"\n{ca_file}"));
    refused(tls, "", "UnknownIssuer");
    // The pin of the key is there to be copied.
    let (_, text) = run(&home(tls, user), &["check"]);
    let pin = text.split("or tls_pin_sha256 = ").nth(1).unwrap();
    let pin = pin.split(", its key now").next().unwrap();
    ok(tls, &format!("tls_pin_sha256 = {pin}"));
    refused(plain, "", "it takes tls = \"starttls\"");
    refused(tls, "tls_ca_file = \"/nowhere\"", "tls_ca_file /nowhere");
    refused(
        tls,
        &format!("tls_pin_sha256 = [\"{}\"]", "0".repeat(64)),
        "is not pinned",
    );
    // The message tells the key that the server has; pinning it works, with no CA at all.
    let pin =
        "tls_pin_sha256 = [\"0000000000000000000000000000000000000000000000000000000000000000\"]";
    let (_, text) = run(&home(tls, &format!("{user}\n{pin}")), &["check"]);
    let key = text
        .split("has SHA-256 ")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    ok(
        tls,
        &format!("tls_pin_sha256 = [\"{}\", \"{key}\"]", "1".repeat(64)),
    );
}

#[test]
fn a_server_that_is_down_or_silent_is_temporary() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let more = "tls = \"none\"\npassword = \"x\"";
    let (code, text) = run(&home(closed, more), &["sync"]);
    assert!(
        code == 75 && text.contains("cannot connect to 127.0.0.1"),
        "{code} {text}"
    );
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let more = format!("{}\n", more).replace("password", "password");
    let config = home(port, &more);
    let text = std::fs::read_to_string(config.config())
        .unwrap()
        .replace("timeout = 5", "timeout = 1");
    config.write_config(&text);
    let (code, text) = run(&config, &["sync"]);
    assert!(
        code == 75 && text.contains("took more than 1 s") && text.contains("as on port 993"),
        "{code} {text}"
    );
}

/// A prefix that was not told is not the same as none: mailboxes would be created beside their
/// place, where they stand in the way for ever (seed 2956 of the simulator).
#[test]
fn a_namespace_that_is_refused_is_not_empty() {
    for (refusal, says) in [
        ("NO [UNAVAILABLE] later", "later"),
        ("BAD what?", "disable_extensions"),
    ] {
        let (port, said) = serve("* OK hi\r\n", move |tag, command| match command {
            "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 NAMESPACE\r\n{tag} OK done\r\n"),
            "NAMESPACE" => format!("{tag} {refusal}\r\n"),
            _ => ordinary(tag, command),
        });
        let home = home(port, "tls = \"none\"\npassword = \"x\"");
        for sub in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(home.mail().join("Work").join(sub)).unwrap();
        }
        let (code, text) = run(&home, &["sync"]);
        assert!(
            code == 75 && text.contains("tell its NAMESPACE") && text.contains(says),
            "{code} {text}"
        );
        let said = said.lock().unwrap();
        assert!(!said.iter().any(|line| line.contains("CREATE")), "{said:?}");
    }
}

#[test]
fn all_mistakes_of_a_configuration_are_said_at_once() {
    let home = home(1, "");
    home.write_config(
        "[defaults]\ntimeout = \"1m\"\n[accounts.a]\nhots = \"h\"\nuser = \"u\"\n\
         maildir = \"/nowhere/m\"\n[accounts.b]\nhost = \"h\"\nport = 0\nuser = \"u\"\n\
         password = \"p\"\nmaildir = \"/nowhere/b\"\n",
    );
    for command in ["sync", "watch", "status", "check"] {
        let (code, text) = run(&home, &[command]);
        assert_eq!(code, 2, "{text}");
        let wanted = [
            ":2: timeout is",
            ":3: account a: host",
            ":3: account a: no secret",
            ":4: ",
        ];
        assert_eq!(text.lines().count(), wanted.len(), "{text}");
        for (line, part) in text.lines().zip(wanted) {
            assert!(
                line.starts_with("mailtide: ") && line.contains(part),
                "{part}: {text}"
            );
        }
    }
    let config = std::fs::read_to_string(home.config()).unwrap();
    let config = config.replace("\"1m\"", "60").replace("hots", "host");
    home.write_config(&config.replace(
        "user = \"u\"\nmaildir",
        "user = \"u\"\npassword = \"\"\nmaildir",
    ));
    let (_, text) = run(&home, &["sync"]);
    assert!(
        text.contains("account b: port must be at least 1"),
        "{text}"
    );
}

/// What a sync says whose login ends like this.
fn refused_login(capabilities: &'static str, more: &str, end: &'static str) -> (i32, String) {
    let (port, _) = serve("* OK hi\r\n", move |tag, command| {
        match command.split(' ').next() {
            Some("CAPABILITY") => {
                format!("* CAPABILITY IMAP4rev1 {capabilities}\r\n{tag} OK x\r\n")
            }
            Some("AUTHENTICATE" | "LOGIN") => format!("{tag} {end}\r\n"),
            _ => ordinary(tag, command),
        }
    });
    let more = format!("tls = \"none\"\npassword = \"x\"\n{more}");
    run(&home(port, &more), &["sync"])
}

#[test]
fn refused_login_says_what_the_server_takes() {
    let no = "NO [AUTHENTICATIONFAILED] no";
    let only_tokens = "LOGINDISABLED AUTH=XOAUTH2 AUTH=OAUTHBEARER";
    for (capabilities, more, end, says) in [
        (only_tokens, "", no, "it offers XOAUTH2, OAUTHBEARER"),
        (
            "AUTH=PLAIN SASL-IR",
            "auth = \"xoauth2\"",
            no,
            "does not offer XOAUTH2",
        ),
        (
            "AUTH=PLAIN SASL-IR",
            "auth = \"xoauth2\"",
            no,
            "but PLAIN. Set auth = \"password\"",
        ),
        (
            "AUTH=PLAIN SASL-IR",
            "",
            "NO [ALERT] Application-specific password required (Failure)",
            "wants an app password",
        ),
        (
            "AUTH=PLAIN SASL-IR",
            "",
            "NO LOGIN failed: BasicAuthBlocked",
            "takes no passwords: set auth = \"xoauth2\"",
        ),
        ("AUTH=PLAIN SASL-IR", "", no, "check user and password"),
    ] {
        let (code, text) = refused_login(capabilities, more, end);
        assert!(code == 2 && text.contains(says), "{says}: {code} {text}");
    }
}

/// A server that takes only the token `good`, and a home whose token command prints the first line
/// of a file, and drops it there.
fn with_tokens(tokens: &str) -> (Home, std::path::PathBuf) {
    use base64::Engine;
    let (port, _) = serve("* OK hi\r\n", |tag, command| {
        match command.split(' ').collect::<Vec<_>>()[..] {
            ["CAPABILITY"] => {
                format!("* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\n{tag} OK x\r\n")
            }
            ["AUTHENTICATE", _, coded] => {
                let token = base64::engine::general_purpose::STANDARD.decode(coded);
                match String::from_utf8(token.unwrap())
                    .unwrap()
                    .contains("Bearer good")
                {
                    true => format!("{tag} OK in\r\n"),
                    false => format!("{tag} NO [AUTHENTICATIONFAILED] expired\r\n"),
                }
            }
            _ => ordinary(tag, command),
        }
    });
    let more = "tls = \"none\"\nauth = \"xoauth2\"\nconnections = 1\n";
    let home = home(port, more);
    let path = home.dir.path().join("tokens");
    std::fs::write(&path, tokens).unwrap();
    let script = "head -n 1 \"$0\"; sed -i 1d \"$0\"; echo . >>\"$0.asked\"";
    let config = std::fs::read_to_string(home.config()).unwrap();
    let command = format!("password_command = [\"sh\", \"-c\", '{script}', {path:?}]\n");
    home.write_config(&(config + &command));
    (home, path)
}

fn asked(tokens: &std::path::Path) -> usize {
    let asked = std::fs::read_to_string(tokens.with_extension("asked"));
    asked.unwrap_or_default().lines().count()
}

#[test]
fn refused_token_is_asked_for_once_more() {
    let (home, tokens) = with_tokens("old\ngood\n");
    let (code, text) = run(&home, &["sync"]);
    assert_eq!((code, asked(&tokens)), (0, 2), "{text}");
    let (home, tokens) = with_tokens("old\nolder\ngood\n");
    let (code, text) = run(&home, &["sync"]);
    assert_eq!((code, asked(&tokens)), (2, 2), "{text}");
    assert!(
        text.contains("the access token is wrong or has expired"),
        "{text}"
    );
}

#[test]
fn account_goes_on_when_its_token_is_good_again() {
    let (home, tokens) = with_tokens("old\nold\nold\ngood\ngood\ngood\ngood\ngood\n");
    let watcher = Watcher::start(&home, home.mailtide());
    watcher.wait("in step", |test| test["state"] == "synced");
    assert!(asked(&tokens) >= 4, "{}", asked(&tokens));
    let log = watcher.log();
    assert!(log.contains("asked for once more"), "{log}");
}
