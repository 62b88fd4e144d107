//! One contract, three stores: memory, Maildir, IMAP (in three tiers). What the engine relies on,
//! each of them must do.

mod moves;
mod unseen;

use crate::support::dovecot::{Dovecot, FULL, NO_QRESYNC, PLAIN};
use crate::support::memory::{Fuse, Memory};
use mailtide::imap::{
    Access, Compress, Credential, ImapStore, LoginMechanism, Plaintext, Server, Settings, TlsMode,
    Transport, Trust, Window,
};
use mailtide::maildir::{Claim, Layout, MaildirStore};
use mailtide::model::*;
use mailtide::reconcile::{Coverage, Cursor, Look, News, Presence};
use mailtide::store::*;
use std::collections::{BTreeMap, BTreeSet};

const BODIES: [&[u8]; 3] = [
    b"Subject: a\r\n\r\none\r\n",
    b"Subject: b\r\n\r\ntwo\r\n",
    b"Subject: c\r\n\r\n3\r\n",
];

/// A base that knows these messages of one side, with bodies of the size they were stored with.
fn base<I: Id>(
    name: &MailboxName,
    uid_validity: Option<UidValidity>,
    known: &[(I, u64)],
) -> MailboxBase {
    let pairs = known.iter().enumerate().map(|(n, (id, size))| {
        let number = n as u32 + 1;
        let (mut uid, mut file) = (Uid::new(number).unwrap(), MaildirId::new(format!("x{n}")));
        match id.any() {
            AnyId::Remote(own) => uid = own,
            AnyId::Local(own) => file = own,
        }
        let (flags, hash) = (Flags::default(), Canonical::of(b""));
        Pair {
            id: PairId(n as i64),
            uid,
            file,
            flags,
            hash,
            size: *size,
            stamp: None,
            kin: None,
            tombstone: None,
        }
    });
    let (key, name) = (MailboxKey(1), name.clone());
    MailboxBase {
        key,
        name,
        tag: 5,
        uid_validity,
        pairs: pairs.collect(),
        others: BTreeSet::new(),
        aside: Vec::new(),
    }
}

struct Catch<I: Id> {
    current: Vec<u8>,
    all: BTreeMap<I, (Vec<u8>, Flags, Option<Timestamp>)>,
}

impl<I: Id> Sink<I> for Catch<I> {
    async fn begin(&mut self, _: u64, _: Option<&About<I>>) -> Result<(), StoreError> {
        self.current.clear();
        Ok(())
    }
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.current.extend_from_slice(bytes);
        Ok(())
    }
    async fn end(&mut self, about: About<I>) -> Result<(), StoreError> {
        self.all.insert(
            about.id,
            (std::mem::take(&mut self.current), about.flags, about.date),
        );
        Ok(())
    }
    async fn abandon(&mut self) -> Result<(), StoreError> {
        panic!("nothing was cut here")
    }
    async fn fail(&mut self, id: I, why: String) -> Result<(), StoreError> {
        panic!("{id}: {why}")
    }
}

async fn look<S: MailStore>(
    store: &mut S,
    base: &MailboxBase,
    cursor: Option<&Cursor>,
) -> Look<S::Id> {
    let depth = Depth::Changes;
    store
        .look(&Ask {
            base,
            cursor,
            depth,
        })
        .await
        .unwrap()
}

async fn suite<S: MailStore>(mut store: S) {
    let name = MailboxName::parse("Entwürfe & more/x").unwrap();
    let none = BTreeMap::new();
    store.list(&none).await.unwrap();
    assert!(store.confirm_absent(&name).await.unwrap());
    // A mailbox that is not there is an error, never an empty one.
    let nothing = base::<S::Id>(&name, None, &[]);
    assert!(
        store
            .look(&Ask {
                base: &nothing,
                cursor: None,
                depth: Depth::Changes
            })
            .await
            .is_err()
    );

    store.create_mailbox(&name).await.unwrap();
    store.create_mailbox(&name).await.unwrap();
    let listed = store.list(&none).await.unwrap();
    let mine = listed.iter().find(|listed| listed.name == name).unwrap();
    assert_eq!(
        (&mine.presence, mine.news != News::None),
        (&Presence::Mailbox, true)
    );
    assert!(!store.confirm_absent(&name).await.unwrap());
    let empty = look(&mut store, &nothing, None).await;
    assert!(empty.coverage == Coverage::Complete && empty.seen.is_empty());

    // In.
    let place = Place {
        mailbox: name.clone(),
        uid_validity: empty.uid_validity,
    };
    let mut receiver = store.receive(&place).await.unwrap();
    for (tag, body) in BODIES.iter().enumerate() {
        let mut flags = Flags::default();
        if tag > 0 {
            flags.insert(SystemFlag::Seen);
            flags.insert_keyword(Keyword::new("work").unwrap());
        }
        let date = Some(Timestamp(1_600_000_000 + tag as i64));
        let delivery = Delivery {
            tag,
            flags,
            date,
            origin: None,
        };
        receiver
            .begin(body.len() as u64, Some(&delivery))
            .await
            .unwrap();
        let (left, right) = body.split_at(tag + 3);
        receiver.chunk(left).await.unwrap();
        receiver.chunk(right).await.unwrap();
        receiver.end(delivery).await.unwrap();
    }
    let stored: BTreeMap<usize, Delivered<S::Id>> =
        receiver.finish().await.unwrap().into_iter().collect();
    let all = look(&mut store, &nothing, None).await;
    assert!(
        all.coverage == Coverage::Complete && all.seen.len() == 3,
        "{all:?}"
    );

    // Out: bytes, flags, dates.
    let seen: Vec<S::Id> = all.seen.keys().cloned().collect();
    let mut catch = Catch {
        current: Vec::new(),
        all: BTreeMap::new(),
    };
    store.read(&place, &seen, &mut catch).await.unwrap();
    let by_body = |body: &[u8]| {
        let found = catch.all.iter().find(|(_, (bytes, ..))| bytes == body);
        found
            .map(|(id, (_, flags, date))| (id.clone(), flags.clone(), *date))
            .unwrap()
    };
    let ids: Vec<S::Id> = BODIES.iter().map(|body| by_body(body).0).collect();
    for (tag, body) in BODIES.iter().enumerate() {
        let (id, flags, date) = by_body(body);
        assert_eq!(date, Some(Timestamp(1_600_000_000 + tag as i64)));
        assert_eq!(flags.has(SystemFlag::Seen), tag > 0);
        assert_eq!(all.seen[&id], Some(flags));
        // A store that tells a name tells the right one.
        let told = matches!(&stored[&tag], Delivered::Stored { id: told, .. }
            if told.as_ref().is_none_or(|told| *told == id));
        assert!(told, "{stored:?}");
    }
    let sizes = [BODIES[1].len() as u64].into_iter().collect();
    let prints = store
        .fingerprints(&place, &ids, Some(&sizes))
        .await
        .unwrap();
    let expected = Fingerprint::of_wire(BODIES[1]);
    assert!(prints.contains(&(ids[1].clone(), expected)), "{prints:?}");

    // Nothing moved: the cheap look says so, where the side can tell.
    let sizes = |id: &S::Id| match &stored[&ids.iter().position(|i| i == id).unwrap()] {
        Delivered::Stored { stored, .. } => *stored,
        Delivered::Refused(why) => panic!("{why}"),
        Delivered::Unanswered(error) => panic!("{error}"),
    };
    let known: Vec<(S::Id, u64)> = ids.iter().map(|id| (id.clone(), sizes(id))).collect();
    let mut known_base = base(&name, all.uid_validity, &known);
    for pair in &mut known_base.pairs {
        let id = |pair: &Pair| match S::Id::SIDE {
            Side::Remote => AnyId::Remote(pair.uid),
            Side::Local => AnyId::Local(pair.file.clone()),
        };
        let flags = all
            .seen
            .iter()
            .find(|(i, _)| i.any() == id(pair))
            .unwrap()
            .1
            .clone();
        pair.flags = flags.unwrap();
    }
    let quiet = look(&mut store, &known_base, Some(&all.cursor)).await;
    assert!(ids.iter().all(|id| !quiet.shows_gone(id)));
    let changed = quiet.seen.iter().filter(|(id, flags)| {
        flags
            .as_ref()
            .is_some_and(|flags| all.seen[*id].as_ref() != Some(flags))
    });
    assert_eq!(changed.count(), 0);

    changes(store, &place, &known_base, &ids, all).await;
}

async fn changes<S: MailStore>(
    mut store: S,
    place: &Place,
    base_: &MailboxBase,
    ids: &[S::Id],
    before: Look<S::Id>,
) {
    moves::moves(&mut store, place, ids).await;
    let change = FlagChange {
        add: Flags::of(&[SystemFlag::Flagged]),
        remove: Flags::of(&[SystemFlag::Seen]),
    };
    let edits: Vec<_> = ids
        .iter()
        .take(2)
        .map(|id| FlagEdit {
            id: id.clone(),
            change: change.clone(),
            saw: None,
        })
        .collect();
    let mut done = store.set_flags(place, &edits).await.unwrap();
    done.sort();
    let mut first_two = ids[..2].to_vec();
    first_two.sort();
    assert_eq!(done, first_two);
    let after = look(&mut store, base_, Some(&before.cursor)).await;
    for id in &ids[..2] {
        let want = change.apply(before.seen[id].as_ref().unwrap());
        assert_eq!(after.seen[id], Some(want), "{id}");
    }

    // A removal decided on other flags than it has now does not happen.
    let wrong = Removal {
        id: ids[0].clone(),
        saw: Some(Flags::of(&[SystemFlag::Draft])),
        elsewhere: false,
    };
    assert!(store.remove(place, &[wrong]).await.unwrap().is_empty());
    let right = Removal {
        id: ids[0].clone(),
        saw: after.seen[&ids[0]].clone(),
        elsewhere: false,
    };
    let removed = store.remove(place, &[right]).await.unwrap();
    assert_eq!(removed.len(), 1);
    let last = look(&mut store, base_, Some(&after.cursor)).await;
    match removed[0].1 {
        Removed::Marked => {
            let flags = last.seen[&ids[0]].clone().unwrap();
            assert!(flags.has(SystemFlag::Deleted));
        }
        Removed::Gone | Removed::Kept(_) | Removed::Trashed => {
            assert!(last.shows_gone(&ids[0]), "{last:?}");
            // Nothing holds for what is gone.
            let done = store.set_flags(place, &edits).await.unwrap();
            assert_eq!(done, ids[1..2]);
        }
    }
    assert!(!last.shows_gone(&ids[1]) && !last.shows_gone(&ids[2]));

    // A plan made in another UIDVALIDITY is refused.
    if let Some(uid_validity) = place.uid_validity {
        let other = Place {
            uid_validity: Some(UidValidity(uid_validity.0 + 1)),
            ..place.clone()
        };
        let refused = store.set_flags(&other, &edits).await;
        assert!(matches!(refused, Err(StoreError::Stale(_))), "{refused:?}");
    }
    // A mailbox with mail that nobody spoke of is not deleted.
    let partial = MailboxBase {
        pairs: base_.pairs[..1].to_vec(),
        ..base_.clone()
    };
    let refused = store.delete_mailbox(&partial).await;
    assert!(matches!(refused, Err(StoreError::Stale(_))), "{refused:?}");
    store.delete_mailbox(base_).await.unwrap();
    assert!(store.confirm_absent(&place.mailbox).await.unwrap());
    let listed = store.list(&BTreeMap::new()).await.unwrap();
    assert!(
        !listed
            .iter()
            .any(|l| l.name == place.mailbox && l.presence == Presence::Mailbox)
    );
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work);
}

#[test]
fn memory() {
    block_on(suite(Memory::<Uid>::new(std::rc::Rc::<
        std::cell::RefCell<Fuse>,
    >::default())));
    block_on(suite(Memory::<MaildirId>::new(std::rc::Rc::<
        std::cell::RefCell<Fuse>,
    >::default())));
}

#[test]
fn maildir() {
    for layout in [Layout::Nested, Layout::MaildirPlusPlus] {
        let dir = tempfile::tempdir().unwrap();
        let mut store =
            MaildirStore::new(&dir.path().join("Mail"), layout, Claim::First("a".into()));
        store.take_possession().unwrap();
        block_on(suite(store));
    }
}

#[test]
fn imap() {
    for capabilities in [FULL, NO_QRESYNC, PLAIN] {
        let dovecot = Dovecot::start(capabilities);
        let server = Server {
            host: "127.0.0.1".into(),
            port: dovecot.port,
            road: Transport::Tcp,
            tls: TlsMode::None,
            trust: Trust::default(),
            plaintext: Plaintext::LoopbackOnly,
            user: "u1".into(),
            auth: LoginMechanism::Password,
            secret: Credential("pass".into()),
            timeout: std::time::Duration::from_secs(20),
            compress: Compress::Never,
            disabled: Vec::new(),
            window: Window::Many,
            learned: std::sync::Arc::default(),
            purpose: mailtide::imap::Purpose::Work,
        };
        let settings = Settings {
            access: Access::ReadWrite,
            connections: 2,
            beside: mailtide::imap::ParallelSettings::default(),
            trash: None,
        };
        let store = || ImapStore::new(server.clone(), settings.clone());
        block_on(suite(store()));
        if capabilities == FULL {
            block_on(unseen::changed_without_a_look(store()));
        }
    }
}
