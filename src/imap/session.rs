//! Commands and their answers. A command has succeeded only on its own tag with OK; an answer that
//! could not be read makes its result unknown.

use super::answer::{must, shown, unknown};
use super::command::{Access, Command, Since};
use super::connect::{Server, clean, connect};
use super::names::Naming;
use super::patience::patience;
use super::reply::{AnyKeyword, Code, Completion, Earlier, Fetched, Reply, Status, parse};
use super::uid_set::UidSet;
use super::wire::{NoTap, Tap, Wire};
use crate::model::{Flags, UidValidity};
use crate::store::StoreError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Commands on their way at once. Their answers are small, so neither side ever waits for the
/// other to read.
const WINDOW: usize = 40;

/// A session after login.
#[derive(Debug)]
pub struct Session {
    wire: Wire,
    tags: u32,
    /// Commands whose end has not been seen.
    outstanding: usize,
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
}

/// An open mailbox.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Its wire name.
    pub name: Vec<u8>,
    /// How it was opened.
    pub access: Access,
    /// UIDVALIDITY.
    pub epoch: UidValidity,
    /// UIDNEXT, if told.
    pub uid_next: Option<u32>,
    /// HIGHESTMODSEQ, if it has one.
    pub modseq: Option<u64>,
    /// How many messages it holds now.
    pub exists: u32,
    /// Whether it refuses changes.
    pub read_only: bool,
    /// What can be stored, if told.
    pub permanent: Option<(Flags, AnyKeyword)>,
    /// Messages that left since it was opened or last listed.
    pub expunged: u32,
    /// UIDs that left since then, where the server says so.
    pub vanished: UidSet,
}

/// What SELECT with QRESYNC told of the past.
#[derive(Debug, Default)]
pub struct Past {
    /// Messages that left.
    pub vanished: UidSet,
    /// Messages whose flags changed, and new ones.
    pub changed: Vec<Fetched>,
}

/// What came before the end of a command.
pub type Answer = (Vec<Reply>, Completion);

impl Session {
    /// Connects, logs in, and learns what the server can.
    pub async fn open(server: &Server) -> Result<Session, StoreError> {
        let (wire, announced) = connect(server).await?;
        let mut session = Session {
            wire,
            tags: 0,
            outstanding: 0,
            capabilities: BTreeSet::new(),
            qresync: false,
            naming: Naming::default(),
            mailbox_ids: false,
            selected: None,
            heard: Instant::now(),
        };
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
        session.introduce().await?;
        Ok(session)
    }

    fn learn(&mut self, list: Vec<String>, disabled: &[String]) {
        let off = |name: &String| disabled.iter().any(|d| d == name);
        self.capabilities = list.into_iter().filter(|name| !off(name)).collect();
        if disabled.iter().any(|name| name == "CONDSTORE") {
            self.capabilities.remove("QRESYNC");
        }
    }

    /// ID, ENABLE and NAMESPACE in one go. Servers that do not know one of them say so, and that
    /// is that.
    async fn introduce(&mut self) -> Result<(), StoreError> {
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
        for (replies, _) in self.run_all(&commands).await? {
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

    /// Whether nothing is under way, so that another command can be sent.
    pub fn is_idle(&self) -> bool {
        self.outstanding == 0
    }

    /// Sends a command into the buffer; answers with its tag.
    pub async fn send(&mut self, command: &Command) -> Result<String, StoreError> {
        self.tags += 1;
        let tag = format!("T{}", self.tags);
        tracing::trace!(%tag, command = %command.bytes().escape_ascii(), "send");
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
        let reply = parse(self.wire.frame(tap).await?);
        self.heard = Instant::now();
        match &reply {
            Reply::Bye(text) => {
                let error = self
                    .wire
                    .broken(&format!("ended the session: {}", clean(text)));
                return Err(patience(error, text));
            }
            Reply::Tagged(..) => self.outstanding = self.outstanding.saturating_sub(1),
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

    async fn answer(&mut self, tag: &str) -> Result<Answer, StoreError> {
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

    /// Opens a mailbox.
    pub async fn select(
        &mut self,
        name: &[u8],
        access: Access,
        since: Since,
    ) -> Result<Past, StoreError> {
        self.selected = None;
        let (replies, done) = self.run(&Command::select(name, access, since)?).await?;
        let done = must(done, &format!("open {}", shown(name)))?;
        let mut past = Past::default();
        let (mut epoch, mut exists) = (None, None);
        let mut open = Selected {
            name: name.to_vec(),
            access,
            epoch: UidValidity(0),
            uid_next: None,
            modseq: None,
            exists: 0,
            read_only: done.code == Some(Code::ReadOnly),
            permanent: None,
            expunged: 0,
            vanished: UidSet::default(),
        };
        for reply in replies {
            match reply {
                Reply::Exists(count) => exists = Some(count),
                Reply::Vanished(set, Earlier::Yes) => past.vanished = past.vanished.union(&set),
                Reply::Fetch(fetched) => past.changed.push(*fetched),
                Reply::Untagged(Completion {
                    code: Some(code), ..
                }) => match code {
                    Code::UidValidity(value) => epoch = Some(UidValidity(value)),
                    Code::UidNext(next) => open.uid_next = Some(next),
                    // 0 and NOMODSEQ mean that there is none (RFC 7162, 3.1.2).
                    Code::HighestModSeq(value) => open.modseq = (value > 0).then_some(value),
                    Code::NoModSeq => open.modseq = None,
                    Code::PermanentFlags(flags, any) => open.permanent = Some((flags, any)),
                    // What was said until now was about the mailbox that was open before.
                    Code::Closed => past = Past::default(),
                    _ => {}
                },
                _ => {}
            }
        }
        let (Some(epoch), Some(exists)) = (epoch, exists) else {
            let what = format!(
                "{}: the server gave no UIDVALIDITY or no EXISTS",
                shown(name)
            );
            return Err(StoreError::Mailbox(what));
        };
        (open.epoch, open.exists) = (epoch, exists);
        self.selected = Some(open);
        Ok(past)
    }

    /// The mailbox that is open.
    pub fn open_mailbox(&self) -> Result<&Selected, StoreError> {
        self.selected
            .as_ref()
            .ok_or_else(|| StoreError::Bug("no mailbox is open".into()))
    }

    /// Ends the session politely; errors do not matter any more.
    pub async fn log_out(mut self) {
        if let Err(error) = self.run(&Command::logout()).await {
            tracing::trace!(%error, "logged out");
        }
    }
}

/// Wire names by mailbox.
pub type WireNames = BTreeMap<crate::model::MailboxName, Vec<u8>>;
