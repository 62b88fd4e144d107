//! The secret of one account while the program runs: fetched when first needed, and again after it
//! may have changed. [`crate::config::SecretSource`] knows where secrets come from.

use crate::config::{Account, Auth, ConfigError, Secret, Security};
use crate::imap::{
    self, Compress, ConnectionLimit, Plaintext, Purpose, Server, ServerTraits, TlsMode, Transport,
    Trust, Window,
};
use std::cell::RefCell;
use std::sync::Arc;

/// The login of an account.
pub struct Keyring {
    account: Account,
    secret: RefCell<Option<Secret>>,
    /// The state of the secret's source when it was fetched.
    trace: RefCell<Option<String>>,
    /// The recorded traits of the server.
    learned: Arc<ServerTraits>,
}

impl Keyring {
    /// Fetches nothing yet.
    pub fn new(account: Account) -> Keyring {
        Keyring {
            account,
            secret: RefCell::new(None),
            trace: RefCell::new(None),
            learned: Arc::default(),
        }
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The limit of connections to the server, shared by all accounts.
    pub fn limit(&self) -> Arc<ConnectionLimit> {
        ConnectionLimit::of(&self.account.host, self.account.port)
    }

    /// The recorded traits of the server.
    pub fn learned(&self) -> &ServerTraits {
        &self.learned
    }

    /// Returns the address and login. A password is fetched once, because its command may prompt
    /// the user; an access token for each connection, because it expires.
    pub async fn server(&self) -> Result<Server, ConfigError> {
        let kept = self.secret.borrow().clone();
        let secret = match (kept, self.account.auth) {
            (Some(secret), Auth::Password | Auth::Login) => secret,
            _ => {
                *self.trace.borrow_mut() = self.account.secret.trace();
                let secret = self.account.secret.fetch(&self.account.name).await?;
                *self.secret.borrow_mut() = Some(secret.clone());
                secret
            }
        };
        Ok(server(&self.account, &secret, &self.learned))
    }

    /// Whether it is an access token, which expires and is made anew.
    pub fn is_token(&self) -> bool {
        matches!(self.account.auth, Auth::XOAuth2 | Auth::OAuthBearer)
    }

    /// Whether the source of the secret changed since it was fetched.
    pub fn is_stale(&self) -> bool {
        self.account.secret.trace() != *self.trace.borrow()
    }

    /// Discards the secret, after a refusal or on the user's request.
    pub fn forget(&self) {
        *self.secret.borrow_mut() = None;
    }
}

/// Returns the address and login of an account's server.
fn server(account: &Account, secret: &Secret, learned: &Arc<ServerTraits>) -> Server {
    Server {
        host: account.host.clone(),
        port: account.port,
        road: Transport::Tcp,
        tls: match account.security {
            Security::Implicit => TlsMode::Implicit,
            Security::StartTls => TlsMode::StartTls,
            Security::None => TlsMode::None,
        },
        trust: Trust {
            ca_file: account.ca_file.clone(),
            pins: account.pins.clone(),
        },
        plaintext: match account.allow_plaintext {
            true => Plaintext::Anywhere,
            false => Plaintext::LoopbackOnly,
        },
        user: account.user.clone(),
        auth: match account.auth {
            Auth::Password => imap::LoginMechanism::Password,
            Auth::Login => imap::LoginMechanism::Login,
            Auth::XOAuth2 => imap::LoginMechanism::XOAuth2,
            Auth::OAuthBearer => imap::LoginMechanism::OAuthBearer,
        },
        secret: imap::Credential(secret.reveal().to_owned()),
        timeout: account.timeout,
        compress: if account.compress {
            Compress::WhenOffered
        } else {
            Compress::Never
        },
        disabled: account.disable_extensions.clone(),
        window: match account.pipelining {
            true => Window::Many,
            false => Window::One,
        },
        learned: learned.clone(),
        purpose: Purpose::Work,
    }
}
