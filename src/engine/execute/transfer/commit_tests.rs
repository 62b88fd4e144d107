use super::*;
use crate::engine::plain_values::{mb, uid};
use crate::model::Canonical;
use tokio::time::advance;

fn job(name: &str, key: MailboxKey, all: &[u32]) -> DownloadJob {
    let want = Wanted {
        flags: Flags::default(),
        replaces: None,
        attempts: 0,
    };
    DownloadJob {
        place: Place {
            mailbox: mb(name),
            uid_validity: None,
        },
        key,
        tag: 1,
        known: false,
        wanted: all.iter().map(|n| (uid(*n), want.clone())).collect(),
    }
}

fn whole(n: u32) -> Whole {
    Whole {
        uid: uid(n),
        hash: Canonical::of(&n.to_be_bytes()),
        flags: Flags::default(),
        kin: None,
    }
}

fn arrived<C>(receiver: C, job: DownloadJob, all: &[u32]) -> Arrived<C> {
    let got = all.iter().map(|n| whole(*n)).collect();
    Arrived {
        receiver,
        job,
        got,
        met: Vec::new(),
        failed: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_waits_until_it_is_much_or_late() {
    let mut arrivals: Arrivals<()> = Arrivals::default();
    let some = |all: &[u32]| arrived((), job("A", MailboxKey(1), all), all);
    advance(2 * LAG).await;
    assert!(!arrivals.are_due(), "nothing waits");
    assert_eq!(arrivals.take().len(), 0);
    arrivals.waiting.push(some(&[1]));
    assert!(!arrivals.are_due());
    advance(LAG).await;
    assert!(arrivals.are_due(), "it is late");
    assert_eq!(arrivals.take().len(), 1);
    let many: Vec<u32> = (1..MANY as u32).collect();
    arrivals.waiting.push(some(&many));
    assert!(!arrivals.are_due(), "one less");
    arrivals.waiting.push(some(&[1]));
    assert!(arrivals.are_due(), "it is much");
}
