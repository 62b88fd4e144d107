//! Copies and moves on the server that may have been made when the connection breaks: they are not
//! sent again before a look has shown that they were not. Then each is sent by itself, after all
//! others; one at which the connection breaks again waits, so that it stops nothing else.

use super::breaks::FEW;

/// Messages in the order in which they are sent.
pub(super) struct Parts<T> {
    /// Those at which the connection did not break, and after them each at which it did.
    pub parts: Vec<Vec<T>>,
    /// Those at which it broke when they were sent by themselves: they are not sent.
    pub culprits: Vec<T>,
}

/// The order for messages at which the connection broke `breaks` times, and that were set aside
/// `attempts` times for it; `passed`: others came through in this run.
pub(super) fn parts<T>(
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
        // Is it the connection?
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
