//! Taking a Maildir over that belongs to another account or state database, on purpose: shown
//! first, then its marker is written. All messages are matched anew, and none is deleted for it.

use super::cycle::{Errand, Opened};
use super::flow::{Flow, flows};
use super::open::{self, OpenError, OpenState, Writes};
use super::secret::Keyring;
use crate::engine::{Silent, Stop};
use crate::maildir::Claim;
use crate::model::MailboxName;
use crate::state::{Memory, State};
use crate::store::StoreError;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// Why a Maildir cannot be used as it is.
#[derive(Clone, Debug)]
pub struct Needed {
    /// As a sync would say.
    pub why: String,
}

/// Whether an account has to adopt its Maildir; `None`: a sync can use it as it is.
pub fn needed(keyring: Rc<Keyring>, state_dir: &Path) -> Result<Option<Needed>, OpenError> {
    let mut opened = Opened::new(keyring, state_dir, Writes::None, 1)?;
    if opened.is_beside() {
        // It is worked with just now.
        open::open_state(state_dir, opened.keyring.account(), Writes::Allowed)?;
    }
    match opened.make_ready() {
        Ok(_) => {}
        Err(OpenError::Store(StoreError::Guard(why))) => return Ok(Some(Needed { why })),
        Err(error) => return Err(error),
    }
    Ok(None)
}

/// What the first sync after that would carry each way. Writes nothing.
pub async fn preview(
    keyring: Rc<Keyring>,
    state_dir: &Path,
    stop: &Stop,
) -> Result<BTreeMap<MailboxName, Flow>, OpenError> {
    let account = keyring.account().clone();
    let locked = open::open_state(state_dir, &account, Writes::None)?;
    let opened = OpenState {
        state: State::in_memory()?,
        claim: Claim::Adopts(open::new_uuid()),
        ..locked
    };
    let mut opened = Opened::of(keyring, opened, Writes::None, account.connections);
    let errand = Errand {
        dry_run: true,
        ..Errand::default()
    };
    let report = opened.cycle(errand, &Silent, stop).await?;
    opened.hang_up().await;
    if let Some(halted) = report.halted {
        return Err(halted.into());
    }
    Ok(flows(&report, &opened.state)?)
}

/// Makes the Maildir this account's. The state forgets what it knew of messages first: cut
/// anywhere, the Maildir is refused until it is adopted.
pub fn adopt(keyring: Rc<Keyring>, state_dir: &Path) -> Result<(), OpenError> {
    let account = keyring.account().clone();
    let locked = open::open_state(state_dir, &account, Writes::Allowed)?;
    let uuid = open::new_uuid();
    let opened = OpenState {
        claim: Claim::Adopts(uuid.clone()),
        ..locked
    };
    let mut opened = Opened::of(keyring, opened, Writes::Allowed, 1);
    opened.enter()?;
    let (root, state) = (opened.local.root(), &mut opened.state);
    let before = root.marker()?.and_then(|marker| marker.generation);
    let next = state.generation()?.0.max(before.unwrap_or(0)) + 1;
    let config = account.fingerprint();
    state.set_account(
        &Memory {
            uuid: uuid.clone(),
            config,
        },
        open::now(),
    )?;
    state.start_over(next)?;
    root.write(&uuid, next)?;
    root.remove_other_marker()?;
    Ok(state.settle()?)
}
