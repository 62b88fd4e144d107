//! An account that is open: lock, state, Maildir and server, and one cycle over them. `mailtide
//! sync` runs one, the watcher one after another.

use super::open::{self, OpenError, OpenState, Writes};
use super::secret::Keyring;
use super::undo;
use crate::engine::report::Ended;
use crate::engine::{Account, Observer, Options, Reach, Report, Silent, Stop, Verified, World};
use crate::imap::{ImapStore, Trait};
use crate::maildir::MaildirStore;
use crate::reconcile::retention;
use crate::state::{Lock, State};
use crate::store::StoreError;
use std::path::Path;
use std::rc::Rc;

/// What a cycle is to do.
#[derive(Clone, Debug, Default)]
pub struct Errand {
    /// Plan only.
    pub dry_run: bool,
    /// Only mailboxes that match one of these patterns; empty: all.
    pub only: Vec<String>,
    /// How far to look.
    pub reach: Reach,
}

/// An account with all that a cycle needs. The lock is held for as long as this lives.
pub struct Opened {
    /// How to enter the server.
    pub keyring: Rc<Keyring>,
    /// What both sides last agreed on.
    pub state: State,
    /// The disk.
    pub local: MaildirStore,
    /// The server, once it was needed.
    pub remote: Option<ImapStore>,
    writes: Writes,
    connections: usize,
    /// Whether the disk was ready the last time, as far as that is known.
    ready: bool,
    _lock: Option<Lock>,
    /// Whether another process holds that lock, and only reading is meant.
    beside: bool,
    /// The lock in the Maildir, while that is used. A watcher that waits has nothing open on the
    /// disk, which could not be unmounted else.
    maildir_lock: Option<Lock>,
    /// Whether it was said who else can write into the Maildir.
    warned: bool,
}

impl Opened {
    /// Locks and opens; nothing is connected yet. At most so many connections will be used.
    pub fn new(
        keyring: Rc<Keyring>,
        state_dir: &Path,
        writes: Writes,
        connections: usize,
    ) -> Result<Opened, OpenError> {
        let opened = open::open_state(state_dir, keyring.account(), writes)?;
        Ok(Opened::of(keyring, opened, writes, connections))
    }

    /// With a state that is open already.
    pub fn of(
        keyring: Rc<Keyring>,
        opened: OpenState,
        writes: Writes,
        connections: usize,
    ) -> Opened {
        let local = open::local(keyring.account(), opened.claim, opened.owner);
        Opened {
            keyring,
            state: opened.state,
            local,
            remote: None,
            writes,
            connections,
            ready: true,
            _lock: opened.lock,
            beside: opened.beside,
            maildir_lock: None,
            warned: false,
        }
    }

    /// Runs one cycle. What fails before it begins is the error; what fails in it is in the
    /// report. Safe to be dropped: the next cycle goes on from what was recorded.
    pub async fn cycle(
        &mut self,
        errand: Errand,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Result<Report, OpenError> {
        let done = self.locked_cycle(errand, observer, stop).await;
        self.maildir_lock = None;
        done
    }

    async fn locked_cycle(
        &mut self,
        errand: Errand,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Result<Report, OpenError> {
        let known = self.state.learned(open::now())?;
        self.keyring
            .learned()
            .recall(known.iter().map(String::as_str));
        // Where the disk was not ready the last time, the server is not bothered before it is.
        if self.ready {
            let mut remote = self.connect().await?;
            remote.call().await;
            self.remote = Some(remote);
        }
        let ready = self.make_ready();
        self.ready = ready.is_ok();
        if !self.ready {
            self.give_up_calls();
        }
        let notes = ready?;
        let mut remote = self.connect().await?;
        // By now it has said hello.
        remote.call().await;
        let clean = errand.only.is_empty() && !matches!(errand.reach, Reach::Woken(_));
        let one = self.keyring.learned().has(Trait::OneAtATime);
        let mut engine = self.engine(&mut remote, errand.clone(), observer, stop);
        let mut report = Box::pin(engine.sync()).await;
        let lost = matches!(report.halted, Some(StoreError::Retry(_)));
        if lost && self.keyring.learned().has(Trait::OneAtATime) && !one {
            let what = "the server mixes up answers to several commands: it gets one at a time";
            tracing::warn!("{what} from now on; pipelining = false says so beforehand");
            remote.close().await;
            let mut engine = self.engine(&mut remote, errand, observer, stop);
            report = Box::pin(engine.sync()).await;
        }
        self.remote = Some(remote);
        if self.writes == Writes::Allowed {
            let found = self.keyring.learned().names();
            self.state.learn(&found, open::now())?;
        }
        report.notes.extend(notes);
        if self.writes == Writes::Allowed {
            if let Err(error) = open::settle(&mut self.state, &self.local) {
                // What the cycle did is to be told all the same.
                report.trouble(None, &StoreError::Retry(error.to_string()));
            }
            if clean {
                self.purge(&mut report);
            }
        }
        Ok(report)
    }

    /// Takes back on disk what runs did; answers with how many steps that were. The next cycle
    /// carries it to the server.
    pub async fn take_back(&mut self, what: &undo::What) -> Result<usize, OpenError> {
        let done = async {
            self.make_ready()?;
            let plan = undo::plan(what, &self.state, &self.local)?;
            let steps = &plan.steps;
            let done = undo::carry_out(steps, &mut self.state, &mut self.local, open::now()).await;
            open::settle(&mut self.state, &self.local)?;
            done
        };
        let done = done.await;
        self.maildir_lock = None;
        done
    }

    /// Whether another process has the account open, and its state is only read beside that.
    pub fn is_beside(&self) -> bool {
        self.beside
    }

    /// Checks whose Maildir it is, and takes its lock. Writes nothing but the lock.
    pub fn enter(&mut self) -> Result<(), OpenError> {
        let opened = self.local.examine()?;
        let account = self.keyring.account();
        if opened.new && !account.shares.is_empty() {
            let (maildir, others) = (account.maildir.display(), account.shares.join(", "));
            let (name, what) = (&account.name, "would share the Maildir");
            return Err(OpenError::Store(StoreError::Guard(format!(
                "account {name} {what} {maildir} with account {others} of the same configuration: \
                 links lead to one place. Nothing was changed. Give each account a `maildir` of \
                 its own"
            ))));
        }
        if self.maildir_lock.is_none() {
            if self.writes == Writes::Allowed {
                self.local.root().prepare()?;
            }
            self.maildir_lock = open::lock_maildir(account, self.writes, self.beside)?;
            if opened.new {
                // Another process may have taken it just before.
                self.local.examine()?;
            }
        }
        Ok(())
    }

    /// Checks what is remembered against both sides; see [`Account::verify`].
    pub async fn verify(&mut self, stop: &Stop) -> Result<Result<Verified, Ended>, OpenError> {
        let mut remote = self.connect().await?;
        let mut engine = self.engine(&mut remote, Errand::default(), &Silent, stop);
        let verified = engine.verify().await;
        self.remote = Some(remote);
        Ok(verified)
    }

    async fn connect(&mut self) -> Result<ImapStore, OpenError> {
        match self.remote.take() {
            Some(remote) => Ok(remote),
            None => open::remote(&self.keyring, self.writes, self.connections).await,
        }
    }

    fn engine<'a>(
        &'a mut self,
        remote: &'a mut ImapStore,
        errand: Errand,
        observer: &'a dyn Observer,
        stop: &Stop,
    ) -> Account<'a, ImapStore, MaildirStore> {
        let account = self.keyring.account();
        Account {
            remote,
            local: &mut self.local,
            state: &mut self.state,
            policy: account.policy.clone(),
            options: Options {
                dry_run: errand.dry_run,
                only: errand.only,
                reach: errand.reach,
                config: account.fingerprint(),
                grace: i64::try_from(account.timeout.as_secs()).unwrap_or(60),
            },
            world: World {
                now: Box::new(open::now),
                random: Box::new(|| open::random() as u32),
            },
            observer,
            stop: stop.clone(),
        }
    }

    /// Whose Maildir it is, and whether it is as old as the state.
    pub fn make_ready(&mut self) -> Result<Vec<String>, OpenError> {
        self.enter()?;
        let mut notes = self.warn_of_others();
        if self.writes == Writes::Allowed {
            let uuid = self.local.take_possession()?;
            open::note_account(&mut self.state, self.keyring.account(), uuid)?;
            if let Some(what) = open::same_age(&mut self.state, &mut self.local)? {
                tracing::warn!("{what}");
                notes.push(what);
            }
        } else if !open::fits(&self.state, self.local.generation()?)? {
            open::refuse_copy(&self.local)?;
            self.state = State::in_memory()?;
        }
        Ok(notes)
    }

    /// What is said, once, of a Maildir into which others can write.
    fn warn_of_others(&mut self) -> Vec<String> {
        let first = !std::mem::replace(&mut self.warned, true);
        let warning = first.then(|| open::open_to_others(self.keyring.account()));
        let warnings: Vec<String> = warning.flatten().into_iter().collect();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        warnings
    }

    /// Forgets all that is known of messages: they are matched anew.
    pub fn start_over(&mut self) -> Result<(), OpenError> {
        let next = self.state.generation()?.0 + 1;
        self.state.start_over(next)?;
        open::settle(&mut self.state, &self.local)
    }

    /// Empties the quarantine of what has been there long enough.
    fn purge(&mut self, report: &mut Report) {
        match self.purge_days() {
            Ok(days) => {
                let emptied = |day| format!("quarantine of {day} was emptied: its time is over");
                report.notes.extend(days.iter().map(emptied));
            }
            Err(error) => tracing::warn!(%error, "the quarantine could not be emptied"),
        }
    }

    /// Removes the days that were kept long enough, and says which. Where nothing is in quarantine,
    /// and nothing aged, nothing is written.
    fn purge_days(&mut self) -> Result<Vec<String>, OpenError> {
        let there = self.local.days_in_quarantine()?;
        let known = self.state.kept_days()?;
        if there.is_empty() && known.is_empty() {
            return Ok(Vec::new());
        }
        let now = open::moment();
        let (mut days, seen) = self.state.seen_days(now.date)?;
        let new = days.is_new(&now, seen);
        days.count += i64::from(new);
        let today = self.local.quarantine_day();
        let mut ages = retention::ages(&known, &there, &today, days.count);
        let over = retention::over(&ages, days.count, self.keyring.account().quarantine_days);
        self.local.purge(&over)?;
        ages.retain(|day, _| !over.contains(day));
        let new = new.then_some((&now, days.count));
        self.state.note_days((&known, &ages), new)?;
        self.state.unbury_days(&over)?;
        Ok(over)
    }

    /// Uses so many connections from now on, and the secret of the day.
    pub fn allow(&mut self, connections: usize) {
        self.connections = connections;
        if let Some(remote) = &mut self.remote {
            remote.allow(connections);
        }
        self.give_up_calls();
    }

    /// A server that was not reached yet is called anew when it is needed, with a token that is
    /// fresh.
    fn give_up_calls(&mut self) {
        let connected = self.remote.as_ref().is_some_and(ImapStore::is_connected);
        if !connected {
            self.remote = None;
        }
    }

    /// Ends the connections.
    pub async fn hang_up(&mut self) {
        if let Some(mut remote) = self.remote.take() {
            remote.close().await;
        }
    }
}

#[cfg(test)]
#[path = "cycle_tests.rs"]
mod tests;
