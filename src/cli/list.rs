//! `mailtide list`: the messages of a mailbox, the newest first.

use super::arguments::Arguments;
use super::columns::{fit, pad, size, width};
use super::looking::List;
use super::page::Page;
use super::print::complain;
use super::status;
use crate::browse::{Choice, MessageRow, list};
use crate::config::{Account, Config};
use crate::daemon::{self, json as encoded};
use crate::mime::Person;
use crate::model::{Flags, MailboxName, SystemFlag, Timestamp};
use anyhow::{Context, Result, bail};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// Columns of a sender.
const FROM: usize = 22;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &List) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let (account, name) = place(&config, command.account.as_deref(), &command.mailbox)?;
    let since = command
        .since
        .as_deref()
        .map(super::undo::time)
        .transpose()?;
    let choice = Choice {
        since: since.map(Timestamp),
        unread: command.unread,
        limit: command.limit.map(|limit| limit as usize),
    };
    let asked = &command.asked;
    let listed = list((&config, &account), &name, &choice, asked.sides());
    let listing = runtime()?.block_on(listed)?;
    listing.notes.iter().for_each(complain);
    let mut page = Page::begin(!asked.no_pager && !asked.json);
    rows(&mut page, &listing.rows, asked.json)?;
    page.end()?;
    Ok(status::OK)
}

/// A runtime for the questions of one command.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// The account and the mailbox that the command line names.
pub fn place(
    config: &Config,
    account: Option<&str>,
    mailbox: &str,
) -> Result<(Account, MailboxName)> {
    let name = |text: &str| {
        MailboxName::parse(text).with_context(|| format!("\"{text}\" is no name of a mailbox"))
    };
    if let Some(account) = account {
        let found = daemon::chosen(config, &[account.to_owned()])?;
        let found = found.into_iter().next().context("no account")?;
        return Ok((found, name(mailbox)?));
    }
    let mut all = config.accounts.values();
    if let (Some(only), None) = (all.next(), all.next()) {
        // The name of the account may stand before that of the mailbox.
        let own = mailbox.strip_prefix(&format!("{}/", only.name));
        return Ok((only.clone(), name(own.unwrap_or(mailbox))?));
    }
    let (first, rest) = mailbox.split_once('/').unwrap_or((mailbox, ""));
    match config.accounts.get(first) {
        Some(account) if !rest.is_empty() => Ok((account.clone(), name(rest)?)),
        _ => {
            let known: Vec<&str> = config.accounts.keys().map(String::as_str).collect();
            let known = known.join(", ");
            bail!("which account? Write ACCOUNT/{mailbox} or --account NAME; there are {known}")
        }
    }
}

/// Prints rows of messages.
pub fn rows(page: &mut Page, rows: &[MessageRow], as_json: bool) -> Result<()> {
    if as_json {
        for row in rows {
            page.give(line(&object(row))?.as_bytes())?;
        }
        return Ok(());
    }
    let zone = TimeZone::system();
    let widest = rows
        .iter()
        .map(|row| row.id.to_string().len())
        .max()
        .unwrap_or(0);
    for row in rows {
        if page.is_over() {
            break;
        }
        let text = text(row, widest, page.width, &zone);
        page.row(&text, !row.flags.has(SystemFlag::Seen))?;
    }
    Ok(())
}

/// An object as a line.
pub fn line(object: &Value) -> Result<String> {
    Ok(format!("{}\n", encoded(object)?))
}

fn text(row: &MessageRow, widest: usize, columns: Option<usize>, zone: &TimeZone) -> String {
    let from = row.summary.from.first().map_or("", Person::short);
    let id = row.id.to_string();
    let fill = " ".repeat(widest.saturating_sub(width(&id)));
    let attached = if row.summary.attachments.unwrap_or(0) > 0 {
        "@"
    } else {
        " "
    };
    let left = format!(
        "{id}{fill}  {}  {}{attached}  {}  {:>5}  {:<5}  ",
        date(row.at, zone),
        letters(&row.flags),
        match columns {
            Some(_) => fit(from, FROM),
            None => pad(from, FROM),
        },
        size(row.size),
        row.place.text(),
    );
    let subject = match columns {
        Some(columns) => {
            let room = columns.saturating_sub(width(&left)).max(12);
            fit(&row.summary.subject, room)
        }
        None => row.summary.subject.clone(),
    };
    format!("{left}{subject}").trim_end().to_owned()
}

/// A time by the clock on the wall.
pub fn date(at: Timestamp, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_second(at.0).unwrap_or_default();
    at.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

/// Flags in five columns: N not read, A answered, F flagged, D draft, T marked as deleted.
fn letters(flags: &Flags) -> String {
    let letter = |there: bool, letter: char| if there { letter } else { ' ' };
    [
        letter(!flags.has(SystemFlag::Seen), 'N'),
        letter(flags.has(SystemFlag::Answered), 'A'),
        letter(flags.has(SystemFlag::Flagged), 'F'),
        letter(flags.has(SystemFlag::Draft), 'D'),
        letter(flags.has(SystemFlag::Deleted), 'T'),
    ]
    .iter()
    .collect()
}

/// The object of `--json`.
pub fn object(row: &MessageRow) -> Value {
    let summary = &row.summary;
    json!({
        "id": row.id.to_string(),
        "account": row.id.account,
        "mailbox": row.id.mailbox.to_string(),
        "date": row.at.0,
        "sent": summary.date.map(|at| at.0),
        "from": people(&summary.from),
        "to": people(&summary.to),
        "subject": summary.subject,
        "message_id": summary.message_id,
        "flags": flags(&row.flags),
        "size": row.size,
        "attachments": summary.attachments,
        "where": row.place.text(),
        "file": row.path.as_ref().map(|path| path.display().to_string()),
    })
}

/// The names of flags, as IMAP writes them.
pub fn flags(flags: &Flags) -> Vec<String> {
    let text = flags.to_string();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Addresses as objects.
pub fn people(all: &[Person]) -> Vec<Value> {
    let one = |person: &Person| json!({ "name": person.name, "address": person.address });
    all.iter().map(one).collect()
}
