//! Loads the base of a mailbox.

use crate::engine::context::Context;
use crate::engine::report::Ended;
use crate::engine::snapshot::listing::Overview;
use crate::model::{MailboxBase, MailboxKey, MailboxName, Uid};
use crate::store::{LocalStore, RemoteStore};
use std::collections::BTreeSet;

pub(in crate::engine) fn known_base<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    name: &MailboxName,
    o: &Overview,
) -> Result<MailboxBase, Ended> {
    match o.keys.get(name) {
        Some(key) => Ok(ctx.state.base(*key)?),
        None => Ok(new_base(ctx, name)),
    }
}

pub(in crate::engine) fn new_base<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    name: &MailboxName,
) -> MailboxBase {
    MailboxBase {
        key: MailboxKey(0),
        name: name.clone(),
        tag: (ctx.world.random)(),
        uid_validity: None,
        pairs: Vec::new(),
        others: BTreeSet::new(),
        aside: Vec::new(),
    }
}

/// Loads these pairs; all, if that is cheaper.
pub(in crate::engine) fn read<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    base: &mut MailboxBase,
    touched: &BTreeSet<Uid>,
) -> Result<(), Ended> {
    match is_few(touched, base) {
        true => ctx.state.read_pairs(base, touched)?,
        false => *base = ctx.state.base(base.key)?,
    }
    Ok(())
}

/// Whether so few pairs are needed that they are loaded one by one.
pub(in crate::engine) fn is_few(touched: &BTreeSet<Uid>, base: &MailboxBase) -> bool {
    touched.len() * FEW <= base.others.len()
}

/// From this share of changed messages on (1/N), all of a mailbox is loaded.
pub(in crate::engine) const FEW: usize = 8;
