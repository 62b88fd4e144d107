//! A `mailtide watch` that runs for as long as a test needs it.

use super::server::Home;
use serde_json::Value;
use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything should take.
const LONG: Duration = Duration::from_secs(60);

pub struct Watcher<'a> {
    pub home: &'a Home,
    child: Child,
}

impl<'a> Watcher<'a> {
    /// Starts it, and waits until the account `test` is in step.
    pub fn in_step(home: &'a Home) -> Watcher<'a> {
        let watcher = Watcher::start(home, home.mailtide());
        watcher.wait("in step", |test| test["state"] == "synced");
        watcher
    }

    /// Starts this command as the watcher, and waits until it can be asked.
    pub fn start(home: &'a Home, mut command: Command) -> Watcher<'a> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(home.dir.path().join("log"))
            .unwrap();
        let child = command
            .args(["-v", "--log-format", "json", "watch"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut watcher = Watcher { home, child };
        wait_for("the watcher", || {
            assert!(
                watcher.child.try_wait().unwrap().is_none(),
                "{}",
                watcher.log()
            );
            watcher.all().is_some()
        });
        watcher
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.dir.path().join("log")).unwrap()
    }

    /// What `status --json` prints; `None`: no watcher answers.
    pub fn all(&self) -> Option<Value> {
        let out = self.home.run(&["status", "--json"]);
        let object: Value = serde_json::from_slice(&out.stdout).ok()?;
        (!object["watcher"].is_null()).then_some(object)
    }

    /// The account `test`.
    pub fn status(&self) -> Value {
        self.account("test")
    }

    pub fn account(&self, name: &str) -> Value {
        let all = self
            .all()
            .unwrap_or_else(|| panic!("no answer: {}", self.log()));
        let mut accounts = all["accounts"].as_array().unwrap().iter();
        let found = accounts.find(|account| account["account"] == name);
        found.cloned().unwrap_or(Value::Null)
    }

    /// Waits until the account `test` is so; answers with how long that took.
    pub fn wait(&self, what: &str, is: impl Fn(&Value) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let status = self.status();
            if is(&status) {
                return began.elapsed();
            }
            assert!(
                began.elapsed() < LONG,
                "never {what}: {status:#}\n{}",
                tail(&self.log())
            );
            pause();
        }
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let done = Command::new("kill").args(["-s", name, &id]).status();
        assert!(done.unwrap().success());
    }

    /// Waits until it ends by itself.
    pub fn end(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < LONG, "it does not end");
            pause();
        }
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        if std::thread::panicking() {
            // All of it is kept beside the last of it.
            let path = std::env::temp_dir().join("mailtide-watch.log");
            let kept = std::fs::copy(self.home.dir.path().join("log"), &path).is_ok();
            let tail = tail(&self.log());
            eprintln!("the watcher said (all of it: {path:?}, {kept}):\n{tail}");
        }
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// Between two looks of a test; nothing depends on how long it is.
pub fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Waits until it is so; answers with how long that took.
pub fn wait_for(what: &str, mut is: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < LONG, "it never came to: {what}");
        pause();
    }
    began.elapsed()
}
