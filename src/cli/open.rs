//! From configuration to an account ready to run: lock, state, Maildir, server.

use crate::config::{self, Config, Security};
use crate::imap::{
    Access, Auth, Compress, ImapStore, Plaintext, Secret, Server, Settings, TlsMode, Trust,
};
use crate::maildir::{Claim, Layout, MaildirStore};
use crate::reconcile::Direction;
use crate::state::{Lock, Memory, State, StateError};
use anyhow::{Context, Result, bail};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether anything may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Yes.
    Allowed,
    /// No: a dry run, or `check`.
    None,
}

/// The accounts that are named, or all.
pub fn chosen(config: &Config, names: &[String]) -> Result<Vec<config::Account>> {
    if names.is_empty() {
        return Ok(config.accounts.values().cloned().collect());
    }
    let find = |name: &String| match config.accounts.get(name) {
        Some(account) => Ok(account.clone()),
        None => {
            let known: Vec<&str> = config.accounts.keys().map(String::as_str).collect();
            bail!(
                "there is no account {name}; the configuration has: {}",
                known.join(", ")
            )
        }
    };
    names.iter().map(find).collect()
}

/// The files of an account in the state directory.
pub fn state_path(state_dir: &Path, account: &str) -> PathBuf {
    state_dir.join(format!("{account}.db"))
}

/// An account's state with its lock, and the claim on its Maildir.
pub struct OpenState {
    /// The state.
    pub state: State,
    /// Held as long as the state is used.
    pub lock: Option<Lock>,
    /// What it knows of the Maildir.
    pub claim: Claim,
}

/// Locks and opens an account's state.
pub fn open_state(state_dir: &Path, account: &str, writes: Writes) -> Result<OpenState> {
    let path = state_path(state_dir, account);
    let lock_path = path.with_extension("lock");
    let (lock, state) = match writes {
        Writes::Allowed => {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(state_dir)
                .with_context(|| format!("the state directory {}", state_dir.display()))?;
            let lock = Lock::take(&lock_path)?;
            (Some(lock), State::open(&path)?)
        }
        Writes::None => {
            let lock = Lock::take_quietly(&lock_path)?;
            let state = match path.exists() {
                true => State::open_read_only(&path)?,
                false => State::in_memory()?,
            };
            (lock, state)
        }
    };
    let claim = claim_of(&state)?;
    Ok(OpenState { state, lock, claim })
}

/// Opens a state whose lock is held.
pub fn open_unlocked(path: &Path) -> Result<(State, Claim)> {
    let state = State::open(path)?;
    let claim = claim_of(&state)?;
    Ok((state, claim))
}

fn claim_of(state: &State) -> Result<Claim> {
    Ok(match (state.account()?, state.mailboxes()?.is_empty()) {
        (Some(known), false) => Claim::Known(known.uuid),
        (Some(known), true) => Claim::First(known.uuid),
        (None, _) => Claim::First(new_uuid()),
    })
}

/// Whether a marker is as old as the state.
pub fn fits(state: &State, marker: Option<u64>) -> Result<bool> {
    let (own, settled) = state.generation()?;
    // A run that was cut has not written its number into the marker.
    let cut = settled < own;
    Ok(marker.is_none_or(|marker| marker == own || (cut && marker + 1 == own)))
}

/// Writes into the marker how many runs have changed something.
pub fn settle(state: &mut State, local: &MaildirStore) -> Result<()> {
    local.note_generation(state.generation()?.0)?;
    Ok(state.settle()?)
}

/// Whether state and Maildir are of the same age. One that was put back from a copy does not know
/// what happened since, and would take that for deletions: it starts over, and says so.
pub fn same_age(state: &mut State, local: &MaildirStore) -> Result<Option<String>> {
    let (own, _) = state.generation()?;
    let marker = local.generation()?;
    if fits(state, marker)? {
        settle(state, local)?;
        return Ok(None);
    }
    let marker = marker.unwrap_or(own);
    let knew = !state.mailboxes()?.is_empty();
    let next = own.max(marker) + 1;
    state.start_over(next)?;
    settle(state, local)?;
    let (older, newer) = match own < marker {
        true => ("state database", "Maildir"),
        false => ("Maildir", "state database"),
    };
    Ok(knew.then(|| {
        format!(
            "the {older} is older than the {newer} (was it put back from a copy?): all messages \
             are matched anew, and nothing is deleted on that account"
        )
    }))
}

/// Notes the account in its state, if it is new there.
pub fn note_account(
    state: &mut State,
    account: &config::Account,
    uuid: String,
) -> Result<(), StateError> {
    let before = state.account()?;
    if before.as_ref().is_none_or(|known| known.uuid != uuid) {
        let config = before.map_or_else(|| account.fingerprint(), |known| known.config);
        state.set_account(&Memory { uuid, config }, now())?;
    }
    Ok(())
}

/// The Maildir of an account.
pub fn local(account: &config::Account, claim: Claim) -> MaildirStore {
    let layout = match account.layout {
        config::Layout::Nested => Layout::Nested,
        config::Layout::MaildirPlusPlus => Layout::MaildirPlusPlus,
    };
    MaildirStore::new(&account.maildir, layout, claim)
}

/// The server of an account.
pub async fn remote(account: &config::Account, writes: Writes) -> Result<ImapStore> {
    let secret = account.secret.fetch(&account.name).await?;
    let server = Server {
        host: account.host.clone(),
        port: account.port,
        tls: match account.security {
            Security::Implicit => TlsMode::Implicit,
            Security::StartTls => TlsMode::StartTls,
            Security::None => TlsMode::None,
        },
        trust: Trust {
            ca_file: account.ca_file.clone(),
            pins: account.pins.clone(),
        },
        plaintext: match account.allow_plaintext {
            true => Plaintext::Anywhere,
            false => Plaintext::LoopbackOnly,
        },
        user: account.user.clone(),
        auth: match account.auth {
            config::Auth::Password => Auth::Password,
            config::Auth::XOAuth2 => Auth::XOAuth2,
            config::Auth::OAuthBearer => Auth::OAuthBearer,
        },
        secret: Secret(secret.reveal().to_owned()),
        timeout: account.timeout,
        compress: if account.compress {
            Compress::WhenOffered
        } else {
            Compress::Never
        },
        disabled: account.disable_extensions.clone(),
    };
    let pull = account.policy.direction == Direction::Pull;
    let access = match (writes, pull) {
        (Writes::Allowed, false) => Access::ReadWrite,
        _ => Access::ReadOnly,
    };
    let (connections, trash) = (account.connections, account.trash.clone());
    Ok(ImapStore::new(
        server,
        Settings {
            access,
            connections,
            trash,
        },
    ))
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A number that nobody can foresee: the standard library's hasher is seeded by the system.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn new_uuid() -> String {
    format!("{:016x}{:016x}", random(), random())
}
