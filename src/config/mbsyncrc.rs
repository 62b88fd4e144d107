//! Parses the configuration of mbsync (isync 1.3 to 1.5) as its manual describes it.

use super::import::{Imported, ImportedAccount, account_name};
use std::collections::BTreeMap;

/// A section: its kind, name and lines.
#[derive(Clone, Debug, Default)]
struct MbsyncSection {
    kind: String,
    name: String,
    keys: Vec<(String, Vec<String>)>,
}

impl MbsyncSection {
    /// Returns the last value of a key.
    fn get(&self, key: &str) -> Option<&str> {
        Some(self.words(key)?.first()?.as_str())
    }

    fn words(&self, key: &str) -> Option<&[String]> {
        let same = |(name, _): &&(String, Vec<String>)| name == key;
        Some(self.keys.iter().rev().find(same)?.1.as_slice())
    }

    /// Returns all words of a key that may be repeated.
    fn all(&self, keys: &[&str]) -> Vec<String> {
        let same = |(name, _): &&(String, Vec<String>)| keys.contains(&name.as_str());
        let words = self.keys.iter().filter(same).flat_map(|(_, words)| words);
        words.cloned().collect()
    }
}

/// Splits a line into words: double quotes join, `\` escapes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                word.extend(chars.next());
                any = true;
            }
            '"' => (quoted, any) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

/// Splits the file into sections: a kind begins one, an empty line ends it.
fn sections(text: &str) -> Vec<MbsyncSection> {
    let mut all = vec![MbsyncSection::default()];
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        let mut words = words(line).into_iter();
        let Some(key) = words.next() else {
            // Global settings continue after an empty line until the first section.
            if all.last().is_some_and(|last| !last.kind.is_empty()) {
                all.push(MbsyncSection::default());
            }
            continue;
        };
        let key = key.to_ascii_lowercase();
        let kinds = [
            "imapaccount",
            "imapstore",
            "maildirstore",
            "channel",
            "group",
        ];
        if kinds.contains(&key.as_str()) {
            let name = words.next().unwrap_or_default();
            let keys = Vec::new();
            all.push(MbsyncSection {
                kind: key,
                name,
                keys,
            });
        } else if let Some(section) = all.last_mut() {
            section.keys.push((key, words.collect()));
        }
    }
    all
}

/// Converts an mbsyncrc.
pub fn read(text: &str) -> Imported {
    let sections = sections(text);
    let mut imported = Imported::default();
    let mut globals = MbsyncSection::default();
    for section in sections.iter().filter(|section| section.kind.is_empty()) {
        globals.keys.extend(section.keys.iter().cloned());
    }
    let find = |kinds: &[&str], name: &str| {
        let same = |s: &&MbsyncSection| kinds.contains(&s.kind.as_str()) && s.name == name;
        sections.iter().find(same)
    };
    let mut accounts: BTreeMap<(String, String), ImportedAccount> = BTreeMap::new();
    for channel in sections.iter().filter(|s| s.kind == "channel") {
        let side = |keys: [&str; 2]| {
            let value = keys.into_iter().find_map(|key| channel.get(key))?;
            let (store, mailbox) = value.strip_prefix(':')?.split_once(':')?;
            Some((store.to_owned(), mailbox.to_owned()))
        };
        let (Some((far, far_box)), Some((near, near_box))) =
            (side(["far", "master"]), side(["near", "slave"]))
        else {
            imported.left.push(format!(
                "Channel {}: it has no Far or no Near",
                channel.name
            ));
            continue;
        };
        let (Some(server), Some(disk)) = (
            find(&["imapstore", "imapaccount"], &far),
            find(&["maildirstore"], &near),
        ) else {
            let what = "only an IMAP store as Far and a Maildir store as Near can be taken over";
            imported
                .left
                .push(format!("Channel {}: {what}", channel.name));
            continue;
        };
        let account = accounts.entry((far, near)).or_insert_with(|| {
            let login = server
                .get("account")
                .and_then(|name| find(&["imapaccount"], name));
            let mut account = ImportedAccount {
                name: account_name(&server.name),
                ..ImportedAccount::default()
            };
            login_keys(&mut account, server, login.unwrap_or(server));
            disk_keys(&mut account, disk);
            account
        });
        let boxes = (far_box.as_str(), near_box.as_str());
        channel_keys(account, channel, &globals, boxes);
    }
    for group in sections.iter().filter(|s| s.kind == "group") {
        let what = "name the accounts on the command line: mailtide sync ACCOUNT...";
        imported.left.push(format!("Group {}: {what}", group.name));
    }
    for account in accounts.into_values() {
        imported.add(account);
    }
    imported
}

fn login_keys(account: &mut ImportedAccount, store: &MbsyncSection, login: &MbsyncSection) {
    for (key, _) in login.keys.iter().chain(&store.keys) {
        let value = login
            .get(key)
            .or(store.get(key))
            .unwrap_or_default()
            .to_owned();
        match key.as_str() {
            "account" | "pipelinedepth" | "mapinbox" => {}
            "usenamespace" if value.eq_ignore_ascii_case("yes") => {}
            "host" => account.set("host", value),
            "user" => account.set("user", value),
            "pass" => account.set("password", value),
            "passcmd" => account.command(value.trim_start_matches('+')),
            "port" => match value.parse::<i64>() {
                Ok(port) => account.set("port", port),
                Err(_) => account.leave(format!("Port {value}: a number is wanted")),
            },
            "tlstype" | "ssltype" => match value.to_ascii_lowercase().as_str() {
                "none" => account.set("tls", "none"),
                "starttls" => account.set("tls", "starttls"),
                _ => account.set("tls", "implicit"),
            },
            "certificatefile" => account.set("tls_ca_file", value),
            "systemcertificates" if value.eq_ignore_ascii_case("yes") => {}
            "authmechs" | "authmech" => match value.to_ascii_uppercase().as_str() {
                "XOAUTH2" => account.set("auth", "xoauth2"),
                "OAUTHBEARER" => account.set("auth", "oauthbearer"),
                "*" | "PLAIN" | "LOGIN" => {}
                other => account.leave(format!("AuthMechs {other}: mailtide uses PLAIN or LOGIN")),
            },
            "timeout" => {
                if let Ok(seconds @ 1..) = value.parse::<i64>() {
                    account.set("timeout", seconds);
                }
            }
            "disableextension" | "disableextensions" => {
                let names = login.all(&["disableextension", "disableextensions"]);
                let names: Vec<toml::Value> = names.into_iter().map(toml::Value::String).collect();
                account.set("disable_extensions", names);
            }
            "trash" => account.set("trash", value),
            "tunnel" => account.leave("Tunnel: mailtide connects by itself; forward a port"),
            "usercmd" => account.leave("UserCmd: write the user's name into the configuration"),
            "path" if value.is_empty() => {}
            "path" => account.leave(format!(
                "Path {value:?} on the server: mailtide uses the server's own namespace"
            )),
            _ => account.leave(format!("{key} {value}")),
        }
    }
    if !account.keys.contains_key("user") {
        account.leave("User: say who you are on the server");
    }
}

fn disk_keys(account: &mut ImportedAccount, store: &MbsyncSection) {
    let trim = |path: &str| match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    };
    let path = store.get("path").map(trim);
    let inbox = trim(store.get("inbox").unwrap_or("~/Maildir"));
    let style = store.get("subfolders").map(str::to_ascii_lowercase);
    let plus_plus = style.as_deref() == Some("maildir++");
    if plus_plus {
        account.set("layout", "maildir++");
        account.set("maildir", inbox);
    } else if let Some(path) = path {
        let ours = format!("{path}/INBOX");
        if inbox != ours {
            account.leave(format!(
                "Inbox {inbox}: mailtide keeps INBOX in {ours}; move the directory there first"
            ));
        }
        if style.as_deref() == Some("legacy") {
            account.leave(
                "SubFolders Legacy: a mailbox below another is A/B here, not A/.B; rename them \
                 first",
            );
        }
        account.set("maildir", path);
    } else {
        account.leave(format!(
            "a store without Path: only INBOX lies in {inbox}; mailtide keeps it in \
             <maildir>/INBOX"
        ));
        account.set("maildir", inbox);
        account.choose(vec!["INBOX".into()]);
    }
    for (key, words) in &store.keys {
        let value = words.join(" ");
        match key.as_str() {
            "path" | "inbox" | "subfolders" | "mapinbox" => {}
            "altmap" if value.eq_ignore_ascii_case("no") => {}
            "trash" => account
                .leave("Trash of the Maildir: deleted bytes go to a quarantine below the Maildir"),
            _ => account.leave(format!("{key} {value} of the Maildir")),
        }
    }
}

fn channel_keys(
    account: &mut ImportedAccount,
    channel: &MbsyncSection,
    globals: &MbsyncSection,
    boxes: (&str, &str),
) {
    let get = |key: &str| channel.get(key).or(globals.get(key));
    let name = &channel.name;
    let patterns = channel.all(&["pattern", "patterns"]);
    let chosen = match (boxes, patterns.is_empty()) {
        ((far, near), _) if far != near => {
            account.leave(format!(
                "Channel {name}: {far:?} there is {near:?} here; mailtide keeps names, so rename \
                 one of them first"
            ));
            Vec::new()
        }
        (("", _), true) => vec!["INBOX".to_owned()],
        ((far, _), true) => vec![far.to_owned()],
        (("", _), false) => patterns,
        ((far, _), false) => patterns.iter().map(|p| below(far, p)).collect(),
    };
    account.choose(chosen);
    direction(account, channel, globals);
    for (theirs, ours) in [("expunge", "delete"), ("remove", "delete_mailboxes")] {
        let sides = match get(theirs).map(str::to_ascii_lowercase).as_deref() {
            Some("both") => "both",
            Some("near" | "slave") => "local",
            Some("far" | "master") => "remote",
            _ => "none",
        };
        account.agree(ours, sides, &format!("Channel {name}"));
    }
    match get("create").map(str::to_ascii_lowercase).as_deref() {
        Some("both") => {}
        other => account.leave(format!(
            "Create {}: mailtide creates mailboxes wherever changes may travel",
            other.unwrap_or("None")
        )),
    }
    for key in [
        "maxmessages",
        "maxsize",
        "expireunread",
        "expireside",
        "syncstate",
    ] {
        let unchanged = key == "syncstate" && get(key) == Some("*");
        if let Some(value) = get(key).filter(|_| !unchanged) {
            account.leave(format!("{key} {value}"));
        }
    }
}

fn direction(account: &mut ImportedAccount, channel: &MbsyncSection, globals: &MbsyncSection) {
    let name = &channel.name;
    let whose = format!("Channel {name}");
    let words = channel
        .words("sync")
        .or(globals.words("sync"))
        .unwrap_or_default();
    let words: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    match words
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [] | ["all" | "full"] | ["pull", "push"] | ["push", "pull"] => {
            account.agree("direction", "both", &whose);
        }
        ["pull"] => account.agree("direction", "pull", &whose),
        ["push"] => account.agree("direction", "push", &whose),
        ["none"] => account.leave(format!("Channel {name}: Sync None; leave the account out")),
        other => account.leave(format!("Channel {name}: Sync {}", other.join(" "))),
    }
}

fn below(above: &str, pattern: &str) -> String {
    match pattern.strip_prefix('!') {
        Some(pattern) => format!("!{above}/{pattern}"),
        None => format!("{above}/{pattern}"),
    }
}
