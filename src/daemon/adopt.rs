//! `mailtide adopt`: takes over a Maildir of another account or state database on purpose. All
//! messages are matched anew, and none is deleted.

use crate::daemon::cycle::{CycleRequest, OpenAccount};
use crate::daemon::flow::{MailboxFlow, flows};
use crate::daemon::open::{self, OpenError, OpenState, Writes};
use crate::daemon::secret::Keyring;
use crate::engine::{Silent, Stop};
use crate::maildir::Claim;
use crate::model::MailboxName;
use crate::state::{AccountRecord, State};
use crate::store::StoreError;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// The need to adopt a Maildir.
#[derive(Clone, Debug)]
pub struct AdoptionNeeded {
    /// The text with which a sync refuses the Maildir.
    pub why: String,
}

/// Returns the reason if the account has to adopt its Maildir first; `None`: a sync can use it.
pub fn needed(keyring: Rc<Keyring>, state_dir: &Path) -> Result<Option<AdoptionNeeded>, OpenError> {
    let mut opened = OpenAccount::new(keyring, state_dir, Writes::None, 1)?;
    if opened.is_beside() {
        // Another process uses the account: report its lock.
        open::open_state(state_dir, opened.keyring.account(), Writes::Allowed)?;
    }
    match opened.make_ready() {
        Ok(_) => {}
        Err(OpenError::Store(StoreError::Guard(why))) => return Ok(Some(AdoptionNeeded { why })),
        Err(error) => return Err(error),
    }
    Ok(None)
}

/// Computes what the first sync after the adoption would carry each way. Writes nothing.
pub async fn preview(
    keyring: Rc<Keyring>,
    state_dir: &Path,
    stop: &Stop,
) -> Result<BTreeMap<MailboxName, MailboxFlow>, OpenError> {
    let account = keyring.account().clone();
    let locked = open::open_state(state_dir, &account, Writes::None)?;
    let opened = OpenState {
        state: State::in_memory()?,
        claim: Claim::Adopts(open::new_uuid()),
        ..locked
    };
    let mut opened = OpenAccount::of(keyring, opened, Writes::None, account.connections);
    let request = CycleRequest {
        dry_run: true,
        ..CycleRequest::default()
    };
    let report = opened.cycle(request, &Silent, stop).await?;
    opened.disconnect().await;
    if let Some(halted) = report.halted {
        return Err(halted.into());
    }
    Ok(flows(&report, &opened.state)?)
}

/// Writes the marker of this account into the Maildir. The state forgets all messages first, so a
/// run that is cut here leaves a Maildir that is refused until it is adopted.
pub fn adopt(keyring: Rc<Keyring>, state_dir: &Path) -> Result<(), OpenError> {
    let account = keyring.account().clone();
    let locked = open::open_state(state_dir, &account, Writes::Allowed)?;
    let uuid = open::new_uuid();
    let opened = OpenState {
        claim: Claim::Adopts(uuid.clone()),
        ..locked
    };
    let mut opened = OpenAccount::of(keyring, opened, Writes::Allowed, 1);
    opened.enter()?;
    let (root, state) = (opened.local.root(), &mut opened.state);
    let before = root.marker()?.and_then(|marker| marker.generation);
    let next = state.generation()?.0.max(before.unwrap_or(0)) + 1;
    let config = account.fingerprint();
    state.set_account(
        &AccountRecord {
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
