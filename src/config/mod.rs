//! The configuration.
//!
//! Reading order: [`keys`] (the file as it is written), [`account`] (what it means, checked), with
//! [`host`], [`policy`] and [`places`] (where things lie), [`secret`] (passwords and tokens),
//! [`guarded`] (what others can change), [`import`] (from other programs: [`mbsyncrc`],
//! [`offlineimaprc`]).

mod keys;

mod account;

mod host;

mod policy;

mod places;

mod secret;

mod guarded;

mod import;

mod mbsyncrc;

mod mistakes;

mod offlineimaprc;

pub use account::{Account, Config, Security, load, path};
pub use guarded::{directory as is_private, place_is_safe};
pub use import::{Imported, ImportedAccount, render};
pub use keys::{ACCOUNT_KEYS, Auth, LayoutSetting, SearchWith};
pub use mbsyncrc::read as read_mbsyncrc;
pub use offlineimaprc::read as read_offlineimaprc;
pub use places::{base_directory, is_usual};
pub use policy::Hooks;
pub use secret::{Secret, SecretSource};

use std::path::PathBuf;

/// Why the configuration cannot be used: file, line, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}{hint}")]
    File {
        /// Its path.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
        /// What to do.
        hint: String,
    },
    /// A value is invalid.
    #[error("{path}:{line}: {what}")]
    Wrong {
        /// The path of the file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The error, and what to do.
        what: String,
    },
    /// Several errors.
    #[error("{}", lines(.0))]
    Several(Vec<ConfigError>),
    /// Other users can change it, so it need not say what the user wants.
    #[error("{0}")]
    Unsafe(String),
    /// A secret cannot be read.
    #[error("account {account}: {what}")]
    Secret {
        /// The account.
        account: String,
        /// The error, and what to do.
        what: String,
    },
}

impl ConfigError {
    /// Makes one error of all.
    pub fn all(mut all: Vec<ConfigError>) -> ConfigError {
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                all.extend(last);
                ConfigError::Several(all)
            }
        }
    }
}

fn lines(all: &[ConfigError]) -> String {
    let all: Vec<String> = all.iter().map(ConfigError::to_string).collect();
    all.join("\n")
}

#[cfg(test)]
mod import_tests;
