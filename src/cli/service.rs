//! `mailtide service`: the watcher as a service of the user's systemd, with the path of this
//! program and configuration in the unit.

use super::arguments::{Arguments, Service, ServiceAction};
use super::print::{self, say};
use super::status;
use crate::config::{self, Config};
use crate::daemon;
use anyhow::{Context, Result, bail};
use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The unit as it is shipped.
const UNIT: &str = include_str!("../../systemd/mailtide.service");
const START: &str = "ExecStart=/usr/bin/mailtide watch\n";
/// The first line of a unit that this command wrote.
const OURS: &str =
    "# Written by mailtide service install; mailtide service uninstall removes it.\n";

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Service) -> Result<u8> {
    match command.what {
        ServiceAction::Install { linger } => {
            let config = daemon::load(arguments.config.as_deref())?;
            install(&Unit::of(&config.path), &config, linger)
        }
        ServiceAction::Uninstall => {
            uninstall(&Unit::of(&config::path(arguments.config.as_deref())))
        }
        ServiceAction::Status => show(&Unit::of(&config::path(arguments.config.as_deref()))),
    }
}

/// The unit of a configuration.
struct Unit {
    name: String,
    path: PathBuf,
    /// The path of the configuration; `None`: the default one.
    config: Option<PathBuf>,
}

impl Unit {
    fn of(config: &Path) -> Unit {
        let usual = config::is_usual(config);
        let stem = config.file_stem().unwrap_or_default().to_string_lossy();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let stem: String = stem.chars().map(plain).collect();
        let name = match usual {
            true => "mailtide.service".to_owned(),
            false => format!("mailtide-{stem}.service"),
        };
        let directory = config::base_directory("XDG_CONFIG_HOME", ".config");
        Unit {
            path: directory.join("systemd/user").join(&name),
            name,
            config: (!usual).then(|| std::path::absolute(config).unwrap_or(config.to_owned())),
        }
    }

    /// The text of the unit that runs this program.
    fn text(&self, program: &Path) -> String {
        let start = format!("{}{}", quoted(program), self.option());
        let unit = UNIT.replace(START, &format!("ExecStart={start} watch\n"));
        // How to install it is said by its first line now.
        let begin = unit.find("[Unit]").unwrap_or(0);
        format!("{OURS}{}", unit.get(begin..).unwrap_or_default())
    }

    /// The unit that is installed; `None`: there is none.
    fn installed(&self) -> Result<Option<String>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(self.path.display().to_string()),
        }
    }

    /// Fails where a unit is there that somebody else wrote.
    fn must_be_ours(&self) -> Result<Option<String>> {
        let there = self.installed()?;
        match &there {
            Some(text) if !text.starts_with(OURS) => bail!(
                "{} was not written by mailtide service install and is left as it is; move it away",
                self.path.display()
            ),
            Some(text) if !text.contains(&self.option()) => bail!(
                "{} belongs to another configuration; rename one of them",
                self.path.display()
            ),
            _ => Ok(there),
        }
    }

    /// The option for its configuration, as the unit has it.
    fn option(&self) -> String {
        let option = |config: &PathBuf| format!(" --config {}", quoted(config));
        self.config.as_ref().map(option).unwrap_or_default()
    }
}

/// A path as a word of ExecStart= (systemd.service(5), "Command lines").
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('%', "%%").replace('$', "$$"))
}

fn install(unit: &Unit, config: &Config, linger: bool) -> Result<u8> {
    let program = std::env::current_exe().context("the path of this program is not known")?;
    let before = unit.must_be_ours()?;
    let text = unit.text(&program);
    let shown = unit.path.display();
    if before.as_ref() == Some(&text) {
        say(format!("{shown}: is as it should be"));
    } else {
        let directory = unit.path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(directory).context(directory.display().to_string())?;
        std::fs::write(&unit.path, text).context(shown.to_string())?;
        say(format!("{shown}: written"));
    }
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", &unit.name])?;
    systemctl(&["restart", &unit.name])?;
    let accounts: Vec<&str> = config.accounts.keys().map(String::as_str).collect();
    say(format!(
        "{}: enabled and started, for {}",
        unit.name,
        accounts.join(", ")
    ));
    allow_linger(linger)?;
    say("see how it does: mailtide status; its log: journalctl --user -u mailtide");
    Ok(status::OK)
}

fn uninstall(unit: &Unit) -> Result<u8> {
    let shown = unit.path.display();
    if unit.must_be_ours()?.is_none() {
        say(format!("{shown}: is not there, nothing was done"));
        return Ok(status::OK);
    }
    systemctl(&["disable", "--now", &unit.name])?;
    std::fs::remove_file(&unit.path).context(shown.to_string())?;
    systemctl(&["daemon-reload"])?;
    say(format!(
        "{}: stopped and disabled; {shown}: removed",
        unit.name
    ));
    Ok(status::OK)
}

fn show(unit: &Unit) -> Result<u8> {
    let shown = unit.path.display();
    let Some(text) = unit.installed()? else {
        say(format!(
            "{shown}: is not there; mailtide service install writes it"
        ));
        return Ok(status::PARTIAL);
    };
    let program = std::env::current_exe().context("the path of this program is not known")?;
    say(match text == unit.text(&program) {
        true => format!("{shown}: is as this program writes it"),
        false => format!("{shown}: differs from what mailtide service install would write"),
    });
    let word = |what: &str| {
        let out = Command::new("systemctl")
            .args(["--user", what, &unit.name])
            .stdin(Stdio::null())
            .output();
        let out = out.context("systemctl cannot be run")?;
        let said = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        Ok::<_, anyhow::Error>((out.status.success(), said))
    };
    let (_, enabled) = word("is-enabled")?;
    let (active, state) = word("is-active")?;
    say(format!("{}: {enabled}, {state}", unit.name));
    Ok(match active {
        true => status::OK,
        false => status::PARTIAL,
    })
}

/// Asks for linger where the service would end with the session of the user.
fn allow_linger(wanted: bool) -> Result<()> {
    let told = Command::new("loginctl")
        .args(["show-user", "--property=Linger", "--value", &user()])
        .stdin(Stdio::null())
        .output();
    if told.is_ok_and(|told| told.stdout.trim_ascii() == b"yes") {
        return Ok(());
    }
    let asked = !wanted && stdin().is_terminal() && {
        print::ask("Let it run while you are not logged in, too? [y/N] ");
        let mut answer = String::new();
        stdin().read_line(&mut answer)?;
        matches!(answer.trim(), "y" | "Y" | "yes")
    };
    if !wanted && !asked {
        say("it ends when you log out; to let it run: loginctl enable-linger");
        return Ok(());
    }
    run_quietly(
        Command::new("loginctl").arg("enable-linger"),
        "loginctl enable-linger",
    )?;
    say("linger: enabled, so that it runs while you are not logged in");
    Ok(())
}

/// The number of the user, which loginctl takes as well.
fn user() -> String {
    rustix::process::getuid().as_raw().to_string()
}

fn systemctl(arguments: &[&str]) -> Result<()> {
    let what = format!("systemctl --user {}", arguments.join(" "));
    run_quietly(
        Command::new("systemctl").arg("--user").args(arguments),
        &what,
    )
}

fn run_quietly(command: &mut Command, what: &str) -> Result<()> {
    let out = command.stdin(Stdio::null()).output();
    let out = out.with_context(|| format!("{what} cannot be run"))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        let said = said.trim().lines().last().unwrap_or("it does not say why");
        bail!("{what} failed: {said}. Is systemd the manager of your session?");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_runs_this_program_with_this_configuration() {
        let unit = Unit::of(Path::new("/etc/my mail/work%.toml"));
        assert_eq!(unit.name, "mailtide-work-.service");
        let text = unit.text(Path::new("/home/a b/bin/mail\"tide$"));
        let start = "ExecStart=\"/home/a b/bin/mail\\\"tide$$\" --config \
                     \"/etc/my mail/work%%.toml\" watch\n";
        assert!(text.contains(start), "{text}");
        assert!(text.starts_with(OURS) && text.matches("ExecStart=").count() == 1);
    }
}
