use super::*;
use crate::imap::net::connect::{Compress, Credential, LoginMechanism, Plaintext, TlsMode, Window};
use crate::imap::net::tls::Trust;
use crate::imap::net::transport::{Connector, Transport};
use crate::imap::protocol::command::Access;
use crate::imap::protocol::wire::Stream;
use crate::imap::store::{ParallelSettings, Settings};
use crate::store::MailStore;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// Connections and their commands.
#[derive(Clone, Default)]
struct Heard {
    dials: Arc<Mutex<usize>>,
    said: Arc<Mutex<Vec<String>>>,
    refuses: bool,
}

impl Connector for Heard {
    fn dial(&self) -> std::io::Result<Box<dyn Stream>> {
        *self.dials.lock().unwrap() += 1;
        let (client, server) = tokio::io::duplex(4096);
        let (said, refuses) = (self.said.clone(), self.refuses);
        tokio::task::spawn_local(async move {
            let (read, mut write) = tokio::io::split(server);
            let mut lines = BufReader::new(read).lines();
            let greeting = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\r\n";
            write.write_all(greeting).await.unwrap();
            while let Ok(Some(line)) = lines.next_line().await {
                let (tag, command) = line.split_once(' ').unwrap();
                let verb = command.split(' ').next().unwrap();
                said.lock().unwrap().push(verb.to_owned());
                let answer = match verb {
                    "AUTHENTICATE" if refuses => "NO [AUTHENTICATIONFAILED] no",
                    "AUTHENTICATE" => "OK [CAPABILITY IMAP4rev1] in",
                    _ => "OK done",
                };
                let answer = format!("{tag} {answer}\r\n");
                write.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Ok(Box::new(client))
    }
}

impl Heard {
    fn store(&self) -> ImapStore {
        let server = Server {
            host: "stage".into(),
            port: 143,
            road: Transport::Other(Arc::new(self.clone())),
            tls: TlsMode::None,
            trust: Trust::default(),
            plaintext: Plaintext::LoopbackOnly,
            user: "me".into(),
            auth: LoginMechanism::Password,
            secret: Credential("secret".into()),
            timeout: Duration::from_secs(60),
            compress: Compress::Never,
            disabled: Vec::new(),
            window: Window::Many,
            learned: Arc::default(),
            purpose: crate::imap::Purpose::Work,
        };
        let settings = Settings {
            access: Access::ReadWrite,
            connections: 1,
            beside: ParallelSettings::default(),
            trash: None,
        };
        ImapStore::new(server, settings)
    }

    /// A store that connected until the server received the password, and longer.
    async fn called(&self) -> ImapStore {
        let mut store = self.store();
        while self.said().is_empty() {
            store.call().await;
        }
        for _ in 0..9 {
            store.call().await;
        }
        assert_eq!(self.said(), ["AUTHENTICATE"], "nothing is asked yet");
        store
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    fn dials(&self) -> usize {
        *self.dials.lock().unwrap()
    }
}

fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn what_was_begun_is_used() {
    run(async {
        let heard = Heard::default();
        let mut store = heard.called().await;
        store.list(&BTreeMap::new()).await.unwrap();
        assert_eq!(heard.said(), ["AUTHENTICATE", "LIST"]);
        store.call().await;
        store.list(&BTreeMap::new()).await.unwrap();
        assert_eq!(heard.said(), ["AUTHENTICATE", "LIST", "LIST"]);
        assert_eq!(heard.dials(), 1);
    });
}

#[test]
fn what_was_begun_too_long_ago_is_not_used() {
    run(async {
        let heard = Heard::default();
        let mut store = heard.called().await;
        tokio::time::advance(FRESH + Duration::from_secs(1)).await;
        store.list(&BTreeMap::new()).await.unwrap();
        assert_eq!(heard.said(), ["AUTHENTICATE", "AUTHENTICATE", "LIST"]);
        assert_eq!(heard.dials(), 2);
    });
}

#[test]
fn a_password_that_was_refused_is_not_tried_again() {
    run(async {
        let heard = Heard {
            refuses: true,
            ..Heard::default()
        };
        let mut store = heard.called().await;
        let refused = store.list(&BTreeMap::new()).await;
        assert!(
            matches!(refused, Err(StoreError::LoginRefused(_))),
            "{refused:?}"
        );
        assert_eq!(heard.dials(), 1);
    });
}
