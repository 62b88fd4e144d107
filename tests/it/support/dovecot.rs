//! A private Dovecot per test (started by tests/dovecot.sh), and a user's home beside it.

pub use super::phone::*;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What the servers of the three tiers announce.
pub const FULL: &[&str] = &[];
pub const NO_QRESYNC: &[&str] = &[
    "LITERAL+",
    "ID",
    "ENABLE",
    "CONDSTORE",
    "UIDPLUS",
    "MOVE",
    "ESEARCH",
    "NAMESPACE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "UNSELECT",
];
pub const PLAIN: &[&str] = &["NAMESPACE", "UNSELECT"];

pub struct Dovecot {
    pub dir: tempfile::TempDir,
    pub port: u16,
    pub tls_port: u16,
    namespace: Option<(&'static str, &'static str)>,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dovecot.sh")
}

impl Dovecot {
    pub fn start(capabilities: &[&str]) -> Dovecot {
        Dovecot::start_with(capabilities, None)
    }

    /// With a namespace: prefix and separator.
    pub fn start_with(
        capabilities: &[&str],
        namespace: Option<(&'static str, &'static str)>,
    ) -> Dovecot {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Dovecot {
            dir,
            port: 0,
            tls_port: 0,
            namespace,
        };
        server.restart(capabilities);
        server
    }

    pub fn restart(&mut self, capabilities: &[&str]) {
        self.run("stop", &[]);
        self.run("start", capabilities);
        let env = std::fs::read_to_string(self.dir.path().join("env")).unwrap();
        let value = |key: &str| {
            let line = env.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.parse().unwrap()
        };
        (self.port, self.tls_port) = (value("PORT="), value("TLS_PORT="));
    }

    fn run(&self, command: &str, more: &[&str]) {
        let status = Command::new("bash")
            .arg(script())
            .arg(command)
            .arg(self.dir.path())
            .args(more)
            .env(
                "DOVECOT_PREFIX",
                self.namespace.map_or("", |(prefix, _)| prefix),
            )
            .env(
                "DOVECOT_SEPARATOR",
                self.namespace.map_or("/", |(_, separator)| separator),
            )
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "dovecot.sh {command}");
    }

    pub fn doveadm(&self, arguments: &[&str]) {
        let config = self.dir.path().join("dovecot.conf");
        let done = Command::new("doveadm")
            .arg("-c")
            .arg(config)
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }

    pub fn phone(&self, user: &str) -> Phone {
        Phone::connect(self.port, user)
    }

    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("tls/ca.crt")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.run("stop", &[]);
    }
}

/// A user's home: configuration, state and Maildir of one account.
pub struct Home {
    pub dir: tempfile::TempDir,
}

impl Home {
    pub fn new(server: &Dovecot, user: &str, more: &str) -> Home {
        let home = Home {
            dir: tempfile::tempdir().unwrap(),
        };
        home.configure(server, user, more);
        home
    }

    pub fn configure(&self, server: &Dovecot, user: &str, more: &str) {
        let dir = self.dir.path().display();
        self.write_config(&format!(
            "state_dir = \"{dir}/state\"\n[accounts.test]\nhost = \"127.0.0.1\"\nport = {}\n\
             tls = \"none\"\nuser = \"{user}\"\npassword = \"pass\"\nmaildir = \"{dir}/Mail\"\n\
             {more}\n",
            server.port
        ));
    }

    pub fn write_config(&self, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.config();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    pub fn mail(&self) -> PathBuf {
        self.dir.path().join("Mail")
    }

    pub fn mailtide(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailtide"));
        command
            .arg("--config")
            .arg(self.config())
            .env("XDG_RUNTIME_DIR", self.dir.path().join("run"))
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.mailtide().args(arguments).output().unwrap()
    }

    /// `sync --json`: exit status and the account's object.
    pub fn sync(&self) -> (i32, serde_json::Value) {
        let out = self.run(&["sync", "--json"]);
        let text = String::from_utf8_lossy(&out.stdout);
        let last = text
            .lines()
            .last()
            .unwrap_or_else(|| panic!("no output: {out:?}"));
        let object: serde_json::Value = serde_json::from_str(last).unwrap();
        (
            out.status.code().unwrap_or(-1),
            object["accounts"][0].clone(),
        )
    }

    /// A sync that must go well, and after which another finds nothing to do.
    pub fn sync_twice(&self) -> serde_json::Value {
        let (code, object) = self.sync();
        assert_eq!(code, 0, "{object:#}");
        let (code, again) = self.sync();
        assert_eq!(
            (code, again["changes"].as_u64()),
            (0, Some(0)),
            "second run: {again:#}"
        );
        object
    }

    /// Puts a file into a mailbox as a mail program does.
    pub fn deliver(&self, mailbox: &str, name: &str, body: &[u8]) -> PathBuf {
        let directory = self.mail().join(mailbox);
        for sub in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(directory.join(sub)).unwrap();
        }
        let path = directory.join(name);
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .unwrap();
        file.write_all(body).unwrap();
        path
    }
}

pub fn assert_same(server: &Dovecot, user: &str, home: &Home) {
    let (there, here) = (server.phone(user).view(), read_maildir(&home.mail()));
    let names = |view: &View| view.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&there), names(&here), "mailboxes");
    for (name, all) in &there {
        let show = |m: &Seen| {
            let body = String::from_utf8_lossy(&m.body)
                .chars()
                .take(60)
                .collect::<String>();
            format!("{:?} {:?} {}", body, m.flags, m.date)
        };
        let other: Vec<String> = here[name].iter().map(show).collect();
        assert_eq!(all.iter().map(show).collect::<Vec<_>>(), other, "{name}");
        assert_eq!(*all, here[name], "{name}");
    }
}
