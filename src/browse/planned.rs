//! What is known of the messages that a plan names: their sizes, and what a listing shows of them.

use super::local::Local;
use super::row::Sides;
use super::server::Remote;
use crate::config::{Account, Config};
use crate::daemon::OpenError;
use crate::imap::{Items, ReadError};
use crate::mime::{Mail, Summary};
use crate::model::{AnyId, MailboxName, Timestamp, Uid};
use std::collections::{BTreeMap, BTreeSet};

type Result<T> = std::result::Result<T, OpenError>;

/// What is known of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Bytes.
    pub size: Option<u64>,
    /// When it arrived.
    pub at: Option<Timestamp>,
    /// Its header, where that was asked for.
    pub summary: Option<Summary>,
}

/// How much is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Sizes.
    Sizes,
    /// What a listing shows, too.
    Headers,
}

/// Messages by mailbox.
pub type Wanted = BTreeMap<MailboxName, BTreeSet<AnyId>>;

/// Facts by mailbox and message.
pub type Planned = BTreeMap<(MailboxName, AnyId), Facts>;

/// Looks up messages on both sides. What cannot be read has no facts.
pub async fn facts(
    (config, account): (&Config, &Account),
    wanted: &Wanted,
    depth: Depth,
) -> Result<Planned> {
    let mut known = Planned::new();
    let local = Local::open(config, account).await?;
    let mut remote = Remote::of(account, Sides::There);
    for (name, ids) in wanted {
        here(&local, (name, ids), depth, &mut known)?;
        let uid = |id: &AnyId| match id {
            AnyId::Remote(uid) => Some(*uid),
            AnyId::Local(_) => None,
        };
        let uids: Vec<Uid> = ids.iter().filter_map(uid).collect();
        if !uids.is_empty() {
            there(&mut remote, (name, &uids), depth, &mut known).await?;
        }
    }
    remote.end().await;
    Ok(known)
}

fn here(
    local: &Local,
    (name, ids): (&MailboxName, &BTreeSet<AnyId>),
    depth: Depth,
    known: &mut Planned,
) -> Result<()> {
    if ids.iter().all(|id| matches!(id, AnyId::Remote(_))) {
        return Ok(());
    }
    let state = local.known(name)?;
    for glance in local.glances(name)? {
        let id = AnyId::Local(glance.id.clone());
        if !ids.contains(&id) {
            continue;
        }
        let at = glance.arrived();
        let facts = match depth {
            Depth::Sizes => Facts {
                size: std::fs::metadata(&glance.path).ok().map(|meta| meta.len()),
                at,
                summary: None,
            },
            Depth::Headers => {
                let row = local.row(name, &state, at.unwrap_or(Timestamp(0)), &glance);
                Facts {
                    size: row.as_ref().map(|row| row.size),
                    at,
                    summary: row.map(|row| row.summary),
                }
            }
        };
        known.insert((name.clone(), id), facts);
    }
    Ok(())
}

async fn there(
    remote: &mut Remote,
    (name, uids): (&MailboxName, &[Uid]),
    depth: Depth,
    known: &mut Planned,
) -> Result<()> {
    let items = match depth {
        Depth::Sizes => Items::Sizes,
        Depth::Headers => Items::PlainRow,
    };
    let (reader, _) = remote.examine(name).await?;
    let read = reader.fetch_uids(uids, items).await;
    for one in read.map_err(ReadError::of_store)? {
        let Some(uid) = one.uid else { continue };
        let header = one.header.filter(|_| depth == Depth::Headers);
        let facts = Facts {
            size: one.size,
            at: one.at,
            summary: header.map(|header| Mail::header(&header).summary()),
        };
        known.insert((name.clone(), AnyId::Remote(uid)), facts);
    }
    Ok(())
}
