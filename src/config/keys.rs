//! The configuration file as it is written: every key, all optional. What they mean is the
//! business of `account`.

use super::secret::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where the state databases lie.
    pub state_dir: Option<PathBuf>,
    /// Where the watcher can be asked.
    pub control_socket: Option<PathBuf>,
    /// For all accounts that do not say otherwise.
    pub defaults: Option<Spanned<Keys>>,
    /// By name.
    #[serde(default)]
    pub accounts: BTreeMap<String, Spanned<Keys>>,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// From the first byte.
    Implicit,
    /// By STARTTLS.
    StartTls,
    /// Not at all.
    None,
}

/// How to log in.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// With a password.
    Password,
    /// With a password, by the command LOGIN only.
    Login,
    /// With an access token, XOAUTH2.
    XOAuth2,
    /// With an access token, OAUTHBEARER.
    OAuthBearer,
}

/// How mailboxes are arranged on disk.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Layout {
    /// Directories within directories.
    #[serde(rename = "nested")]
    Nested,
    /// Dovecot's and Courier's.
    #[serde(rename = "maildir++")]
    MaildirPlusPlus,
}

/// Which way changes travel.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Both ways.
    Both,
    /// From the server.
    Pull,
    /// To the server.
    Push,
}

/// Where deletions travel.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Travel {
    /// To both.
    Both,
    /// To the disk.
    Local,
    /// To the server.
    Remote,
    /// Nowhere.
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
        /// What an account may set, and `[defaults]` too.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Keys {
            $($(#[$doc])* pub $name: Option<$type>,)*
        }

        /// The names of all keys of an account.
        pub const ACCOUNT_KEYS: &[&str] = &[$(stringify!($name)),*];

        impl Keys {
            /// What is not set here is taken from there. Secrets go together: one of one's own
            /// hides those of the defaults.
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
    /// The keys that give a secret and are set.
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
    /// The server's name.
    host: String,
    /// Its port.
    port: u16,
    /// The user.
    user: String,
    /// How the connection is protected.
    tls: Protection,
    /// Certificates that may sign.
    tls_ca_file: PathBuf,
    /// Keys that the server may have.
    tls_pin_sha256: Vec<String>,
    /// Whether plaintext may leave this machine.
    allow_plaintext: bool,
    /// How to log in.
    auth: Auth,
    /// The password itself.
    password: Secret,
    /// A command that prints it.
    password_command: Vec<String>,
    /// A file that holds it.
    password_file: PathBuf,
    /// A systemd credential that holds it.
    credential: String,
    /// Where the mail lies.
    maildir: PathBuf,
    /// How mailboxes are arranged there.
    layout: Layout,
    /// Which mailboxes.
    mailboxes: Vec<String>,
    /// Which way changes travel.
    direction: Direction,
    /// Where deletions of messages travel.
    delete: Travel,
    /// Where deletions of mailboxes travel.
    delete_mailboxes: Travel,
    /// Where messages deleted here go on the server.
    trash: String,
    /// How long deleted bytes are kept.
    quarantine_days: u32,
    /// Guard: percent of a mailbox.
    max_delete_percent: usize,
    /// Guard: messages of a mailbox.
    max_delete_count: usize,
    /// Connections at once.
    connections: usize,
    /// Extensions not to use.
    disable_extensions: Vec<String>,
    /// Mailboxes that are listened to beside INBOX where the server cannot tell of all.
    idle_mailboxes: Vec<String>,
    /// Seconds after which IDLE is begun anew.
    idle_renew: u64,
    /// Seconds between questions about what the server does not tell by itself.
    poll_interval: u64,
    /// Seconds between looks at everything.
    full_interval: u64,
    /// A program that is told of new mail.
    on_new_mail: Vec<String>,
    /// A program that is told of changes on disk.
    on_change: Vec<String>,
    /// A program that is told of trouble.
    on_error: Vec<String>,
    /// Seconds that such a program may take.
    hook_timeout: u64,
    /// Seconds to wait for an answer.
    timeout: u64,
    /// Whether to compress.
    compress: bool,
    /// Whether several commands may be under way at once.
    pipelining: bool,
    /// Whether the watcher keeps a search index.
    index: bool,
    /// What answers a search.
    search_with: SearchWith,
}
