//! The policy of an account, as values.

use crate::model::{MailboxName, Side};

/// The direction of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    #[default]
    Both,
    /// Server to disk.
    Pull,
    /// Disk to server.
    Push,
}

/// The sides on which deletions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Travel {
    /// Both.
    #[default]
    Both,
    /// The disk: deletions on the server are carried out here.
    Local,
    /// The server: deletions on disk are carried out there.
    Remote,
    /// None.
    None,
}

impl Travel {
    fn reaches(self, side: Side) -> bool {
        match self {
            Travel::Both => true,
            Travel::Local => side == Side::Local,
            Travel::Remote => side == Side::Remote,
            Travel::None => false,
        }
    }
}

/// The limits of deletions within a day, and of uploads; see [`super::guard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages of a mailbox; applies only if `percent` is exceeded, too.
    pub count: usize,
    /// Percent of a mailbox; applies only if `count` is exceeded, too.
    pub percent: usize,
    /// Messages of the account on one side.
    pub account: usize,
    /// A mailbox with more messages than this is never emptied without approval.
    pub empty: usize,
    /// Messages that are uploaded without approval to a server that has none of them.
    pub upload: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            count: 25,
            percent: 10,
            account: 500,
            empty: 10,
            upload: 10,
        }
    }
}

/// The settings that decisions depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The direction of changes.
    pub direction: Direction,
    /// The sides on which deletions of messages are carried out.
    pub delete: Travel,
    /// The sides on which deletions of mailboxes are carried out.
    pub delete_mailboxes: Travel,
    /// Patterns that select mailboxes; `!` excludes.
    pub mailboxes: Vec<String>,
    /// The limits.
    pub limits: Limits,
}

impl Policy {
    /// Whether changes may be made on this side.
    pub fn flows_to(&self, side: Side) -> bool {
        match self.direction {
            Direction::Both => true,
            Direction::Pull => side == Side::Local,
            Direction::Push => side == Side::Remote,
        }
    }

    /// Whether messages may be deleted on this side.
    pub fn deletes_on(&self, side: Side) -> bool {
        self.flows_to(side) && self.delete.reaches(side)
    }

    /// Whether mailboxes may be deleted on this side.
    pub fn deletes_mailboxes_on(&self, side: Side) -> bool {
        self.flows_to(side) && self.delete_mailboxes.reaches(side)
    }

    /// Whether the patterns select the mailbox: one without `!` matches (or there is none), and
    /// none with `!` does.
    pub fn chooses(&self, name: &MailboxName) -> bool {
        let text = name.to_string();
        let (out, into): (Vec<&String>, Vec<&String>) =
            self.mailboxes.iter().partition(|p| p.starts_with('!'));
        let excluded = out
            .iter()
            .any(|p| matches(p.trim_start_matches('!'), &text));
        !excluded && (into.is_empty() || into.iter().any(|p| matches(p, &text)))
    }

    /// Whether a pattern without wildcards names exactly this mailbox.
    pub fn names(&self, name: &MailboxName) -> bool {
        self.mailboxes.contains(&name.to_string())
    }
}

/// Whether a LIST pattern (RFC 9051, 6.3.9) matches: `*` is anything, `%` anything but `/`. INBOX
/// matches in any case. Takes at most the product of both lengths.
pub fn matches(pattern: &str, name: &str) -> bool {
    if name == "INBOX" && pattern.eq_ignore_ascii_case("INBOX") {
        return true;
    }
    let pattern = pattern.as_bytes();
    // Positions in the pattern that the prefix read so far can have.
    let mut at = vec![false; pattern.len() + 1];
    if let Some(first) = at.first_mut() {
        *first = true;
    }
    pass_wildcards(pattern, &mut at);
    for byte in name.bytes() {
        let mut next = vec![false; at.len()];
        for (place, wanted) in pattern.iter().enumerate() {
            if at.get(place) != Some(&true) {
                continue;
            }
            let reached = match wanted {
                b'*' => Some(place),
                b'%' => (byte != b'/').then_some(place),
                wanted => (*wanted == byte).then_some(place + 1),
            };
            if let Some(next) = reached.and_then(|place| next.get_mut(place)) {
                *next = true;
            }
        }
        pass_wildcards(pattern, &mut next);
        at = next;
    }
    at.last() == Some(&true)
}

/// A wildcard may match nothing.
fn pass_wildcards(pattern: &[u8], at: &mut [bool]) {
    let mut before = false;
    for (place, here) in at.iter_mut().enumerate() {
        *here |= before;
        before = *here && matches!(pattern.get(place), Some(b'*' | b'%'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, want) in [
            ("*", "a/b/c", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a*c", "a/b/c", true),
            ("inbox", "INBOX", true),
            ("Sent", "sent", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} on {name}");
        }
    }

    #[test]
    fn a_long_name_is_matched_in_time() {
        let name = "a".repeat(3000);
        let began = std::time::Instant::now();
        for pattern in [
            "*a*a*a*list*",
            "%a%a%a%list%",
            "*a%a*a%a*a%b",
            "*%*%*%*%*%*%b",
        ] {
            assert!(!matches(pattern, &name), "{pattern}");
        }
        assert!(matches(&"*a".repeat(500), &name));
        assert!(began.elapsed().as_secs() < 30);
    }

    #[test]
    fn wildcards_match_as_their_definition_says() {
        fn plain(pattern: &[u8], name: &[u8]) -> bool {
            match pattern.split_first() {
                None => name.is_empty(),
                Some((wild @ (b'*' | b'%'), rest)) => {
                    let take = |byte: &u8| *wild == b'*' || *byte != b'/';
                    let most = name.iter().take_while(|byte| take(byte)).count();
                    (0..=most).any(|n| plain(rest, &name[n..]))
                }
                Some((first, rest)) => name.first() == Some(first) && plain(rest, &name[1..]),
            }
        }
        let words = |letters: &str, length: usize| {
            let mut all = vec![String::new()];
            for _ in 0..length {
                let longer = all
                    .iter()
                    .flat_map(|w| letters.chars().map(move |c| format!("{w}{c}")));
                let longer: Vec<String> = longer.collect();
                all.extend(longer);
            }
            all
        };
        for pattern in words("*%a/", 4) {
            for name in words("ab/", 4) {
                let want = plain(pattern.as_bytes(), name.as_bytes());
                assert_eq!(matches(&pattern, &name), want, "{pattern} on {name}");
            }
        }
    }

    #[test]
    fn exclusion_wins_and_alone_means_all_others() {
        let choose = |patterns: &[&str], name: &str| {
            let mailboxes = patterns.iter().map(ToString::to_string).collect();
            let policy = Policy {
                mailboxes,
                ..Policy::default()
            };
            policy.chooses(&MailboxName::parse(name).unwrap())
        };
        assert!(choose(&["*", "!Spam"], "INBOX"));
        assert!(!choose(&["!Spam", "*"], "Spam"));
        assert!(choose(&["!Spam"], "Other"));
        assert!(!choose(&["Work/*"], "INBOX"));
        assert!(choose(&[], "INBOX"));
    }

    #[test]
    fn only_a_name_in_full_names_a_mailbox() {
        let policy = Policy {
            mailboxes: vec!["All*".into(), "Starred".into()],
            ..Policy::default()
        };
        let names = |name: &str| policy.names(&MailboxName::parse(name).unwrap());
        assert!(names("Starred") && !names("All Mail") && !names("INBOX"));
    }

    #[test]
    fn deletions_go_where_they_may() {
        let may = |direction, delete| {
            let policy = Policy {
                direction,
                delete,
                delete_mailboxes: delete,
                ..Policy::default()
            };
            let sides = [Side::Remote, Side::Local];
            let messages = sides.map(|side| policy.deletes_on(side));
            assert_eq!(
                messages,
                sides.map(|side| policy.deletes_mailboxes_on(side))
            );
            messages
        };
        assert_eq!(may(Direction::Both, Travel::Both), [true, true]);
        assert_eq!(may(Direction::Both, Travel::Remote), [true, false]);
        assert_eq!(may(Direction::Both, Travel::Local), [false, true]);
        assert_eq!(may(Direction::Both, Travel::None), [false, false]);
        assert_eq!(may(Direction::Pull, Travel::Both), [false, true]);
        assert_eq!(may(Direction::Push, Travel::Both), [true, false]);
        assert_eq!(may(Direction::Push, Travel::Local), [false, false]);
    }
}
