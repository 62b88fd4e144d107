//! Our configuration from that of another program. What has no equivalent is listed, never dropped
//! in silence.

use std::fmt::Write;
use toml::{Table, Value};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// Accounts with their keys.
    pub accounts: Vec<Foreign>,
    /// What concerns no account of ours, and has no equivalent.
    pub left: Vec<String>,
}

/// An account of the other program.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    /// Its name.
    pub name: String,
    /// Our keys.
    pub keys: Table,
    /// What has no equivalent, each with what to do.
    pub left: Vec<String>,
}

impl Foreign {
    /// Sets a key.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.keys.insert(key.to_owned(), value.into());
    }

    /// Notes what has no equivalent.
    pub fn leave(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.left.contains(&what) {
            self.left.push(what);
        }
    }

    /// The mailboxes to keep in step; none: all.
    pub fn choose(&mut self, patterns: Vec<String>) {
        if !patterns.is_empty() && patterns != ["*"] {
            let patterns: Vec<Value> = patterns.into_iter().map(Value::String).collect();
            self.set("mailboxes", patterns);
        }
    }

    /// A command line that prints the password.
    pub fn command(&mut self, line: &str) {
        let words = ["sh", "-c", line].map(|word| Value::String(word.to_owned()));
        self.set("password_command", words.to_vec());
    }
}

/// The text of our configuration file.
pub fn render(imported: &Imported, from: &str) -> String {
    let mut text = format!("# Made by mailtide import from {from}. Try it: mailtide check\n");
    let note = |text: &mut String, left: &[String]| {
        if !left.is_empty() {
            text.push_str("# Not taken over:\n");
        }
        for line in left {
            let _infallible = writeln!(text, "#   {}", line.replace('\n', " "));
        }
    };
    note(&mut text, &imported.left);
    for account in &imported.accounts {
        let bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let name = match account.name.chars().all(bare) {
            true => account.name.clone(),
            false => Value::String(account.name.clone()).to_string(),
        };
        let _infallible = writeln!(text, "\n[accounts.{name}]");
        note(&mut text, &account.left);
        for (key, value) in &account.keys {
            let _infallible = writeln!(text, "{key} = {value}");
        }
    }
    text
}

/// A name that we can give an account.
pub fn account_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    let name: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect();
    match name.trim_start_matches('.') {
        "" => "account".into(),
        name => name.into(),
    }
}
