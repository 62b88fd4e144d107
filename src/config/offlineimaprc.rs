//! Parses the configuration of OfflineIMAP (7 and 8): sections with keys. Python expressions are
//! not evaluated.

use super::import::{Imported, ImportedAccount, account_name};
use std::collections::BTreeMap;

type Section = BTreeMap<String, String>;

/// Parses an INI file as Python's configparser does: `key = value` or `key: value`, an indented
/// line continues the value, `#` and `;` begin comments.
fn sections(text: &str) -> BTreeMap<String, Section> {
    let mut all: BTreeMap<String, Section> = BTreeMap::new();
    let (mut section, mut key) = (String::new(), String::new());
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let name = content
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let keys = all.entry(section.clone()).or_default();
        if line.starts_with([' ', '\t'])
            && let Some(value) = keys.get_mut(&key)
        {
            *value = format!("{value} {content}");
        } else if let Some(name) = name {
            section = name.trim().to_owned();
        } else if let Some((name, value)) = content.split_once(['=', ':']) {
            key = name.trim().to_ascii_lowercase();
            keys.insert(key.clone(), value.trim().to_owned());
        }
    }
    all
}

/// Converts an offlineimaprc.
pub fn read(text: &str) -> Imported {
    let sections = sections(text);
    let mut imported = Imported::default();
    let general = sections.get("general").cloned().unwrap_or_default();
    let names = general.get("accounts").map_or("", String::as_str);
    for name in names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let part = |kind: &str, name: &str| sections.get(&format!("{kind} {name}")).cloned();
        let Some(keys) = part("Account", name) else {
            imported
                .left
                .push(format!("account {name}: there is no [Account {name}]"));
            continue;
        };
        let repository = |key: &str| part("Repository", keys.get(key)?);
        let (Some(remote), Some(local)) = (
            repository("remoterepository"),
            repository("localrepository"),
        ) else {
            imported
                .left
                .push(format!("account {name}: a repository of it is missing"));
            continue;
        };
        let kind = local.get("type").map_or("", String::as_str);
        if !["Maildir", "GmailMaildir"].contains(&kind) {
            let what = "the local side is no Maildir";
            imported.left.push(format!("account {name}: {what}"));
            continue;
        }
        let mut account = ImportedAccount {
            name: account_name(name),
            ..ImportedAccount::default()
        };
        remote_keys(&mut account, &remote);
        local_keys(&mut account, &local);
        account_keys(&mut account, &keys);
        imported.add(account);
    }
    for key in ["pythonfile", "postsynchook", "presynchook"] {
        if let Some(value) = general.get(key) {
            imported.left.push(format!("{key} = {value}"));
        }
    }
    imported
}

fn is(value: &str) -> bool {
    ["yes", "true", "on", "1"].contains(&value.to_ascii_lowercase().as_str())
}

fn remote_keys(account: &mut ImportedAccount, remote: &Section) {
    if remote.get("type").is_some_and(|kind| kind == "Gmail") {
        account.set("host", "imap.gmail.com");
    }
    let on = |key: &str, default: bool| remote.get(key).map_or(default, |value| is(value));
    // Both default to on; TLS from the first byte takes precedence.
    if !on("ssl", true) {
        let tls = if on("starttls", true) {
            "starttls"
        } else {
            "none"
        };
        account.set("tls", tls);
    }
    if on("usecompression", false) {
        account.set("compress", true);
    }
    for (key, value) in remote {
        match key.as_str() {
            "type" | "ssl" | "starttls" | "usecompression" | "keepalive" | "holdconnectionopen"
            | "status_backend" | "sync_deletes" | "subscribedonly" | "expunge" => {}
            "createfolders" if is(value) => {}
            "remotehost" => account.set("host", value.as_str()),
            "remoteport" => {
                if let Ok(port) = value.parse::<i64>() {
                    account.set("port", port);
                }
            }
            "remoteuser" => account.set("user", value.as_str()),
            "remotepass" => account.set("password", value.as_str()),
            "remotepassfile" => account.set("password_file", value.as_str()),
            "remotepasseval" => account.leave(format!(
                "remotepasseval = {value}: Python; write password_command = [\"command\", ...]"
            )),
            "maxconnections" => {
                if let Ok(count @ 1..) = value.parse::<i64>() {
                    account.set("connections", count);
                }
            }
            "sslcacertfile" if value == "OS-DEFAULT" => {}
            "sslcacertfile" => account.set("tls_ca_file", value.as_str()),
            "auth_mechanisms" if value.to_ascii_uppercase().starts_with("XOAUTH2") => {
                account.set("auth", "xoauth2");
            }
            "auth_mechanisms" => {}
            "trashfolder" => account.set("trash", value.as_str()),
            "readonly" if is(value) => account.set("direction", "pull"),
            "readonly" => {}
            "folderfilter" | "nametrans" | "folderincludes" | "foldersort" => account.leave(
                format!("{key} = {value}: Python; choose with mailboxes = [\"*\", \"!Spam\"]"),
            ),
            key if key.starts_with("oauth2") => account.leave(format!(
                "{key}: have a program print an access token, and name it as password_command"
            )),
            _ => account.leave(format!("{key} = {value} of the server")),
        }
    }
    let no = |key: &str| remote.get(key).is_some_and(|value| !is(value));
    if no("sync_deletes") || no("expunge") {
        account.set("delete", "local");
    }
    if remote.get("subscribedonly").is_some_and(|value| is(value)) {
        account.leave("subscribedonly = yes: choose with mailboxes");
    }
}

fn local_keys(account: &mut ImportedAccount, local: &Section) {
    match local.get("localfolders") {
        Some(path) if path.len() > 1 => account.set("maildir", path.trim_end_matches('/')),
        Some(path) => account.set("maildir", path.as_str()),
        None => account.leave("localfolders is missing: say where the Maildir is to lie"),
    }
    let separator = local.get("sep").map_or(".", String::as_str);
    if separator != "/" {
        account.leave(format!(
            "sep = {separator}: a mailbox below another is a directory below another here (A/B, \
             not A{separator}B); rename such directories first"
        ));
    }
    for (key, value) in local {
        match key.as_str() {
            "type" | "localfolders" | "sep" | "status_backend" | "createfolders" => {}
            "readonly" if is(value) => account.set("direction", "push"),
            "readonly" | "filename_use_mail_timestamp" | "utime_from_header" | "startdate" => {}
            "sync_deletes" if is(value) => {}
            "sync_deletes" => account.set("delete", "remote"),
            "nametrans" => account.leave(format!("nametrans = {value}: Python")),
            _ => account.leave(format!("{key} = {value} of the Maildir")),
        }
    }
}

fn account_keys(account: &mut ImportedAccount, keys: &Section) {
    for (key, value) in keys {
        match key.as_str() {
            "localrepository" | "remoterepository" | "status_backend" | "quick" => {}
            "autorefresh" => account.leave(format!(
                "autorefresh = {value}: run mailtide sync from a timer"
            )),
            _ => account.leave(format!("{key} = {value}")),
        }
    }
}
