//! Properties of the parser for any bytes. The fuzzers (`fuzz/`) check millions of inputs, the
//! tests the seeds and random changes to them. Not part of the program.

use super::{
    Compress, Credential, ImapStore, LoginMechanism, ParallelSettings, Plaintext, Server, Settings,
    TlsMode, Trust, Window,
};
use crate::imap::net::transport::{Connector, Transport};
use crate::imap::protocol::command::{Access, Command, LiteralKind, Since};
use crate::imap::protocol::names::{NameRules, decode_utf7, encode_utf7};
use crate::imap::protocol::uid_set::{UidList, UidSet};
use crate::imap::protocol::wire::{NoTap, Stream, Wire};
use crate::imap::protocol::{code, date, reply};
use crate::model::{Flags, Keyword, MailboxBase, MailboxKey, Uid};
use crate::reconcile::Cursor;
use crate::store::{About, Ask, Depth, MailStore, Place, RemoteStore, Sink, StoreError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Stands for the tag of the last command.
const TAG: u8 = b'~';
/// Ends what the server sends at once; the remainder follows the next command.
const TURN: u8 = 0x1e;

/// A server that sends the input.
#[derive(Debug)]
struct EchoServer {
    turns: VecDeque<Vec<u8>>,
    says: VecDeque<u8>,
    heard: Vec<u8>,
    piece: usize,
}

impl EchoServer {
    fn new(greeting: &[u8], data: &[u8], piece: usize) -> EchoServer {
        let turns = data.split(|byte| *byte == TURN).map(<[u8]>::to_vec);
        EchoServer {
            turns: turns.collect(),
            says: greeting.iter().copied().collect(),
            heard: Vec::new(),
            piece: piece.max(1),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            let tag = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            for byte in self.turns.pop_front().unwrap_or_default() {
                match byte {
                    TAG => self.says.extend(tag),
                    byte => self.says.push_back(byte),
                }
            }
        }
    }
}

impl AsyncRead for EchoServer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // It disconnects at its end.
        let count = self.piece.min(self.says.len()).min(buffer.remaining());
        let said: Vec<u8> = self.says.drain(..count).collect();
        buffer.put_slice(&said);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for EchoServer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.hear(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

/// Frames are found and parsed equally, however the stream is split.
pub fn frames(data: &[u8]) {
    let all = |piece: usize| {
        let stream: Box<dyn Stream> = Box::new(EchoServer::new(data, b"", piece));
        let mut wire = Wire::new(stream, "peer".into(), Duration::from_secs(5));
        block_on(async {
            let mut replies = Vec::new();
            while let Ok(frame) = wire.frame(&mut NoTap).await {
                replies.push(format!("{:?}", reply::parse(frame)));
            }
            replies
        })
    };
    assert_eq!(all(usize::MAX), all(1));
}

struct Canned(Vec<u8>);

impl Connector for Canned {
    fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let (kind, data) = self.0.split_first().unwrap_or((&0, b""));
        let greeting: &[u8] = match kind & 1 {
            0 => b"* PREAUTH hello\r\n",
            _ => b"* OK hello\r\n",
        };
        let piece = usize::from(kind >> 1) * 7;
        Ok(Box::new(EchoServer::new(greeting, data, piece)))
    }
}

struct LostStream;

impl Sink<Uid> for LostStream {
    async fn begin(&mut self, _: u64, _: Option<&About<Uid>>) -> Result<(), StoreError> {
        Ok(())
    }
    async fn chunk(&mut self, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
    async fn end(&mut self, _: About<Uid>) -> Result<(), StoreError> {
        Ok(())
    }
    async fn abandon(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    async fn fail(&mut self, _: Uid, _: String) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A session with any answers ends with a result or an error, never a panic.
pub fn session(data: &[u8]) {
    let server = Server {
        host: "server".into(),
        port: 143,
        road: Transport::Other(Arc::new(Canned(data.to_vec()))),
        tls: TlsMode::None,
        trust: Trust {
            ca_file: None,
            pins: Vec::new(),
        },
        plaintext: Plaintext::LoopbackOnly,
        user: "user".into(),
        auth: match data.first().unwrap_or(&0) & 2 {
            0 => LoginMechanism::Password,
            _ => LoginMechanism::XOAuth2,
        },
        secret: Credential("secret".into()),
        timeout: Duration::from_secs(5),
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
        trash: Some("\\Trash".into()),
    };
    let mut store = ImapStore::new(server, settings);
    block_on(async {
        let Ok(listed) = store.list(&BTreeMap::new()).await else {
            return;
        };
        for listed in listed.iter().take(3) {
            let base = MailboxBase {
                key: MailboxKey(1),
                name: listed.name.clone(),
                tag: 1,
                uid_validity: None,
                pairs: Vec::new(),
                others: BTreeSet::new(),
                aside: Vec::new(),
            };
            for cursor in [None, Some(Cursor("5 20 100 3".into()))] {
                let ask = Ask {
                    base: &base,
                    cursor: cursor.as_ref(),
                    depth: Depth::Changes,
                };
                let Ok(look) = store.look(&ask).await else {
                    return;
                };
                let place = Place {
                    mailbox: listed.name.clone(),
                    uid_validity: look.uid_validity,
                };
                let ids: Vec<Uid> = look.seen.keys().copied().take(5).collect();
                let pairs: Vec<(Uid, Option<u64>)> = ids.iter().map(|id| (*id, None)).collect();
                drop(store.fingerprints(&place, &ids, None).await);
                drop(store.excerpts(&place, &pairs).await);
                drop(store.object_ids(&place, &ids).await);
                drop(store.read(&place, &ids, &mut LostStream).await);
            }
        }
    });
}

/// UID sets equal a naive parse, whatever size they claim.
pub fn uid_sets(data: &[u8]) {
    if let (Some(a), Some(b)) = (UidList::parse(data), UidList::parse(data)) {
        assert!(a.pairs(&b, 1000).iter().all(|(a, b)| a == b));
    }
    let Some(set) = UidSet::parse(data) else {
        return;
    };
    let text = set.to_string();
    assert_eq!(UidSet::parse(text.as_bytes()).unwrap(), set, "{text}");
    let pieces = set.pieces();
    assert_eq!(pieces.iter().map(UidSet::len).sum::<u64>(), set.len());
    assert!(pieces.iter().all(|piece| piece.to_string().len() < 8000));
    if let Some(uids) = set.uids(2000) {
        let mut naive = BTreeSet::new();
        for range in data.split(|byte| *byte == b',') {
            let mut ends = range.split(|byte| *byte == b':').map(|number| {
                let text = std::str::from_utf8(number).unwrap();
                match text {
                    "*" => u32::MAX,
                    text => text.parse().unwrap(),
                }
            });
            let first = ends.next().unwrap();
            let last = ends.next().unwrap_or(first);
            naive.extend((first.min(last)..=first.max(last)).filter_map(Uid::new));
        }
        assert_eq!(uids, naive);
    }
}

/// Dates and response codes are parsed or refused; a parsed date is written unchanged.
pub fn codes(data: &[u8]) {
    drop(code::completion(data));
    if let Some(at) = date::parse(data) {
        let text = date::format(at);
        assert_eq!(date::parse(text.as_bytes()), Some(at), "{text}");
    }
}

/// A wire name means one mailbox, and its encoding means the same one.
pub fn names(data: &[u8]) {
    let (kind, wire) = data.split_first().unwrap_or((&0, b""));
    let naming = NameRules {
        delimiter: [Some(b'/'), Some(b'.'), None, Some(b'\\')][usize::from(kind & 3)],
        prefix: [&b""[..], b"INBOX.", b"INBOX/", b"~x"][usize::from(kind >> 2 & 3)].to_vec(),
        utf8: kind & 16 != 0,
    };
    if let Some(name) = naming.decode(wire)
        && let Ok(again) = naming.encode(&name)
    {
        assert_eq!(naming.decode(&again), Some(name));
    }
    if let Some(text) = decode_utf7(wire) {
        assert_eq!(decode_utf7(&encode_utf7(&text)), Some(text));
    }
}

/// Any argument makes one command: one line with closed strings.
pub fn commands(data: &[u8]) {
    let (one, other) = data.split_at(data.len() / 2);
    let mut flags = Flags::default();
    let words = data.split(|byte| *byte == b' ');
    let words = words.filter_map(|word| Keyword::new(std::str::from_utf8(word).ok()?));
    words.for_each(|word| flags.insert_keyword(word));
    let set = UidSet::from_ranges([(1, 9)]);
    let size = (data.len() as u64, LiteralKind::Waiting);
    let all = [
        Command::select(data, Access::ReadWrite, Since::CondStore),
        Command::rename(one, other),
        Command::append(data, &flags, None, size),
        Ok(Command::store(
            &set,
            Some(1),
            crate::imap::protocol::command::Set::Add,
            &flags,
        )),
    ];
    for command in all.into_iter().flatten() {
        let bytes = command.bytes();
        assert!(!bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        let (mut quoted, mut escaped, mut depth) = (false, false, 0_i32);
        for byte in bytes {
            match (quoted, escaped, byte) {
                (true, true, _) => escaped = false,
                (true, _, b'\\') => escaped = true,
                (_, _, b'"') => quoted = !quoted,
                (false, _, b'(') => depth += 1,
                (false, _, b')') => depth -= 1,
                _ => {}
            }
        }
        assert!(!quoted && depth == 0, "{}", bytes.escape_ascii());
    }
}
