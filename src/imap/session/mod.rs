//! Runs commands. A command succeeded only by its own tagged OK; an invalid answer makes its result
//! unknown.

pub mod expect;
pub mod notify;
mod pipeline;
mod reply_limits;
pub mod selected;
pub mod sync_capability;
pub mod throttle;

use crate::imap::net::connect::{Server, Window, clean, connect};
use crate::imap::net::preconnect::LoggedIn;
use crate::imap::net::server_traits::{ServerTrait, ServerTraits};
use crate::imap::protocol::command::Command;
use crate::imap::protocol::names::NameRules;
use crate::imap::protocol::reply::{Completion, CompletionStatus, Reply, VanishedEarlier, parse};
use crate::imap::protocol::secret_mask::SecretMask;
use crate::imap::protocol::wire::{NoTap, Stream, Tap, Wire};
use crate::imap::session::expect::{must, unknown};
use crate::imap::session::pipeline::Pipeline;
use crate::imap::session::reply_limits::{KeptReplies, ReplyLimits};
use crate::imap::session::selected::Selected;
use crate::imap::session::throttle::patience;
use crate::imap::store::append::PendingAppends;
use crate::store::StoreError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Commands under way at once; some servers close sessions that send more.
const WINDOW: usize = 40;
/// The wait for a completion, in multiples of the wait for a response.
const PATIENCE: u32 = 10;
/// Mixed-up answers within this many commands show that the server cannot pipeline.
const FRESH: u32 = 60;

/// A logged-in session.
#[derive(Debug)]
pub struct Session {
    pub(in crate::imap) wire: Wire,
    tags: u32,
    /// The number of commands without completion.
    outstanding: usize,
    /// Their tags, except of pipelined and posted ones.
    open: Vec<String>,
    /// Answers that were not requested yet.
    early: BTreeMap<String, CommandReply>,
    /// Whether each command waits for the previous completion.
    single: bool,
    /// The remaining allowance until the next completion.
    allowance: ReplyLimits,
    /// The recorded traits of the server, shared by all connections to it.
    pub(in crate::imap) learned: Arc<ServerTraits>,
    /// Pipelined commands.
    pub(in crate::imap) ahead: Pipeline,
    /// Sent messages whose answers are read later.
    pub(in crate::imap) posted: PendingAppends,
    capabilities: BTreeSet<String>,
    /// Whether QRESYNC is enabled.
    pub qresync: bool,
    /// The naming rules.
    pub naming: NameRules,
    /// Whether STATUS returns a trustworthy MAILBOXID (RFC 8474).
    pub mailbox_ids: bool,
    /// The selected mailbox.
    pub selected: Option<Selected>,
    /// The time of the last response.
    heard: Instant,
    /// Since when a command waits for its first response, with no other before it.
    asked: Option<Instant>,
    /// The shortest such wait: the round trip.
    turn: Option<Duration>,
}

/// The first requests of the caller in a new session.
pub type First = fn(&Session) -> Result<Vec<Command>, StoreError>;

/// The parts of a session for another use; see [`Session::into_stream`].
pub type SessionParts = (Box<dyn Stream>, String, Duration, SecretMask);

/// The responses before a completion.
pub type CommandReply = (Vec<Reply>, Completion);

impl Session {
    /// Connects, logs in and reads the capabilities. The caller's first requests are sent with our
    /// own.
    pub async fn open(server: &Server, first: First) -> Result<Session, StoreError> {
        Session::begin(connect(server).await?, server, first).await
    }

    /// Makes a session of a logged-in connection.
    pub(in crate::imap) async fn begin(
        (wire, announced): LoggedIn,
        server: &Server,
        first: First,
    ) -> Result<Session, StoreError> {
        let mut session = Session::over(wire);
        session.learned = server.learned.clone();
        session.single =
            server.window == Window::One || session.learned.has(ServerTrait::OneAtATime);
        match announced {
            Some(list) => session.learn(list, &server.disabled),
            None => {
                // RFC 9051, 6.2: capabilities may change at login.
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

    /// Makes a session without any knowledge.
    pub(in crate::imap) fn over(wire: Wire) -> Session {
        Session {
            wire,
            tags: 0,
            outstanding: 0,
            open: Vec::new(),
            early: BTreeMap::new(),
            single: false,
            allowance: ReplyLimits::new(0),
            learned: Arc::default(),
            ahead: Pipeline::default(),
            posted: PendingAppends::default(),
            capabilities: BTreeSet::new(),
            qresync: false,
            naming: NameRules::default(),
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
        if self.learned.has(ServerTrait::NoMove) {
            self.capabilities.remove("MOVE");
        }
    }

    /// Sends ID, ENABLE and NAMESPACE together. A server that lacks one of the first two answers
    /// so; but an unknown prefix is not the same as none.
    async fn introduce(&mut self, first: First) -> Result<(), StoreError> {
        let mut commands = Vec::new();
        self.mailbox_ids = self.can("OBJECTID");
        if self.can("ID") {
            commands.push(Command::id());
        }
        let mut enable: Vec<&str> = ["QRESYNC"]
            .into_iter()
            .filter(|name| self.can(name))
            .collect();
        // Not needed, except for a server that accepts UTF-8 only (RFC 6855, 6).
        if self.can("UTF8=ONLY") {
            enable.push("UTF8=ACCEPT");
        }
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
        // The most likely answer.
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

    /// Whether the server announces it and the user did not disable it.
    pub fn can(&self, name: &str) -> bool {
        self.capabilities.contains(name)
    }

    /// Records that MOVE is announced but refused: it is not sent any more.
    pub fn forgo_move(&mut self) {
        self.learned.set(ServerTrait::NoMove);
        self.capabilities.remove("MOVE");
    }

    /// Whether each command waits for the previous completion.
    pub fn is_single(&self) -> bool {
        self.single
    }

    /// Sets the capabilities.
    #[cfg(test)]
    pub(in crate::imap) fn with(mut self, capabilities: &[&str]) -> Session {
        self.learn(capabilities.iter().map(ToString::to_string).collect(), &[]);
        self
    }

    /// Returns all announced capabilities.
    pub fn capabilities(&self) -> &BTreeSet<String> {
        &self.capabilities
    }

    /// Whether UID SEARCH returns ranges.
    pub fn compact(&self) -> &'static [&'static str] {
        if self.can("ESEARCH") {
            &["RETURN (ALL) "]
        } else {
            &[]
        }
    }

    /// Whether only pipelined and posted commands are under way, so that another can be sent.
    pub fn is_idle(&self) -> bool {
        self.outstanding == self.ahead.sent() + self.posted.open()
    }

    /// Buffers a command, unless it was pipelined; returns its tag.
    pub async fn send(&mut self, command: &Command) -> Result<String, StoreError> {
        let tag = match self.foreseen(command).await? {
            Some(tag) => tag,
            None => self.transmit(command).await?,
        };
        self.open.push(tag.clone());
        Ok(tag)
    }

    /// Buffers a command whose completion [`PendingAppends`] records.
    pub async fn post(&mut self, command: &Command) -> Result<String, StoreError> {
        let tag = self.send(command).await?;
        self.open.pop();
        Ok(tag)
    }

    pub(in crate::imap) async fn transmit(
        &mut self,
        command: &Command,
    ) -> Result<String, StoreError> {
        if self.single {
            self.end_all().await?;
        }
        self.tags += 1;
        let tag = format!("T{}", self.tags);
        tracing::trace!(%tag, command = %command.bytes().escape_ascii(), "send");
        if self.outstanding == 0 {
            self.asked = Some(Instant::now());
        }
        if self.outstanding == 0 {
            self.allowance = ReplyLimits::new(self.wire.received());
        }
        self.outstanding += 1;
        self.wire.write(tag.as_bytes()).await?;
        self.wire.write(b" ").await?;
        self.wire.write(command.bytes()).await?;
        self.wire.write(b"\r\n").await?;
        Ok(tag)
    }

    /// Buffers bytes of a literal.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.wire.write(bytes).await
    }

    /// Returns the next response, after it sent the buffer.
    pub async fn next<T: Tap>(&mut self, tap: &mut T) -> Result<Reply, StoreError> {
        self.wire.flush().await?;
        let reply = parse(self.wire.frame(tap).await?).masked(self.wire.hush());
        self.heard = Instant::now();
        let limit = self.wire.timeout().saturating_mul(PATIENCE);
        let received = self.wire.received();
        if let Err(what) = self.allowance.take(&reply, received, limit) {
            return Err(self.wire.broken(what));
        }
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
            Reply::Vanished(set, VanishedEarlier::No) => {
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

    /// Runs one command to its completion.
    pub async fn run(&mut self, command: &Command) -> Result<CommandReply, StoreError> {
        let tag = self.send(command).await?;
        self.answer(&tag).await
    }

    /// Pipelines commands.
    pub async fn run_all(&mut self, commands: &[Command]) -> Result<Vec<CommandReply>, StoreError> {
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

    /// Returns the next response of this command, or its completion; other commands may complete
    /// first (RFC 9051, 5.5).
    pub async fn next_of<T: Tap>(&mut self, tag: &str, tap: &mut T) -> Result<Reply, StoreError> {
        if let Some((_, done)) = self.early.remove(tag) {
            self.open.retain(|open| open != tag);
            return Ok(Reply::Tagged(tag.to_owned(), done));
        }
        match self.next(tap).await? {
            Reply::Tagged(own, done) if own == tag => {
                self.open.retain(|open| *open != own);
                Ok(Reply::Tagged(own, done))
            }
            Reply::Tagged(own, done) if self.open.contains(&own) || self.ahead.is_next(&own) => {
                self.early.insert(own, (Vec::new(), done));
                Ok(Reply::Other)
            }
            Reply::Tagged(..) => {
                self.mixed_up();
                Err(self.wire.broken("mixed up its answers"))
            }
            reply => Ok(reply),
        }
    }

    /// Records that the server cannot pipeline, if its answers get mixed up soon after login.
    fn mixed_up(&self) {
        if self.tags <= FRESH {
            self.learned.set(ServerTrait::OneAtATime);
        }
    }

    pub(in crate::imap) async fn answer(&mut self, tag: &str) -> Result<CommandReply, StoreError> {
        if let Some(answer) = self.early.remove(tag) {
            self.open.retain(|open| open != tag);
            return Ok(answer);
        }
        let (mut replies, mut unreadable) = (KeptReplies::default(), None::<String>);
        loop {
            match self.next_of(tag, &mut NoTap).await? {
                Reply::Tagged(_, done) => {
                    return match unreadable {
                        None => Ok(replies.with(done)),
                        Some(what) => Err(unknown(&what)),
                    };
                }
                Reply::Unreadable(what) => unreadable = Some(what),
                reply => {
                    if let Err(what) = replies.add(reply) {
                        return Err(self.wire.broken(what));
                    }
                }
            }
        }
    }

    /// Reads the answers to all commands under way.
    async fn end_all(&mut self) -> Result<(), StoreError> {
        let open: Vec<String> = self
            .open
            .iter()
            .filter(|tag| !self.early.contains_key(*tag))
            .cloned()
            .collect();
        for tag in open {
            let answer = self.answer(&tag).await?;
            self.open.push(tag.clone());
            self.early.insert(tag, answer);
        }
        while self.posted.open() > 0 {
            self.next(&mut NoTap).await?;
        }
        Ok(())
    }

    /// Whether the server answers NOOP within this time. An idle connection may be dead without
    /// notice.
    pub async fn is_alive(&mut self, within: Duration) -> bool {
        let usual = self.wire.set_timeout(within);
        let answer = self.run(&Command::noop()).await;
        self.wire.set_timeout(usual);
        self.heard = Instant::now();
        answer.is_ok_and(|(_, done)| done.status == CompletionStatus::Ok)
    }

    /// Returns the round trip time, as far as measured.
    pub fn turn(&self) -> Duration {
        self.turn.unwrap_or_default()
    }

    /// Since when the connection is idle.
    pub fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Begins IDLE; returns the responses until then. `None`: the server refused or ended it at
    /// once.
    pub async fn idle(&mut self) -> Result<Option<Vec<Reply>>, StoreError> {
        let tag = self.post(&Command::idle()).await?;
        let mut said = KeptReplies::default();
        loop {
            match self.next(&mut NoTap).await? {
                Reply::Continue => return Ok(Some(said.all())),
                Reply::Tagged(own, _) if own == tag => return Ok(None),
                reply => {
                    if let Err(what) = said.add(reply) {
                        return Err(self.wire.broken(what));
                    }
                }
            }
        }
    }

    /// Ends IDLE; returns the responses until then.
    pub async fn done(&mut self) -> Result<Vec<Reply>, StoreError> {
        self.wire.write(b"DONE\r\n").await?;
        self.allowance = ReplyLimits::new(self.wire.received());
        let mut said = KeptReplies::default();
        loop {
            match self.next(&mut NoTap).await? {
                Reply::Tagged(..) => return Ok(said.all()),
                reply => {
                    if let Err(what) = said.add(reply) {
                        return Err(self.wire.broken(what));
                    }
                }
            }
        }
    }

    /// Returns an unsolicited response; `None`: none within the time. Cancel safe while nothing has
    /// arrived.
    pub async fn hear(&mut self, within: Duration) -> Result<Option<Reply>, StoreError> {
        self.allowance = ReplyLimits::new(self.wire.received());
        match self.wire.arrives(within).await? {
            true => Ok(Some(self.next(&mut NoTap).await?)),
            false => Ok(None),
        }
    }

    /// Logs out and waits until the server closes the connection, so that it does not count any
    /// more.
    pub async fn leave(mut self) {
        let mut sent = self
            .transmit(&Command::logout())
            .await
            .map(|_| Reply::Other);
        while sent.is_ok() {
            sent = self.next(&mut NoTap).await;
        }
    }

    /// Returns the connection with peer name, time limit and masked secret; an error if an answer
    /// is pending.
    pub fn into_stream(self) -> Result<SessionParts, StoreError> {
        let idle = self.is_idle() && self.posted.open() == 0;
        match idle.then(|| self.wire.into_stream()).flatten() {
            Some(entry) => Ok(entry),
            None => Err(StoreError::Retry(
                "the server goes on after its answer".into(),
            )),
        }
    }

    /// Logs out without waiting for the answer.
    pub async fn log_out(mut self) {
        let sent = self.transmit(&Command::logout()).await;
        if let Err(error) = sent.and(self.wire.close().await) {
            tracing::trace!(%error, "logged out");
        }
    }
}

/// The wire names of mailboxes.
pub type WireNames = BTreeMap<crate::model::MailboxName, Vec<u8>>;

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
