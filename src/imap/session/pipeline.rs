//! Pipelines commands that will be needed next, so that a distant server works on one while the
//! answer to another is on its way. A command that is under way is not sent again.
//!
//! Only commands that change nothing are pipelined, in groups that begin with SELECT. An unwanted
//! answer within a group is read and dropped; an unforeseen command drops all that remains and
//! selects the caller's mailbox again. SELECT separates the answers about one mailbox, which a
//! server may mix (RFC 9051, 5.5).

use crate::imap::protocol::command::{Command, MailboxRef, Since};
use crate::imap::protocol::reply::Reply;
use crate::imap::protocol::wire::NoTap;
use crate::imap::session::{CommandReply, Session};
use crate::store::StoreError;
use std::collections::VecDeque;

/// Commands under way at once. The next ones are sent together when half of them are answered.
const WINDOW: usize = 128;

/// Commands that were sent, and those to be sent.
#[derive(Debug, Default)]
pub struct Pipeline {
    sent: VecDeque<SentCommand>,
    waiting: VecDeque<Command>,
}

#[derive(Debug)]
struct SentCommand {
    tag: String,
    command: Command,
    /// Cleared when the answer may be older than the request.
    fresh: bool,
}

impl Pipeline {
    /// The number of commands under way.
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// Whether the next group selects this mailbox, and the current group is not needed any more.
    pub fn opens(&self, door: &MailboxRef) -> bool {
        let next = self.sent.iter().find(|sent| sent.fresh);
        next.is_some_and(|sent| sent.command.opens() == Some(door))
    }

    /// Whether the answer to this command is under way and usable.
    pub fn expects(&self, command: &Command) -> bool {
        self.find(command).is_some()
    }

    /// Whether this is the tag of a command about the current mailbox.
    pub fn is_next(&self, tag: &str) -> bool {
        let mut group = self
            .sent
            .iter()
            .take_while(|sent| sent.command.opens().is_none());
        group.any(|sent| sent.tag == tag)
    }

    /// Returns the place of this command in the queue, if its answer is usable.
    fn find(&self, command: &Command) -> Option<usize> {
        let usable = |sent: &SentCommand| sent.fresh && sent.command == *command;
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
    /// Sends commands in this order, as many as may be under way.
    pub async fn foresee(&mut self, commands: Vec<Command>) -> Result<(), StoreError> {
        if self.is_single() {
            return Ok(());
        }
        self.ahead.waiting.extend(commands);
        self.fill().await
    }

    /// Runs commands that change something, followed at once by the announced ones.
    pub async fn run_then(
        &mut self,
        commands: &[Command],
        next: Vec<Command>,
    ) -> Result<Vec<CommandReply>, StoreError> {
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
            self.ahead.sent.push_back(SentCommand {
                tag,
                command,
                fresh: true,
            });
        }
        Ok(())
    }

    /// Drops the remainder of the current group: its answers are too old.
    pub fn pass_over(&mut self) {
        let group = self.ahead.sent.iter_mut();
        for sent in group.take_while(|sent| sent.command.opens().is_none()) {
            sent.fresh = false;
        }
    }

    /// Returns the tag of a command that was sent; `None`: it was not, and nothing else is under
    /// way any more.
    pub(in crate::imap) async fn foreseen(
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

    /// Reads all pending answers, and selects the caller's mailbox again.
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
        // Boxed, as opening sends commands itself, but never announced ones.
        Box::pin(self.select(&open.name, open.access, since)).await?;
        if self.open_mailbox()?.uid_validity != open.uid_validity {
            self.selected = None;
            return Err(StoreError::Stale("UIDVALIDITY changed meanwhile".into()));
        }
        Ok(())
    }

    /// Reads and drops one answer.
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
#[path = "pipeline_tests.rs"]
mod tests;
