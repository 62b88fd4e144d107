//! An open account (lock, state, Maildir, server) and one cycle over it. `mailtide sync` runs one,
//! the watcher one after another.

use crate::daemon::arrange::{ArrangeStep, Arranger};
use crate::daemon::hooks::{HookContext, run_before};
use crate::daemon::open::{self, OpenError, OpenState, Writes};
use crate::daemon::secret::Keyring;
use crate::daemon::undo;
use crate::engine::report::Ended;
use crate::engine::{Context, Observer, Options, Reach, Report, Silent, Stop, Verified, World};
use crate::imap::{ImapStore, ServerTrait};
use crate::maildir::MaildirStore;
use crate::reconcile::retention;
use crate::state::{Lock, State};
use crate::store::StoreError;
use std::path::Path;
use std::rc::Rc;

/// The parameters of a cycle.
#[derive(Clone, Debug, Default)]
pub struct CycleRequest {
    /// Plan only, write nothing.
    pub dry_run: bool,
    /// Only mailboxes that match one of these patterns; empty: all.
    pub only: Vec<String>,
    /// The mailboxes to read.
    pub reach: Reach,
}

/// An open account. It holds the lock until it is dropped.
pub struct OpenAccount {
    /// The account's settings and secret.
    pub keyring: Rc<Keyring>,
    /// The state database.
    pub state: State,
    /// The Maildir.
    pub local: MaildirStore,
    /// The server, once a cycle needed it.
    pub remote: Option<ImapStore>,
    writes: Writes,
    connections: usize,
    /// Whether the Maildir was usable at the last cycle.
    ready: bool,
    _lock: Option<Lock>,
    /// Whether another process holds the lock and this one only reads.
    beside: bool,
    /// The lock in the Maildir, held during a cycle only: an idle watcher has no open file there,
    /// so the disk can be unmounted.
    maildir_lock: Option<Lock>,
    /// Whether the warning about other users with write access was logged.
    warned: bool,
}

impl OpenAccount {
    /// Locks and opens the state; connects to nothing. Cycles use at most `connections`.
    pub fn new(
        keyring: Rc<Keyring>,
        state_dir: &Path,
        writes: Writes,
        connections: usize,
    ) -> Result<OpenAccount, OpenError> {
        let opened = open::open_state(state_dir, keyring.account(), writes)?;
        Ok(OpenAccount::of(keyring, opened, writes, connections))
    }

    /// Uses a state that is open already.
    pub fn of(
        keyring: Rc<Keyring>,
        opened: OpenState,
        writes: Writes,
        connections: usize,
    ) -> OpenAccount {
        let local = open::local(keyring.account(), opened.claim, opened.owner);
        OpenAccount {
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

    /// Runs one cycle. An `Err` means that it could not start; later errors are in the report.
    /// Cancel safe: the next cycle continues from the recorded state.
    pub async fn cycle(
        &mut self,
        request: CycleRequest,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Result<Report, OpenError> {
        if self.writes == Writes::Allowed {
            let context = HookContext::of(self.keyring.account());
            let ran = run_before(&context).await;
            ran.map_err(StoreError::Retry)?;
        }
        let done = self.locked_cycle(request, observer, stop).await;
        self.maildir_lock = None;
        done
    }

    async fn locked_cycle(
        &mut self,
        request: CycleRequest,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Result<Report, OpenError> {
        let known = self.state.learned(open::now())?;
        self.keyring
            .learned()
            .recall(known.iter().map(String::as_str));
        let (limit, user) = (self.keyring.limit(), self.keyring.account().user.clone());
        limit.recall(&user, known.iter().map(String::as_str));
        // If the Maildir was not usable the last time, check it before connecting.
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
        // The greeting has arrived by now.
        remote.call().await;
        let clean = request.only.is_empty() && !matches!(request.reach, Reach::Woken(_));
        let one = self.keyring.learned().has(ServerTrait::OneAtATime);
        let again = request.clone();
        let mut engine = self.engine(&mut remote, request.clone(), observer, stop);
        let mut report = Box::pin(engine.sync()).await;
        let lost = matches!(report.halted, Some(StoreError::Retry(_)));
        if lost && self.keyring.learned().has(ServerTrait::OneAtATime) && !one {
            let what = "the server mixes up answers to several commands: it gets one at a time";
            tracing::warn!("{what} from now on; pipelining = false says so beforehand");
            remote.close().await;
            let mut engine = self.engine(&mut remote, request, observer, stop);
            report = Box::pin(engine.sync()).await;
        }
        let refused = matches!(report.halted, Some(StoreError::LoginRefused(_)));
        if refused && self.keyring.is_token() {
            tracing::info!("the access token was refused: it is asked for once more");
            remote.close().await;
            remote = self.connect().await?;
            let mut engine = self.engine(&mut remote, again, observer, stop);
            report = Box::pin(engine.sync()).await;
        }
        self.remote = Some(remote);
        if self.writes == Writes::Allowed {
            let mut found = limit.names(&user);
            let traits = self.keyring.learned().names();
            found.extend(traits.into_iter().map(str::to_owned));
            self.state.learn(&found, open::now())?;
        }
        report.notes.extend(notes);
        if self.writes == Writes::Allowed {
            if let Err(error) = open::record_generation(&mut self.state, &self.local) {
                // The report is returned although this failed.
                report.add_error(&StoreError::Retry(error.to_string()));
            }
            if clean {
                self.purge(&mut report);
            }
        }
        Ok(report)
    }

    /// Undoes changes on disk and returns their number. The next cycle carries them to the server.
    pub async fn undo(&mut self, what: &undo::UndoSelection) -> Result<usize, OpenError> {
        let done = async {
            self.make_ready()?;
            let plan = undo::plan(what, &self.state, &self.local)?;
            let steps = &plan.steps;
            let done = undo::carry_out(steps, &mut self.state, &mut self.local, open::now()).await;
            open::record_generation(&mut self.state, &self.local)?;
            done
        };
        let done = done.await;
        self.maildir_lock = None;
        done
    }

    /// Carries steps out that the user wants and returns what became of each. The next cycle
    /// carries to the server what was changed on disk.
    pub async fn arrange(&mut self, steps: &[ArrangeStep]) -> Result<Vec<String>, OpenError> {
        let done = async {
            self.make_ready()?;
            let mut remote = self.connect().await?;
            let policy = self.keyring.account().policy.clone();
            let (state, local) = (&mut self.state, &mut self.local);
            let mut arranger = Arranger::new(state, local, &mut remote, &policy);
            let done = arranger.carry_out(steps, open::now()).await;
            self.remote = Some(remote);
            open::record_generation(&mut self.state, &self.local)?;
            done
        };
        let done = done.await;
        self.maildir_lock = None;
        done
    }

    /// Whether another process has the account open and this one only reads its state.
    pub fn is_beside(&self) -> bool {
        self.beside
    }

    /// Checks the owner of the Maildir and takes its lock. Writes nothing else.
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
                // Another process may have taken the lock in between.
                self.local.examine()?;
            }
        }
        Ok(())
    }

    /// Verifies the state against both sides; see [`crate::engine::verify`].
    pub async fn verify(&mut self, stop: &Stop) -> Result<Result<Verified, Ended>, OpenError> {
        let mut remote = self.connect().await?;
        let mut engine = self.engine(&mut remote, CycleRequest::default(), &Silent, stop);
        let verified = crate::engine::verify(&mut engine).await;
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
        request: CycleRequest,
        observer: &'a dyn Observer,
        stop: &Stop,
    ) -> Context<'a, ImapStore, MaildirStore> {
        let account = self.keyring.account();
        Context {
            remote,
            local: &mut self.local,
            state: &mut self.state,
            policy: account.policy.clone(),
            options: Options {
                dry_run: request.dry_run,
                only: request.only,
                reach: request.reach,
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

    /// Checks the owner of the Maildir and that its generation matches the state.
    pub fn make_ready(&mut self) -> Result<Vec<String>, OpenError> {
        self.enter()?;
        let mut notes = self.warn_of_others();
        if self.writes == Writes::Allowed {
            let uuid = self.local.take_possession()?;
            open::note_account(&mut self.state, self.keyring.account(), uuid)?;
            if let Some(what) = open::check_generation(&mut self.state, &mut self.local)? {
                tracing::warn!("{what}");
                notes.push(what);
            }
        } else if !open::generation_matches(&self.state, self.local.generation()?)? {
            open::refuse_copy(&self.local)?;
            self.state = State::in_memory()?;
        }
        Ok(notes)
    }

    /// Returns, once, the warning about a Maildir into which other users can write.
    fn warn_of_others(&mut self) -> Vec<String> {
        let first = !std::mem::replace(&mut self.warned, true);
        let warning = first.then(|| open::open_to_others(self.keyring.account()));
        let warnings: Vec<String> = warning.flatten().into_iter().collect();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        warnings
    }

    /// Makes the state forget all messages, so that they are matched anew.
    pub fn start_over(&mut self) -> Result<(), OpenError> {
        let next = self.state.generation()?.0 + 1;
        self.state.start_over(next)?;
        open::record_generation(&mut self.state, &self.local)
    }

    /// Removes expired messages from the quarantine.
    fn purge(&mut self, report: &mut Report) {
        match self.purge_days() {
            Ok(days) => {
                let emptied = |day| format!("quarantine of {day} was emptied: its time is over");
                report.notes.extend(days.iter().map(emptied));
            }
            Err(error) => tracing::warn!(%error, "the quarantine could not be emptied"),
        }
    }

    /// Removes the expired days and returns their names. Writes nothing if the quarantine is empty
    /// or no day passed.
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

    /// Sets the number of connections and the secret for the next cycle.
    pub fn allow(&mut self, connections: usize) {
        self.connections = connections;
        if let Some(remote) = &mut self.remote {
            remote.allow(connections);
        }
        self.give_up_calls();
    }

    /// Drops a connection that is still being opened: the next cycle opens one with a fresh token.
    fn give_up_calls(&mut self) {
        let connected = self.remote.as_ref().is_some_and(ImapStore::is_connected);
        if !connected {
            self.remote = None;
        }
    }

    /// Closes the connections.
    pub async fn disconnect(&mut self) {
        if let Some(mut remote) = self.remote.take() {
            remote.close().await;
        }
    }
}

#[cfg(test)]
#[path = "cycle_tests.rs"]
mod tests;
