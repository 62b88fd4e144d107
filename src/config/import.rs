//! Builds a configuration from that of another program. Each setting without an equivalent is
//! listed.

use std::fmt::Write;
use toml::{Table, Value};

/// The result of an import.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// Accounts with their keys.
    pub accounts: Vec<ImportedAccount>,
    /// Settings without an equivalent that belong to no account.
    pub left: Vec<String>,
}

/// An imported account.
#[derive(Clone, Debug, Default)]
pub struct ImportedAccount {
    /// Its name.
    pub name: String,
    /// Its keys.
    pub keys: Table,
    /// Settings without an equivalent, each with advice.
    pub left: Vec<String>,
}

impl Imported {
    /// Adds an account; a number makes its name unique.
    pub fn add(&mut self, mut account: ImportedAccount) {
        let taken = |name: &str| self.accounts.iter().any(|other| other.name == name);
        if taken(&account.name) {
            let mut numbered = (2_u32..).map(|n| format!("{}-{n}", account.name));
            let free = numbered.find(|name| !taken(name));
            account.name = free.unwrap_or_default();
        }
        self.accounts.push(account);
    }
}

impl ImportedAccount {
    /// Sets a key.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.keys.insert(key.to_owned(), value.into());
    }

    /// Notes a setting without an equivalent.
    pub fn leave(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.left.contains(&what) {
            self.left.push(what);
        }
    }

    /// Sets a key that several sections may set. The first value counts; a different one is noted.
    pub fn agree(&mut self, key: &str, value: &str, whose: &str) {
        match self
            .keys
            .get(key)
            .and_then(Value::as_str)
            .map(str::to_owned)
        {
            Some(first) if first != value => self.leave(format!(
                "{whose}: {key} would be {value:?} there and is {first:?} here; make an account of \
                 its own of it"
            )),
            Some(_) => {}
            None => self.set(key, value),
        }
    }

    /// Adds mailboxes to the selection.
    pub fn choose(&mut self, patterns: Vec<String>) {
        let all = self
            .keys
            .entry("mailboxes")
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(all) = all {
            for pattern in patterns.into_iter().map(Value::String) {
                if !all.contains(&pattern) {
                    all.push(pattern);
                }
            }
        }
    }

    /// Sets the command that prints the password.
    pub fn command(&mut self, line: &str) {
        let words = ["sh", "-c", line].map(|word| Value::String(word.to_owned()));
        self.set("password_command", words.to_vec());
    }
}

/// Formats the configuration file.
pub fn render(imported: &Imported, from: &str) -> String {
    let from = from.replace(|c: char| c.is_control(), " ");
    let mut text = format!("# Made by mailtide import from {from}. Try it: mailtide check\n");
    let note = |text: &mut String, left: &[String]| {
        if !left.is_empty() {
            text.push_str("# Not taken over:\n");
        }
        for line in left {
            // A comment in TOML is one line of printable characters.
            let line = line.replace(|c: char| c.is_control(), " ");
            let _infallible = writeln!(text, "#   {line}");
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

/// Makes a valid account name.
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
