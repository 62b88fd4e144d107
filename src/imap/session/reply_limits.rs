//! Limits on the answer to one command: time, lines that answer nothing, memory.

use crate::imap::protocol::reply::Reply;
use crate::imap::protocol::wire::SLOWEST;
use crate::imap::session::CommandReply;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Lines that answer nothing, such as `* OK still working`.
const USELESS: usize = 100_000;
/// Bytes of other responses than FETCH, and FETCH responses, to one command.
const OTHERS: u64 = 64 << 20;
const FETCHES: u64 = 20_000_000;
/// Bytes of memory for the answer to one command.
const MEMORY: usize = 24 << 20;

/// The remaining allowance until a command ends.
#[derive(Debug)]
pub struct ReplyLimits {
    since: Instant,
    /// Bytes received by then.
    received: u64,
    /// Bytes received with the last response.
    last: u64,
    useless: usize,
    others: u64,
    fetches: u64,
}

impl ReplyLimits {
    /// Starts with this count of received bytes.
    pub fn new(received: u64) -> ReplyLimits {
        ReplyLimits {
            since: Instant::now(),
            received,
            last: received,
            useless: 0,
            others: 0,
            fetches: 0,
        }
    }

    /// Counts a response. The error names the exceeded limit: lines that answer nothing, or `limit`
    /// plus the time of the bytes on the slowest line.
    pub fn take(
        &mut self,
        reply: &Reply,
        received: u64,
        limit: Duration,
    ) -> Result<(), &'static str> {
        match reply {
            Reply::Tagged(..) => {
                *self = ReplyLimits::new(received);
                return Ok(());
            }
            Reply::Other | Reply::Continue => self.useless += 1,
            Reply::Untagged(done) if done.code.is_none() => self.useless += 1,
            _ => {}
        }
        match reply {
            Reply::Fetch(_) => self.fetches += 1,
            _ => self.others += received.saturating_sub(self.last),
        }
        self.last = received;
        let bytes = received.saturating_sub(self.received);
        let limit = limit.saturating_add(Duration::from_secs(bytes / SLOWEST));
        if self.useless > USELESS || self.others > OTHERS || self.fetches > FETCHES {
            Err("sends answers to one command without end")
        } else if self.since.elapsed() > limit {
            Err("does not come to the end of its answer")
        } else {
            Ok(())
        }
    }
}

/// The responses to one command until its end. FETCH responses about one message are merged.
#[derive(Debug, Default)]
pub struct KeptReplies {
    all: Vec<Reply>,
    /// The last FETCH response by message number.
    parts: BTreeMap<u32, usize>,
    weight: usize,
}

impl KeptReplies {
    /// Stores a response. The error names the exceeded limit.
    pub fn add(&mut self, mut reply: Reply) -> Result<(), &'static str> {
        match &mut reply {
            Reply::Other | Reply::Continue => return Ok(()),
            Reply::Untagged(done) if done.code.is_none() => return Ok(()),
            Reply::Untagged(done) => done.text = String::new(),
            // Message numbers change their meaning here.
            Reply::Expunge | Reply::Vanished(..) => self.parts.clear(),
            _ => {}
        }
        self.weight += reply.weight();
        if self.weight > MEMORY {
            return Err("answers one command with more than any answer holds");
        }
        let Reply::Fetch(fetched) = reply else {
            self.all.push(reply);
            return Ok(());
        };
        let first = self.parts.get(&fetched.number).copied();
        match first.and_then(|at| self.all.get_mut(at)) {
            Some(Reply::Fetch(first)) if first.completes(&fetched) => first.absorb(*fetched),
            _ => {
                self.parts.insert(fetched.number, self.all.len());
                self.all.push(Reply::Fetch(fetched));
            }
        }
        Ok(())
    }

    /// Returns all responses.
    pub fn all(self) -> Vec<Reply> {
        self.all
    }

    /// Adds the completion of the command.
    pub fn with(self, done: crate::imap::protocol::reply::Completion) -> CommandReply {
        (self.all, done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::protocol::reply::parse;
    use crate::imap::protocol::wire::Frame;

    fn reply(line: &str) -> Reply {
        parse(Frame {
            text: line.as_bytes().to_vec(),
            literals: Vec::new(),
        })
    }

    #[test]
    fn an_answer_has_an_end_in_memory() {
        let odd: Vec<String> = (0..5000).map(|n| (2 * n + 1).to_string()).collect();
        for line in [
            format!("* LIST () \"/\" {}", "x".repeat(200)),
            "* 1 FETCH (UID 1 FLAGS (work))".into(),
            "* STATUS a (MESSAGES 1)".into(),
            "* OK [UIDVALIDITY 7] x".into(),
            "* 5 EXISTS".into(),
            format!("* CAPABILITY {}", "A ".repeat(5000)),
            format!("* ENABLED {}", "A ".repeat(5000)),
            format!("* SEARCH {}", odd.join(" ")),
        ] {
            let mut kept = KeptReplies::default();
            let times = (0..2_000_000).find(|_| kept.add(reply(&line)).is_err());
            assert!(times.is_some(), "{line:.60}");
        }
        let mut kept = KeptReplies::default();
        for _ in 0..1_000_000 {
            kept.add(reply("* OK still working")).unwrap();
        }
        assert!(kept.all.is_empty());
    }

    #[test]
    fn an_answer_has_an_end_in_time() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            for line in [
                "* OK still working",
                "* LIST () \"/\" x",
                "* 1 FETCH (UID 1)",
            ] {
                let (mut allowance, limit) = (ReplyLimits::new(0), Duration::from_secs(600));
                let mut seconds = 0;
                while allowance
                    .take(&reply(line), seconds * line.len() as u64, limit)
                    .is_ok()
                {
                    tokio::time::advance(Duration::from_secs(1)).await;
                    seconds += 1;
                    assert!(seconds < 1000, "{line}");
                }
                assert!(seconds >= 600, "{line}");
                allowance.take(&reply("T1 OK x"), 40_000, limit).unwrap();
                allowance.take(&reply(line), 40_000, limit).unwrap();
            }
            let mut allowance = ReplyLimits::new(0);
            let endless = (0..USELESS + 1)
                .find(|_| allowance.take(&reply("* OK x"), 1, Duration::MAX).is_err());
            assert_eq!(endless, Some(USELESS));
        });
    }

    #[test]
    fn lines_about_one_message_become_one() {
        let mut kept = KeptReplies::default();
        for line in [
            "* 1 FETCH (UID 7)",
            "* 2 FETCH (FLAGS (work))",
            "* 1 FETCH (FLAGS (\\Seen) MODSEQ (5))",
            "* 2 FETCH (UID 8)",
            "* 1 FETCH (FLAGS ())",
        ] {
            kept.add(reply(line)).unwrap();
        }
        let told = kept.all.iter().map(|reply| match reply {
            Reply::Fetch(f) => (f.uid.map(|uid| uid.get()), f.modseq, f.flags.is_some()),
            other => panic!("{other:?}"),
        });
        let told: Vec<_> = told.collect();
        assert_eq!(
            told,
            [
                (Some(7), Some(5), true),
                (Some(8), None, true),
                (None, None, true)
            ]
        );
    }
}
