//! Passwords and tokens. They have no Display and no Serialize, and Debug prints nothing.

use super::{ConfigError, guarded};
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Longest password or token, bytes.
const LIMIT: u64 = 64 << 10;
/// The time limit of a command, which may prompt for a passphrase.
const PATIENCE: Duration = Duration::from_secs(120);

/// A password or token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the text, for the login only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        // The default message for a wrong type would print the value.
        match toml::Value::deserialize(from)? {
            toml::Value::String(text) => Ok(Secret(text)),
            _ => Err(de::Error::custom("a password is a text in quotes")),
        }
    }
}

/// The source of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The configuration.
    Inline(Secret),
    /// The output of a program that is run without a shell.
    Command(Vec<String>),
    /// The first line of a file.
    File(PathBuf),
    /// A file of this name in `$CREDENTIALS_DIRECTORY` (systemd).
    Credential(String),
}

impl SecretSource {
    /// Returns a text that changes when the secret may have changed: the mtime of a file. `None`
    /// for a command, which would have to be run.
    pub fn trace(&self) -> Option<String> {
        let path = match self {
            SecretSource::Inline(_) | SecretSource::Command(_) => return None,
            SecretSource::File(path) => path.clone(),
            SecretSource::Credential(name) => {
                PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name)
            }
        };
        let meta = std::fs::metadata(path).ok()?;
        let (seconds, nanos) = (meta.mtime(), meta.mtime_nsec());
        Some(format!("{} {seconds} {nanos} {}", meta.ino(), meta.len()))
    }

    /// Reads the secret.
    pub async fn fetch(&self, account: &str) -> Result<Secret, ConfigError> {
        let refused = |what: String| ConfigError::Secret {
            account: account.to_owned(),
            what,
        };
        let text = match self {
            SecretSource::Inline(secret) => return Ok(secret.clone()),
            SecretSource::Command(argv) => from_command(argv).await.map_err(refused)?,
            SecretSource::File(path) => from_file(path, Mode::Private).map_err(refused)?,
            SecretSource::Credential(name) => {
                let missing = "credential is set, but CREDENTIALS_DIRECTORY is not: this works \
                               only in a systemd unit with LoadCredential=";
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| refused(missing.into()))?;
                let path = PathBuf::from(directory).join(name);
                from_file(&path, Mode::Any).map_err(refused)?
            }
        };
        let line = text.lines().next().unwrap_or_default();
        match line.is_empty() {
            true => Err(refused("the password is empty".into())),
            false => Ok(Secret(line.to_owned())),
        }
    }
}

async fn from_command(argv: &[String]) -> Result<String, String> {
    let name = argv.first().cloned().unwrap_or_default();
    let run = async {
        let mut child = tokio::process::Command::new(&name)
            .args(argv.iter().skip(1))
            .stdin(Stdio::inherit())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut out = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(LIMIT).read_to_end(&mut out).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, out))
    };
    match tokio::time::timeout(PATIENCE, run).await {
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            Err(format!(
                "password_command {name:?} did not end within {seconds} s"
            ))
        }
        Ok(Err(error)) => Err(format!("password_command {name:?} cannot be run: {error}")),
        Ok(Ok((status, _))) if !status.success() => Err(format!(
            "password_command {name:?} failed ({status}); see what it printed"
        )),
        Ok(Ok((_, out))) => String::from_utf8(out)
            .map_err(|_| format!("password_command {name:?} printed something that is no text")),
    }
}

enum Mode {
    Private,
    Any,
}

fn from_file(path: &std::path::Path, mode: Mode) -> Result<String, String> {
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|error| format!("{shown}: {error}"))?;
    let meta = file
        .metadata()
        .map_err(|error| format!("{shown}: {error}"))?;
    if matches!(mode, Mode::Private) && meta.mode() & 0o077 != 0 {
        return Err(format!(
            "{shown} can be read by others; run: chmod 600 {shown}"
        ));
    }
    if matches!(mode, Mode::Private) {
        guarded::file(path, &meta)?;
    }
    let mut text = String::new();
    file.take(LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| format!("{shown}: {error}"))?;
    Ok(text)
}
