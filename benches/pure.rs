//! What the pure parts cost: `cargo bench`. The whole program against its peers is another matter
//! (and another bench).

use mailtide::model::*;
use mailtide::reconcile::messages::{Case, decide};
use mailtide::reconcile::{Coverage, FlagMask, Look, Policy};
use std::collections::{BTreeMap, BTreeSet};

fn main() {
    divan::main();
}

fn base(count: u32) -> MailboxBase {
    let pair = |n: u32| {
        Some(Pair {
            id: PairId(i64::from(n)),
            uid: Uid::new(n)?,
            file: MaildirId::new(format!("1700000000.deadbeef_{n:08x}_65a0.host")),
            flags: Flags::of(&[SystemFlag::Seen]),
            hash: Canonical::of(b"x"),
            size: 1,
            tombstone: None,
            kin: None,
            stamp: None,
        })
    };
    MailboxBase {
        key: MailboxKey(1),
        name: MailboxName::inbox(),
        tag: 1,
        uid_validity: Some(UidValidity(1)),
        pairs: (1..=count).filter_map(pair).collect(),
        others: BTreeSet::new(),
        aside: Vec::new(),
    }
}

fn look<I: Ord>(seen: BTreeMap<I, Option<Flags>>) -> Look<I> {
    let coverage = Coverage::Complete;
    Look {
        seen,
        coverage,
        sees: FlagMask::All,
        ..Look::empty()
    }
}

/// All pairs on both sides, one in a hundred with another flag there.
#[divan::bench(args = [1_000, 100_000])]
fn reconcile(bencher: divan::Bencher<'_, '_>, count: u32) {
    let base = base(count);
    let remote = look(
        base.pairs
            .iter()
            .map(|pair| {
                let odd = pair.uid.get().is_multiple_of(100);
                let flagged = Flags::of(&[SystemFlag::Seen, SystemFlag::Flagged]);
                (
                    pair.uid,
                    Some(if odd { flagged } else { pair.flags.clone() }),
                )
            })
            .collect(),
    );
    let local = look(
        base.pairs
            .iter()
            .map(|p| (p.file.clone(), Some(p.flags.clone())))
            .collect(),
    );
    let (policy, in_doubt) = (Policy::default(), BTreeSet::new());
    let settled = mailtide::reconcile::settled::Settled::default();
    let unlisted = Default::default();
    let (base, remote, local) = (&base, &remote, &local);
    bencher.bench(|| {
        let (links, in_doubt, policy) = (&[][..], &in_doubt, &policy);
        decide(&Case {
            base,
            remote,
            local,
            links,
            in_doubt,
            uploads: in_doubt,
            unlisted: &unlisted,
            settled: &settled,
            policy,
            now: 0,
        })
    });
}

/// The canonical hash of a message of 8 kB.
#[divan::bench]
fn canonical_hash(bencher: divan::Bencher<'_, '_>) {
    let body =
        b"line of text, as mail has it, of some seventy characters or so ....\r\n".repeat(120);
    bencher.bench(|| Canonical::of(divan::black_box(&body)));
}
