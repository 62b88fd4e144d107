//! The syntax of the configuration file: every key, all optional. `account` interprets them.

use super::secret::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::Spanned;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// The directory of the state databases.
    pub state_dir: Option<PathBuf>,
    /// The path of the control socket.
    pub control_socket: Option<PathBuf>,
    /// The path of the metrics.
    pub metrics_file: Option<PathBuf>,
    /// Defaults for all accounts.
    pub defaults: Option<Spanned<Keys>>,
    /// The accounts by name.
    #[serde(default)]
    pub accounts: BTreeMap<String, Spanned<Keys>>,
}

/// The protection of the connection.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS.
    StartTls,
    /// None.
    None,
}

/// The login mechanism.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// A password.
    Password,
    /// A password with the command LOGIN only.
    Login,
    /// An access token with XOAUTH2.
    XOAuth2,
    /// An access token with OAUTHBEARER.
    OAuthBearer,
}

/// The layout of mailboxes on disk.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum LayoutSetting {
    /// Nested directories.
    #[serde(rename = "nested")]
    Nested,
    /// Maildir++, as Dovecot and Courier use it.
    #[serde(rename = "maildir++")]
    MaildirPlusPlus,
}

/// The direction of changes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum DirectionSetting {
    /// Both directions.
    Both,
    /// From the server to the disk.
    Pull,
    /// From the disk to the server.
    Push,
}

/// The sides on which deletions are carried out.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TravelSetting {
    /// Both.
    Both,
    /// The disk.
    Local,
    /// The server.
    Remote,
    /// None.
    None,
}

/// What answers a search in the mail here.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SearchWith {
    /// The index of mailtide, or without one the files.
    #[default]
    Index,
    /// notmuch.
    Notmuch,
    /// mu.
    Mu,
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// The keys of an account and of `[defaults]`.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Keys {
            $($(#[$doc])* pub $name: Option<$type>,)*
        }

        /// Returns the names of all keys of an account.
        pub const ACCOUNT_KEYS: &[&str] = &[$(stringify!($name)),*];

        impl Keys {
            /// Takes missing values from the defaults. A secret of the account hides all secrets of
            /// the defaults.
            pub fn or(self, defaults: &Keys) -> Keys {
                let mut defaults = defaults.clone();
                if !self.secrets().is_empty() {
                    defaults.forget_secrets();
                }
                Keys { $($name: self.$name.or(defaults.$name),)* }
            }
        }
    };
}

impl Keys {
    /// Returns the keys of secrets that are set.
    pub fn secrets(&self) -> Vec<&'static str> {
        let set = [
            ("password", self.password.is_some()),
            ("password_command", self.password_command.is_some()),
            ("password_file", self.password_file.is_some()),
            ("credential", self.credential.is_some()),
        ];
        set.into_iter()
            .filter(|(_, set)| *set)
            .map(|(name, _)| name)
            .collect()
    }

    fn forget_secrets(&mut self) {
        (self.password, self.password_command) = (None, None);
        (self.password_file, self.credential) = (None, None);
    }
}

keys! {
    /// The server's host name.
    host: String,
    /// Its port.
    port: u16,
    /// The user name.
    user: String,
    /// The protection of the connection.
    tls: Protection,
    /// A file of certificates to trust.
    tls_ca_file: PathBuf,
    /// Hashes of public keys to accept.
    tls_pin_sha256: Vec<String>,
    /// Whether plaintext may be sent beyond loopback.
    allow_plaintext: bool,
    /// The login mechanism.
    auth: Auth,
    /// The password.
    password: Secret,
    /// A command that prints the password.
    password_command: Vec<String>,
    /// A file with the password.
    password_file: PathBuf,
    /// A systemd credential with the password.
    credential: String,
    /// The path of the Maildir.
    maildir: PathBuf,
    /// The layout of mailboxes on disk.
    layout: LayoutSetting,
    /// The patterns of mailboxes to synchronize.
    mailboxes: Vec<String>,
    /// The direction of changes.
    direction: DirectionSetting,
    /// The sides on which deletions of messages are carried out.
    delete: TravelSetting,
    /// The sides on which deletions of mailboxes are carried out.
    delete_mailboxes: TravelSetting,
    /// The trash mailbox on the server.
    trash: String,
    /// Days that deleted messages stay in quarantine.
    quarantine_days: u32,
    /// Guard: most deletions, percent of a mailbox.
    max_delete_percent: usize,
    /// Guard: most deletions in a mailbox, messages.
    max_delete_count: usize,
    /// Most connections at once.
    connections: usize,
    /// Extensions not to use.
    disable_extensions: Vec<String>,
    /// Mailboxes with an IDLE connection beside INBOX, where the server has no NOTIFY.
    idle_mailboxes: Vec<String>,
    /// Seconds after which IDLE is renewed.
    idle_renew: u64,
    /// Seconds between polls for changes without notifications.
    poll_interval: u64,
    /// Seconds between full cycles.
    full_interval: u64,
    /// A hook before each run.
    before_sync: Vec<String>,
    /// A hook for new mail.
    on_new_mail: Vec<String>,
    /// A hook for changes on disk.
    on_change: Vec<String>,
    /// A hook for errors.
    on_error: Vec<String>,
    /// Seconds that a hook may run.
    hook_timeout: u64,
    /// Seconds to wait for a response.
    timeout: u64,
    /// Whether to use COMPRESS.
    compress: bool,
    /// Whether to pipeline commands.
    pipelining: bool,
    /// Whether the watcher keeps a search index.
    index: bool,
    /// What answers a search.
    search_with: SearchWith,
}
