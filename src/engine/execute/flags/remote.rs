//! Sets flags on the server. Each mailbox costs a round trip, so a distant server gets several
//! connections.

use crate::engine::context::Context;
use crate::engine::execute::flags::update::{Setting, There};
use crate::engine::execute::job::{Work, Works};
use crate::engine::execute::narrow::{Culprit, narrowed};
use crate::engine::execute::parallel::spread;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::uid_proof;
use crate::engine::snapshot::uid_proof::sample;
use crate::model::{Kin, MailboxName, PairId, SystemFlag, Uid};
use crate::state::{MailboxOutcomes, State, UidDoubt};
use crate::store::{
    FlagEdit, LocalStore, Place, Prefetch, RefusedKeyword, RemoteStore, StoreError,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// The longest time before set flags are recorded, with all other pending rows: until then a change
/// back by another client could not be told from no change.
const LAG: Duration = Duration::from_millis(100);

/// The result of the STOREs of one mailbox.
struct StoreResult {
    name: MailboxName,
    /// The messages whose flags the server has.
    result: Result<BTreeSet<Uid>, StoreError>,
    refused: Vec<RefusedKeyword>,
}

/// The flags of one mailbox.
struct Job<'w> {
    work: &'w Work,
    place: Place,
    settings: Vec<Setting<'w>>,
    edits: Vec<FlagEdit<Uid>>,
    /// Ids of some messages.
    expected: Vec<(Uid, Kin)>,
    /// The updates.
    sample: Vec<Uid>,
}

impl<'w> Job<'w> {
    fn of(work: &'w Work) -> Option<Job<'w>> {
        let settings = work.plan.actions.iter().filter_map(Setting::of);
        let settings: Vec<Setting<'_>> = settings.filter(|s| !s.remote.is_empty()).collect();
        let edit = |setting: &Setting<'_>| FlagEdit {
            id: setting.pair.uid,
            change: setting.remote.clone(),
            saw: None,
        };
        let edits: Vec<FlagEdit<Uid>> = settings.iter().map(edit).collect();
        let place = work.place();
        (!edits.is_empty()).then_some(Job {
            work,
            place,
            settings,
            edits,
            expected: Vec::new(),
            sample: Vec::new(),
        })
    }

    /// Returns the messages to verify before: some, and all that would be marked `\Deleted`.
    fn to_ask(&self) -> BTreeSet<Uid> {
        let uids: BTreeSet<Uid> = self.edits.iter().map(|edit| edit.id).collect();
        let marks = |edit: &&FlagEdit<Uid>| edit.change.add.has(SystemFlag::Deleted);
        let marked = self.edits.iter().filter(marks).map(|edit| edit.id);
        let some = sample(&uids.into_iter().collect::<Vec<_>>());
        some.into_iter().chain(marked).collect()
    }

    /// Returns the rows for these messages.
    fn done(&self, set: &BTreeSet<Uid>) -> MailboxOutcomes {
        let mut done = MailboxOutcomes::of(self.work.base.key);
        let settings = self.settings.iter().filter(|s| set.contains(&s.pair.uid));
        for setting in settings.filter(|s| s.is_there_only()) {
            setting.record(self.work, &mut done);
        }
        done
    }
}

/// Sets the flags of a mailbox; returns the messages whose flags the server has, and those at which
/// the connection breaks.
async fn set_narrowed<R: RemoteStore>(
    remote: &mut R,
    job: &Job<'_>,
) -> Result<(BTreeSet<Uid>, Vec<(PairId, String)>), StoreError> {
    let set = RefCell::new(BTreeSet::new());
    let send = async |remote: &mut R, edits: &[FlagEdit<Uid>]| {
        remote.expect_object_ids(&job.place, job.expected.clone());
        let held = remote.set_flags(&job.place, edits).await?;
        set.borrow_mut().extend(held);
        Ok(())
    };
    let culprits = narrowed(remote, &job.edits, send).await?;
    let pair = |culprit: Culprit<'_, FlagEdit<Uid>>| {
        let mut settings = job.settings.iter();
        let setting = settings.find(|setting| setting.pair.uid == culprit.change.id)?;
        let why = format!("the connection breaks at its flags: {}", culprit.error);
        Some((setting.pair.id, why))
    };
    let culprits = culprits.into_iter().filter_map(pair).collect();
    Ok((set.into_inner(), culprits))
}

/// Rows to record soon.
struct Soon<'s> {
    state: &'s mut State,
    open: Vec<MailboxOutcomes>,
    since: Instant,
}

impl Soon<'_> {
    fn add(&mut self, done: MailboxOutcomes) -> Result<(), Ended> {
        if self.open.is_empty() {
            self.since = Instant::now();
        }
        self.open.push(done);
        match self.since.elapsed() < LAG {
            true => Ok(()),
            false => self.record(),
        }
    }

    fn record(&mut self) -> Result<(), Ended> {
        Ok(self.state.record(&std::mem::take(&mut self.open))?)
    }
}

/// Sets all flags on the server, and records those that need nothing else.
pub(in crate::engine) async fn flags_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    pass: &mut PassState,
) -> Result<There, Ended> {
    let mut jobs: Vec<Job<'_>> = works.values().filter_map(Job::of).collect();
    for job in &mut jobs {
        let uids: Vec<Uid> = job.to_ask().into_iter().collect();
        job.expected = uid_proof::expected(ctx, job.work.base.key, &uids)?;
        job.sample = job.expected.iter().map(|(uid, _)| *uid).collect();
    }
    if jobs.is_empty() {
        return Ok(There::default());
    }
    let (results, stop) = (RefCell::new(Vec::new()), &ctx.stop);
    let now = (ctx.world.now)();
    let soon = RefCell::new(Soon {
        state: &mut *ctx.state,
        open: Vec::new(),
        since: Instant::now(),
    });
    let work = async |remote: &mut R, job: &Job<'_>, next: Option<&Job<'_>>| {
        if stop.requested() {
            return Err(Ended::Stopped);
        }
        let next = next.map(|next| Prefetch::Flags(&next.place, &next.sample));
        remote.pipeline_after(next.as_slice()).await?;
        let result = match set_narrowed(remote, job).await {
            Err(error) if !error.is_local_to_mailbox() => return Err(error.into()),
            Err(error) => Err(error),
            Ok((set, culprits)) => {
                let state = &mut *soon.borrow_mut();
                for (pair, why) in culprits {
                    state.state.refuse_change(pair, &why, now)?;
                }
                Ok(set)
            }
        };
        let refused = remote.take_refused();
        // Before the flags are recorded: flags missing after that were refused.
        for one in &refused {
            let state = &mut *soon.borrow_mut();
            state
                .state
                .refuse_keyword(job.work.base.key, &one.keyword)?;
        }
        if let Ok(set) = &result {
            soon.borrow_mut().add(job.done(set))?;
        }
        let name = job.work.base.name.clone();
        results.borrow_mut().push(StoreResult {
            name,
            result,
            refused,
        });
        Ok(())
    };
    let ended = spread(&mut *ctx.remote, jobs, work).await;
    // Executed changes are recorded also after an error.
    let recorded = soon.into_inner().record();
    let there = gather(ctx, works, results.into_inner(), pass)?;
    recorded.and(ended)?;
    Ok(there)
}

fn gather<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    works: &Works,
    results: Vec<StoreResult>,
    pass: &mut PassState,
) -> Result<There, Ended> {
    let mut there = There::default();
    for StoreResult {
        name,
        result,
        refused,
    } in results
    {
        refused.iter().for_each(|one| pass.refused_keyword(one));
        match result {
            Ok(set) => {
                pass.counts.flags_remote += set.len();
                there.set.insert(name, set);
            }
            Err(error) => {
                let key = works.get(&name).map(|work| work.base.key);
                if let (StoreError::Renumbered(_), Some(key)) = (&error, key) {
                    ctx.state.doubt(key, UidDoubt::Suspected)?;
                }
                let _reported = ctx.tolerate(&name, Err(error.into()), pass)?;
                there.failed.insert(name);
            }
        }
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plain_values::{mb, merge, uid, work};
    use crate::model::FlagChange;

    #[test]
    fn what_the_server_holds_is_known_by_mailbox_and_uid() {
        let flags = |n| merge(n, FlagChange::default(), FlagChange::default());
        let there = There {
            set: [(mb("A"), BTreeSet::from([uid(1)]))].into(),
            failed: BTreeSet::new(),
        };
        let has = |name: &str, n| {
            let action = flags(n);
            there.has(&work(name, Vec::new()), &Setting::of(&action).unwrap())
        };
        assert!(has("A", 1) && !has("A", 2) && !has("B", 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_is_recorded_together_and_soon() {
        let mut state = State::in_memory().unwrap();
        let mut soon = Soon {
            state: &mut state,
            open: Vec::new(),
            since: Instant::now(),
        };
        let done = || MailboxOutcomes::of(crate::model::MailboxKey(1));
        tokio::time::advance(10 * LAG).await;
        soon.add(done()).unwrap();
        soon.add(done()).unwrap();
        assert_eq!(soon.open.len(), 2, "nothing is due yet");
        tokio::time::advance(LAG).await;
        soon.add(done()).unwrap();
        assert!(soon.open.is_empty());
    }
}
