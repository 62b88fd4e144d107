//! The policy and the hooks of an account.

use super::keys::{self, Keys};
use crate::reconcile::{Direction, Limits, Policy, Travel};
use std::time::Duration;

/// The hooks as argument lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Runs before each run, which is left out when it fails.
    pub before_sync: Option<Vec<String>>,
    /// Runs after unread mail arrived.
    pub on_new_mail: Option<Vec<String>>,
    /// Runs after a change on disk.
    pub on_change: Option<Vec<String>>,
    /// Runs after a new error.
    pub on_error: Option<Vec<String>>,
    /// The time limit of each.
    pub timeout: Duration,
}

/// Returns the policy that the keys describe.
pub fn policy(keys: &Keys) -> Policy {
    let travel = |travel: Option<keys::TravelSetting>| match travel {
        None | Some(keys::TravelSetting::Both) => Travel::Both,
        Some(keys::TravelSetting::Local) => Travel::Local,
        Some(keys::TravelSetting::Remote) => Travel::Remote,
        Some(keys::TravelSetting::None) => Travel::None,
    };
    let direction = match keys.direction {
        None | Some(keys::DirectionSetting::Both) => Direction::Both,
        Some(keys::DirectionSetting::Pull) => Direction::Pull,
        Some(keys::DirectionSetting::Push) => Direction::Push,
    };
    let usual = Limits::default();
    let count = keys.max_delete_count.unwrap_or(usual.count);
    let limits = Limits {
        count,
        percent: keys.max_delete_percent.unwrap_or(usual.percent),
        account: usual.account.max(count),
        empty: usual.empty,
        upload: usual.upload,
    };
    Policy {
        direction,
        delete: travel(keys.delete),
        delete_mailboxes: travel(keys.delete_mailboxes.or(keys.delete)),
        mailboxes: keys.mailboxes.clone().unwrap_or_default(),
        limits,
    }
}

/// Returns the hooks that the keys describe.
pub fn hooks(keys: &Keys) -> Hooks {
    let program = |argv: &Option<Vec<String>>| argv.clone().filter(|argv| !argv.is_empty());
    Hooks {
        before_sync: program(&keys.before_sync),
        on_new_mail: program(&keys.on_new_mail),
        on_change: program(&keys.on_change),
        on_error: program(&keys.on_error),
        timeout: Duration::from_secs(keys.hook_timeout.unwrap_or(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_follow_messages_unless_they_are_set_apart() {
        let of = |text: &str| {
            let keys: Keys = toml::from_str(text).unwrap();
            let policy = policy(&keys);
            (policy.delete, policy.delete_mailboxes)
        };
        assert_eq!(of(""), (Travel::Both, Travel::Both));
        assert_eq!(of(r#"delete = "none""#), (Travel::None, Travel::None));
        assert_eq!(of(r#"delete = "local""#), (Travel::Local, Travel::Local));
        let apart = "delete = \"none\"\ndelete_mailboxes = \"both\"";
        assert_eq!(of(apart), (Travel::None, Travel::Both));
        let apart = r#"delete_mailboxes = "none""#;
        assert_eq!(of(apart), (Travel::Both, Travel::None));
    }
}
