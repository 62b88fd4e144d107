//! The user's programs that are told what happened: argument lists, no shell, facts in the
//! environment and as JSON on standard input. One at a time per account; what happens while one
//! runs is told by the next.

use super::object::json;
use crate::config::Hooks;
use crate::model::printable;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{Instrument, Span};

/// What there is to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Unread messages that arrived, by mailbox.
    pub new: BTreeMap<String, usize>,
    /// Mailboxes in which something changed on disk.
    pub changed: Vec<String>,
    /// What went wrong, since it went well.
    pub errors: Vec<String>,
}

impl Facts {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Facts::default()
    }

    fn add(&mut self, other: Facts) {
        for (mailbox, count) in other.new {
            *self.new.entry(mailbox).or_default() += count;
        }
        self.changed.extend(other.changed);
        self.changed.sort();
        self.changed.dedup();
        self.errors.extend(other.errors);
        self.errors.dedup();
    }
}

/// Tells the programs of one account.
pub struct Teller {
    send: UnboundedSender<Facts>,
}

/// Whose programs they are.
#[derive(Clone, Debug)]
pub struct Whose {
    /// The account.
    pub account: String,
    /// Its Maildir.
    pub maildir: PathBuf,
    /// The programs.
    pub hooks: Hooks,
}

impl Teller {
    /// Runs on the current thread's task set for as long as the teller lives, and until what was
    /// told is passed on.
    pub fn start(whose: Whose) -> Teller {
        let (send, receive) = unbounded_channel();
        tokio::task::spawn_local(tell_all(whose, receive).instrument(Span::current()));
        Teller { send }
    }

    /// Tells.
    pub fn tell(&self, facts: Facts) {
        // The task ends only with the teller.
        let _sent = self.send.send(facts);
    }
}

async fn tell_all(whose: Whose, mut told: UnboundedReceiver<Facts>) {
    while let Some(mut facts) = told.recv().await {
        while let Ok(more) = told.try_recv() {
            facts.add(more);
        }
        let hooks = &whose.hooks;
        let events = [
            ("new-mail", &hooks.on_new_mail, !facts.new.is_empty()),
            ("change", &hooks.on_change, !facts.changed.is_empty()),
            ("error", &hooks.on_error, !facts.errors.is_empty()),
        ];
        for (event, program, due) in events {
            if let (Some(program), true) = (program, due) {
                run(&whose, event, program, &facts).await;
            }
        }
    }
}

/// Runs one program to its end, or to the end of its time.
async fn run(whose: &Whose, event: &str, program: &[String], facts: &Facts) {
    let name = program.first().cloned().unwrap_or_default();
    let ended = tokio::time::timeout(whose.hooks.timeout, start(whose, event, program, facts));
    match ended.await {
        Ok(Ok(status)) if status.success() => tracing::debug!(program = %name, event, "hook ran"),
        Ok(Ok(status)) => tracing::warn!(program = %name, event, %status, "a hook failed"),
        Ok(Err(error)) => tracing::warn!(program = %name, event, %error, "a hook cannot be run"),
        Err(_) => {
            let seconds = whose.hooks.timeout.as_secs();
            tracing::warn!(program = %name, event, seconds, "a hook took too long and was ended");
        }
    }
}

async fn start(
    whose: &Whose,
    event: &str,
    program: &[String],
    facts: &Facts,
) -> std::io::Result<std::process::ExitStatus> {
    let mut command = tokio::process::Command::new(program.first().map_or("", String::as_str));
    let new: usize = facts.new.values().sum();
    let mailboxes: Vec<&str> = match event {
        "new-mail" => facts.new.keys().map(String::as_str).collect(),
        _ => facts.changed.iter().map(String::as_str).collect(),
    };
    command
        .args(program.iter().skip(1))
        .env("MAILTIDE_EVENT", event)
        .env("MAILTIDE_ACCOUNT", &whose.account)
        .env("MAILTIDE_MAILDIR", &whose.maildir)
        .env("MAILTIDE_NEW", new.to_string())
        .env("MAILTIDE_MAILBOXES", lines(mailboxes.iter().copied()))
        .env(
            "MAILTIDE_ERROR",
            lines(facts.errors.iter().map(String::as_str)),
        )
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .env_remove("CREDENTIALS_DIRECTORY")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0);
    let mut child = command.spawn()?;
    let _group = Group(child.id());
    if let Some(mut stdin) = child.stdin.take() {
        let mut text = serde_json::to_value(facts)?;
        if let Some(object) = text.as_object_mut() {
            object.insert("event".into(), event.into());
            object.insert("account".into(), whose.account.clone().into());
            let maildir = whose.maildir.to_string_lossy().into_owned();
            object.insert("maildir".into(), maildir.into());
        }
        // A program that does not read what it is told may end first.
        let _read = stdin
            .write_all(format!("{}\n", json(&text)?).as_bytes())
            .await;
    }
    child.wait().await
}

/// The most bytes of a list in one variable: the kernel takes 128 KiB in one, and runs nothing when
/// there is more.
const VARIABLE: usize = 64 << 10;

/// A list for a variable, a line each; when it is too long, its first lines and a last one that
/// says how many are missing. Standard input has all of it.
fn lines<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let (mut text, mut missing) = (String::new(), 0_usize);
    for line in all {
        // Names and what servers say make no lines of their own.
        let line = printable(line);
        if missing > 0 || text.len() + line.len() >= VARIABLE {
            missing += 1;
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    if missing > 0 {
        text.push_str(&format!("\n... and {missing} more, see standard input"));
    }
    text
}

/// A process group that ends when it is no longer waited for: what a hook started goes with it.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
            // It is usually gone by itself.
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn whose(dir: &Path, script: &str, timeout: Duration) -> Whose {
        let argv = ["sh", "-c", script, "hook"].map(str::to_owned);
        let mut argv = argv.to_vec();
        argv.push(dir.display().to_string());
        Whose {
            account: "work".into(),
            maildir: "/mail".into(),
            hooks: Hooks {
                on_new_mail: Some(argv),
                on_change: None,
                on_error: None,
                timeout,
            },
        }
    }

    fn new(mailbox: &str, count: usize) -> Facts {
        Facts {
            new: BTreeMap::from([(mailbox.to_owned(), count)]),
            ..Facts::default()
        }
    }

    fn run_all(whose: Whose, all: Vec<Facts>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (send, receive) = unbounded_channel();
        all.into_iter().for_each(|facts| send.send(facts).unwrap());
        drop(send);
        runtime.block_on(tell_all(whose, receive));
    }

    #[test]
    fn bursts_are_told_as_one_with_all_facts() {
        let dir = tempfile::tempdir().unwrap();
        let script = "{ echo \"$MAILTIDE_EVENT $MAILTIDE_ACCOUNT $MAILTIDE_MAILDIR\"; \
                      echo \"$MAILTIDE_NEW $MAILTIDE_MAILBOXES\"; cat; } >>\"$1/told\"";
        let told = vec![new("INBOX", 1), new("INBOX", 2), new("A; rm -rf /", 4)];
        run_all(whose(dir.path(), script, PATIENCE), told);
        let text = std::fs::read_to_string(dir.path().join("told")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..3],
            ["new-mail work /mail", "7 A; rm -rf /", "INBOX"]
        );
        let object: serde_json::Value = serde_json::from_str(lines[3]).unwrap();
        assert_eq!(
            (&object["new"]["INBOX"], &object["account"]),
            (&3.into(), &"work".into())
        );
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_hook_runs_however_many_mailboxes_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let script = "printf '%s' \"$MAILTIDE_MAILBOXES\" | wc -l >\"$1/lines\"; cat >\"$1/told\"";
        let name = |n: usize| (format!("M{n:04}{}", "x".repeat(200)), 1);
        let facts = Facts {
            new: (0..2000).map(name).collect(),
            errors: vec!["e".repeat(300_000), "\0".into()],
            ..Facts::default()
        };
        run_all(whose(dir.path(), script, PATIENCE), vec![facts]);
        let lines = std::fs::read_to_string(dir.path().join("lines")).unwrap();
        let lines: usize = lines.trim().parse().unwrap();
        assert!((300..400).contains(&lines), "{lines}");
        let told = std::fs::read_to_string(dir.path().join("told")).unwrap();
        let object: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(object["new"].as_object().unwrap().len(), 2000);
    }

    #[test]
    fn one_that_hangs_is_ended_with_all_it_started() {
        let dir = tempfile::tempdir().unwrap();
        // The child of the hook writes its process id; nothing of it is left afterwards.
        let script = "sh -c 'echo $$ >\"$0/pid\"; exec sleep 1000' \"$1\" & wait";
        run_all(
            whose(dir.path(), script, Duration::from_millis(500)),
            vec![new("INBOX", 1)],
        );
        let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
        let pid = pid.trim().to_owned();
        let gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        let began = std::time::Instant::now();
        while !gone() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{pid} still runs"
            );
            std::thread::yield_now();
        }
    }
}
