//! The user's hooks: programs without a shell, with the event in the environment and as JSON on
//! standard input. One runs at a time per account; events that arrive meanwhile go to the next run.

use crate::config::{Account, Hooks};
use crate::daemon::json::json;
use crate::model::printable;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

/// The events for the hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HookEvents {
    /// Unread messages that were downloaded, by mailbox.
    pub new: BTreeMap<String, usize>,
    /// Mailboxes that changed on disk.
    pub changed: Vec<String>,
    /// New errors.
    pub errors: Vec<String>,
}

impl HookEvents {
    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        *self == HookEvents::default()
    }

    fn add(&mut self, other: HookEvents) {
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

/// Runs the hooks of one account.
pub struct HookRunner {
    send: UnboundedSender<HookEvents>,
    task: JoinHandle<()>,
}

/// The settings of the hooks of an account.
#[derive(Clone, Debug)]
pub struct HookContext {
    /// The account.
    pub account: String,
    /// Its Maildir.
    pub maildir: PathBuf,
    /// The hooks.
    pub hooks: Hooks,
}

impl HookContext {
    /// The hooks of an account.
    pub fn of(account: &Account) -> HookContext {
        HookContext {
            account: account.name.clone(),
            maildir: account.maildir.clone(),
            hooks: account.hooks.clone(),
        }
    }
}

impl HookRunner {
    /// Starts a task on the current thread's task set. It ends after this value is dropped and all
    /// events were passed on.
    pub fn start(context: HookContext) -> HookRunner {
        let (send, receive) = unbounded_channel();
        let queued = run_queued(context, receive).instrument(Span::current());
        let task = tokio::task::spawn_local(queued);
        HookRunner { send, task }
    }

    /// Waits until all events were passed on.
    pub async fn finish(self) {
        drop(self.send);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the hooks did not end");
        }
    }

    /// Queues events.
    pub fn queue(&self, events: HookEvents) {
        // The task ends only after this value is dropped.
        let _sent = self.send.send(events);
    }
}

/// Runs the hook before a run. The error says why the run is left out.
pub async fn run_before(context: &HookContext) -> Result<(), String> {
    let Some(program) = &context.hooks.before_sync else {
        return Ok(());
    };
    let name = program.first().cloned().unwrap_or_default();
    let events = HookEvents::default();
    let ended = start(context, "before-sync", program, &events);
    let what = match tokio::time::timeout(context.hooks.timeout, ended).await {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => format!("failed ({status})"),
        Ok(Err(error)) => format!("cannot be run: {error}"),
        Err(_) => format!("took longer than {} s", context.hooks.timeout.as_secs()),
    };
    Err(format!("before_sync {name:?} {what}: nothing was synced"))
}

async fn run_queued(context: HookContext, mut queue: UnboundedReceiver<HookEvents>) {
    while let Some(mut events) = queue.recv().await {
        while let Ok(more) = queue.try_recv() {
            events.add(more);
        }
        let set = &context.hooks;
        let hooks = [
            ("new-mail", &set.on_new_mail, !events.new.is_empty()),
            ("change", &set.on_change, !events.changed.is_empty()),
            ("error", &set.on_error, !events.errors.is_empty()),
        ];
        for (event, program, due) in hooks {
            if let (Some(program), true) = (program, due) {
                run(&context, event, program, &events).await;
            }
        }
    }
}

/// Runs one hook until it exits or its timeout kills it.
async fn run(context: &HookContext, event: &str, program: &[String], events: &HookEvents) {
    let name = program.first().cloned().unwrap_or_default();
    let ended = tokio::time::timeout(
        context.hooks.timeout,
        start(context, event, program, events),
    );
    match ended.await {
        Ok(Ok(status)) if status.success() => tracing::debug!(program = %name, event, "hook ran"),
        Ok(Ok(status)) => tracing::warn!(program = %name, event, %status, "a hook failed"),
        Ok(Err(error)) => tracing::warn!(program = %name, event, %error, "a hook cannot be run"),
        Err(_) => {
            let seconds = context.hooks.timeout.as_secs();
            tracing::warn!(program = %name, event, seconds, "a hook took too long and was ended");
        }
    }
}

async fn start(
    context: &HookContext,
    event: &str,
    program: &[String],
    events: &HookEvents,
) -> std::io::Result<std::process::ExitStatus> {
    let mut command = tokio::process::Command::new(program.first().map_or("", String::as_str));
    let new: usize = events.new.values().sum();
    let mailboxes: Vec<&str> = match event {
        "new-mail" => events.new.keys().map(String::as_str).collect(),
        _ => events.changed.iter().map(String::as_str).collect(),
    };
    command
        .args(program.iter().skip(1))
        .env("MAILTIDE_EVENT", event)
        .env("MAILTIDE_ACCOUNT", &context.account)
        .env("MAILTIDE_MAILDIR", &context.maildir)
        .env("MAILTIDE_NEW", new.to_string())
        .env("MAILTIDE_MAILBOXES", lines(mailboxes.iter().copied()))
        .env(
            "MAILTIDE_ERROR",
            lines(events.errors.iter().map(String::as_str)),
        )
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .env_remove("CREDENTIALS_DIRECTORY")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0);
    let mut child = command.spawn()?;
    let _group = HookProcesses(child.id());
    if let Some(mut stdin) = child.stdin.take() {
        let mut text = serde_json::to_value(events)?;
        if let Some(object) = text.as_object_mut() {
            object.insert("event".into(), event.into());
            object.insert("account".into(), context.account.clone().into());
            let maildir = context.maildir.to_string_lossy().into_owned();
            object.insert("maildir".into(), maildir.into());
        }
        // A hook that does not read standard input may exit first.
        let _read = stdin
            .write_all(format!("{}\n", json(&text)?).as_bytes())
            .await;
    }
    child.wait().await
}

/// The longest list in one variable, bytes. The kernel refuses a variable of more than 128 KiB.
const VARIABLE: usize = 64 << 10;

/// Joins lines for a variable. If they are too long, the last line counts those left out; standard
/// input has all.
fn lines<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let (mut text, mut missing) = (String::new(), 0_usize);
    for line in all {
        // Control characters in names and server texts must not make lines.
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

/// A process group that is killed on drop, with all that a hook started.
struct HookProcesses(Option<u32>);

impl Drop for HookProcesses {
    fn drop(&mut self) {
        let id = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
            // The group has usually exited.
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

    fn context(dir: &Path, script: &str, timeout: Duration) -> HookContext {
        let argv = ["sh", "-c", script, "hook"].map(str::to_owned);
        let mut argv = argv.to_vec();
        argv.push(dir.display().to_string());
        HookContext {
            account: "work".into(),
            maildir: "/mail".into(),
            hooks: Hooks {
                before_sync: None,
                on_new_mail: Some(argv),
                on_change: None,
                on_error: None,
                timeout,
            },
        }
    }

    fn new(mailbox: &str, count: usize) -> HookEvents {
        HookEvents {
            new: BTreeMap::from([(mailbox.to_owned(), count)]),
            ..HookEvents::default()
        }
    }

    fn run_all(context: HookContext, all: Vec<HookEvents>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (send, receive) = unbounded_channel();
        all.into_iter()
            .for_each(|events| send.send(events).unwrap());
        drop(send);
        runtime.block_on(run_queued(context, receive));
    }

    #[test]
    fn bursts_are_told_as_one_with_all_facts() {
        let dir = tempfile::tempdir().unwrap();
        let script = "{ echo \"$MAILTIDE_EVENT $MAILTIDE_ACCOUNT $MAILTIDE_MAILDIR\"; \
                      echo \"$MAILTIDE_NEW $MAILTIDE_MAILBOXES\"; cat; } >>\"$1/told\"";
        let told = vec![new("INBOX", 1), new("INBOX", 2), new("A; rm -rf /", 4)];
        run_all(context(dir.path(), script, PATIENCE), told);
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
        let events = HookEvents {
            new: (0..2000).map(name).collect(),
            errors: vec!["e".repeat(300_000), "\0".into()],
            ..HookEvents::default()
        };
        run_all(context(dir.path(), script, PATIENCE), vec![events]);
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
        // The child of the hook writes its process id; it must not survive.
        let script = "sh -c 'echo $$ >\"$0/pid\"; exec sleep 1000' \"$1\" & wait";
        run_all(
            context(dir.path(), script, Duration::from_millis(500)),
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
