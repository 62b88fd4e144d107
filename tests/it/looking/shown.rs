//! docs/using.md and docs/terminal.svg show what the commands print: each is run, in its order.
//! With `MAILTIDE_WRITE_DOCS` set (tests/docs.sh) both are written anew.

use crate::support::dovecot::*;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const MINUTES: &str = "From: Ann Example <ann@example.org>\r\nTo: me@example.org\r\n\
    Subject: Minutes of Monday\r\nDate: Mon, 23 Nov 2026 09:12:00 +0000\r\n\
    Message-ID: <1@example.org>\r\n\r\nAll agreed.\r\n";

/// "J\u{f6}rg", "tickets for Thursday" in Japanese.
const TICKETS: &str = "From: =?utf-8?Q?J=C3=B6rg_M=C3=BCller?= <joerg@example.org>\r\n\
    To: me@example.org\r\nSubject: =?utf-8?B?5pyo5puc44Gu44OB44Kx44OD44OI?=\r\n\
    Date: Tue, 24 Nov 2026 18:30:00 +0000\r\nMessage-ID: <2@example.org>\r\n\r\n\
    Two seats by the window.\r\n";

const MAP: &str = "From: Ben <ben@example.org>\r\nTo: me@example.org\r\n\
    Subject: The way to the hut\r\nDate: Wed, 25 Nov 2026 07:05:00 +0000\r\n\
    Message-ID: <3@example.org>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    The path is open again; see the map=2E\r\n--b\r\n\
    Content-Type: text/plain; name=\"map.txt\"\r\n\
    Content-Disposition: attachment; filename=\"map.txt\"\r\n\r\n\
    hut <-- bridge <-- station\r\n--b--\r\n";

/// "Hello" in Hebrew.
const OLD: &str = "From: Dana <dana@example.org>\r\nTo: me@example.org\r\n\
    Subject: =?utf-8?B?16nXnNeV150=?=\r\nDate: Thu, 05 Jan 2023 12:00:00 +0000\r\n\
    Message-ID: <4@example.org>\r\n\r\nHello\r\n";

struct Stage {
    server: Dovecot,
    home: Home,
}

impl Stage {
    fn set() -> Stage {
        let server = Dovecot::start(FULL);
        let mut phone = server.phone("u1");
        phone.append(
            "INBOX",
            "\\Seen",
            "23-Nov-2026 09:12:05 +0000",
            MINUTES.as_bytes(),
        );
        phone.append(
            "INBOX",
            "",
            "24-Nov-2026 18:30:11 +0000",
            TICKETS.as_bytes(),
        );
        phone.append("INBOX", "", "25-Nov-2026 07:05:40 +0000", MAP.as_bytes());
        phone.run("CREATE Archive");
        phone.append(
            "Archive",
            "\\Seen",
            "05-Jan-2023 12:00:09 +0000",
            OLD.as_bytes(),
        );
        phone.run("LOGOUT");
        for name in ["INBOX", "Archive"] {
            server.doveadm(&[
                "mailbox",
                "update",
                "-u",
                "u1",
                "--uid-validity",
                "1700000000",
                name,
            ]);
        }
        let home = Home::new(&server, "u1", "mailboxes = [\"INBOX\", \"Trip*\"]");
        let config = std::fs::read_to_string(home.config()).unwrap();
        home.write_config(&config.replace("accounts.test", "accounts.work"));
        std::fs::write(
            home.dir.path().join("note.eml"),
            "From: me@example.org\nSubject: what to bring\n\nRope.\n",
        )
        .unwrap();
        let (binary, config) = (env!("CARGO_BIN_EXE_mailtide"), home.config());
        let script = format!(
            "#!/bin/sh\nexec '{binary}' --config '{}' \"$@\"\n",
            config.display()
        );
        let path = home.dir.path().join("mailtide");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let stage = Stage { server, home };
        stage.run("mailtide -q sync");
        stage
    }

    /// What a command prints, on both of its outputs.
    fn run(&self, command: &str) -> String {
        let dir = self.home.dir.path();
        let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
        // A UIDVALIDITY is the second in which a mailbox was made.
        if command.contains("list Trips") {
            self.renumber();
        }
        let out = Command::new("sh")
            .arg("-c")
            .arg(format!("{command} 2>&1"))
            .current_dir(dir)
            .env("PATH", path)
            .env("TZ", "UTC")
            .env("XDG_RUNTIME_DIR", dir.join("run"))
            .output()
            .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        text.replace(&dir.display().to_string(), "~")
    }

    fn renumber(&self) {
        let update = [
            "mailbox",
            "update",
            "-u",
            "u1",
            "--uid-validity",
            "1700000000",
            "Trips",
        ];
        self.server.doveadm(&update);
        self.run("mailtide -q sync");
    }
}

/// The page with what the commands print: indented, without empty lines.
fn written(page: &str, stage: &Stage) -> String {
    let mut out = Vec::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        writeln!(out, "{line}").unwrap();
        let Some(command) = line.strip_prefix("    $ ") else {
            continue;
        };
        while lines
            .peek()
            .is_some_and(|next| next.starts_with("    ") && !next.starts_with("    $ "))
        {
            lines.next();
        }
        let printed = stage.run(command);
        for printed in printed.lines().filter(|line| !line.is_empty()) {
            writeln!(out, "{}", format!("    {printed}").trim_end()).unwrap();
        }
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn page_shows_what_the_commands_print() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/using.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let stage = Stage::set();
    let written = written(&page, &stage);
    if std::env::var_os("MAILTIDE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    for (page, written) in page.lines().zip(written.lines()) {
        assert_eq!(page, written);
    }
    assert_eq!(page, written);
}

/// The commands of docs/terminal.svg.
const SESSION: [&str; 5] = [
    "mailtide list INBOX",
    "mailtide show work/INBOX/3",
    "mailtide search 'from:muller or since:2026-11-25'",
    "mailtide flag work/INBOX/3 work/INBOX/2 +flagged",
    "mailtide list INBOX --limit 1",
];

/// A terminal with these lines.
fn picture(lines: &[String]) -> String {
    let escaped = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('>', "&gt;")
    };
    let rows = lines.iter().enumerate().map(|(n, line)| {
        let y = 62 + 20 * n;
        let class = if line.starts_with("$ ") {
            "asked"
        } else {
            "said"
        };
        format!(
            "<text x=\"20\" y=\"{y}\" class=\"{class}\">{}</text>\n",
            escaped(line)
        )
    });
    let height = 70 + 20 * lines.len();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" \
         width=\"940\" height=\"{height}\" \
         viewBox=\"0 0 940 {height}\" role=\"img\">\n\
         <title>Listing, reading, searching and flagging mail in a terminal</title>\n\
         <style>text{{font:14px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;\
         white-space:pre}}.asked{{fill:#8bd5ca;font-weight:bold}}.said{{fill:#d8dee9}}</style>\n\
         <rect width=\"940\" height=\"{height}\" rx=\"8\" fill=\"#1e222a\"/>\n\
         <circle cx=\"20\" cy=\"18\" r=\"6\" fill=\"#ed6a5e\"/>\
         <circle cx=\"40\" cy=\"18\" r=\"6\" fill=\"#f5bf4f\"/>\
         <circle cx=\"60\" cy=\"18\" r=\"6\" fill=\"#61c554\"/>\n{}</svg>\n",
        rows.collect::<String>()
    )
}

#[test]
fn picture_shows_what_the_commands_print() {
    let stage = Stage::set();
    let mut lines = Vec::new();
    for command in SESSION {
        lines.push(format!("$ {command}"));
        lines.extend(stage.run(command).lines().map(str::to_owned));
    }
    let drawn = picture(&lines);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/terminal.svg");
    if std::env::var_os("MAILTIDE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let shown = std::fs::read_to_string(&path).unwrap();
    assert_eq!(shown, drawn, "run tests/docs.sh");
}
