//! Commands that are sent before they are asked for, so that a far-away server works on the next
//! question while the answer to the last is on its way. Whoever asks does not notice: a command
//! that is on its way already is not sent again.
//!
//! Only questions are sent ahead, never what changes anything. They come in groups, each beginning
//! with the SELECT of a mailbox; within a group an answer that is not wanted is read and forgotten,
//! and a question that nobody foresaw ends it all: the rest is read, and the mailbox that the
//! caller has open is opened again. A server may mix up what it says to two questions about one
//! mailbox (RFC 9051, 5.5); SELECT keeps them apart, so that each reading has its own.

use super::command::{Command, Door, Since};
use super::reply::Reply;
use super::session::{Answer, Session};
use super::wire::NoTap;
use crate::store::StoreError;
use std::collections::VecDeque;

/// Commands on their way at once. The next ones go out when half of them are answered, so that they
/// go out together.
const WINDOW: usize = 128;

/// What was sent ahead, and what is to be.
#[derive(Debug, Default)]
pub struct Ahead {
    sent: VecDeque<Sent>,
    waiting: VecDeque<Command>,
}

#[derive(Debug)]
struct Sent {
    tag: String,
    command: Command,
    /// Cleared when its answer may be older than the question.
    fresh: bool,
}

impl Ahead {
    /// How many commands are on their way.
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// Whether the next group opens this mailbox, and nothing of the group before it is wanted.
    pub fn opens(&self, door: &Door) -> bool {
        let next = self.sent.iter().find(|sent| sent.fresh);
        next.is_some_and(|sent| sent.command.opens() == Some(door))
    }

    /// Whether the answer to this command is on its way, and can still be used.
    pub fn expects(&self, command: &Command) -> bool {
        self.find(command).is_some()
    }

    /// Whether this is the tag of a question about the mailbox that is being asked about.
    pub fn is_next(&self, tag: &str) -> bool {
        let mut group = self
            .sent
            .iter()
            .take_while(|sent| sent.command.opens().is_none());
        group.any(|sent| sent.tag == tag)
    }

    /// Where in the queue this command is, if its answer can still be used.
    fn find(&self, command: &Command) -> Option<usize> {
        let usable = |sent: &Sent| sent.fresh && sent.command == *command;
        if command.opens().is_some() {
            return self.sent.iter().position(usable);
        }
        let mut group = self
            .sent
            .iter()
            .take_while(|sent| sent.command.opens().is_none());
        group.position(usable)
    }
}

impl Session {
    /// Sends commands ahead, in this order, as many as may be on their way at once.
    pub async fn foresee(&mut self, commands: Vec<Command>) -> Result<(), StoreError> {
        if self.is_single() {
            return Ok(());
        }
        self.ahead.waiting.extend(commands);
        self.fill().await
    }

    /// Runs commands that change something; what will be asked next is sent right behind them.
    pub async fn run_then(
        &mut self,
        commands: &[Command],
        next: Vec<Command>,
    ) -> Result<Vec<Answer>, StoreError> {
        if commands.is_empty() || commands.len() > WINDOW {
            return self.run_all(commands).await;
        }
        let mut tags = Vec::with_capacity(commands.len());
        for command in commands {
            tags.push(self.send(command).await?);
        }
        self.foresee(next).await?;
        let mut answers = Vec::with_capacity(commands.len());
        for tag in tags {
            answers.push(self.answer(&tag).await?);
        }
        Ok(answers)
    }

    async fn fill(&mut self) -> Result<(), StoreError> {
        if self.ahead.sent.len() > WINDOW / 2 {
            return Ok(());
        }
        while self.ahead.sent.len() < WINDOW {
            let Some(command) = self.ahead.waiting.pop_front() else {
                break;
            };
            let tag = self.transmit(&command).await?;
            self.ahead.sent.push_back(Sent {
                tag,
                command,
                fresh: true,
            });
        }
        Ok(())
    }

    /// What is left of the group that is being answered is of no use any more: time has passed.
    pub fn pass_over(&mut self) {
        let group = self.ahead.sent.iter_mut();
        for sent in group.take_while(|sent| sent.command.opens().is_none()) {
            sent.fresh = false;
        }
    }

    /// The tag of a command that was sent ahead. `None`: it was not, and nothing else is on its
    /// way any more.
    pub(super) async fn foreseen(
        &mut self,
        command: &Command,
    ) -> Result<Option<String>, StoreError> {
        if let Some(at) = self.ahead.find(command) {
            for _ in 0..at {
                self.forget_one().await?;
            }
            let tag = self.ahead.sent.pop_front().map(|sent| sent.tag);
            self.fill().await?;
            return Ok(tag);
        }
        if !self.ahead.sent.is_empty() {
            self.return_to(command).await?;
        }
        Ok(None)
    }

    /// Reads all that is on its way, and opens the mailbox again that the caller has open.
    async fn return_to(&mut self, wanted: &Command) -> Result<(), StoreError> {
        tracing::debug!(command = %wanted.bytes().escape_ascii(), "not foreseen");
        self.ahead.waiting.clear();
        let left = self
            .ahead
            .sent
            .iter()
            .any(|sent| sent.command.opens().is_some());
        let open = self.selected.clone();
        while !self.ahead.sent.is_empty() {
            self.forget_one().await?;
        }
        let Some(open) = open.filter(|_| left) else {
            return Ok(());
        };
        self.selected = None;
        if wanted.opens().is_some() {
            return Ok(());
        }
        let since = match open.modseq {
            Some(_) => Since::CondStore,
            None => Since::Nothing,
        };
        // Boxed: opening asks in turn, though never again for what was foreseen.
        Box::pin(self.select(&open.name, open.access, since)).await?;
        if self.open_mailbox()?.epoch != open.epoch {
            self.selected = None;
            return Err(StoreError::Stale("UIDVALIDITY changed meanwhile".into()));
        }
        Ok(())
    }

    /// Reads one answer that nobody wants.
    async fn forget_one(&mut self) -> Result<(), StoreError> {
        let Some(sent) = self.ahead.sent.pop_front() else {
            return Ok(());
        };
        while !matches!(
            self.next_of(&sent.tag, &mut NoTap).await?,
            Reply::Tagged(..)
        ) {}
        Ok(())
    }
}

#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
