//! What only Dovecot has: sets of capabilities, namespaces, TLS, and its administrator.

pub use super::server::*;
use std::path::PathBuf;
use std::process::Command;

/// What the servers of the three tiers announce.
pub const FULL: &[&str] = &[];
pub const NO_QRESYNC: &[&str] = &[
    "LITERAL+",
    "ID",
    "ENABLE",
    "CONDSTORE",
    "UIDPLUS",
    "MOVE",
    "ESEARCH",
    "NAMESPACE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "UNSELECT",
];
pub const PLAIN: &[&str] = &["NAMESPACE", "UNSELECT"];

pub struct Dovecot {
    server: Server,
    pub tls_port: u16,
    namespace: (&'static str, &'static str),
}

impl std::ops::Deref for Dovecot {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl AsRef<Server> for Dovecot {
    fn as_ref(&self) -> &Server {
        &self.server
    }
}

impl Dovecot {
    pub fn start(capabilities: &[&str]) -> Dovecot {
        Dovecot::start_with(capabilities, None)
    }

    /// With a namespace: prefix and separator.
    pub fn start_with(
        capabilities: &[&str],
        namespace: Option<(&'static str, &'static str)>,
    ) -> Dovecot {
        let mut server = Dovecot {
            server: Server::new(DOVECOT),
            tls_port: 0,
            namespace: namespace.unwrap_or(("", "/")),
        };
        server.restart(capabilities);
        server
    }

    pub fn restart(&mut self, capabilities: &[&str]) {
        let (prefix, separator) = self.namespace;
        let variables = [("DOVECOT_PREFIX", prefix), ("DOVECOT_SEPARATOR", separator)];
        self.server.again(capabilities, &variables);
        self.tls_port = self.server.told("TLS_PORT=");
    }

    pub fn doveadm(&self, arguments: &[&str]) {
        let config = self.dir.path().join("dovecot.conf");
        let done = Command::new("doveadm")
            .arg("-c")
            .arg(config)
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }

    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("tls/ca.crt")
    }
}
