//! `mailtide append`: a file becomes a message.

use super::arguments::Arguments;
use super::list::place;
use super::organise::{Steps, carry_out, flag};
use super::organising::Append;
use crate::daemon;
use crate::daemon::arrange::ArrangeStep;
use crate::mime::Mail;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Append) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let (account, mailbox) = place(&config, command.account.as_deref(), &command.mailbox)?;
    let flags = command.flag.iter().map(|text| flag(text));
    let flags = flags.collect::<Result<Vec<String>>>()?;
    let mut bytes = Vec::new();
    if command.file == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(&command.file).with_context(|| command.file.display().to_string())?;
    }
    if !is_message(&bytes) {
        bail!(
            "{} is no message: it does not begin with header fields (From: ...)",
            command.file.display()
        );
    }
    // The watcher reads it: it may run where it does not see the file.
    let staged = Staged::write(config.state_dir_of(&account.name), &bytes)?;
    let step = ArrangeStep::Append {
        file: staged.0.clone(),
        mailbox: mailbox.to_string(),
        flags,
    };
    carry_out(&config, Steps::one(account, step), command.json)
}

/// Whether a file begins with the header of a message.
fn is_message(bytes: &[u8]) -> bool {
    let summary = Mail::header(bytes).summary();
    let field = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let name = field.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_field = name.len() < field.len()
        && !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_graphic());
    is_field && (!summary.from.is_empty() || summary.date.is_some() || !summary.subject.is_empty())
}

/// A copy in the state directory, for as long as this lives.
struct Staged(PathBuf);

impl Staged {
    fn write(state_dir: &Path, bytes: &[u8]) -> Result<Staged> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(state_dir)?;
        let path = state_dir.join(format!("append.{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| path.display().to_string())?;
        let staged = Staged(path);
        file.write_all(bytes)?;
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Left behind it does no harm.
        let _gone = std::fs::remove_file(&self.0);
    }
}
