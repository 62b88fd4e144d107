//! `mailtide search`: messages that answer a query, here and on the server.

use super::arguments::Arguments;
use super::list::{rows, runtime};
use super::looking::Search;
use super::page::Page;
use super::print::complain;
use super::status;
use crate::browse::{Finder, Hit, Lies};
use crate::config::{Account, Config};
use crate::daemon;
use crate::search::{Query, parse};
use anyhow::Result;

/// So many messages are printed for people, unless they say otherwise.
const USUAL: usize = 100;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Search) -> Result<u8> {
    let query = match parse(&command.query.join(" "), jiff::Zoned::now().date()) {
        Ok(query) => query,
        Err(error) => {
            error.lines().iter().for_each(complain);
            return Ok(status::USAGE);
        }
    };
    let config = daemon::load(arguments.config.as_deref())?;
    let accounts = daemon::chosen(&config, &command.account)?;
    runtime()?.block_on(all(&config, &accounts, command, &query))
}

async fn all(config: &Config, accounts: &[Account], command: &Search, query: &Query) -> Result<u8> {
    let asked = &command.asked;
    let sides = asked.sides();
    let usual = (!asked.json && !command.files).then_some(USUAL);
    let wanted = command.limit.map(|limit| limit as usize);
    let limit = wanted.or(usual);
    // One more shows whether there are more.
    let most = limit.map(|limit| limit.saturating_add(1));
    let (mut finders, mut hits) = (Vec::new(), Vec::new());
    let mut failed = None;
    for (n, account) in accounts.iter().enumerate() {
        let mut finder = Finder::open(config, account, sides).await?;
        match finder.find(query, command.fuzzy, most).await {
            Ok(found) => hits.extend(found.into_iter().map(|hit| (n, hit))),
            // The others are searched all the same.
            Err(error) => {
                let error = anyhow::Error::from(error);
                complain(format!("{}: {}", account.name, super::print::chain(&error)));
                failed = Some(status::of(&error));
            }
        }
        finders.push(finder);
    }
    hits.sort_by(|(_, a), (_, b)| (b.at, &b.mailbox).cmp(&(a.at, &a.mailbox)));
    let more = limit.is_some_and(|limit| hits.len() > limit);
    hits.truncate(limit.unwrap_or(usize::MAX));
    let mut page = Page::begin(!asked.no_pager && !asked.json && !command.files);
    match command.files {
        true => files(&mut page, &hits)?,
        false => print(&mut page, &mut finders, &hits, asked.json).await?,
    }
    page.end()?;
    for finder in finders {
        finder.notes.iter().for_each(complain);
        finder.end().await;
    }
    if more && usual.is_some() && wanted.is_none() {
        complain(format!(
            "there are more; these are the newest {USUAL} (--limit N prints N)"
        ));
    }
    Ok(failed.unwrap_or(status::OK))
}

/// The paths of files, one a line, as they are.
fn files(page: &mut Page, hits: &[(usize, Hit)]) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    for (_, hit) in hits {
        if let Lies::Here(glance) = &hit.lies {
            page.give(glance.path.as_os_str().as_bytes())?;
            page.give(b"\n")?;
        }
    }
    Ok(())
}

async fn print(
    page: &mut Page,
    finders: &mut [Finder<'_>],
    hits: &[(usize, Hit)],
    as_json: bool,
) -> Result<()> {
    let mut all = Vec::new();
    for (n, finder) in finders.iter_mut().enumerate() {
        let own = hits.iter().filter(|(of, _)| *of == n);
        let own: Vec<Hit> = own.map(|(_, hit)| hit.clone()).collect();
        all.extend(finder.rows(&own).await?);
    }
    all.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
    rows(page, &all, as_json)
}
