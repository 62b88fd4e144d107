//! A real account behind the desk: state, Maildir and server, those who listen to both, and the
//! user's programs.

use super::agenda::{Kind, Task};
use super::bell::Bell;
use super::board::{Board, Mailbox};
use super::cycle::{Errand, Opened};
use super::desk::{Desk, Verdict, Wish};
use super::ears::Ears;
use super::hooks::{Facts, Teller, Whose};
use super::memory;
use super::open::{self, OpenError, Writes};
use super::secret::Keyring;
use super::told::failed;
use super::undo;
use crate::config;
use crate::engine::{Observer, Reach, Report, Stop};
use crate::imap::Tier;
use crate::maildir::{Watch, Watched};
use crate::model::{Scope, Side};
use crate::reconcile::News;
use crate::state::StateError;
use crate::store::{Store, StoreError};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// A connection that was silent for so long is asked whether it is still there,
const SILENT: Duration = Duration::from_secs(30);
/// and has to answer within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// A cycle that changed so much has needed memory that the next will not.
const MANY: usize = 200;
/// Mailboxes compared within this need not be compared again at night, seconds.
const COMPARED: i64 = 8 * 3600;
/// When it is night, by the clock on the wall.
const NIGHT: std::ops::Range<i8> = 2..5;

/// An account of the configuration.
pub struct RealDesk {
    account: config::Account,
    state_dir: PathBuf,
    keyring: Rc<Keyring>,
    opened: Option<Opened>,
    watch: Option<Watch>,
    watched: Watched,
    ears: Rc<Ears>,
    /// Whether the server allows no connection for work beside those that listen.
    crowded: bool,
    bell: Bell,
    board: Board,
    teller: Teller,
}

impl RealDesk {
    /// Begins to listen. To be called on a thread with a local task set.
    pub fn new(account: config::Account, state_dir: PathBuf, bell: Bell, board: Board) -> RealDesk {
        let keyring = Rc::new(Keyring::new(account.clone()));
        let most = account.connections.saturating_sub(1);
        let most = most.min(1 + account.idle_mailboxes.len());
        let ears = Ears::start(keyring.clone(), bell.clone(), board.clone(), most);
        let teller = Teller::start(Whose {
            account: account.name.clone(),
            maildir: account.maildir.clone(),
            hooks: account.hooks.clone(),
        });
        RealDesk {
            account,
            state_dir,
            keyring,
            opened: None,
            watch: None,
            watched: Watched::Some("not watched yet".into()),
            ears,
            crowded: false,
            bell,
            board,
            teller,
        }
    }

    fn open(&mut self) -> Result<&mut Opened, OpenError> {
        if self.opened.is_none() {
            let keyring = self.keyring.clone();
            let opened = Opened::new(keyring, &self.state_dir, Writes::Allowed, 1)?;
            self.opened = Some(opened);
        }
        let opened = self.opened.as_mut();
        opened.ok_or_else(|| StoreError::Bug("an account was lost".into()).into())
    }

    /// Works with as many connections as the server allows. Where that is none beside those that
    /// listen, these give way for as long as the work takes, now and from then on.
    async fn work(&mut self, errand: Errand, observer: &dyn Observer, stop: &Stop) -> Report {
        if self.crowded {
            self.ears.give_way().await;
        }
        let mut report = self.once(errand.clone(), observer, stop).await;
        let listening = self.ears.connections();
        if !self.crowded && listening > 0 && allows_no_more(&report) {
            self.ears.give_way().await;
            report = self.once(errand, observer, stop).await;
            self.crowded = !allows_no_more(&report);
            if self.crowded {
                let why = format!(
                    "the server allows {listening} connections at once: listening gives way to \
                     work; set connections = {listening}"
                );
                tracing::warn!("{why}");
                self.ears.share(why);
            } else {
                self.ears.resume();
            }
        }
        if self.crowded {
            if let Some(opened) = &mut self.opened {
                opened.hang_up().await;
            }
            self.ears.resume();
        }
        report
    }

    async fn once(&mut self, errand: Errand, observer: &dyn Observer, stop: &Stop) -> Report {
        let seats = self
            .account
            .connections
            .saturating_sub(self.ears.listening());
        let opened = match self.open() {
            Ok(opened) => opened,
            Err(error) => return failed(&error),
        };
        // Boxed: the future of a whole cycle is large.
        Box::pin(run(opened, seats.max(1), errand, observer, stop)).await
    }

    async fn run(&mut self, errand: Errand, observer: &dyn Observer, stop: &Stop) -> Report {
        let report = self.work(errand, observer, stop).await;
        if report
            .halted
            .as_ref()
            .is_some_and(|error| matches!(error, StoreError::Guard(_)))
        {
            // The disk may be another when it comes back; its return is to be noticed.
            self.watch = None;
            self.follow();
        }
        self.note_connections();
        if report.changes() >= MANY {
            memory::give_back();
        }
        report
    }

    fn note_connections(&self) {
        let remote = self
            .opened
            .as_ref()
            .and_then(|opened| opened.remote.as_ref());
        let mut board = self.board.open();
        let working = usize::from(remote.is_some_and(|remote| remote.is_connected()));
        board.status.connections = working + self.ears.listening();
        if let Some(tier) = remote.and_then(|remote| remote.tier()) {
            let name = match tier {
                Tier::QResync => "QRESYNC",
                Tier::CondStore => "CONDSTORE",
                Tier::Plain => "plain",
            };
            board.status.tier = Some(name.to_owned());
        }
    }

    fn reach(&self, task: &Task) -> Reach {
        let hour = jiff::Zoned::now().hour();
        match task.kind {
            Kind::Wake => Reach::Woken(task.remote.clone()),
            Kind::Full if NIGHT.contains(&hour) => Reach::Everything(open::now() - COMPARED),
            Kind::Full => Reach::Due,
        }
    }

    fn rows(&mut self) -> Result<Vec<Mailbox>, StateError> {
        let Some(opened) = &mut self.opened else {
            return Ok(Vec::new());
        };
        super::status::mailboxes(&opened.state)
    }

    async fn still_here(&mut self, scope: &Scope) -> Result<bool, OpenError> {
        let opened = self.open()?;
        let left = opened.state.cursors(Side::Local)?;
        let listed = opened.local.list(&left).await?;
        let known = opened.state.mailboxes()?;
        let same = listed.len() == left.len() && listed.iter().all(|l| known.contains_key(&l.name));
        let concerned = |l: &&crate::reconcile::Listed| scope.has(&l.name);
        let still = listed
            .iter()
            .filter(concerned)
            .all(|l| l.news == News::None);
        Ok(still && (same || *scope != Scope::Everywhere))
    }
}

/// Whether the login was refused because there are connections enough.
fn allows_no_more(report: &Report) -> bool {
    matches!(report.halted, Some(StoreError::Busy { wait: None, .. }))
}

/// One cycle, and another at once if it failed for a connection that had been kept for too long.
async fn run(
    opened: &mut Opened,
    seats: usize,
    errand: Errand,
    observer: &dyn Observer,
    stop: &Stop,
) -> Report {
    let mut kept = false;
    if let Some(remote) = &mut opened.remote {
        remote.wake(SILENT, PATIENCE).await;
        kept = remote.is_connected();
    }
    for again in [kept, false] {
        opened.allow(seats);
        let report = match opened.cycle(errand.clone(), observer, stop).await {
            Ok(report) => report,
            Err(error) => failed(&error),
        };
        opened.local.rest();
        let lost = matches!(report.halted, Some(StoreError::Retry(_)));
        if lost {
            opened.remote = None;
        }
        if !(lost && again) {
            return report;
        }
        tracing::debug!("the connection had been kept for too long; trying with a new one");
    }
    Report::default()
}

impl Desk for RealDesk {
    fn follow(&mut self) {
        let bell = self.bell.clone();
        if self.watch.is_none() {
            let layout = open::layout(&self.account);
            let stir = move |scope| bell.ring(Side::Local, scope);
            match Watch::new(&self.account.maildir, layout, stir) {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => self.watched = Watched::Some(error.to_string()),
            }
        }
        let paths = match self.open() {
            Ok(opened) => opened.local.mailbox_paths(),
            Err(_) => Default::default(),
        };
        if let Some(watch) = &mut self.watch {
            self.watched = watch.follow(paths);
        }
        self.board.open().status.disk = match &self.watched {
            Watched::All => "watched".to_owned(),
            Watched::Some(why) => why.clone(),
        };
    }

    async fn quiet_here(&mut self, scope: &Scope) -> bool {
        // What is wrong the cycle will say.
        self.still_here(scope).await.unwrap_or(false)
    }

    async fn cycle(&mut self, task: &Task, observer: &dyn Observer, stop: &Stop) -> Report {
        let errand = Errand {
            dry_run: false,
            only: Vec::new(),
            reach: self.reach(task),
        };
        self.run(errand, observer, stop).await
    }

    async fn errand(&mut self, wish: Wish, observer: &dyn Observer, stop: &Stop) -> Report {
        let errand = Errand {
            dry_run: false,
            only: wish.only,
            reach: wish.depth.reach(),
        };
        let mut taken_back = None;
        if let Some(what) = wish.undo {
            let taking = async { self.open()?.take_back(&what).await };
            taken_back = match taking.await {
                Ok(count) => Some(undo::taken_back(count)),
                Err(error) => return failed(&error),
            };
        }
        let mut report = self.run(errand, observer, stop).await;
        report.notes.splice(0..0, taken_back);
        report
    }

    fn covered(&self) -> Option<(Scope, bool)> {
        Some((self.ears.covers()?, self.watched == Watched::All))
    }

    fn refused(&self) -> Option<String> {
        self.ears.refused()
    }

    fn mailboxes(&mut self) -> Vec<Mailbox> {
        self.rows().unwrap_or_default()
    }

    fn decide(&mut self, id: &str, verdict: Verdict) -> Result<bool, String> {
        let opened = self.open().map_err(|error| error.to_string())?;
        let done = match verdict {
            Verdict::Approve => opened.state.approve(id),
            Verdict::Reject => opened.state.reject(id),
        };
        done.map_err(|error| error.to_string())
    }

    async fn probe(&mut self, patience: Duration) {
        self.ears.again();
        let opened = self.opened.as_mut();
        if let Some(remote) = opened.and_then(|opened| opened.remote.as_mut()) {
            remote.wake(Duration::ZERO, patience).await;
        }
    }

    fn secret_changed(&self) -> bool {
        self.keyring.is_stale()
    }

    fn renew_secret(&mut self) {
        self.keyring.forget();
        if let Some(opened) = &mut self.opened {
            opened.remote = None;
        }
        self.ears.again();
    }

    async fn rest(&mut self) {
        if let Some(opened) = &mut self.opened {
            opened.hang_up().await;
        }
        self.note_connections();
    }

    async fn close(&mut self) {
        if let Some(mut opened) = self.opened.take() {
            opened.hang_up().await;
        }
    }

    fn tell(&mut self, facts: Facts) {
        self.teller.tell(facts);
    }

    fn now(&self) -> i64 {
        open::now()
    }

    fn random(&self) -> u32 {
        open::random() as u32
    }
}
