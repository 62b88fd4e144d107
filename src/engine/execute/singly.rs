//! The order of COPY and MOVE commands after a break: a message is sent again only when a snapshot
//! proved that it was not copied; then separately, after all others. One at which the connection
//! breaks again waits.

use crate::engine::execute::transfer::breaks::FEW;

/// Messages in the order of sending.
pub(in crate::engine) struct Parts<T> {
    /// Those without a break, then each with one.
    pub parts: Vec<Vec<T>>,
    /// Those at which it broke when sent separately: not sent.
    pub culprits: Vec<T>,
}

/// Orders messages at which the connection broke `breaks` times, and that were skipped `attempts`
/// times; `passed`: others passed in this run.
pub(in crate::engine) fn parts<T>(
    all: Vec<T>,
    breaks: impl Fn(&T) -> u32,
    attempts: impl Fn(&T) -> u32,
    passed: bool,
) -> Parts<T> {
    let (together, mut alone): (Vec<T>, Vec<T>) = all.into_iter().partition(|one| breaks(one) == 0);
    alone.sort_by_key(|one| breaks(one));
    let is_culprit = |one: &T| breaks(one) >= 2 + attempts(one);
    let (mut culprits, mut alone): (Vec<T>, Vec<T>) = alone.into_iter().partition(is_culprit);
    let first = culprits.iter().filter(|one| attempts(one) == 0).count();
    if !passed && first > FEW {
        // The connection may be the cause.
        alone.append(&mut culprits);
    }
    let mut parts = vec![together];
    parts.extend(alone.into_iter().map(|one| vec![one]));
    parts.retain(|part| !part.is_empty());
    Parts { parts, culprits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_go_alone_and_culprits_not_at_all() {
        let split = |breaks: &[(char, u32)], passed| {
            let sent = parts(breaks.to_vec(), |one| one.1, |_| 0, passed);
            let names = |part: &[(char, u32)]| part.iter().map(|one| one.0).collect::<String>();
            let sent_as: Vec<String> = sent.parts.iter().map(|part| names(part)).collect();
            (sent_as.join(" "), names(&sent.culprits))
        };
        let all = [('a', 0), ('b', 1), ('c', 2), ('d', 0), ('e', 1)];
        assert_eq!(split(&all, false), ("ad b e".into(), "c".into()));
        let many = [('a', 2), ('b', 2), ('c', 2)];
        assert_eq!(split(&many, false), ("a b c".into(), String::new()));
        assert_eq!(split(&many, true), (String::new(), "abc".into()));
    }
}
