//! `mailtide mailboxes`: the mailboxes of accounts, here and on the server.

use super::arguments::Arguments;
use super::columns::{apart, size, width};
use super::looking::Mailboxes;
use super::page::Page;
use super::print::{chain, complain};
use super::status;
use crate::browse::{MailboxCounts, MailboxRow, mailboxes};
use crate::daemon;
use crate::model::printable;
use anyhow::Result;
use serde_json::{Value, json};

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Mailboxes) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let accounts = daemon::chosen(&config, &command.accounts)?;
    let runtime = super::list::runtime()?;
    let (asked, several) = (&command.asked, accounts.len() > 1);
    let mut page = Page::begin(!asked.no_pager && !asked.json);
    let mut worst = status::OK;
    for account in &accounts {
        let found = runtime.block_on(mailboxes((&config, account), asked.sides()));
        let (all, notes) = match found {
            Ok(found) => found,
            Err(error) => {
                let error = error.into();
                complain(format!("{}: {}", account.name, chain(&error)));
                worst = worst.max(status::of(&error));
                continue;
            }
        };
        notes.iter().for_each(complain);
        let before = if several {
            format!("{}/", account.name)
        } else {
            String::new()
        };
        match asked.json {
            true => {
                for one in &all {
                    page.give(super::list::line(&object(&account.name, one))?.as_bytes())?;
                }
            }
            false => print(&mut page, &before, &all)?,
        }
    }
    page.end()?;
    Ok(worst)
}

fn print(page: &mut Page, before: &str, all: &[MailboxRow]) -> Result<()> {
    let names: Vec<String> = all
        .iter()
        .map(|one| printable(&format!("{before}{}", one.name)))
        .collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |n| n.to_string());
    for (one, name) in all.iter().zip(&names) {
        let counts = one.counts();
        let fill = " ".repeat(widest - width(name));
        let use_ = one.special_use.as_deref().unwrap_or_default();
        let row = format!(
            "{}{fill}  {:>7}  {:>6} unread  {:>6}  {:<5}  {}",
            apart(name),
            number(counts.map(|counts| counts.messages)),
            number(counts.map(|counts| counts.unread)),
            counts
                .and_then(|counts| counts.bytes)
                .map_or("-".into(), size),
            one.place.text(),
            printable(use_),
        );
        let unread = counts.is_some_and(|counts| counts.unread > 0);
        page.row(row.trim_end(), unread)?;
    }
    Ok(())
}

fn object(account: &str, one: &MailboxRow) -> Value {
    let counts = |counts: Option<MailboxCounts>| {
        counts.map(|counts| {
            json!({
                "messages": counts.messages,
                "unread": counts.unread,
                "bytes": counts.bytes,
            })
        })
    };
    json!({
        "account": account,
        "mailbox": one.name.to_string(),
        "where": one.place.text(),
        "special_use": one.special_use,
        "selectable": one.selectable,
        "here": counts(one.here),
        "there": counts(one.there),
    })
}
