//! A whole run: users, faults, kills, and at rest the judge.

use super::field::{self, Field};
use super::habits::{HABITS, POISON};
use super::judge::ROOT;
use super::profile::{PROFILES, Profile};
use super::stage::{Chaos, Killed, Random, Shared, Stage};
use super::strangers;
use super::users;
use mailtide::daemon;
use mailtide::engine::{Context, Options, Reach, Report, Silent, Stop, World};
use mailtide::imap::{
    Access, Compress, Credential, ImapStore, LoginMechanism, ParallelSettings, Plaintext, Server,
    Settings, TlsMode, Transport, Trust, Window,
};
use mailtide::maildir::{Claim, Layout, MaildirStore};
use mailtide::model::{MailboxKey, MailboxName, Side};
use mailtide::reconcile::guard::{Held, HeldKind};
use mailtide::reconcile::{Limits, Policy};
use mailtide::state::{AccountRecord, State};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Must be told to nobody (P10).
pub const CANARY: &str = "canary-7d1f";

/// One program on its stage.
pub struct Play {
    pub stage: Shared,
    pub state: State,
    pub lives: u32,
    pub policy: Policy,
    /// Messages that the user let go on each side.
    approved: [usize; 2],
    runtime: tokio::runtime::Runtime,
}

/// What a seed came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub trace: String,
    pub broken: Vec<String>,
    pub steps: u64,
    pub kills: u64,
    pub met: BTreeMap<(&'static str, &'static str), u64>,
    pub profile: &'static str,
    pub chaos: String,
    /// In a storm: how many messages there were, and how many ended up twice.
    pub storm: Option<(usize, u64)>,
}

impl Play {
    pub fn new(seed: u64, profile: Profile, tick: i64) -> Play {
        let stage = Stage::new(seed, profile, tick);
        Play {
            stage: Shared(Arc::new(Mutex::new(stage))),
            state: State::in_memory().unwrap(),
            lives: 0,
            policy: Policy::default(),
            approved: [0, 0],
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap(),
        }
    }

    fn server(&self) -> Server {
        Server {
            host: "stage".into(),
            port: 143,
            road: Transport::Other(Arc::new(self.stage.clone())),
            tls: TlsMode::None,
            trust: Trust {
                ca_file: None,
                pins: Vec::new(),
            },
            plaintext: Plaintext::LoopbackOnly,
            user: "user".into(),
            auth: LoginMechanism::Password,
            secret: Credential(CANARY.into()),
            timeout: Duration::from_secs(30),
            compress: Compress::Never,
            disabled: Vec::new(),
            window: Window::Many,
            learned: Arc::default(),
            purpose: mailtide::imap::Purpose::Work,
        }
    }

    /// One run of the program, from the opening of the Maildir to its end; `None`: it was killed.
    pub fn run(&mut self, reach: Reach) -> Option<Report> {
        let (stage, server) = (self.stage.clone(), self.server());
        let limit = self.policy.limits.account;
        let (state, policy) = (&mut self.state, self.policy.clone());
        let run = AssertUnwindSafe(|| {
            self.runtime.block_on(async {
                stage.lock().begin = Some(tokio::time::Instant::now());
                one(stage.clone(), server, state, (policy, reach)).await
            })
        });
        let ended = std::panic::catch_unwind(run);
        // Only within the runtime its clock can be read.
        let now = self.runtime.block_on(async { self.stage.lock().now() });
        let mut stage = self.stage.lock();
        (stage.clock, stage.begin) = (now, None);
        self.approved = stage.judge_day(limit, self.approved);
        match ended {
            Ok(report) => {
                let text = format!("{report:?}");
                if text.contains(CANARY) {
                    stage.broken("P10: the password is in the report");
                }
                stage.note(&format!(
                    "changes {}, held {}",
                    report.changes(),
                    report.held.len()
                ));
                for trouble in &report.errors {
                    stage.note(&format!("error {:?} {}", trouble.mailbox, trouble.text));
                }
                report.notes.iter().for_each(|note| stage.note(note));
                Some(report)
            }
            Err(thrown) if thrown.is::<Killed>() => {
                let power = stage.random.one_in(2);
                drop(stage);
                match power {
                    true => self.crash(),
                    false => self.killed(),
                }
                None
            }
            Err(thrown) => std::panic::resume_unwind(thrown),
        }
    }

    /// The power fails; what was not durable may be gone.
    pub fn crash(&mut self) {
        let mut stage = self.stage.lock();
        let mut random = stage.random.clone();
        stage.fs.crash(&mut random);
        stage.random = random;
        drop(stage);
        self.killed();
    }

    /// The program is no more; what it did is seen, and may not be durable.
    fn killed(&mut self) {
        let mut stage = self.stage.lock();
        (stage.dead, stage.kill_at) = (false, None);
        stage.serial += 1000;
        self.lives += 1;
        self.state.end_run();
        self.state.set_cut(true);
        stage.nothing_is_lost("a crash");
    }

    /// Lets the program run until nothing is left to do; then the judge has the word.
    pub fn rest(&mut self, thorough: bool) {
        {
            let mut stage = self.stage.lock();
            stage.note("-- to rest");
            stage.chaos = Chaos::default();
            (stage.dead, stage.kill_at) = (false, None);
            // Whoever waits for the disk or an old session has waited.
            stage.clock += 600 * 1_000_000_000;
        }
        let named = self.stage.lock().profile.habit.is_named();
        let (mut quiet, mut still) = (false, false);
        for _ in 0..8 {
            let since = self.stage.lock().now() / 1_000_000_000;
            let reach = match thorough {
                true => Reach::Everything(since),
                false => Reach::Due,
            };
            let Some(report) = self.run(reach) else { break };
            for held in &report.held {
                self.stage.lock().note(&format!(
                    "held {:?} {:?} {:?}",
                    held.kind, held.mailbox, held.lines
                ));
                let known = self.state.approve(&held.id).unwrap();
                self.approved[usize::from(held.side == Side::Local)] += messages(held);
                self.stage.lock().note(&format!("approved {known}"));
            }
            let mut stage = self.stage.lock();
            for held in report.held.iter().filter(|h| h.kind == HeldKind::Unmatched) {
                let mailbox = held.mailbox.as_ref().map(ToString::to_string);
                stage.uploads_anew(&mailbox.unwrap_or_default());
            }
            stage.clock += 60 * 1_000_000_000;
            for error in &report.errors {
                // The user deletes the directory that a renamed or deleted mailbox left, as told.
                let shell = error.text.contains("is there without cur and new");
                if let (Some(mailbox), true) = (&error.mailbox, shell) {
                    let path = Path::new(ROOT).join(mailbox.to_string());
                    stage.note(&format!("here: remove {}", path.display()));
                    let now = stage.now();
                    let _gone = stage.fs.remove_all(&path, now);
                    stage.fs.sync_last();
                }
            }
            let idle = report.changes() == 0 && report.held.is_empty();
            // What a server does not take is named, and the next run is like this one.
            // Where many break it and no other passes, it is the connection: the run ends.
            let many = stage.places(POISON).len() > 2;
            let same = named && idle && (many || report.halted.is_none());
            quiet = idle && report.ok() || same && still;
            still = same;
            let waits = |text: &str| {
                text.contains("set aside") || named && text.contains("tried again later")
            };
            if !quiet && report.errors.iter().any(|error| waits(&error.text)) {
                // What was refused is tried again after a while.
                stage.clock += 2 * 86_400 * 1_000_000_000;
            }
            if quiet {
                drop(stage);
                self.approved = [0, 0];
                break;
            }
        }
        if !quiet {
            self.stage
                .lock()
                .broken("P3: it does not come to rest in 8 runs");
        }
        // P5: another run writes nothing.
        let before = {
            let stage = self.stage.lock();
            (stage.orders, stage.fs.changes, self.state.writes())
        };
        let rows = rows(&self.state);
        let commands = self.stage.lock().commands;
        drop(self.run(Reach::Due));
        let mut stage = self.stage.lock();
        let after = (stage.orders, stage.fs.changes, self.state.writes());
        if before != after {
            let rows = (rows, self::rows(&self.state));
            stage.broken(&format!(
                "P5: a run at rest wrote: {before:?} {after:?} {rows:?}"
            ));
        }
        // P11: what is asked does not grow with what is there.
        let (asked, boxes) = (stage.commands - commands, stage.mail.boxes.len() as u64);
        // Where one message breaks the connection, it is narrowed down by each full look.
        let many = stage.places(POISON).len() as u64;
        let narrowed = if named { 60 + 30 * many } else { 0 };
        if asked > 8 + 4 * boxes + narrowed {
            stage.broken(&format!(
                "P11: {asked} commands to find nothing in {boxes} mailboxes"
            ));
        }
        stage.judge_rest();
        drop(stage);
        let known = self.state.account().unwrap().unwrap();
        for who in strangers::let_in(&self.stage, &known.uuid) {
            let mut stage = self.stage.lock();
            stage.broken(&format!("P12: {who} was let into the Maildir"));
        }
    }
}

/// How many messages a held part of a plan takes away; a line is a message, or a mailbox `with`
/// so many.
fn messages(held: &Held) -> usize {
    let count = |line: &String| {
        let number = line.split(" with ").nth(1)?.split(' ').next()?;
        number.parse().ok()
    };
    held.lines.iter().map(|line| count(line).unwrap_or(1)).sum()
}

/// What runs note of mailboxes.
fn rows(state: &State) -> Vec<String> {
    let mailboxes = state.mailboxes().unwrap();
    let [there, here] = [Side::Remote, Side::Local].map(|side| state.cursors(side).unwrap());
    let row = |(name, key): (&MailboxName, &MailboxKey)| {
        let cursors = (there.get(name), here.get(name));
        format!("{name} {} {cursors:?}", state.full_at(*key).unwrap())
    };
    mailboxes.iter().map(row).collect()
}

async fn one(
    stage: Shared,
    server: Server,
    state: &mut State,
    (policy, reach): (Policy, Reach),
) -> Report {
    let mut report = Report::default();
    let known = state.account().unwrap().map(|account| account.uuid);
    let claim = match (known, state.mailboxes().unwrap().is_empty()) {
        (Some(uuid), false) => Claim::Known(uuid),
        (Some(uuid), true) => Claim::First(uuid),
        (None, _) => Claim::First("00000000000000aa".into()),
    };
    let root = Path::new(ROOT);
    let mut local = MaildirStore::on(Rc::new(stage.clone()), root, Layout::Nested, claim)
        .owned_by(strangers::owner());
    let near = Duration::ZERO;
    let settings = Settings {
        access: Access::ReadWrite,
        connections: 3,
        beside: ParallelSettings { near, worth: 1 },
        trash: None,
    };
    let mut remote = ImapStore::new(server, settings);
    remote.call().await;
    let ready = (|| -> Result<(), daemon::OpenError> {
        let uuid = local.take_possession()?;
        if state.account()?.is_none() {
            let config = String::new();
            state.set_account(&AccountRecord { uuid, config }, 1)?;
        }
        daemon::check_generation(state, &mut local)?;
        Ok(())
    })();
    if let Err(error) = ready {
        stage.lock().note(&format!("not ready: {error}"));
        let severity = mailtide::engine::report::Severity::Partial;
        report.errors.push(mailtide::engine::report::Trouble {
            mailbox: None,
            severity,
            text: error.to_string(),
        });
        return report;
    }
    remote.call().await;
    let (clock, dice) = (stage.clone(), stage.clone());
    let mut account = Context {
        remote: &mut remote,
        local: &mut local,
        state,
        policy,
        options: Options {
            grace: 5,
            reach,
            ..Options::default()
        },
        world: World {
            now: Box::new(move || clock.lock().now() / 1_000_000_000),
            random: Box::new(move || dice.lock().random.below(1 << 30) as u32),
        },
        observer: &Silent,
        stop: Stop::default(),
    };
    let report = account.sync().await;
    if let Err(error) = daemon::record_generation(state, &local) {
        stage.lock().note(&format!("not settled: {error}"));
    }
    report
}

/// One seed.
pub fn play(seed: u64, only: Option<&str>) -> Outcome {
    let mut random = Random::new(seed ^ 0xabcd);
    let chosen = PROFILES[random.below(PROFILES.len())];
    play_on(seed, random, only.map_or(chosen, Profile::named))
}

/// One seed on a server that does something else than it says.
pub fn play_odd(seed: u64) -> Outcome {
    let mut random = Random::new(seed ^ 0xabcd);
    let lasting: Vec<&Profile> = PROFILES.iter().filter(|one| !one.no_epoch).collect();
    let profile = Profile {
        habit: HABITS[random.below(HABITS.len())],
        ..*lasting[random.below(lasting.len())]
    };
    play_on(seed, random, profile)
}

/// One seed with what happens in the field besides.
pub fn play_field(seed: u64, only: Option<&str>) -> Outcome {
    let mut random = Random::new(seed ^ 0xabcd);
    let lasting: Vec<&Profile> = PROFILES.iter().filter(|one| !one.no_epoch).collect();
    let chosen = *lasting[random.below(lasting.len())];
    let (profile, tick) = (only.map_or(chosen, Profile::named), ticks(&mut random));
    let play = Play::new(seed, profile, tick);
    {
        let mut stage = play.stage.lock();
        stage.field = Some(Field::default());
        if random.one_in(4) {
            stage.mail.constant = true;
            stage
                .mail
                .boxes
                .values_mut()
                .for_each(|one| one.uid_validity = 1);
        }
        field::settle(&mut stage);
    }
    play_from(seed, random, play)
}

fn ticks(random: &mut Random) -> i64 {
    [1, 4_000_000, 1_000_000_000][random.below(3)]
}

fn play_on(seed: u64, mut random: Random, profile: Profile) -> Outcome {
    let tick = ticks(&mut random);
    play_from(seed, random, Play::new(seed, profile, tick))
}

fn play_from(seed: u64, mut random: Random, mut play: Play) -> Outcome {
    let (profile, tick) = {
        let stage = play.stage.lock();
        (stage.profile, stage.fs.tick)
    };
    let mut kills = 0;
    if random.one_in(3) {
        play.policy.limits = Limits {
            count: 2,
            percent: 10,
            account: 4,
            empty: 2,
            ..Limits::default()
        };
    }
    // What goes wrong in this run: all at once shows less than a few at a time.
    let mut one_in = |n: usize, often: usize| match random.one_in(n) {
        true => often,
        false => 0,
    };
    let chaos = Chaos {
        users: one_in(2, 12),
        cuts: one_in(3, 25),
        cuts_up: one_in(4, 25),
        lies: one_in(4, 12),
        refusals: one_in(4, 15),
        disk: one_in(4, 40),
        clock: one_in(8, 60),
    };
    let (kills_too, wild) = (random.one_in(2), random.one_in(4));
    let honest = chaos.lies == 0 && chaos.clock == 0;
    {
        let mut stage = play.stage.lock();
        stage.note(&format!(
            "seed {seed}, {} {:?}, tick {tick}, {chaos:?}",
            profile.name, profile.habit
        ));
        stage.wild = wild;
        stage.stormy = chaos.users + chaos.disk > 0 || !profile.can("UIDPLUS");
        for _ in 0..6 {
            users::there(&mut stage);
        }
    }
    play.rest(false);
    for _ in 0..3 {
        for _ in 0..2 {
            {
                let mut stage = play.stage.lock();
                for _ in 0..stage.random.below(7) {
                    users::act(&mut stage);
                }
                if stage.field.is_some() {
                    field::between(&mut stage);
                }
                stage.chaos = chaos.clone();
                if kills_too && stage.random.one_in(2) {
                    stage.kill_at = Some(stage.steps + 1 + stage.random.below(250) as u64);
                }
            }
            if play.run(Reach::Due).is_none() {
                kills += 1;
            } else if kills_too && play.stage.lock().random.one_in(4) {
                // What was agreed on is durable.
                play.crash();
            }
            play.stage.lock().kill_at = None;
        }
        let rebuilt = {
            let mut stage = play.stage.lock();
            if stage.field.is_some() {
                field::finish(&mut stage);
            }
            stage.truth.rebuilt
        };
        play.rest(!honest || rebuilt);
        if !play.stage.lock().broken.is_empty() {
            break;
        }
    }
    let stage = play.stage.lock();
    Outcome {
        trace: stage.trace(),
        broken: stage.broken.clone(),
        steps: stage.steps,
        kills,
        met: stage.met.clone(),
        profile: profile.name,
        chaos: format!("{:?} {chaos:?}", profile.habit),
        storm: stage
            .stormy
            .then_some((stage.truth.contents.len(), stage.doubled)),
    }
}
