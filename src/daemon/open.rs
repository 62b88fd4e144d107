//! Opens an account from its configuration: lock, state, Maildir, server.

use crate::config::{self, Config, ConfigError};
use crate::daemon::secret::Keyring;
use crate::imap::{Access, ImapStore, ParallelSettings, Settings};
use crate::maildir::{Claim, Fs, Layout, MaildirStore, Owner, RealFs, lock_path};
use crate::reconcile::Direction;
use crate::reconcile::retention::Moment;
use crate::state::{AccountRecord, Lock, State, StateError, network_drive};
use crate::store::StoreError;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Why an account could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration has no such account.
    #[error("{0}")]
    NoAccount(String),
    /// The history has no such run.
    #[error("{0}")]
    NoRun(String),
    /// The configuration or its secret is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The Maildir or the server failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state directory failed.
    #[error("the state directory {path}: {source}")]
    Directory {
        /// Its path.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
}

type Result<T> = std::result::Result<T, OpenError>;

/// Whether writing is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Yes.
    Allowed,
    /// No: a dry run, or `check`.
    None,
}

/// Returns the named accounts; without names, all.
pub fn chosen(config: &Config, names: &[String]) -> Result<Vec<config::Account>> {
    if names.is_empty() {
        return Ok(config.accounts.values().cloned().collect());
    }
    let find = |name: &String| match config.accounts.get(name) {
        Some(account) => Ok(account.clone()),
        None => {
            let known: Vec<&str> = config.accounts.keys().map(String::as_str).collect();
            Err(OpenError::NoAccount(format!(
                "there is no account {name}; the configuration has: {}",
                known.join(", ")
            )))
        }
    };
    names.iter().map(find).collect()
}

/// Reads the configuration and locates the state of each account. `None`: the default path.
pub fn load(path: Option<&Path>) -> std::result::Result<Config, ConfigError> {
    let mut config = config::load(path)?;
    let former = config.former_state_dir.clone();
    for account in config.accounts.values() {
        let own = state_path(&config.state_dir, &account.name);
        let former = former.as_ref().filter(|_| !own.exists());
        if let Some(former) = former.filter(|former| keeps(former, account)) {
            let name = account.name.clone();
            config.state_dirs.insert(name, former.clone());
        }
    }
    Ok(config)
}

/// Whether the state in that directory is the one that the account's Maildir names.
fn keeps(state_dir: &Path, account: &config::Account) -> bool {
    let path = state_path(state_dir, &account.name);
    let uuid = || State::open_beside(&path).ok()?.account().ok()?;
    let known = Some(path.exists())
        .filter(|there| *there)
        .and_then(|_| uuid());
    let local = local(account, Claim::First(String::new()), Owner::default());
    let marker = local.root().marker().ok().flatten();
    known.is_some_and(|known| marker.is_some_and(|marker| marker.uuid == known.uuid))
}

/// Returns the path of an account's state database.
pub fn state_path(state_dir: &Path, account: &str) -> PathBuf {
    state_dir.join(format!("{account}.db"))
}

/// An open state with its lock and the claim on the Maildir.
pub struct OpenState {
    /// The state database.
    pub state: State,
    /// The lock; `None`: read only.
    pub lock: Option<Lock>,
    /// The id that the Maildir must have.
    pub claim: Claim,
    /// The owner that the Maildir must name.
    pub owner: Owner,
    /// Whether another process holds the lock and the state is only read.
    pub beside: bool,
}

/// Locks and opens the state of an account.
pub fn open_state(
    state_dir: &Path,
    account: &config::Account,
    writes: Writes,
) -> Result<OpenState> {
    config::is_private(state_dir)
        .map_err(|what| ConfigError::Unsafe(format!("state_dir: {what}")))?;
    let path = state_path(state_dir, &account.name);
    let lock_path = path.with_extension("lock");
    let (lock, state) = match writes {
        Writes::Allowed => {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(state_dir)
                .map_err(|source| OpenError::Directory {
                    path: state_dir.to_owned(),
                    source,
                })?;
            let lock = Lock::take(&lock_path)?;
            if let Some(warning) = on_network(state_dir).filter(|_| !path.exists()) {
                tracing::warn!("{warning}");
            }
            (Some(lock), State::open(&path)?)
        }
        Writes::None => match Lock::take_quietly(&lock_path) {
            Ok(lock) if path.exists() => (lock, State::open_read_only(&path)?),
            Ok(lock) => (lock, State::in_memory()?),
            // A watcher holds the lock; its recorded state can be read.
            Err(StateError::Locked { .. }) if path.exists() => (None, State::open_beside(&path)?),
            Err(error) => return Err(error.into()),
        },
    };
    let claim = claim_of(&state)?;
    let beside = lock.is_none() && path.exists();
    let owner = owner(state_dir, account);
    Ok(OpenState {
        state,
        lock,
        claim,
        owner,
        beside,
    })
}

/// Returns the owner as the marker of the Maildir names it.
pub fn owner(state_dir: &Path, account: &config::Account) -> Owner {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    // Hashed, because machine-id(5) must not leave the machine.
    let id = blake3::hash(format!("mailtide {}", id.trim()).as_bytes()).to_hex();
    let id: String = id.chars().take(16).collect();
    let machine = format!("{} {id}", RealFs.host());
    Owner {
        account: account.name.clone(),
        user: account.user.clone(),
        host: account.host.clone(),
        port: account.port,
        state: RealFs.resolve(&state_path(state_dir, &account.name)),
        machine,
    }
}

/// Returns a warning if the state directory is on a network file system.
pub fn on_network(state_dir: &Path) -> Option<String> {
    let kind = network_drive(state_dir)?;
    let path = state_dir.display();
    Some(format!(
        "state_dir {path} lies on a network drive ({kind}): only one machine may ever use it; \
         better set state_dir to a directory on a disk of this machine"
    ))
}

/// Opens a state whose lock is held.
pub fn new_state(path: &Path) -> Result<(State, Claim)> {
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

/// Whether the generation in the marker matches the state.
pub fn generation_matches(state: &State, marker: Option<u64>) -> Result<bool> {
    let (own, settled) = state.generation()?;
    // A run that was cut did not write its generation into the marker.
    let cut = settled < own;
    Ok(marker.is_none_or(|marker| marker == own || (cut && marker + 1 == own)))
}

/// Writes the generation of the state into the marker. If a directory cannot be synced, the state
/// records that for the next run.
pub fn record_generation(state: &mut State, local: &MaildirStore) -> Result<()> {
    local.note_generation(state.generation()?.0)?;
    match local.make_sure() {
        Ok(()) => Ok(state.settle()?),
        Err(error) => {
            state.unsettle()?;
            Err(error.into())
        }
    }
}

/// Syncs the files that a cut run left on disk, before they are scanned and recorded.
fn make_durable(state: &mut State, local: &mut MaildirStore) -> Result<()> {
    if state.was_cut()? {
        local.recover()?;
        state.set_cut(false);
    }
    Ok(())
}

/// Checks that state and Maildir have the same generation. After a restore of one of them from a
/// copy, later changes would look like deletions: the state starts over, and the returned text says
/// so.
///
/// First syncs the files of a cut run.
pub fn check_generation(state: &mut State, local: &mut MaildirStore) -> Result<Option<String>> {
    make_durable(state, local)?;
    let (own, _) = state.generation()?;
    let marker = local.generation()?;
    if generation_matches(state, marker)? {
        record_generation(state, local)?;
        return Ok(None);
    }
    refuse_copy(local)?;
    let marker = marker.unwrap_or(own);
    let knew = !state.mailboxes()?.is_empty();
    let next = own.max(marker) + 1;
    state.start_over(next)?;
    record_generation(state, local)?;
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

/// Refuses a Maildir that another machine used last with a copy of this state: each machine would
/// take the other's changes for old ones.
pub fn refuse_copy(local: &MaildirStore) -> Result<()> {
    match local.elsewhere()? {
        None => Ok(()),
        Some(owner) => Err(OpenError::Store(StoreError::Guard(format!(
            "the Maildir was last kept in step by {owner}, with another copy of this state \
             database. Nothing was changed. To take the Maildir over on purpose: mailtide adopt {} \
             (it first shows what would go up and down)",
            owner.account
        )))),
    }
}

/// Records the account in its state, if it is new there.
pub fn note_account(
    state: &mut State,
    account: &config::Account,
    uuid: String,
) -> std::result::Result<(), StateError> {
    let before = state.account()?;
    let short = before
        .as_ref()
        .is_some_and(|known| known.config == account.short_fingerprint());
    if short || before.as_ref().is_none_or(|known| known.uuid != uuid) {
        let known = before.filter(|_| !short);
        let config = known.map_or_else(|| account.fingerprint(), |known| known.config);
        state.set_account(&AccountRecord { uuid, config }, now())?;
    }
    Ok(())
}

/// Returns a warning if other users can write into the Maildir: their changes are carried to the
/// server.
pub fn open_to_others(account: &config::Account) -> Option<String> {
    let told = config::is_private(&account.maildir).err()?;
    let what = "what they put, change or remove there is carried to the server as yours";
    Some(format!("maildir: {told} ({what})"))
}

/// Returns the layout of the Maildir.
pub fn layout(account: &config::Account) -> Layout {
    match account.layout {
        config::LayoutSetting::Nested => Layout::Nested,
        config::LayoutSetting::MaildirPlusPlus => Layout::MaildirPlusPlus,
    }
}

/// Returns the Maildir of an account.
pub fn local(account: &config::Account, claim: Claim, owner: Owner) -> MaildirStore {
    MaildirStore::new(&account.maildir, layout(account), claim).owned_by(owner)
}

/// Returns the Maildir of an account for reading beside other processes.
pub fn local_beside(
    state_dir: &Path,
    account: &config::Account,
    state: Option<&State>,
) -> Result<MaildirStore> {
    let claim = match state {
        Some(state) => claim_of(state)?,
        None => Claim::First(String::new()),
    };
    Ok(local(account, claim, owner(state_dir, account)))
}

/// Takes the lock in the Maildir. `beside`: another process has the state open, and this one only
/// reads.
pub fn lock_maildir(
    account: &config::Account,
    writes: Writes,
    beside: bool,
) -> std::result::Result<Option<Lock>, StateError> {
    let path = lock_path(&account.maildir, layout(account));
    match (writes, beside) {
        (Writes::Allowed, _) => Lock::take(&path).map(Some),
        (Writes::None, false) => Lock::take_quietly(&path),
        (Writes::None, true) => Ok(None),
    }
}

/// Returns the server side, not connected, with at most `connections`.
pub async fn remote(keyring: &Keyring, writes: Writes, connections: usize) -> Result<ImapStore> {
    let account = keyring.account();
    let pull = account.policy.direction == Direction::Pull;
    let access = match (writes, pull) {
        (Writes::Allowed, false) => Access::ReadWrite,
        _ => Access::ReadOnly,
    };
    let settings = Settings {
        access,
        connections,
        beside: ParallelSettings::default(),
        trash: account.trash.clone(),
    };
    Ok(ImapStore::new(keyring.server().await?, settings))
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The time by the wall clock, and by the monotonic clock of this boot.
pub fn moment() -> Moment {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Moment {
        date: now().div_euclid(24 * 3600),
        boot: boot.unwrap_or_default().trim().to_owned(),
        uptime: uptime.tv_sec,
    }
}

/// A random number, from the seed of the standard library's hasher.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A random id.
pub fn new_uuid() -> String {
    format!("{:016x}{:016x}", random(), random())
}
