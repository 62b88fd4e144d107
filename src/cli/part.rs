//! `mailtide part`: one part of a message, printed or saved.

use super::arguments::Arguments;
use super::list::{line, runtime};
use super::looking::PartArgs as Command;
use super::page::Page;
use super::print::{ask, complain, say};
use super::status;
use super::view::{give, part as object};
use crate::browse::ShownMessage;
use crate::daemon;
use crate::mime::lines;
use crate::model::Part;
use crate::store::StoreError;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::{Path, PathBuf};

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Command) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    runtime()?.block_on(async {
        let sides = command.asked.sides();
        let mut message = ShownMessage::open(&config, &command.message, sides).await?;
        let done = match &command.save {
            Some(to) => save(&mut message, command, to).await,
            None => print(&mut message, command).await,
        };
        message.notes.iter().for_each(complain);
        message.end().await;
        done
    })?;
    Ok(status::OK)
}

async fn print(message: &mut ShownMessage, command: &Command) -> Result<()> {
    let asked = &command.asked;
    if asked.json {
        bail!("--json tells where a part was saved: it goes with --save");
    }
    if !stdout().is_terminal() {
        let mut page = Page::begin(false);
        let mut out = |piece: &[u8]| give(&mut page, piece);
        message.part(&command.part, &mut out).await?;
        return page.end();
    }
    let mut bytes = Vec::new();
    let mut keep = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    let part = message.part(&command.part, &mut keep).await?;
    let text = std::str::from_utf8(&bytes)
        .ok()
        .filter(|text| !text.contains('\0'));
    match text {
        Some(text) => {
            let mut page = Page::begin(!asked.no_pager);
            page.give(lines(text).as_bytes())?;
            page.end()
        }
        None => bail!(
            "part {} is {}, which no terminal shows: save it with --save FILE",
            part.number,
            part.kind
        ),
    }
}

async fn save(message: &mut ShownMessage, command: &Command, to: &Path) -> Result<()> {
    let parts = message.parts().await?;
    let index = Part::find(&parts, &command.part);
    let found = index.and_then(|index| parts.get(index));
    let path = match to.is_dir() {
        false => to.to_owned(),
        true => to.join(own_name(found)?),
    };
    let (file, path, made) = create(&path, command.force)?;
    let mut file = std::io::BufWriter::new(file);
    let mut size = 0;
    let mut write = |piece: &[u8]| {
        size += piece.len() as u64;
        let written = file.write_all(piece);
        written.map_err(|error| StoreError::NeedsUser(format!("{}: {error}", made.display())))
    };
    let written = message.part(&command.part, &mut write).await;
    let written = written.map_err(anyhow::Error::from);
    let done = written.and_then(|part| {
        file.flush().with_context(|| made.display().to_string())?;
        if made != path {
            std::fs::rename(&made, &path).with_context(|| path.display().to_string())?;
        }
        Ok(part)
    });
    let part = match done {
        Ok(part) => part,
        Err(error) => {
            // It is not whole.
            let _removed = std::fs::remove_file(&made);
            return Err(error);
        }
    };
    match command.asked.json {
        true => {
            let file = path.display().to_string();
            let told = json!({ "file": file, "bytes": size, "part": object(&part) });
            let mut page = Page::begin(false);
            page.give(line(&told)?.as_bytes())?;
            page.end()
        }
        false => {
            say(format!("{} ({}, {size} bytes)", path.display(), part.kind));
            Ok(())
        }
    }
}

/// The name under which a part is saved: its own, if that is the name of a file and nothing else.
fn own_name(part: Option<&Part>) -> Result<String> {
    let name = part.and_then(|part| part.name.as_deref());
    let Some(name) = name else {
        bail!("the part has no file name: write --save FILE");
    };
    let plain = !name.is_empty()
        && !name.starts_with(['.', '-'])
        && !name.contains(['/', '\\', '\0'])
        && name.len() <= 200
        && name.trim() == name;
    match plain {
        true => Ok(name.to_owned()),
        false => bail!("\"{name}\" is no safe name for a file: write --save FILE"),
    }
}

/// Makes the file; a file that is there is only replaced, once the new one is whole, where that is
/// wanted. Answers with the file, where it is to be, and where it is until then.
fn create(path: &Path, force: bool) -> Result<(File, PathBuf, PathBuf)> {
    let new = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
    match new(path) {
        Ok(file) => return Ok((file, path.to_owned(), path.to_owned())),
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| path.display().to_string());
        }
        Err(_) => {}
    }
    let shown = path.display();
    let may = force
        || stdin().is_terminal() && stdout().is_terminal() && {
            ask(&format!("{shown} exists. Overwrite it? [y/N] "));
            let mut answer = String::new();
            stdin().read_line(&mut answer)?;
            answer.trim().eq_ignore_ascii_case("y")
        };
    if !may {
        bail!("{shown} exists and was left as it is; --force overwrites it");
    }
    let name = path.file_name().context("no file name")?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let file = new(&beside).with_context(|| beside.display().to_string())?;
    Ok((file, path.to_owned(), beside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str) -> Part {
        Part {
            name: Some(name.to_owned()),
            ..Part::default()
        }
    }

    #[test]
    fn only_plain_names_of_attachments_are_used() {
        for plain in ["a.pdf", "R\u{e9}sum\u{e9} 2026.pdf", "a..b"] {
            assert_eq!(own_name(Some(&part(plain))).unwrap(), plain);
        }
        let long = "x".repeat(300);
        for evil in [
            "../a",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "..",
            ".bashrc",
            "-rf",
            "",
            " a",
            &long,
        ] {
            assert!(own_name(Some(&part(evil))).is_err(), "{evil}");
        }
        assert!(own_name(Some(&Part::default())).is_err() && own_name(None).is_err());
    }

    #[test]
    fn file_that_is_there_is_replaced_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("a"), dir.path().join("link"));
        let target = dir.path().join("target");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        drop(create(&path, false).unwrap());
        for taken in [&path, &link] {
            assert!(create(taken, false).is_err(), "{}", taken.display());
        }
        let (_file, to, made) = create(&link, true).unwrap();
        assert!(to == link && made != link, "{}", made.display());
        assert!(!target.exists(), "nothing is written through a link");
    }
}
