//! Connects: TCP, TLS or STARTTLS, greeting, login, COMPRESS. async-imap runs the login behind the
//! [`LoginFilter`].

use crate::imap::net::connection_limit::{Purpose, RECOUNT, is_too_many};
use crate::imap::net::login_filter::LoginFilter;
use crate::imap::net::server_traits::{ServerTrait, ServerTraits};
use crate::imap::net::tls::{Trust, client_config, is_for_another};
use crate::imap::net::transport::{Transport, reach};
use crate::imap::protocol::secret_mask::SecretMask;
use crate::imap::protocol::wire::{Stream, Wire};
use crate::imap::session::throttle::{asks, patience};
use crate::model::printable;
use crate::store::StoreError;
use async_imap::{Authenticator, Client};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::pki_types::ServerName;

/// Log targets of libraries that print commands, with passwords; they stay disabled.
pub const TELLTALES: [&str; 2] = ["async_imap", "imap_proto"];

/// The address and login of a server.
#[derive(Clone)]
pub struct Server {
    /// The host name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The transport.
    pub road: Transport,
    /// The protection.
    pub tls: TlsMode,
    /// The trusted certificates.
    pub trust: Trust,
    /// Whether plaintext may be sent beyond loopback.
    pub plaintext: Plaintext,
    /// The user.
    pub user: String,
    /// The login mechanism.
    pub auth: LoginMechanism,
    /// The password or access token. Has no Debug, so that nothing prints it.
    pub secret: Credential,
    /// The time limit of any response.
    pub timeout: Duration,
    /// Whether to use COMPRESS=DEFLATE (RFC 4978).
    pub compress: Compress,
    /// Extensions not to use, in upper case.
    pub disabled: Vec<String>,
    /// The number of commands under way.
    pub window: Window,
    /// The recorded traits of the server, shared by all connections to it.
    pub learned: Arc<ServerTraits>,
    /// The use of the connection.
    pub purpose: Purpose,
}

/// The number of commands under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Several.
    Many,
    /// One; the next waits for its completion.
    One,
}

/// A password or token.
#[derive(Clone)]
pub struct Credential(pub String);

/// The protection of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// STARTTLS; without it there is no login.
    StartTls,
    /// None.
    None,
}

/// Whether plaintext may be sent beyond loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plaintext {
    /// No.
    LoopbackOnly,
    /// Yes, the user permits it.
    Anywhere,
}

/// Whether to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compress {
    /// If the server offers it.
    WhenOffered,
    /// Never.
    Never,
}

/// The login mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMechanism {
    /// SASL PLAIN, or LOGIN if PLAIN is not offered or refused.
    Password,
    /// The command LOGIN (RFC 9051, 6.2.3).
    Login,
    /// SASL XOAUTH2 with an access token.
    XOAuth2,
    /// SASL OAUTHBEARER (RFC 7628) with an access token.
    OAuthBearer,
}

/// Connects and logs in, when the server has a connection to spare. Returns the capabilities
/// announced after login, if any.
pub async fn connect(server: &Server) -> Result<(Wire, Option<Vec<String>>), StoreError> {
    let limit = server.limit();
    loop {
        let ticket = limit.take(&server.user, server.purpose).await?;
        match attempt(server).await {
            Ok((wire, capabilities)) => return Ok((wire.counted(ticket), capabilities)),
            Err(error) => {
                let again = is_too_many(&error) && limit.refused(&server.user);
                if server.purpose != Purpose::Work || !again {
                    return Err(error);
                }
                tokio::time::sleep(RECOUNT).await;
                ticket.returned();
            }
        }
    }
}

async fn attempt(server: &Server) -> Result<(Wire, Option<Vec<String>>), StoreError> {
    let peer = format!("{}:{}", server.host, server.port);
    let attempt = tokio::time::timeout(server.timeout, enter(server, &peer));
    let (gate, capabilities) = attempt.await.map_err(|_| {
        let seconds = server.timeout.as_secs();
        let hint = match server.tls {
            TlsMode::Implicit => "",
            // The server waits for the client to begin.
            TlsMode::StartTls | TlsMode::None => {
                "; if it speaks TLS from the start, as on port 993, leave `tls` out"
            }
        };
        StoreError::Retry(format!(
            "connecting to {peer} took more than {seconds} s (timeout){hint}"
        ))
    })??;
    let wire = Wire::new(gate, peer, server.timeout).hushed(hush(server));
    Ok((wire, capabilities))
}

type LoggedInStream = (Box<dyn Stream>, Option<Vec<String>>);

async fn enter(server: &Server, peer: &str) -> Result<LoggedInStream, StoreError> {
    let (stream, loopback) = reach(&server.road, &server.host, server.port)
        .await
        .map_err(|error| StoreError::Retry(format!("cannot connect to {peer}: {error}")))?;
    if server.tls == TlsMode::None && server.plaintext == Plaintext::LoopbackOnly && !loopback {
        return Err(StoreError::NeedsUser(format!(
            "{peer} is not this machine, and tls = \"none\" would send the password readable; \
             use \"implicit\" or \"starttls\", or set allow_plaintext = true"
        )));
    }
    let stream: Box<dyn Stream> = match server.tls {
        TlsMode::Implicit => shake_hands(server, peer, stream).await?,
        TlsMode::StartTls | TlsMode::None => stream,
    };
    let gate = LoginFilter::new(stream, hush(server));
    let mut client = greeted(gate, server.tls, peer).await?;
    if server.tls == TlsMode::StartTls {
        client = start_tls(server, peer, client).await?;
    }
    if client
        .get_ref()
        .said
        .to_ascii_uppercase()
        .starts_with("PREAUTH")
    {
        let mut gate = client.into_inner();
        gate.open();
        return Ok((Box::new(gate), None));
    }
    log_in(server, peer, client).await
}

async fn shake_hands(
    server: &Server,
    peer: &str,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, StoreError> {
    let (config, key) = client_config(&server.trust).map_err(StoreError::NeedsUser)?;
    let name = ServerName::try_from(server.host.clone())
        .map_err(|_| StoreError::NeedsUser(format!("{} is no host name", server.host)))?;
    let tls = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            let what = format!("TLS with {peer} failed: {error}");
            match inner {
                Some(reason) if is_for_another(reason) => StoreError::Retry(format!(
                    "{what}. Another machine answered in the server's place: a network that wants \
                     a login of its own (hotel, train)? Otherwise check host in the configuration"
                )),
                Some(Error::InvalidMessage(_)) => StoreError::NeedsUser(format!(
                    "{what}. What answers there does not speak TLS from the start; on port 143 \
                     it takes tls = \"starttls\""
                )),
                Some(_) => {
                    let pin = match key.seen() {
                        Some(key) => format!(" = [\"{key}\"], its key now"),
                        None => String::new(),
                    };
                    StoreError::NeedsUser(format!(
                        "{what}. If this is the right server, set tls_ca_file, or \
                         tls_pin_sha256{pin}"
                    ))
                }
                None => StoreError::Retry(what),
            }
        })?;
    Ok(Box::new(tls))
}

async fn greeted(
    gate: LoginFilter,
    tls: TlsMode,
    peer: &str,
) -> Result<Client<LoginFilter>, StoreError> {
    let mut client = Client::new(gate);
    let greeting = client.read_response().await;
    let said = client.get_ref().said.clone();
    match greeting {
        Ok(Some(_)) if said.to_ascii_uppercase().starts_with("PREAUTH") => {
            // RFC 9051, 11.1: without TLS this would bypass STARTTLS.
            match tls {
                TlsMode::StartTls => Err(StoreError::NeedsUser(format!(
                    "{peer} says PREAUTH before TLS; this is an attack or a broken server"
                ))),
                TlsMode::Implicit | TlsMode::None => Ok(client),
            }
        }
        Ok(Some(_)) if said.to_ascii_uppercase().starts_with("OK") => Ok(client),
        Ok(Some(_)) => {
            let what = format!("{peer} refuses to talk: {}", clean(&said));
            Err(patience(StoreError::Retry(what), &said))
        }
        Ok(None) => Err(StoreError::Retry(format!(
            "{peer} closed the connection at once"
        ))),
        Err(error) => Err(StoreError::Retry(format!("{peer}: {error}"))),
    }
}

/// STARTTLS (RFC 9051, 6.2.1): everything before TLS is dropped, and bytes after the answer abort
/// (the NO STARTTLS attacks of 2021).
async fn start_tls(
    server: &Server,
    peer: &str,
    mut client: Client<LoginFilter>,
) -> Result<Client<LoginFilter>, StoreError> {
    let answer = client.run_command_and_check_ok("STARTTLS", None).await;
    if answer.is_err() {
        let said = clean(&client.get_ref().said);
        return Err(StoreError::NeedsUser(format!(
            "{peer} does not do STARTTLS ({said}); nothing was sent. Try tls = \"implicit\""
        )));
    }
    let (stream, early) = client.into_inner().into_parts();
    if !early.is_empty() {
        return Err(StoreError::NeedsUser(format!(
            "{peer} sent data between STARTTLS and TLS; this is an attack or a broken server"
        )));
    }
    let mut gate = LoginFilter::new(shake_hands(server, peer, stream).await?, hush(server));
    gate.said = "OK".into();
    Ok(Client::new(gate))
}

async fn log_in(
    server: &Server,
    peer: &str,
    mut client: Client<LoginFilter>,
) -> Result<LoggedInStream, StoreError> {
    if client.get_ref().capabilities.is_none() {
        let asked = client.run_command_and_check_ok("CAPABILITY", None).await;
        asked.map_err(|_| StoreError::Retry(format!("{peer} does not answer CAPABILITY")))?;
    }
    let before = client.get_ref().capabilities.clone().unwrap_or_default();
    let offers = |name: &str| before.iter().any(|c| c == name);
    client.get_mut().capabilities = None;
    let mechanism = mechanism(server, peer, &before)?;
    let (user, secret) = (&server.user, &server.secret.0);
    let entered = match mechanism {
        "" => client.login(user, secret).await,
        // RFC 4959: saves a round trip.
        _ if offers("SASL-IR") => {
            let initial = STANDARD.encode(response(server));
            let initial = format!("{mechanism} {initial}");
            client.authenticate(initial, SingleUse(None)).await
        }
        _ => {
            let response = response(server);
            client
                .authenticate(mechanism, SingleUse(Some(response)))
                .await
        }
    };
    let session = match entered {
        Ok(session) => session,
        Err((error, client)) if mechanism == "PLAIN" && !offers("LOGINDISABLED") => {
            by_login(server, error, client).await?
        }
        Err((error, client)) => {
            let error = refused(server, &error, client.get_ref());
            let said = clean(&client.get_ref().said);
            let missing = not_offered(mechanism, &before);
            return Err(match (error, missing) {
                (StoreError::LoginRefused(_), Some(missing)) => {
                    let who = format!("login of {user} at {peer}");
                    StoreError::NeedsUser(format!("{who} was refused ({said}): {missing}"))
                }
                (error, _) => error,
            });
        }
    };
    let can_compress = match &session.get_ref().capabilities {
        Some(list) => list.iter().any(|c| c == "COMPRESS=DEFLATE"),
        None => offers("COMPRESS=DEFLATE"),
    };
    let capabilities = session.get_ref().capabilities.clone();
    let allowed = !server
        .disabled
        .iter()
        .any(|name| name.starts_with("COMPRESS"));
    if server.compress == Compress::WhenOffered && can_compress && allowed {
        let compressed = session.compress(|mut deflate| {
            deflate.get_mut().open();
            Box::new(deflate) as Box<dyn Stream>
        });
        let session = compressed
            .await
            .map_err(|error| StoreError::Retry(format!("{peer} failed to compress: {error}")))?;
        return Ok((Box::new(BorrowedStream(session)), capabilities));
    }
    let mut session = session;
    session.get_mut().open();
    Ok((Box::new(BorrowedStream(session)), capabilities))
}

/// Returns the SASL mechanism; empty: the command LOGIN.
fn mechanism(
    server: &Server,
    peer: &str,
    capabilities: &[String],
) -> Result<&'static str, StoreError> {
    let offers = |name: &str| capabilities.iter().any(|c| c == name);
    let named = offered(capabilities);
    let no_plain = server.learned.has(ServerTrait::LoginOnly)
        || server.disabled.iter().any(|name| name == "AUTH=PLAIN");
    Ok(match server.auth {
        LoginMechanism::XOAuth2 => "XOAUTH2",
        LoginMechanism::OAuthBearer => "OAUTHBEARER",
        LoginMechanism::Password if offers("AUTH=PLAIN") && !no_plain => "PLAIN",
        LoginMechanism::Password | LoginMechanism::Login if offers("LOGINDISABLED") => {
            let offered = match named.is_empty() {
                true => "no other login".to_owned(),
                false => named.join(", "),
            };
            return Err(StoreError::NeedsUser(format!(
                "{peer} does not take passwords on this connection; it offers {offered}. {}",
                match server.tls {
                    TlsMode::None => "Set tls = \"implicit\" or \"starttls\"",
                    TlsMode::Implicit | TlsMode::StartTls => way(&named),
                }
            )));
        }
        LoginMechanism::Password | LoginMechanism::Login => "",
    })
}

/// Returns the mechanisms that a server announces.
fn offered(capabilities: &[String]) -> Vec<&str> {
    let names = capabilities.iter();
    names.filter_map(|c| c.strip_prefix("AUTH=")).collect()
}

/// Says what a server offers in place of a mechanism; `None`: it offers that, or names nothing.
fn not_offered(mechanism: &str, capabilities: &[String]) -> Option<String> {
    let named = offered(capabilities);
    if mechanism.is_empty() || named.is_empty() || named.contains(&mechanism) {
        return None;
    }
    let (all, way) = (named.join(", "), way(&named));
    Some(format!(
        "the server does not offer {mechanism}, but {all}. {way}"
    ))
}

/// Says which `auth` a server takes that offers these mechanisms.
fn way(offered: &[&str]) -> &'static str {
    if offered.contains(&"XOAUTH2") {
        "Set auth = \"xoauth2\" with a password_command that prints an access token"
    } else if offered.contains(&"OAUTHBEARER") {
        "Set auth = \"oauthbearer\" with a password_command that prints an access token"
    } else {
        "Set auth = \"password\", or leave auth out"
    }
}

/// Returns what a refused password probably needs, from the provider and what it says.
fn password_hint(host: &str, said: &str) -> &'static str {
    let (host, said) = (host.to_ascii_lowercase(), said.to_ascii_lowercase());
    let is = |all: &[&str]| {
        let below = |domain: &&str| host == **domain || host.ends_with(&format!(".{domain}"));
        all.iter().any(below)
    };
    let says = |all: &[&str]| all.iter().any(|part| said.contains(part));
    if is(&["office365.com", "outlook.com", "hotmail.com"]) || says(&["basicauthblocked"]) {
        "this provider takes no passwords: set auth = \"xoauth2\" with a password_command that \
         prints an access token"
    } else if says(&[
        "application-specific",
        "app password",
        "app-specific",
        "webalert",
    ]) || is(&[
        "gmail.com",
        "googlemail.com",
        "google.com",
        "icloud.com",
        "me.com",
        "yahoo.com",
        "aol.com",
        "fastmail.com",
        "yandex.com",
        "yandex.ru",
        "gmx.net",
        "gmx.com",
        "web.de",
        "zoho.com",
    ]) {
        "this provider wants an app password, made in the settings of the account there, in place \
         of the password of the account (or auth = \"xoauth2\" with an access token)"
    } else {
        "check user and password (many providers want an app password)"
    }
}

/// Codes of a refusal of the user or password (RFC 5530): another mechanism would not help and
/// could lock the account.
const FINAL: [&str; 4] = [
    "[AUTHENTICATIONFAILED]",
    "[AUTHORIZATIONFAILED]",
    "[EXPIRED]",
    "[CONTACTADMIN]",
];

/// Sends LOGIN after PLAIN was refused, on the same connection, which protects both equally.
/// Exchange accepts shared mailboxes by LOGIN only.
async fn by_login(
    server: &Server,
    error: async_imap::error::Error,
    client: Client<LoginFilter>,
) -> Result<async_imap::Session<LoginFilter>, StoreError> {
    let first = refused(server, &error, client.get_ref());
    let said = client.get_ref().said.to_ascii_uppercase();
    let final_ = FINAL.iter().any(|code| said.contains(code));
    if final_ || !matches!(first, StoreError::LoginRefused(_)) {
        return Err(first);
    }
    match client.login(&server.user, &server.secret.0).await {
        Ok(session) => {
            server.learned.set(ServerTrait::LoginOnly);
            Ok(session)
        }
        Err((error, client)) => Err(match refused(server, &error, client.get_ref()) {
            // The server closed the connection: its first answer counts.
            StoreError::Retry(_) => first,
            second => second,
        }),
    }
}

/// Takes the stream out of async-imap's session, which is not used any more and whose buffer is
/// empty (see [`LoginFilter`]).
#[derive(Debug)]
struct BorrowedStream<T: Stream>(async_imap::Session<T>);

impl<T: Stream> AsyncRead for BorrowedStream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(self.get_mut().0.get_mut()).poll_read(cx, to)
    }
}

impl<T: Stream> AsyncWrite for BorrowedStream<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(self.get_mut().0.get_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(self.get_mut().0.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(self.get_mut().0.get_mut()).poll_shutdown(cx)
    }
}

/// Answers the first challenge, and further ones with an empty line (XOAUTH2 sends its error as
/// one).
struct SingleUse(Option<String>);

impl Authenticator for SingleUse {
    type Response = String;

    fn process(&mut self, _: &[u8]) -> String {
        self.0.take().unwrap_or_default()
    }
}

/// Returns the SASL response.
fn response(server: &Server) -> String {
    let (user, secret) = (&server.user, &server.secret.0);
    match server.auth {
        LoginMechanism::XOAuth2 => format!("user={user}\x01auth=Bearer {secret}\x01\x01"),
        LoginMechanism::OAuthBearer => {
            let (host, port) = (&server.host, server.port);
            format!("n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer {secret}\x01\x01")
        }
        LoginMechanism::Password | LoginMechanism::Login => format!("\0{user}\0{secret}"),
    }
}

/// Returns the texts to mask in all that this server sends.
fn hush(server: &Server) -> SecretMask {
    SecretMask::of(&server.secret.0, &[response(server)])
}

fn refused(server: &Server, error: &async_imap::error::Error, gate: &LoginFilter) -> StoreError {
    let who = format!("{} at {}:{}", server.user, server.host, server.port);
    let said = clean(&gate.said);
    let upper = gate.said.to_ascii_uppercase();
    let temporary = [
        "[UNAVAILABLE]",
        "[INUSE]",
        "[LIMIT]",
        "[SERVERBUG]",
        "[THROTTLED]",
    ];
    match error {
        async_imap::error::Error::No(_) | async_imap::error::Error::Bad(_)
            if !temporary.iter().any(|code| upper.contains(code)) && asks(&gate.said).is_none() =>
        {
            let known = password_hint(&server.host, &gate.said);
            let hint = match server.auth {
                LoginMechanism::Password => format!(
                    "{known}; a server that takes the password by LOGIN only wants auth = \
                     \"login\""
                ),
                LoginMechanism::Login => known.to_owned(),
                LoginMechanism::XOAuth2 | LoginMechanism::OAuthBearer => {
                    "the access token is wrong or has expired; see what the token command prints"
                        .to_owned()
                }
            };
            StoreError::LoginRefused(format!("login of {who} was refused ({said}); {hint}"))
        }
        async_imap::error::Error::No(_) | async_imap::error::Error::Bad(_) => {
            let what = format!("login of {who} is not possible for now ({said})");
            patience(StoreError::Retry(what), &gate.said)
        }
        other => {
            let what = hush(server).mask(&format!("login of {who} failed: {other} ({said})"));
            patience(StoreError::Retry(what), &gate.said)
        }
    }
}

/// Makes a server's text printable.
pub fn clean(text: &str) -> String {
    printable(text).chars().take(300).collect()
}
