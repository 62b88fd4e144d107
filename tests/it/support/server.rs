//! A private server per test (started by a script beside this folder), and a user's home with it.

pub use super::phone::*;
pub use super::traits::*;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct Server {
    pub dir: tempfile::TempDir,
    pub port: u16,
    pub traits: &'static Traits,
}

impl Server {
    /// The server that is wanted, with all that it can do.
    pub fn start() -> Server {
        let mut server = Server::new(Traits::wanted());
        server.again(&[], &[]);
        server
    }

    /// None, noted as skipped, where the server that is wanted lacks something.
    pub fn with(needs: &[Need]) -> Option<Server> {
        let traits = Traits::wanted();
        let lacks = needs.iter().filter(|need| !traits.has(**need));
        (lacks.count() == 0).then(Server::start)
    }

    /// Not started yet.
    pub fn new(traits: &'static Traits) -> Server {
        Server {
            dir: tempfile::tempdir().unwrap(),
            port: 0,
            traits,
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
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let name = self.traits.name;
        let mut script = Command::new("bash");
        match name {
            "dovecot" | "cyrus" | "courier" => {
                script.arg(tests.join(format!("{name}.sh"))).arg(command)
            }
            _ => {
                let frame = tests.join("servers/private.sh");
                script.arg(frame).args([command, name])
            }
        };
        let status = script
            .arg(self.dir.path())
            .args(more)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{script:?}");
    }

    pub fn phone(&self, user: &str) -> Phone {
        let mut phone = Phone::connect(self.port, &self.login(user));
        phone.dates = self.traits.has(Need::Dates);
        phone
    }

    /// Flags without the keywords that the server does not keep.
    pub fn flags(&self, flags: &str) -> String {
        let words = flags.split_ascii_whitespace();
        let kept = words.filter(|word| word.starts_with('\\') || self.traits.has(Need::Keywords));
        kept.collect::<Vec<_>>().join(" ")
    }

    /// A mailbox below another, or beside it where none can lie below one with mail.
    pub fn below(&self, name: &str) -> String {
        match self.traits.has(Need::Nesting) {
            true => name.to_owned(),
            false => name.replace('/', "-"),
        }
    }

    /// The name by which a user logs in.
    pub fn login(&self, user: &str) -> String {
        format!("{user}{}", self.traits.domain)
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
        let (dir, user) = (self.dir.path().display(), server.login(user));
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
        let built = env!("CARGO_BIN_EXE_mailtide");
        let copied = std::env::var("MAILTIDE_PROGRAM");
        let mut command = Command::new(copied.unwrap_or(built.into()));
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
    let mut phone = server.phone(user);
    let (mut there, mut here) = (phone.view(), read_maildir(&home.mail()));
    if !phone.can("UIDPLUS") {
        // What was deleted here is only marked there.
        for all in there.values_mut().chain(here.values_mut()) {
            all.retain(|message| !message.flags.contains("\\deleted"));
        }
    }
    if !server.traits.has(Need::Dates) {
        let messages = here.values_mut().flatten();
        messages.for_each(|message| message.date = 0);
        here.values_mut().for_each(|all| all.sort());
    }
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
