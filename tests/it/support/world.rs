//! A server and a Maildir in memory, with the state between them.

use super::memory::{Fuse, Memory};
use mailtide::engine::report::Ended;
use mailtide::engine::{Context, Event, Observer, Options, Report, Stop, Verified, World};
use mailtide::model::{MailboxName, MaildirId, Uid};
use mailtide::reconcile::Policy;
use mailtide::state::{AccountRecord as AccountRow, State};
use mailtide::store::StoreError;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What an observer was told.
#[derive(Debug, Default)]
pub struct Told {
    pub looked: RefCell<BTreeSet<MailboxName>>,
    /// Messages to be copied, and mailboxes with something to do, of each pass.
    pub planned: RefCell<Vec<(usize, usize)>>,
    pub bytes: Cell<u64>,
    pub copied: Cell<usize>,
}

impl Observer for Told {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Looking(mailbox) => drop(self.looked.borrow_mut().insert(mailbox.clone())),
            Event::Planned {
                messages,
                mailboxes,
            } => self.planned.borrow_mut().push((messages, mailboxes)),
            Event::Copying(_) => {}
            Event::Bytes(bytes) => self.bytes.set(self.bytes.get() + bytes),
            Event::Copied(messages) => self.copied.set(self.copied.get() + messages),
        }
    }
}

pub struct TwoSides {
    pub remote: Memory<Uid>,
    pub local: Memory<MaildirId>,
    pub state: State,
    pub fuse: Rc<RefCell<Fuse>>,
    pub policy: Policy,
    pub now: Rc<Cell<i64>>,
    pub options: Options,
    pub stop: Stop,
    /// What was told while it ran.
    pub told: Rc<Told>,
    runtime: Rc<tokio::runtime::Runtime>,
    random: Rc<Cell<u32>>,
}

impl TwoSides {
    pub fn new() -> TwoSides {
        let fuse = Rc::new(RefCell::new(Fuse::default()));
        let mut state = State::in_memory().unwrap();
        let row = AccountRow {
            uuid: "u".into(),
            config: String::new(),
        };
        state.set_account(&row, 0).unwrap();
        TwoSides {
            remote: Memory::new(fuse.clone()),
            local: Memory::new(fuse.clone()),
            state,
            fuse,
            policy: Policy::default(),
            now: Rc::new(Cell::new(1_000_000)),
            options: Options {
                grace: 5,
                ..Options::default()
            },
            stop: Stop::default(),
            told: Rc::default(),
            runtime: Rc::new(
                tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()
                    .unwrap(),
            ),
            random: Rc::new(Cell::new(7)),
        }
    }

    /// One run, which may be cut at a step of either side.
    pub fn sync(&mut self) -> Report {
        self.run(async |account| account.sync().await)
    }

    /// A look at all pairs.
    pub fn verify(&mut self) -> Result<Verified, Ended> {
        self.run(async |account| mailtide::engine::verify(account).await)
    }

    /// A run of this machine and one of another, which see what the other does meanwhile.
    pub fn sync_beside(&mut self, other: &mut TwoSides, seed: u64) -> [Report; 2] {
        for (n, machine) in [&mut *self, &mut *other].into_iter().enumerate() {
            machine.fuse.borrow_mut().beside = Some(seed + n as u64);
        }
        let runtime = self.runtime.clone();
        let sync =
            async |machine: &mut TwoSides| machine.act(async |account| account.sync().await).await;
        let (one, two) = runtime.block_on(async { tokio::join!(sync(self), sync(other)) });
        self.fuse.borrow_mut().beside = None;
        other.fuse.borrow_mut().beside = None;
        [one, two]
    }

    fn run<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut Context<'_, Memory<Uid>, Memory<MaildirId>>) -> T,
    ) -> T {
        let runtime = self.runtime.clone();
        runtime.block_on(self.act(act))
    }

    async fn act<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut Context<'_, Memory<Uid>, Memory<MaildirId>>) -> T,
    ) -> T {
        let now = self.now.clone();
        let (random, stop) = (self.random.clone(), self.stop.clone());
        let told = self.told.clone();
        let begin = tokio::time::Instant::now();
        let mut account = Context {
            remote: &mut self.remote.clone(),
            local: &mut self.local.clone(),
            state: &mut self.state,
            policy: self.policy.clone(),
            options: self.options.clone(),
            world: World {
                now: Box::new(move || now.get() + begin.elapsed().as_secs() as i64),
                random: Box::new(move || {
                    random.set(random.get() + 1);
                    random.get()
                }),
            },
            observer: &*told,
            stop,
        };
        act(&mut account).await
    }

    /// A run that must succeed.
    pub fn sync_ok(&mut self) -> Report {
        let report = self.sync();
        assert!(report.ok(), "{:?} {:?}", report.errors, report.held);
        report
    }

    /// A run that is cut at the given step of the sides.
    pub fn sync_cut(&mut self, at: u32) -> Report {
        {
            let mut fuse = self.fuse.borrow_mut();
            fuse.cut_at = Some(fuse.steps + at);
        }
        let report = self.sync();
        self.fuse.borrow_mut().cut_at = None;
        report
    }

    /// A run of which one step fails.
    pub fn sync_failing(&mut self, at: u32, error: StoreError) -> Report {
        {
            let mut fuse = self.fuse.borrow_mut();
            fuse.fail_at = Some((fuse.steps + at, error));
        }
        let report = self.sync();
        self.fuse.borrow_mut().fail_at = None;
        report
    }

    /// A run that must find nothing to do and write nothing.
    pub fn sync_idle(&mut self) {
        let before = self.fuse.borrow().writes;
        let rows = self.state.writes();
        let report = self.sync();
        assert_eq!(report.changes(), 0, "second run: {report:?}");
        assert_eq!(
            self.fuse.borrow().writes,
            before,
            "second run wrote to a side"
        );
        assert_eq!(self.state.writes(), rows, "second run wrote a row");
    }

    /// Fails where an upload or a move that was begun on the server is still in doubt.
    pub fn assert_no_intent(&self, context: &str) {
        let intents = self.state.uploads_in_doubt().unwrap();
        assert!(intents.is_empty(), "{context}: {intents:?}");
    }

    pub fn assert_equal_sides(&self, context: &str) {
        let (remote, local) = (self.remote.view(), self.local.view());
        assert_eq!(remote, local, "{context}");
    }

    /// How often each body exists, in sight or in quarantine.
    pub fn bodies(&self) -> BTreeMap<Vec<u8>, usize> {
        let mut all: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let mut count = |view: &BTreeMap<String, Vec<(String, String)>>| {
            for (body, _) in view.values().flatten() {
                *all.entry(body.clone().into_bytes()).or_default() += 1;
            }
        };
        count(&self.remote.view());
        count(&self.local.view());
        for body in &self.local.inner.borrow().quarantine {
            *all.entry(body.clone()).or_default() += 1;
        }
        all
    }

    pub fn quarantined(&self) -> BTreeSet<String> {
        let inner = self.local.inner.borrow();
        inner
            .quarantine
            .iter()
            .map(|b| String::from_utf8_lossy(b).into())
            .collect()
    }
}
