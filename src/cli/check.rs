//! `mailtide check`: looks at everything a sync needs, and changes nothing.

use super::arguments::{Arguments, CheckArgs};
use super::{print, status};
use crate::config;
use crate::daemon::{self, CycleRequest, Keyring, MailboxFlow, OpenAccount, Writes};
use crate::engine::{Report, Silent, Stop};
use crate::imap::Tier;
use crate::maildir::{MaildirStore, independent_count};
use crate::model::MailboxName;
use crate::reconcile::{Listed, Presence};
use crate::store::MailStore;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &CheckArgs) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let accounts = daemon::chosen(&config, &command.accounts)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut objects, mut worst) = (Vec::new(), status::OK);
    for account in &accounts {
        let checked = runtime.block_on(check(config.state_dir_of(&account.name), account));
        let (lines, object, code) = match checked {
            Ok((lines, object)) => (lines, object, status::OK),
            Err(error) => {
                let text = print::chain(&error);
                let object = json!({ "account": account.name, "ok": false, "error": text });
                (vec![text], object, status::of(&error))
            }
        };
        worst = worst.max(code);
        objects.push(object);
        if code != status::OK {
            lines
                .iter()
                .for_each(|line| print::complain(format!("{}: {line}", account.name)));
        } else if !command.json && !arguments.quiet {
            lines
                .iter()
                .for_each(|line| print::say(format!("{}: {line}", account.name)));
        }
    }
    if command.json {
        let all = json!({ "ok": worst == status::OK, "accounts": objects });
        print::say_object(&all)?;
    }
    Ok(worst)
}

async fn check(state_dir: &Path, account: &config::Account) -> Result<(Vec<String>, Value)> {
    let keyring = Rc::new(Keyring::new(account.clone()));
    let mut opened = OpenAccount::new(keyring.clone(), state_dir, Writes::None, 1)?;
    opened.enter()?;
    let here = opened.local.list(&BTreeMap::new()).await?;
    let mut remote = daemon::remote(&keyring, Writes::None, 1).await?;
    let (capabilities, tier) = remote.greet().await?;
    let there = remote.list(&BTreeMap::new()).await?;
    let trash = remote.trash_mailbox()?;
    opened.remote = Some(remote);
    let report = dry_run(&mut opened).await?;
    let flows = daemon::flows(&report, &opened.state)?;
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
    lines.extend(lacks(&capabilities));
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
    lines.extend(report.held.iter().map(|held| {
        let (count, id) = (daemon::count(held.count, "messages"), &held.id);
        let mailboxes = match held.mailboxes {
            0 => String::new(),
            some => format!("{} with ", daemon::count(some, "mailboxes")),
        };
        format!("a sync would hold {mailboxes}{count} until you decide ({id})")
    }));
    lines.extend(report.errors.iter().map(|error| error.text.clone()));
    let mapping = mapping(account, (&here, &there), &opened.local, &flows);
    lines.extend(mapping.iter().map(CheckRow::line));
    let mailboxes: Vec<Value> = mapping.iter().map(CheckRow::object).collect();
    let object = json!({ "account": account.name, "ok": true, "capabilities": capabilities,
                         "tier": tier, "trash": trash.map(|name| name.to_string()),
                         "mailboxes": mailboxes });
    Ok((lines, object))
}

/// What it means that the server lacks extensions.
fn lacks(capabilities: &BTreeSet<String>) -> Vec<String> {
    let mut lines = Vec::new();
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
    lines
}

async fn dry_run(opened: &mut OpenAccount) -> Result<Report> {
    let errand = CycleRequest {
        dry_run: true,
        ..CycleRequest::default()
    };
    let mut report = opened.cycle(errand, &Silent, &Stop::default()).await?;
    opened.disconnect().await;
    match report.halted.take() {
        Some(halted) => Err(halted.into()),
        None => Ok(report),
    }
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

struct CheckRow {
    name: String,
    synced: String,
    path: String,
    files: Option<usize>,
    flow: Option<MailboxFlow>,
}

impl CheckRow {
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
        json!({ "name": self.name, "synced": self.synced, "path": self.path,
                "files": self.files, "would": self.flow })
    }
}

fn mapping(
    account: &config::Account,
    (here, there): (&[Listed], &[Listed]),
    local: &MaildirStore,
    flows: &BTreeMap<MailboxName, MailboxFlow>,
) -> Vec<CheckRow> {
    let all: BTreeMap<_, _> = here
        .iter()
        .chain(there)
        .map(|listed| (&listed.name, listed))
        .collect();
    let (local_names, remote_names) = (names(here), names(there));
    let row = |(name, listed): (&&MailboxName, &&Listed)| {
        let view = there.iter().any(|other| other.name == **name && other.view);
        let mut flow = None;
        let own = here.iter().find(|one| one.name == **name);
        let presence = own.map_or(&listed.presence, |own| match own.presence {
            Presence::Mailbox | Presence::Container => &listed.presence,
            _ => &own.presence,
        });
        let synced = match presence {
            Presence::Unknown(why) | Presence::Closed(why) | Presence::Vacant(why) => {
                format!("left alone: {why}")
            }
            Presence::Container => "holds other mailboxes only".to_owned(),
            Presence::Mailbox if !account.policy.chooses(name) => {
                "left out by `mailboxes`".to_owned()
            }
            Presence::Mailbox if view && !account.policy.names(name) => {
                "left out, a view of messages that lie elsewhere".to_owned()
            }
            Presence::Mailbox => {
                let would = flows.get(*name).cloned().unwrap_or_default();
                let alone = local_names.contains(name) != remote_names.contains(name);
                let text = match alone && would.is_in_step() {
                    true => "nothing would be copied".to_owned(),
                    false => print::flow(&would),
                };
                flow = Some(would);
                match (local_names.contains(name), remote_names.contains(name)) {
                    (true, false) => format!("not on the server: {text}"),
                    (false, true) => format!("not here: {text}"),
                    _ => text,
                }
            }
        };
        let path = local.path(name);
        let files = local
            .directory(name)
            .ok()
            .map(|directory| independent_count(&directory));
        CheckRow {
            name: name.to_string(),
            synced,
            path: path.display().to_string(),
            files,
            flow,
        }
    };
    all.iter().map(row).collect()
}

fn names(listed: &[Listed]) -> BTreeSet<&MailboxName> {
    let mailboxes = listed.iter().filter(|l| l.presence == Presence::Mailbox);
    mailboxes.map(|listed| &listed.name).collect()
}
