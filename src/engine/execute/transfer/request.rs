//! The request of a copy, and its refusal.

use crate::model::{AnyId, Aside, AsideReason, Flags, MailboxBase, PairId, Side};
use crate::reconcile::Action;
use crate::state::HistoryChange;
use crate::store::Place;

/// The reason and the pair of a copy.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Wanted {
    pub flags: Flags,
    pub replaces: Option<PairId>,
    pub attempts: u32,
}

/// Returns the copy that this action requests.
pub(in crate::engine) fn wanted<'a>(
    base: &MailboxBase,
    action: &'a Action,
) -> Option<(&'a AnyId, Wanted)> {
    let Action::Copy {
        from,
        flags,
        replaces,
        ..
    } = action
    else {
        return None;
    };
    let before = base.aside.iter().find(|aside| aside.id == *from);
    let wanted = Wanted {
        flags: flags.clone(),
        replaces: *replaces,
        attempts: before.map_or(0, |aside| aside.attempts),
    };
    Some((from, wanted))
}

pub(in crate::engine) fn change(
    place: &Place,
    side: Side,
    id: AnyId,
    from: &impl std::fmt::Display,
) -> HistoryChange {
    let mailbox = place.mailbox.clone();
    HistoryChange {
        mailbox,
        side,
        what: "new",
        message: Some(id),
        why: format!("from {from}"),
        kept: None,
        flags: None,
        trail: None,
    }
}

/// Returns the time of the next attempt: after 1, 2, 4, 8, 16 hours, then daily (row 46).
pub(in crate::engine) fn refused(id: AnyId, want: &Wanted, why: String, now: i64) -> Aside {
    let wait = 3600_i64 << want.attempts.min(5);
    Aside {
        id,
        reason: AsideReason::Refused,
        attempts: want.attempts.saturating_add(1),
        retry_at: Some(now + wait.min(24 * 3600)),
        flags: want.flags.clone(),
        detail: why,
    }
}

pub(in crate::engine) fn refusal(aside: &Aside) -> String {
    if aside.reason == AsideReason::NotListed {
        return format!(
            "{} is set aside and not sent again: {}; move it to another mailbox, or give it \
             another name, to try once more",
            aside.id, aside.detail
        );
    }
    format!(
        "{} could not be copied to the {} side and is set aside (tried {} times, tried again \
         later): {}",
        aside.id,
        aside.id.side().other(),
        aside.attempts,
        aside.detail
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Id, Uid};

    #[test]
    fn what_is_refused_is_tried_again_ever_more_seldom_and_at_least_daily() {
        let uid = Uid::new(7).unwrap().any();
        let aside = |attempts| {
            let (flags, replaces) = (Flags::default(), None);
            let want = Wanted {
                flags,
                replaces,
                attempts,
            };
            refused(uid.clone(), &want, "no".into(), 1000)
        };
        let hours = |attempts| (aside(attempts).retry_at.unwrap() - 1000) / 3600;
        let all: Vec<i64> = (0..7).map(hours).collect();
        assert_eq!(all, [1, 2, 4, 8, 16, 24, 24]);
        assert_eq!(hours(u32::MAX), 24);
        assert_eq!(aside(u32::MAX).attempts, u32::MAX);
        let text = "UID 7 could not be copied to the local side and is set aside \
                    (tried 1 times, tried again later): no";
        assert_eq!(refusal(&aside(0)), text);
    }
}
