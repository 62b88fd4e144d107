//! `mailtide check`: looks at everything a sync needs, and changes nothing.

use super::arguments::{Arguments, Check};
use super::{print, status};
use crate::config;
use crate::daemon::{self, Keyring, OpenError, OpenState, Writes};
use crate::imap::Tier;
use crate::maildir::independent_count;
use crate::reconcile::{Listed, Presence};
use crate::store::{Store, StoreError};
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Check) -> Result<u8> {
    let config = config::load(arguments.config.as_deref())?;
    let accounts = daemon::chosen(&config, &command.accounts)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut objects, mut worst) = (Vec::new(), status::OK);
    for account in &accounts {
        let checked = runtime.block_on(check(&config.state_dir, account));
        let (lines, object, code) = match checked {
            Ok((lines, object)) => (lines, object, status::OK),
            Err(error) => {
                let text = print::chain(&error);
                let object = json!({ "account": account.name, "ok": false, "error": text });
                (vec![text], object, code_of(&error))
            }
        };
        worst = worst.max(code);
        objects.push(object);
        if code != status::OK {
            lines
                .iter()
                .for_each(|line| eprintln!("{}: {}", account.name, print::safe(line)));
        } else if !command.json && !arguments.quiet {
            lines
                .iter()
                .for_each(|line| println!("{}: {}", account.name, print::safe(line)));
        }
    }
    if command.json {
        let all = json!({ "ok": worst == status::OK, "accounts": objects });
        println!("{}", serde_json::to_string(&all)?);
    }
    Ok(worst)
}

fn code_of(error: &anyhow::Error) -> u8 {
    let own = match error.downcast_ref() {
        Some(OpenError::Store(own)) => Some(own),
        _ => error.downcast_ref::<StoreError>(),
    };
    match own {
        Some(StoreError::Retry(_) | StoreError::Busy { .. }) => status::TEMPORARY,
        Some(StoreError::Guard(_)) => status::HELD,
        Some(StoreError::Mailbox(_) | StoreError::Stale(_) | StoreError::Bug(_)) => status::PARTIAL,
        Some(StoreError::NeedsUser(_) | StoreError::LoginRefused(_)) => status::USAGE,
        None => status::USAGE,
    }
}

async fn check(state_dir: &Path, account: &config::Account) -> Result<(Vec<String>, Value)> {
    let OpenState { claim, lock, .. } = daemon::open_state(state_dir, &account.name, Writes::None)?;
    let mut local = daemon::local(account, claim);
    let here = local.list(&BTreeMap::new()).await?;
    let mut remote = daemon::remote(&Keyring::new(account.clone()), Writes::None, 1).await?;
    let (capabilities, tier) = remote.greet().await?;
    let there = remote.list(&BTreeMap::new()).await?;
    let trash = remote.trash_mailbox()?;
    remote.close().await;
    drop(lock);
    let tier = match tier {
        Tier::QResync => "QRESYNC: changes and vanished messages are told",
        Tier::CondStore => "CONDSTORE: changes are told, all UIDs are listed",
        Tier::Plain => "plain: all UIDs and flags are listed each time",
    };
    let mut lines = vec![
        format!(
            "logged in to {}:{} as {}",
            account.host, account.port, account.user
        ),
        format!("how changes are learned: {tier}"),
    ];
    let wanted = [
        "UIDPLUS",
        "MOVE",
        "LITERAL+",
        "LIST-STATUS",
        "SPECIAL-USE",
        "ESEARCH",
    ];
    let lacking: Vec<&str> = wanted
        .into_iter()
        .filter(|name| !capabilities.contains(*name))
        .collect();
    if !lacking.is_empty() {
        lines.push(format!(
            "the server lacks {}: slower, and safe",
            lacking.join(", ")
        ));
    }
    if lacking.contains(&"UIDPLUS") {
        lines.push("without UIDPLUS messages deleted here are marked \\Deleted there only".into());
    }
    match &trash {
        Some(trash) => lines.push(format!("messages deleted here are moved to {trash} there")),
        None => lines.push("messages deleted here are expunged there (and kept here)".into()),
    }
    if capabilities.contains("X-GM-EXT-1") {
        lines.extend(GMAIL.map(str::to_owned));
    }
    let state = if account.maildir.exists() {
        "there"
    } else {
        "to be created"
    };
    lines.push(format!("Maildir {} ({state})", account.maildir.display()));
    lines.extend(daemon::on_network(state_dir));
    let mapping = mapping(account, &here, &there, &local);
    lines.extend(mapping.iter().map(Row::line));
    let mailboxes: Vec<Value> = mapping.iter().map(Row::object).collect();
    let object = json!({ "account": account.name, "ok": true, "capabilities": capabilities,
                         "tier": tier, "trash": trash.map(|name| name.to_string()),
                         "mailboxes": mailboxes });
    Ok((lines, object))
}

/// What somebody who syncs with Gmail should know.
const GMAIL: [&str; 4] = [
    "Gmail: labels are mailboxes; a message under several is fetched once. All Mail, Important and \
     Starred are views and left out unless `mailboxes` names them",
    "Gmail: a message deleted here leaves its label; one that has no other goes to the trash",
    "Gmail: under Settings, Forwarding and POP/IMAP, switch Auto-Expunge off (the client decides), \
     and let messages be archived when they are expunged from their last label",
    "Gmail: a limit on the messages per folder there (1,000 to 10,000) hides older mail; have none",
];

struct Row {
    name: String,
    synced: &'static str,
    path: String,
    files: Option<usize>,
}

impl Row {
    fn line(&self) -> String {
        let files = self
            .files
            .map(|n| format!(", {n} files"))
            .unwrap_or_default();
        format!(
            "mailbox {}: {} ({}{files})",
            self.name, self.synced, self.path
        )
    }

    fn object(&self) -> Value {
        json!({ "name": self.name, "synced": self.synced, "path": self.path, "files": self.files })
    }
}

fn mapping(
    account: &config::Account,
    here: &[Listed],
    there: &[Listed],
    local: &crate::maildir::MaildirStore,
) -> Vec<Row> {
    let all: BTreeMap<_, _> = here
        .iter()
        .chain(there)
        .map(|listed| (&listed.name, listed))
        .collect();
    let local_names: BTreeSet<_> = here.iter().map(|listed| &listed.name).collect();
    let row = |(name, listed): (&&crate::model::MailboxName, &&Listed)| {
        let view = there.iter().any(|other| other.name == **name && other.view);
        let synced = match &listed.presence {
            Presence::Unknown(_) => "left alone, its name is not clear",
            Presence::Container => "holds other mailboxes only",
            Presence::Mailbox if !account.policy.chooses(name) => "left out by `mailboxes`",
            Presence::Mailbox if view && !account.policy.names(name) => {
                "left out, a view of messages that lie elsewhere"
            }
            Presence::Mailbox if local_names.contains(name) => "in step",
            Presence::Mailbox => "to be created here",
        };
        let path = local.path(name);
        let files = local
            .directory(name)
            .ok()
            .map(|directory| independent_count(&directory));
        Row {
            name: name.to_string(),
            synced,
            path: path.display().to_string(),
            files,
        }
    };
    all.iter().map(row).collect()
}
