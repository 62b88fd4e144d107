//! The temporary names of mailboxes that are being deleted on the server, so that no mail arrives
//! in them. After a cut they get their names back.

use super::look::{Listed, Presence};
use super::mailbox_action::MailboxAction;
use super::policy::Policy;
use crate::model::{MailboxName, Side};
use std::collections::BTreeSet;

/// The start of the last component of a temporary name; a number and the original follow.
const LEAVING: &str = "mailtide-deleting-";

/// Returns the temporary name of a mailbox, which no client uses.
pub fn passing_name(name: &MailboxName, number: u32) -> Option<MailboxName> {
    let mut parts = own(name)
        .unwrap_or_else(|| name.clone())
        .components()
        .to_vec();
    let last = parts.last_mut()?;
    *last = format!("{LEAVING}{number}-{last}");
    MailboxName::new(parts)
}

/// What a mailbox was called that is called so because it was to be deleted; also of one below it.
pub fn own(name: &MailboxName) -> Option<MailboxName> {
    let mut parts = name.components().to_vec();
    for part in &mut parts {
        let numbered = part
            .strip_prefix(LEAVING)
            .and_then(|rest| rest.split_once('-'));
        if let Some((number, was)) = numbered
            && number.parse::<u32>().is_ok()
            && !was.is_empty()
        {
            *part = was.to_owned();
        }
    }
    let own = MailboxName::new(parts)?;
    (own != *name).then_some(own)
}

/// Returns the mailboxes of the server to rename back first: a cut run had renamed them for
/// deletion.
pub fn returning(
    remote: &[Listed],
    refused: &BTreeSet<MailboxName>,
    policy: &Policy,
) -> Vec<MailboxAction> {
    if !policy.flows_to(Side::Remote) {
        return Vec::new();
    }
    let open = |listed: &&Listed| listed.presence == Presence::Mailbox;
    let mut taken: BTreeSet<&MailboxName> = remote
        .iter()
        .filter(open)
        .map(|listed| &listed.name)
        .collect();
    let named = remote.iter().filter(open).filter_map(|listed| {
        let to = own(&listed.name)?;
        Some((&listed.name, to))
    });
    let named: Vec<(&MailboxName, MailboxName)> = named.collect();
    let back = named
        .iter()
        .filter(|(_, to)| policy.chooses(to) && !refused.contains(to) && taken.insert(to));
    back.map(|(from, to)| MailboxAction::Rename {
        on: Side::Remote,
        from: (*from).clone(),
        to: to.clone(),
    })
    .collect()
}

/// Whether a rename restores the name of a mailbox that was to be deleted.
pub fn is_returning(from: &MailboxName, to: &MailboxName) -> bool {
    own(from).as_ref() == Some(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Direction, News};

    fn mb(name: &str) -> MailboxName {
        MailboxName::parse(name).unwrap()
    }

    fn listed(name: &str, presence: Presence) -> Listed {
        Listed {
            name: mb(name),
            presence,
            view: false,
            news: News::Some,
            special_use: None,
            identity: None,
            census: None,
        }
    }

    #[test]
    fn names_in_passing_tell_what_was() {
        let passing = |name: &str, n| passing_name(&mb(name), n).unwrap().to_string();
        assert_eq!(passing("A", 1), "mailtide-deleting-1-A");
        assert_eq!(passing("A/B-c", 12), "A/mailtide-deleting-12-B-c");
        // A mailbox that kept its temporary name gets another, not a longer one.
        assert_eq!(
            passing("A/mailtide-deleting-1-B", 2),
            "A/mailtide-deleting-2-B"
        );
        let was = |name: &str| own(&mb(name)).map(|name| name.to_string());
        assert_eq!(was("A/mailtide-deleting-12-B-c").as_deref(), Some("A/B-c"));
        assert_eq!(was("mailtide-deleting-1-A/B").as_deref(), Some("A/B"));
        for other in [
            "A",
            "mailtide-deleting-A",
            "mailtide-deleting-x-A",
            "mailtide-deleting-1-",
        ] {
            assert_eq!(was(other), None, "{other}");
        }
        assert!(is_returning(&mb("mailtide-deleting-1-A"), &mb("A")));
        assert!(!is_returning(&mb("mailtide-deleting-1-A"), &mb("B")));
        assert!(!is_returning(&mb("A"), &mb("B")));
    }

    #[test]
    fn what_was_not_deleted_after_all_gets_its_name_back() {
        let back = |names: &[&str], refused: &[&str], policy: &Policy| {
            let listed: Vec<_> = names.iter().map(|n| listed(n, Presence::Mailbox)).collect();
            let refused = refused.iter().map(|name| mb(name)).collect();
            let actions = returning(&listed, &refused, policy);
            actions
                .iter()
                .map(MailboxAction::to_string)
                .collect::<Vec<_>>()
        };
        let both = &Policy::default();
        let one = "mailtide-deleting-1-A";
        let other = "mailtide-deleting-2-A";
        let want = ["rename mailbox mailtide-deleting-1-A to A on remote"];
        assert_eq!(back(&["INBOX", one], &[], both), want);
        assert_eq!(
            back(&["INBOX", one, other], &[], both),
            want,
            "one name for one mailbox"
        );
        assert!(
            back(&["A", "INBOX", one], &[], both).is_empty(),
            "the name is taken"
        );
        assert!(
            back(&["INBOX", one], &["A"], both).is_empty(),
            "it was refused"
        );
        let pull = &Policy {
            direction: Direction::Pull,
            ..Policy::default()
        };
        assert!(
            back(&["INBOX", one], &[], pull).is_empty(),
            "nothing is changed there"
        );
        let container = [listed(one, Presence::Container)];
        assert!(returning(&container, &BTreeSet::new(), both).is_empty());
    }
}
