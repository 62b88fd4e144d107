//! `mailtide show`: one message, its header, its parts, or all of it.

use super::arguments::Arguments;
use super::columns::{apart, fit, folded, size, width};
use super::list::{date, line, people, runtime};
use super::looking::ShowArgs;
use super::page::Page;
use super::print::complain;
use super::status;
use crate::browse::ShownMessage;
use crate::daemon;
use crate::mime::{Mail, Person, Summary, lines};
use crate::model::Part;
use crate::store::StoreError;
use anyhow::Result;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// Lines of text are not longer than this, columns.
const LONGEST: usize = 100;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &ShowArgs) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    runtime()?.block_on(async {
        let sides = command.asked.sides();
        let mut message = ShownMessage::open(&config, &command.message, sides).await?;
        let shown = show(&mut message, command).await;
        message.notes.iter().for_each(complain);
        message.end().await;
        shown
    })?;
    Ok(status::OK)
}

async fn show(message: &mut ShownMessage, command: &ShowArgs) -> Result<()> {
    let asked = &command.asked;
    let page = || Page::begin(!asked.no_pager && !asked.json);
    if command.raw {
        return raw(message, page()).await;
    }
    if command.headers {
        let header = message.header().await?;
        let header = String::from_utf8_lossy(&header).into_owned();
        let header = lines(header.trim_end());
        return print(page(), asked.json, &json!({ "header": header }), &header);
    }
    if command.structure {
        let parts = message.parts().await?;
        let object = json!({ "parts": parts.iter().map(part).collect::<Vec<_>>() });
        return print(page(), asked.json, &object, &tree(&parts));
    }
    // The text first: where the structure cannot be had it brings all that is needed.
    let parts = message.parts().await?;
    let text = message.text().await?;
    let summary = Mail::header(&message.header().await?).summary();
    match asked.json {
        true => {
            let object = object(&summary, &parts, &text);
            print(page(), true, &object, "")
        }
        false => read(page(), &summary, &parts, &text),
    }
}

/// All of a message: as it is, or on a terminal without what acts on that.
async fn raw(message: &mut ShownMessage, mut page: Page) -> Result<()> {
    if page.is_terminal() {
        let text = lines(&String::from_utf8_lossy(message.whole().await?));
        page.give(text.as_bytes())?;
    } else {
        let mut give = |piece: &[u8]| give(&mut page, piece);
        message.raw(&mut give).await?;
    }
    page.end()
}

/// Gives bytes to a page.
pub fn give(page: &mut Page, piece: &[u8]) -> std::result::Result<(), StoreError> {
    let given = page.give(piece);
    given.map_err(|error| StoreError::NeedsUser(format!("standard output: {error}")))
}

fn print(mut page: Page, as_json: bool, object: &Value, text: &str) -> Result<()> {
    match as_json {
        true => page.give(line(object)?.as_bytes())?,
        false => page.give(text.as_bytes())?,
    }
    page.end()
}

fn read(mut page: Page, summary: &Summary, parts: &[Part], text: &str) -> Result<()> {
    let columns = page.width.map(|width| width.min(LONGEST));
    let mut field = |name: &str, value: String| match value.is_empty() {
        true => Ok(()),
        false => page.row(&format!("{name}: {}", apart(&value)), false),
    };
    field("From", shown(&summary.from))?;
    field("To", shown(&summary.to))?;
    let at = summary.date.map(|at| date(at, &TimeZone::system()));
    field("Date", at.unwrap_or_default())?;
    field("Subject", summary.subject.clone())?;
    page.row("", false)?;
    for one in text.lines() {
        match columns {
            Some(columns) => {
                for folded in folded(one, columns) {
                    page.row(&folded, false)?;
                }
            }
            None => page.row(one, false)?,
        }
    }
    let attached: Vec<&Part> = parts.iter().filter(|part| part.is_attachment()).collect();
    if !attached.is_empty() {
        page.row("", false)?;
    }
    for part in attached {
        let name = part.name.as_deref().unwrap_or("without a name");
        let (number, kind, size) = (&part.number, &part.kind, size(part.size));
        page.row(
            &format!("[{number}] {} ({kind}, {size})", apart(name)),
            false,
        )?;
    }
    page.end()
}

fn shown(all: &[Person]) -> String {
    let all: Vec<String> = all.iter().map(Person::to_string).collect();
    all.join(", ")
}

fn tree(parts: &[Part]) -> String {
    let name = |part: &Part| format!("{}{}", "  ".repeat(part.depth), part.kind);
    let kinds = parts
        .iter()
        .map(|part| width(&name(part)))
        .max()
        .unwrap_or(0);
    let numbers = parts
        .iter()
        .map(|part| part.number.len())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for part in parts {
        let number = if part.number.is_empty() {
            "-"
        } else {
            &part.number
        };
        let row = format!(
            "{number:<numbers$}  {}  {:>5}  {}",
            fit(&name(part), kinds),
            size(part.size),
            apart(part.name.as_deref().unwrap_or_default()),
        );
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

/// A part as an object.
pub fn part(part: &Part) -> Value {
    json!({
        "number": part.number,
        "type": part.kind,
        "name": part.name,
        "size": part.size,
        "charset": part.charset,
        "encoding": part.encoding,
        "attachment": part.is_attachment(),
    })
}

fn object(summary: &Summary, parts: &[Part], text: &str) -> Value {
    json!({
        "from": people(&summary.from),
        "to": people(&summary.to),
        "sent": summary.date.map(|at| at.0),
        "subject": summary.subject,
        "message_id": summary.message_id,
        "text": text.lines().collect::<Vec<_>>(),
        "parts": parts.iter().map(part).collect::<Vec<_>>(),
    })
}
