//! Finds every wrong key and value of a configuration file, and says what was meant.

use super::keys::{ACCOUNT_KEYS, ConfigFile, Keys};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys before the first section.
const TOP: [&str; 5] = [
    "state_dir",
    "control_socket",
    "metrics_file",
    "defaults",
    "accounts",
];

/// The keys that every account needs, beside a secret.
const NEEDED: [&str; 3] = ["host", "user", "maildir"];

const SECRETS: [&str; 4] = [
    "password",
    "password_command",
    "password_file",
    "credential",
];

/// A mistake: where it is, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The byte in the file.
    pub at: usize,
    /// The error, and what is right.
    pub what: String,
}

/// Returns all mistakes in the keys and the kinds of values, in the order of the file.
pub fn mistakes(text: &str) -> Vec<Mistake> {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let what = error.message().to_owned();
            return vec![Mistake { at, what }];
        }
    };
    let mut check = MistakeFinder {
        text,
        found: Vec::new(),
    };
    let top = table.get_ref();
    check.keys(top, &TOP, None);
    for name in ["state_dir", "control_socket", "metrics_file"] {
        if let Some((key, value)) = find(top, name) {
            check.top(key.span().start, name, value);
        }
    }
    let defaults = find(top, "defaults").map(|(_, value)| value.get_ref());
    let defaults = match defaults {
        Some(DeValue::Table(table)) => Some(table),
        _ => None,
    };
    if let Some(table) = defaults {
        check.section(table, None);
    }
    if let Some((_, accounts)) = find(top, "accounts") {
        check.accounts(accounts, defaults);
    }
    check.found.sort_by_key(|mistake| mistake.at);
    check.found
}

type Entry<'a, 'b> = (
    &'b Spanned<std::borrow::Cow<'a, str>>,
    &'b Spanned<DeValue<'a>>,
);

fn find<'a, 'b>(table: &'b DeTable<'a>, name: &str) -> Option<Entry<'a, 'b>> {
    table.iter().find(|(key, _)| key.get_ref().as_ref() == name)
}

struct MistakeFinder<'a> {
    text: &'a str,
    found: Vec<Mistake>,
}

impl MistakeFinder<'_> {
    fn add(&mut self, at: usize, what: String) {
        self.found.push(Mistake { at, what });
    }

    /// Notes the keys that are none of these.
    fn keys(&mut self, table: &DeTable<'_>, known: &[&str], account: Option<&str>) {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let what = format!("{}unknown key `{name}`{}", of(account), meant(name, known));
                self.add(key.span().start, what);
            }
        }
    }

    fn accounts(&mut self, accounts: &Spanned<DeValue<'_>>, defaults: Option<&DeTable<'_>>) {
        let DeValue::Table(accounts_table) = accounts.get_ref() else {
            let what = "accounts are sections: [accounts.NAME]";
            return self.add(accounts.span().start, what.into());
        };
        for (name, value) in accounts_table {
            let (at, name) = (value.span().start, name.get_ref());
            let DeValue::Table(account) = value.get_ref() else {
                let what = format!("`{name}` is no section; write [accounts.NAME] above it");
                self.add(at, what);
                continue;
            };
            self.section(account, Some(name));
            let has = |key: &str| {
                let own = find(account, key);
                own.or_else(|| find(defaults?, key)).is_some()
            };
            for key in NEEDED.into_iter().filter(|key| !has(key)) {
                let like = shape(key);
                self.add(
                    at,
                    format!("account {name}: {key} is missing; {key} is {like}"),
                );
            }
            if !SECRETS.into_iter().any(has) {
                let what = "no secret: set password_command, password_file, credential or password";
                self.add(at, format!("account {name}: {what}"));
            }
        }
    }

    /// Checks the keys of an account or of the defaults.
    fn section(&mut self, table: &DeTable<'_>, account: Option<&str>) {
        self.keys(table, ACCOUNT_KEYS, account);
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let fits = self.fits::<Keys>(name, value);
            if ACCOUNT_KEYS.contains(&name) && !fits {
                let what = format!("{}{name} is {}", of(account), shape(name));
                self.add(key.span().start, what);
            }
        }
    }

    fn top(&mut self, at: usize, name: &str, value: &Spanned<DeValue<'_>>) {
        if !self.fits::<ConfigFile>(name, value) {
            self.add(at, format!("{name} is {}", shape(name)));
        }
    }

    /// Whether a key takes this value. Nothing of the value is shown: it may be a password.
    fn fits<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> bool {
        let value = self.text.get(value.span()).unwrap_or_default();
        toml::from_str::<T>(&format!("{name} = {value}")).is_ok()
    }
}

fn of(account: Option<&str>) -> String {
    account
        .map(|name| format!("account {name}: "))
        .unwrap_or_default()
}

/// Guesses which key was meant.
fn meant(name: &str, known: &[&str]) -> String {
    let all = known.iter().map(|key| (distance(name, key), *key));
    let near = |(steps, key): &(usize, &str)| *steps <= 1 + key.len() / 4;
    if let Some((_, key)) = all.filter(near).min() {
        return format!("; did you mean `{key}`?");
    }
    if ACCOUNT_KEYS.contains(&name) {
        return "; it belongs below [accounts.NAME] or [defaults]".to_owned();
    }
    if TOP.contains(&name) {
        return "; it belongs before the first section".to_owned();
    }
    "; docs/configuration.md has all keys".to_owned()
}

/// Letters to add, drop, change or swap to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let (mut before, mut previous): (Vec<usize>, Option<char>) = (Vec::new(), None);
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX);
            let change = at(&above, j).saturating_add(usize::from(x != *y));
            let either = at(&above, j + 1).min(at(&row, j)).saturating_add(1);
            let mut steps = change.min(either);
            let swapped = j > 0 && previous == Some(*y) && b.get(j - 1) == Some(&x);
            if swapped {
                steps = steps.min(at(&before, j - 1).saturating_add(1));
            }
            row.push(steps);
        }
        (before, previous) = (std::mem::replace(&mut above, row), Some(x));
    }
    above.last().copied().unwrap_or(0)
}

/// Describes a right value of a key.
fn shape(key: &str) -> &'static str {
    match key {
        "host" => "a text in quotes, as in host = \"imap.example.org\"",
        "port" => "a number from 1 to 65535 without quotes, as in port = 993",
        "user" => "a text in quotes, as in user = \"me@example.org\"",
        "tls" => "\"implicit\" (port 993), \"starttls\" (port 143) or \"none\"",
        "tls_pin_sha256" => "a list of hashes of 64 hex digits, as in [\"ab12...\"]",
        "auth" => "\"password\", \"login\", \"xoauth2\" or \"oauthbearer\"",
        "password" => "not given rightly: a password is a text in quotes",
        "password_command" => {
            "a list of a program and its arguments, as in [\"pass\", \"show\", \"mail\"]"
        }
        "credential" => "a text in quotes, the NAME of LoadCredential=",
        "trash" => "a text in quotes, as in trash = \"Trash\"",
        "maildir" | "state_dir" | "control_socket" | "password_file" | "tls_ca_file"
        | "metrics_file" => "a path in quotes, which begins with / or ~/",
        "layout" => "\"nested\" or \"maildir++\"",
        "direction" => "\"both\", \"pull\" or \"push\"",
        "delete" | "delete_mailboxes" => "\"both\", \"local\", \"remote\" or \"none\"",
        "search_with" => "\"index\", \"notmuch\" or \"mu\"",
        "mailboxes" | "idle_mailboxes" => "a list, as in [\"INBOX\", \"Work/*\"]",
        "disable_extensions" => "a list, as in [\"COMPRESS\"]",
        "allow_plaintext" | "compress" | "pipelining" | "index" => "true or false, without quotes",
        key if key.starts_with("on_") || key.starts_with("before_") => {
            "a list of a program and its arguments, as in [\"notmuch\", \"new\"]"
        }
        _ => "a whole number without quotes, as in 60",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_said_with_what_was_meant() {
        let text = "stat_dir = \"/x\"\ncontrol_socket = 4\n[defaults]\ntimeout = \"long\"\n\
                    [accounts.a]\nhots = \"h\"\nport = \"993\"\nuser = 5\nmaildir = \"/m\"\n\
                    mailbox = [\"INBOX\"]\ntls = \"yes\"\npassword = 4711\n\
                    [account.b]\nhost = \"h\"\n";
        let all = mistakes(text);
        let lines: Vec<String> = all
            .iter()
            .map(|one| {
                let line = text[..one.at].matches('\n').count() + 1;
                format!("{line}: {}", one.what)
            })
            .collect();
        for (line, says) in [
            (1, "unknown key `stat_dir`; did you mean `state_dir`?"),
            (2, "control_socket is a path in quotes"),
            (4, "timeout is a whole number without quotes"),
            (5, "account a: host is missing; host is a text"),
            (6, "account a: unknown key `hots`; did you mean `host`?"),
            (7, "account a: port is a number from 1 to 65535"),
            (8, "account a: user is a text in quotes"),
            (
                10,
                "account a: unknown key `mailbox`; did you mean `mailboxes`?",
            ),
            (11, "account a: tls is \"implicit\" (port 993)"),
            (12, "a password is a text in quotes"),
            (13, "unknown key `account`; did you mean `accounts`?"),
        ] {
            let start = format!("{line}: ");
            let said = |one: &&String| one.starts_with(&start) && one.contains(says);
            assert!(
                lines.iter().any(|one| said(&one)),
                "{line} {says}: {lines:#?}"
            );
        }
        assert_eq!(lines.len(), 11, "{lines:#?}");
        assert!(!lines.concat().contains("4711"), "{lines:#?}");
        let strange = meant("zebra", ACCOUNT_KEYS);
        assert!(strange.contains("docs/configuration.md"), "{strange}");
        let there = meant("host", &TOP);
        assert!(there.contains("[accounts.NAME]"), "{there}");
    }

    #[test]
    fn every_key_has_a_shape_that_fits() {
        let right =
            "[accounts.a]\nhost = \"h\"\nuser = \"u\"\nmaildir = \"/m\"\npassword = \"p\"\n";
        assert_eq!(mistakes(right), []);
        for key in ACCOUNT_KEYS {
            let all = mistakes(&format!("[defaults]\n{key} = 1.5\n"));
            assert_eq!(all.len(), 1, "{key}: {all:?}");
        }
    }

    #[test]
    fn distances_count_letters() {
        let of = |a, b| distance(a, b);
        assert_eq!(of("hots", "host"), 1);
        assert_eq!(
            [of("port", "port"), of("prt", "port"), of("", "ab")],
            [0, 1, 2]
        );
        assert_eq!(of("mailbox", "mailboxes"), 2);
    }
}
