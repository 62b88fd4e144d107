//! A private server per test (started by a script beside this folder), and a user's home with it.

pub use super::phone::*;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brand {
    Dovecot,
    Cyrus,
    Courier,
}

impl Brand {
    /// What `MAILTIDE_SERVER` says, as tests/servers.sh sets it.
    pub fn wanted() -> Brand {
        match std::env::var("MAILTIDE_SERVER").as_deref() {
            Err(_) | Ok("dovecot") => Brand::Dovecot,
            Ok("cyrus") => Brand::Cyrus,
            Ok("courier") => Brand::Courier,
            Ok(other) => panic!("MAILTIDE_SERVER={other}: no such server"),
        }
    }

    fn script(self) -> PathBuf {
        let name = match self {
            Brand::Dovecot => "tests/dovecot.sh",
            Brand::Cyrus => "tests/cyrus.sh",
            Brand::Courier => "tests/courier.sh",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }
}

pub struct Server {
    pub dir: tempfile::TempDir,
    pub port: u16,
    pub brand: Brand,
}

impl Server {
    /// Of the brand that is wanted, with all that it can do.
    pub fn start() -> Server {
        let mut server = Server::new(Brand::wanted());
        server.again(&[], &[]);
        server
    }

    /// Not started yet.
    pub fn new(brand: Brand) -> Server {
        Server {
            dir: tempfile::tempdir().unwrap(),
            port: 0,
            brand,
        }
    }

    /// Stopped, and started with more arguments and variables for the script.
    pub fn again(&mut self, more: &[&str], variables: &[(&str, &str)]) {
        self.script("stop", &[], &[]);
        self.script("start", more, variables);
        self.port = self.told("PORT=");
    }

    /// A value that the script wrote down.
    pub fn told(&self, key: &str) -> u16 {
        let env = std::fs::read_to_string(self.dir.path().join("env")).unwrap();
        let line = env.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.parse().unwrap()
    }

    fn script(&self, command: &str, more: &[&str], variables: &[(&str, &str)]) {
        let script = self.brand.script();
        let status = Command::new("bash")
            .args([
                script.as_os_str(),
                command.as_ref(),
                self.dir.path().as_ref(),
            ])
            .args(more)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{script:?} {command}");
    }

    pub fn phone(&self, user: &str) -> Phone {
        Phone::connect(self.port, user)
    }
}

impl AsRef<Server> for Server {
    fn as_ref(&self) -> &Server {
        self
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.script("stop", &[], &[]);
    }
}

/// A user's home: configuration, state and Maildir of one account.
pub struct Home {
    pub dir: tempfile::TempDir,
}

impl Home {
    pub fn new(server: &Server, user: &str, more: &str) -> Home {
        let home = Home {
            dir: tempfile::tempdir().unwrap(),
        };
        home.configure(server, user, more);
        home
    }

    pub fn configure(&self, server: &Server, user: &str, more: &str) {
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

pub fn assert_same(server: &Server, user: &str, home: &Home) {
    let (there, here) = (server.phone(user).view(), read_maildir(&home.mail()));
    assert_no_litter(&home.mail());
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
