use super::*;
use crate::maildir::fs::real::RealFs;
use crate::model::Timestamp;
use crate::model::{Flags, SystemFlag};

fn receive(pieces: &[&[u8]], flags: Flags) -> (String, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    for sub in ["tmp", "new", "cur"] {
        std::fs::create_dir(dir.path().join(sub)).unwrap();
    }
    let there = Rc::<PresentNames>::default();
    let mut receiver = MaildirReceiver::new(
        Rc::new(RealFs),
        (dir.path(), DeliveryTarget::Mailbox),
        "host",
        (there, Rc::new(Common::on(Rc::new(RealFs)))),
    );
    let (date, origin) = (Some(Timestamp(1_000_000)), None);
    let delivery = Delivery {
        tag: 0,
        flags,
        date,
        origin,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let stored = runtime.block_on(async {
        receiver.begin(0, None).await.unwrap();
        for piece in pieces {
            receiver.chunk(piece).await.unwrap();
        }
        receiver.end(delivery).await.unwrap();
        receiver.finish().await.unwrap()
    });
    let (sub, file) = ["new", "cur"]
        .into_iter()
        .flat_map(|sub| {
            let entries = std::fs::read_dir(dir.path().join(sub)).unwrap();
            entries.map(move |entry| (sub, entry.unwrap().path()))
        })
        .next()
        .unwrap();
    let bytes = std::fs::read(file).unwrap();
    let size = bytes.len() as u64;
    assert!(matches!(&stored[0].1, Delivered::Stored { stored, .. } if *stored == size));
    assert_eq!(
        std::fs::read_dir(dir.path().join("tmp")).unwrap().count(),
        0
    );
    (sub.to_owned(), bytes)
}

/// A bare LF and CR CR LF: LF line ends could not be reverted, so the bytes are stored unchanged.
#[test]
fn what_would_not_survive_is_stored_as_it_came() {
    for body in [
        &b"Subject: a\r\n\r\nbare\nlf\r\n"[..],
        b"Subject: a\r\n\r\ntwo\r\r\nend",
        b"\n",
        b"x\r\n\ny\r",
    ] {
        for cut in 0..=body.len() {
            let (left, right) = body.split_at(cut);
            assert_eq!(
                receive(&[left, right], Flags::default()).1,
                body,
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn ordinary_mail_gets_lf_and_goes_to_new_unless_it_has_flags() {
    let body = b"Subject: a\r\n\r\nlone \r cr\r\n";
    for cut in 0..=body.len() {
        let (left, right) = body.split_at(cut);
        let (sub, bytes) = receive(&[left, right], Flags::default());
        assert_eq!(
            (sub.as_str(), &*bytes),
            ("new", &b"Subject: a\n\nlone \r cr\n"[..])
        );
    }
    let seen = Flags::of(&[SystemFlag::Seen]);
    assert_eq!(receive(&[body], seen).0, "cur");
}
