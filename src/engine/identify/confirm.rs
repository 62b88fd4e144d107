//! Compares pairs that were linked by cheap evidence (size, header, pieces) by content after a run,
//! some each time. Different contents are two messages: the pair gets the server's content, so that
//! the file counts as edited and both are kept.

use crate::engine::context::Context;
use crate::engine::identify::evidence::read_there;
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{Id, MailboxKey, MailboxName, Pair, Side, Uid};
use crate::state::{ComparedHalves, HistoryChange};
use crate::store::{LocalStore, Place, RemoteStore};

/// Most messages to compare after a run.
const MESSAGES: usize = 100;
/// Most bytes of them, with at least one message.
const BYTES: u64 = 8 << 20;

/// The remaining allowance of a run.
struct Allowance {
    messages: usize,
    bytes: u64,
}

/// Compares some of these pairs. Returns whether one of them is two messages.
pub(in crate::engine) async fn confirm_links<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    pass: &mut PassState,
) -> Result<bool, Ended> {
    let (mut left, mut wrong) = (Allowance::whole(), false);
    let unproven = ctx.state.unproven_mailboxes()?;
    if unproven.is_empty() {
        return Ok(false);
    }
    for (name, key) in ctx.state.mailboxes()? {
        if !unproven.contains(&key) || !ctx.concerns(&name) || left.messages == 0 {
            continue;
        }
        ctx.check_stop()?;
        let mut pairs = ctx.state.unproven(key, left.messages)?;
        left.take_from(&mut pairs);
        match confirm(ctx, &name, key, &pairs, pass).await {
            Err(Ended::Store(error)) if error.is_local_to_mailbox() => {
                tracing::debug!(mailbox = %name, %error, "contents are compared later");
            }
            done => wrong |= done?,
        }
    }
    Ok(wrong)
}

async fn confirm<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    name: &MailboxName,
    key: MailboxKey,
    pairs: &[Pair],
    pass: &mut PassState,
) -> Result<bool, Ended> {
    let place = Place {
        mailbox: name.clone(),
        uid_validity: ctx.state.uid_validity(key)?,
    };
    let uids: Vec<Uid> = pairs.iter().map(|pair| pair.uid).collect();
    let mut sink = HashSink::default();
    read_there(&mut *ctx.remote, &place, &uids, &mut sink).await?;
    let (mut compared, mut changes) = (Vec::new(), Vec::new());
    for pair in pairs {
        let told = match sink.hashes.get(&pair.uid) {
            Some((hash, _)) if *hash == pair.hash => ComparedHalves::Same,
            Some((hash, _)) => ComparedHalves::Other(*hash),
            None => ComparedHalves::Untold,
        };
        if let ComparedHalves::Other(_) = told {
            let what = format!(
                "{name}: {} and {} look alike and have different contents; both are kept",
                pair.uid, pair.file
            );
            tracing::warn!("{what}");
            pass.note(what);
            changes.push(unlinked(name, pair));
        }
        compared.push((pair.id, told));
    }
    ctx.state.record_compared(key, &compared, &changes)?;
    Ok(!changes.is_empty())
}

impl Allowance {
    fn whole() -> Allowance {
        Allowance {
            messages: MESSAGES,
            bytes: BYTES,
        }
    }

    /// Returns the messages within the allowance, and reduces it.
    fn take_from(&mut self, pairs: &mut Vec<Pair>) {
        let fits = |pair: &Pair| {
            let first = self.messages == MESSAGES;
            let fits = self.messages > 0 && (first || pair.size <= self.bytes);
            self.messages = match fits {
                true => self.messages - 1,
                false => 0,
            };
            self.bytes = self.bytes.saturating_sub(pair.size);
            fits
        };
        let count = pairs.iter().map(fits).take_while(|fits| *fits).count();
        pairs.truncate(count);
    }
}

fn unlinked(name: &MailboxName, pair: &Pair) -> HistoryChange {
    HistoryChange {
        mailbox: name.clone(),
        side: Side::Local,
        what: "unlinked",
        message: Some(pair.file.any()),
        why: format!("{} has another content; both are kept", pair.uid),
        kept: None,
        flags: None,
        trail: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plain_values::pair;

    fn allowed(sizes: &[u64]) -> (usize, usize) {
        let pairs = sizes.iter().enumerate();
        let sized = |(n, size): (usize, &u64)| Pair {
            size: *size,
            ..pair(n as u32 + 1)
        };
        let (mut pairs, mut left): (Vec<Pair>, _) =
            (pairs.map(sized).collect(), Allowance::whole());
        left.take_from(&mut pairs);
        (pairs.len(), left.messages)
    }

    #[test]
    fn messages_and_bytes_are_limited_and_one_always_goes() {
        assert_eq!(allowed(&[1; 3]), (3, MESSAGES - 3));
        assert_eq!(allowed(&[1; MESSAGES + 1]), (MESSAGES, 0));
        assert_eq!(allowed(&[2 * BYTES, 1]), (1, 0));
        assert_eq!(allowed(&[BYTES - 1, 1, 1]), (2, 0));
        assert_eq!(allowed(&[]), (0, MESSAGES));
    }
}
