//! Where a run is cut, or a step fails, or somebody else does something.

use mailtide::store::StoreError;
use std::cell::RefCell;
use std::rc::Rc;

/// Of the steps at which something is to happen, each N-th only, where `MAILTIDE_EACH=N` asks for
/// that, as `mutants.sh` does; else all of them.
pub fn each() -> usize {
    let set = std::env::var("MAILTIDE_EACH").ok();
    set.and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// The steps of a run at which something is to happen.
pub fn each_step(steps: u32) -> impl Iterator<Item = u32> {
    (1..=steps).step_by(each())
}

/// Counts steps, and fails from a certain one on, as a killed process does.
#[derive(Debug, Default)]
pub struct Fuse {
    pub steps: u32,
    pub cut_at: Option<u32>,
    /// This step fails, and no other.
    pub fail_at: Option<(u32, StoreError)>,
    pub writes: u32,
    /// What somebody else does just before this step.
    pub act_at: Option<(u32, Act)>,
    /// A number from which it is drawn how long runs beside this one go on before each step.
    pub beside: Option<u64>,
}

/// What somebody else does.
pub struct Act(pub Box<dyn FnOnce()>);

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Act")
    }
}

impl Fuse {
    /// Lets runs beside this one go on.
    pub async fn turn(fuse: &Rc<RefCell<Fuse>>) {
        let polls = {
            let mut fuse = fuse.borrow_mut();
            let drawn = fuse.beside.as_mut().map(|seed| {
                *seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                (*seed >> 33) % 4
            });
            drawn.unwrap_or(0)
        };
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
    }

    pub fn step(fuse: &Rc<RefCell<Fuse>>) -> Result<(), StoreError> {
        let (cut, failed, act) = {
            let mut fuse = fuse.borrow_mut();
            fuse.steps += 1;
            let steps = fuse.steps;
            let act = fuse.act_at.take_if(|(at, _)| *at <= steps);
            let failed = fuse.fail_at.take_if(|(at, _)| *at <= steps);
            (fuse.cut_at.is_some_and(|at| steps >= at), failed, act)
        };
        if let Some((_, act)) = act {
            (act.0)();
        }
        match (cut, failed) {
            (true, _) => Err(StoreError::Retry("cut".into())),
            (false, Some((_, error))) => Err(error),
            (false, None) => Ok(()),
        }
    }
}
