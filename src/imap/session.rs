//! Commands and their answers. A command has succeeded only on its own tag with OK; an answer that
//! could not be read makes its result unknown.

use super::ahead::Ahead;
use super::answer::{must, unknown};
use super::append::Posted;
use super::call::Entered;
use super::command::Command;
use super::connect::{Server, clean, connect};
use super::names::Naming;
use super::opened::Selected;
use super::patience::patience;
use super::reply::{Completion, Earlier, Reply, Status, parse};
use super::wire::{NoTap, Tap, Wire};
use crate::store::StoreError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Commands on their way at once; some servers end sessions that send more.
const WINDOW: usize = 40;

/// A session after login.
#[derive(Debug)]
pub struct Session {
    pub(super) wire: Wire,
    tags: u32,
    /// Commands whose end has not been seen.
    outstanding: usize,
    /// What was sent before it was asked for.
    pub(super) ahead: Ahead,
    /// Messages that were sent, and whose answers are asked for later.
    pub(super) posted: Posted,
    capabilities: BTreeSet<String>,
    /// Whether the server said that it does QRESYNC in this session.
    pub qresync: bool,
    /// How mailbox names are made.
    pub naming: Naming,
    /// Whether STATUS gives a MAILBOXID (RFC 8474) that can be believed.
    pub mailbox_ids: bool,
    /// The mailbox that is open.
    pub selected: Option<Selected>,
    /// When the server last said something.
    heard: Instant,
    /// Since when a command waits for the first word of its answer, with nothing before it.
    asked: Option<Instant>,
    /// The shortest such wait.
    turn: Option<Duration>,
}

/// What the caller will ask of a new session.
pub type First = fn(&Session) -> Result<Vec<Command>, StoreError>;

/// What came before the end of a command.
pub type Answer = (Vec<Reply>, Completion);

impl Session {
    /// Connects, logs in, and learns what the server can. What the caller will ask first goes out
    /// with what we ask ourselves.
    pub async fn open(server: &Server, first: First) -> Result<Session, StoreError> {
        Session::begin(connect(server).await?, server, first).await
    }

    /// The same, where somebody has connected and logged in already.
    pub(super) async fn begin(
        (wire, announced): Entered,
        server: &Server,
        first: First,
    ) -> Result<Session, StoreError> {
        let mut session = Session::over(wire);
        match announced {
            Some(list) => session.learn(list, &server.disabled),
            None => {
                // RFC 9051, 6.2: what was announced before login may not hold after it.
                let (replies, _) = session.run(&Command::capability()).await?;
                for reply in replies {
                    if let Reply::Capability(list) = reply {
                        session.learn(list, &server.disabled);
                    }
                }
            }
        }
        session.introduce(first).await?;
        Ok(session)
    }

    /// A session of which nothing is known yet.
    pub(super) fn over(wire: Wire) -> Session {
        Session {
            wire,
            tags: 0,
            outstanding: 0,
            ahead: Ahead::default(),
            posted: Posted::default(),
            capabilities: BTreeSet::new(),
            qresync: false,
            naming: Naming::default(),
            mailbox_ids: false,
            selected: None,
            heard: Instant::now(),
            asked: None,
            turn: None,
        }
    }

    fn learn(&mut self, list: Vec<String>, disabled: &[String]) {
        let off = |name: &String| disabled.iter().any(|d| d == name);
        self.capabilities = list.into_iter().filter(|name| !off(name)).collect();
        if disabled.iter().any(|name| name == "CONDSTORE") {
            self.capabilities.remove("QRESYNC");
        }
    }

    /// ID, ENABLE and NAMESPACE in one go. Servers that do not know one of the first two say so,
    /// and that is that; but a prefix that was not told is not the same as none.
    async fn introduce(&mut self, first: First) -> Result<(), StoreError> {
        let mut commands = Vec::new();
        self.mailbox_ids = self.can("OBJECTID");
        if self.can("ID") {
            commands.push(Command::id());
        }
        let wanted = ["QRESYNC", "UTF8=ACCEPT"];
        let enable: Vec<&str> = wanted.into_iter().filter(|name| self.can(name)).collect();
        if self.can("ENABLE") && !enable.is_empty() {
            commands.push(Command::enable(&enable));
        }
        if self.can("NAMESPACE") {
            commands.push(Command::namespace());
        }
        let mut tags = Vec::new();
        for command in commands {
            tags.push((self.send(&command).await?, command));
        }
        // What it will most likely say.
        self.qresync = self.can("ENABLE") && self.can("QRESYNC");
        let next = first(self)?;
        self.qresync = false;
        self.foresee(next).await?;
        for (tag, command) in tags {
            let (replies, done) = self.answer(&tag).await?;
            if command == Command::namespace() {
                must(done, "tell its NAMESPACE").map_err(|error| match error {
                    StoreError::Mailbox(what) => StoreError::Retry(format!(
                        "{what}; if it never does, set disable_extensions = [\"NAMESPACE\"]"
                    )),
                    other => other,
                })?;
            }
            for reply in replies {
                match reply {
                    Reply::Enabled(names) => {
                        self.qresync |= names.iter().any(|name| name == "QRESYNC");
                        self.naming.utf8 |= names.iter().any(|name| name.starts_with("UTF8="));
                    }
                    Reply::Namespace(prefix, delimiter) => {
                        self.naming.prefix = prefix;
                        self.naming.delimiter = delimiter;
                    }
                    Reply::Id(program) => self.mailbox_ids &= !program.gives_wild_ids(),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Whether the server announces it and the user has not switched it off.
    pub fn can(&self, name: &str) -> bool {
        self.capabilities.contains(name)
    }

    /// All that the server announces.
    pub fn capabilities(&self) -> &BTreeSet<String> {
        &self.capabilities
    }

    /// For UID SEARCH: ask for ranges instead of a list of numbers where that is possible.
    pub fn compact(&self) -> &'static [&'static str] {
        if self.can("ESEARCH") {
            &["RETURN (ALL) "]
        } else {
            &[]
        }
    }

    /// Whether nothing is under way but what was sent ahead and what was posted, so that another
    /// command can be sent.
    pub fn is_idle(&self) -> bool {
        self.outstanding == self.ahead.sent() + self.posted.open()
    }

    /// Sends a command into the buffer, unless it was sent ahead; answers with its tag.
    pub async fn send(&mut self, command: &Command) -> Result<String, StoreError> {
        match self.foreseen(command).await? {
            Some(tag) => Ok(tag),
            None => self.transmit(command).await,
        }
    }

    pub(super) async fn transmit(&mut self, command: &Command) -> Result<String, StoreError> {
        self.tags += 1;
        let tag = format!("T{}", self.tags);
        tracing::trace!(%tag, command = %command.bytes().escape_ascii(), "send");
        if self.outstanding == 0 {
            self.asked = Some(Instant::now());
        }
        self.outstanding += 1;
        self.wire.write(tag.as_bytes()).await?;
        self.wire.write(b" ").await?;
        self.wire.write(command.bytes()).await?;
        self.wire.write(b"\r\n").await?;
        Ok(tag)
    }

    /// Sends bytes of a literal into the buffer.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.wire.write(bytes).await
    }

    /// The next response; sends what is buffered first.
    pub async fn next<T: Tap>(&mut self, tap: &mut T) -> Result<Reply, StoreError> {
        self.wire.flush().await?;
        let reply = parse(self.wire.frame(tap).await?).masked(self.wire.hush());
        self.heard = Instant::now();
        if let Some(asked) = self.asked.take() {
            let waited = self.heard.duration_since(asked);
            self.turn = Some(self.turn.map_or(waited, |turn| turn.min(waited)));
        }
        match &reply {
            Reply::Bye(text) => {
                let error = self
                    .wire
                    .broken(&format!("ended the session: {}", clean(text)));
                return Err(patience(error, text));
            }
            Reply::Tagged(tag, done) => {
                self.outstanding = self.outstanding.saturating_sub(1);
                if self.posted.note(tag, done) {
                    return Ok(Reply::Other);
                }
            }
            Reply::Exists(count) => {
                if let Some(open) = &mut self.selected {
                    open.exists = *count;
                }
            }
            Reply::Expunge => {
                if let Some(open) = &mut self.selected {
                    open.exists = open.exists.saturating_sub(1);
                    open.expunged += 1;
                }
            }
            Reply::Vanished(set, Earlier::No) => {
                if let Some(open) = &mut self.selected {
                    let count = u32::try_from(set.len()).unwrap_or(u32::MAX);
                    open.exists = open.exists.saturating_sub(count);
                    open.vanished = open.vanished.union(set);
                }
            }
            _ => {}
        }
        Ok(reply)
    }

    /// Runs one command to its end.
    pub async fn run(&mut self, command: &Command) -> Result<Answer, StoreError> {
        let tag = self.send(command).await?;
        self.answer(&tag).await
    }

    /// Runs commands one after another without waiting for each.
    pub async fn run_all(&mut self, commands: &[Command]) -> Result<Vec<Answer>, StoreError> {
        let mut answers = Vec::with_capacity(commands.len());
        for window in commands.chunks(WINDOW) {
            let mut tags = Vec::with_capacity(window.len());
            for command in window {
                tags.push(self.send(command).await?);
            }
            for tag in tags {
                answers.push(self.answer(&tag).await?);
            }
        }
        Ok(answers)
    }

    pub(super) async fn answer(&mut self, tag: &str) -> Result<Answer, StoreError> {
        let (mut replies, mut unreadable) = (Vec::new(), None::<String>);
        loop {
            match self.next(&mut NoTap).await? {
                Reply::Tagged(own, done) if own == tag => {
                    return match unreadable {
                        None => Ok((replies, done)),
                        Some(what) => Err(unknown(&what)),
                    };
                }
                Reply::Tagged(..) => return Err(self.wire.broken("mixed up its answers")),
                Reply::Unreadable(what) => unreadable = Some(what),
                reply => replies.push(reply),
            }
        }
    }

    /// Whether the server is there, asked in as short a time as this. A session on which nothing
    /// passed for a while may be dead without anybody having said so.
    pub async fn is_alive(&mut self, within: Duration) -> bool {
        let usual = self.wire.set_timeout(within);
        let answer = self.run(&Command::noop()).await;
        self.wire.set_timeout(usual);
        self.heard = Instant::now();
        answer.is_ok_and(|(_, done)| done.status == Status::Ok)
    }

    /// How long the server takes to answer, at least.
    pub fn turn(&self) -> Duration {
        self.turn.unwrap_or_default()
    }

    /// Since when nothing has passed.
    pub fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Begins to IDLE.
    pub async fn idle(&mut self) -> Result<(), StoreError> {
        let tag = self.send(&Command::idle()).await?;
        loop {
            match self.next(&mut NoTap).await? {
                Reply::Continue => return Ok(()),
                Reply::Tagged(own, done) if own == tag => {
                    must(done, "IDLE")?;
                    return Err(self.wire.broken("ended IDLE at once"));
                }
                _ => {}
            }
        }
    }

    /// Ends IDLE; what was said until then is in the answer.
    pub async fn done(&mut self) -> Result<Vec<Reply>, StoreError> {
        self.wire.write(b"DONE\r\n").await?;
        let mut said = Vec::new();
        loop {
            match self.next(&mut NoTap).await? {
                Reply::Tagged(..) => return Ok(said),
                reply => said.push(reply),
            }
        }
    }

    /// What the server says by itself; `None`: nothing within that time. Cancel safe while
    /// nothing has come.
    pub async fn hear(&mut self, within: Duration) -> Result<Option<Reply>, StoreError> {
        match self.wire.arrives(within).await? {
            true => Ok(Some(self.next(&mut NoTap).await?)),
            false => Ok(None),
        }
    }

    /// Ends the session politely. The answer is not waited for: it would say nothing.
    pub async fn log_out(mut self) {
        let sent = self.transmit(&Command::logout()).await;
        if let Err(error) = sent.and(self.wire.close().await) {
            tracing::trace!(%error, "logged out");
        }
    }
}

/// Wire names by mailbox.
pub type WireNames = BTreeMap<crate::model::MailboxName, Vec<u8>>;
