//! `mailtide import`: our configuration from that of another program.

use super::arguments::{Arguments, Import, ImportProgram};
use super::print::{complain, hand_out, say};
use super::status;
use crate::config::{self, Imported};
use anyhow::{Context, bail};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Import) -> anyhow::Result<u8> {
    let from = match &command.file {
        Some(file) => file.clone(),
        None => usual(command.program),
    };
    let text = std::fs::read_to_string(&from)
        .with_context(|| format!("cannot read {}", from.display()))?;
    let imported = match command.program {
        ImportProgram::Mbsyncrc => config::read_mbsyncrc(&text),
        ImportProgram::Offlineimaprc => config::read_offlineimaprc(&text),
    };
    if imported.accounts.is_empty() {
        tell(&imported);
        bail!(
            "{}: there is no account that can be taken over",
            from.display()
        );
    }
    let ours = config::render(&imported, &from.display().to_string());
    if command.print {
        hand_out(&ours);
    } else {
        let path = config::path(arguments.config.as_deref());
        write_new(&path, &ours)?;
        if !arguments.quiet {
            let count = imported.accounts.len();
            say(format!("{count} account(s) written to {}", path.display()));
            say("next: mailtide check, then mailtide sync --dry-run, then mailtide sync");
        }
    }
    tell(&imported);
    Ok(status::OK)
}

/// What has no equivalent goes to stderr, too: a file is easily not read.
fn tell(imported: &Imported) {
    for line in &imported.left {
        complain(format!("not taken over: {line}"));
    }
    for account in &imported.accounts {
        for line in &account.left {
            complain(format!("not taken over: {}: {line}", account.name));
        }
    }
}

fn usual(program: ImportProgram) -> PathBuf {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let (old, new) = match program {
        ImportProgram::Mbsyncrc => (".mbsyncrc", ".config/isyncrc"),
        ImportProgram::Offlineimaprc => (".offlineimaprc", ".config/offlineimap/config"),
    };
    let (old, new) = (home.join(old), home.join(new));
    if !old.exists() && new.exists() {
        new
    } else {
        old
    }
}

/// A password may stand in it, so it is readable by the user alone from the start.
fn write_new(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    if let Some(above) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(above)
            .with_context(|| format!("cannot create {}", above.display()))?;
    }
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| {
        let name = path.display();
        format!("cannot write {name} (it is never overwritten; --print shows what would be in it)")
    })?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}
