//! Index, files and judge on random mail: the judge knows the messages before they were encoded.

use super::files::MailboxDirectory;
use super::query::{Field, Mark, Query, Term, Text};
use super::*;
use crate::maildir::Layout;
use crate::model::MailboxName;
use base64::Engine;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

const WORDS: [&str; 8] = [
    "tax",
    "report",
    "taxes",
    "müller",
    "請求書",
    "東京",
    "tower",
    "a1",
];
const MAILBOXES: [&str; 3] = ["INBOX", "Work", "Work/2024"];

/// A message before it is encoded.
#[derive(Clone, Debug)]
struct Mail {
    mailbox: usize,
    from: Vec<usize>,
    to: Vec<usize>,
    cc: Vec<usize>,
    subject: Vec<usize>,
    body: Vec<usize>,
    attached: Option<usize>,
    encoding: usize,
    day: i64,
    letters: String,
    new: bool,
}

fn text(words: &[usize]) -> String {
    let words: Vec<&str> = words.iter().map(|n| WORDS[*n]).collect();
    words.join(" ")
}

impl Mail {
    fn bytes(&self) -> Vec<u8> {
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let word = |words: &[usize]| format!("=?utf-8?B?{}?=", base64(&text(words)));
        let person = |words: &[usize]| format!("{} <x@y.example>", word(words));
        let body = text(&self.body);
        let (kind, encoding, body) = match self.encoding {
            0 => ("plain", "8bit", body),
            1 => ("plain", "base64", base64(&body)),
            2 => {
                let quoted = body.bytes().map(|byte| match byte {
                    b' ' | b'a'..=b'z' => char::from(byte).to_string(),
                    byte => format!("={byte:02X}"),
                });
                ("plain", "quoted-printable", quoted.collect())
            }
            _ => (
                "html",
                "8bit",
                format!("<p class=\"tower\"><b>{body}</b></p>"),
            ),
        };
        let part = format!(
            "Content-Type: text/{kind}; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n\
             {body}\n"
        );
        let head = format!(
            "From: {}\nTo: {}\nCc: {}\nSubject: {}\nMIME-Version: 1.0\n",
            person(&self.from),
            person(&self.to),
            person(&self.cc),
            word(&self.subject)
        );
        let whole = match self.attached {
            None => format!("{head}{part}"),
            Some(n) => format!(
                "{head}Content-Type: multipart/mixed; boundary=b\n\n--b\n{part}--b\n\
                 Content-Type: application/pdf; name=\"{name}\"\n\
                 Content-Disposition: attachment; filename=\"{name}\"\n\
                 Content-Transfer-Encoding: base64\n\n{}\n--b--\n",
                base64("report tower"),
                name = ["tax", "a1"][n % 2]
            ),
        };
        whole.into_bytes()
    }

    fn size(&self) -> u64 {
        let bytes = self.bytes();
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        (bytes.len() + lines) as u64
    }

    fn answers(&self, query: &Query) -> bool {
        match query {
            Query::And(all) => all.iter().all(|one| self.answers(one)),
            Query::Or(all) => all.iter().any(|one| self.answers(one)),
            Query::Not(inner) => !self.answers(inner),
            Query::Is(term) => self.meets(term),
        }
    }

    fn meets(&self, term: &Term) -> bool {
        let seen = self.letters.contains('S') && !self.new;
        let has = |letter| self.letters.contains(letter) && !self.new;
        let midnight = |day: &Date| {
            let zone = jiff::tz::TimeZone::system();
            day.to_zoned(zone).unwrap().timestamp().as_second()
        };
        match term {
            Term::Text(field, wanted) => {
                let name = self.attached.map(|n| ["tax", "a1"][n % 2].to_owned());
                let fields = [
                    (Field::From, text(&self.from) + " . x@y.example"),
                    (Field::To, text(&self.to) + " . x@y.example"),
                    (Field::Cc, text(&self.cc) + " . x@y.example"),
                    (Field::Subject, text(&self.subject)),
                    (Field::Body, text(&self.body)),
                    (Field::Any, name.unwrap_or_default()),
                ];
                let mut asked = fields
                    .iter()
                    .filter(|(own, _)| *field == Field::Any || own == field);
                asked.any(|(_, text)| in_text(text, wanted))
            }
            Term::Since(day) => self.day * 86_400 >= midnight(day),
            Term::Before(day) => self.day * 86_400 < midnight(day),
            Term::Larger(size) => self.size() > *size,
            Term::Smaller(size) => self.size() < *size,
            Term::Flag(Mark::Unread) => !seen,
            Term::Flag(Mark::Read) => seen,
            Term::Flag(Mark::Flagged) => has('F'),
            Term::Flag(Mark::Answered) => has('R'),
            Term::Flag(Mark::Draft) => has('D'),
            Term::Tag(keyword) => keyword.as_str() == "work" && has('a'),
            Term::In(name) => MAILBOXES[self.mailbox] == name,
            Term::Attachment => self.attached.is_some(),
        }
    }
}

/// By characters, spaces around words that are written with spaces.
fn in_text(text: &str, wanted: &Text) -> bool {
    let fold = |text: &str| {
        let text = text.replace('ü', "u");
        let apart = text.chars().map(|c| match c.is_ascii() {
            true => c.to_string(),
            false => format!(" {c} "),
        });
        let apart: String = apart.collect();
        let words: Vec<&str> = apart.split_ascii_whitespace().collect();
        format!(" {}", words.join(" "))
    };
    let end = if wanted.is_open() { "" } else { " " };
    let wanted = format!("{}{end}", fold(wanted.as_str()));
    format!("{} ", fold(text)).contains(&wanted)
}

fn mails() -> impl Strategy<Value = Mail> {
    let some = || proptest::collection::vec(0..WORDS.len(), 0..4);
    let about = (
        some(),
        some(),
        some(),
        some(),
        proptest::collection::vec(0..WORDS.len(), 0..9),
    );
    let rest = (
        0..3usize,
        proptest::option::of(0..2usize),
        0..4usize,
        19_000i64..19_030,
    );
    (about, rest, "[FRDSa]{0,3}", any::<bool>()).prop_map(|(about, rest, letters, new)| {
        let letters: BTreeSet<char> = letters.chars().collect();
        Mail {
            from: about.0,
            to: about.1,
            cc: about.2,
            subject: about.3,
            body: about.4,
            mailbox: rest.0,
            attached: rest.1,
            encoding: rest.2,
            day: rest.3,
            letters: letters.into_iter().collect(),
            new,
        }
    })
}

fn terms() -> impl Strategy<Value = Term> {
    let field = prop_oneof![
        3 => Just(Field::Any),
        1 => Just(Field::From),
        1 => Just(Field::To),
        1 => Just(Field::Cc),
        1 => Just(Field::Subject),
        1 => Just(Field::Body)
    ];
    let words = proptest::collection::vec(0..WORDS.len(), 1..3).prop_map(|words| text(&words));
    let words =
        prop_oneof![4 => words, 1 => Just("求書".to_owned()), 1 => Just("MULLER".to_owned())];
    let day = (19_000i64..19_030).prop_map(|day| {
        let at = jiff::Timestamp::from_second(day * 86_400).unwrap();
        at.to_zoned(jiff::tz::TimeZone::UTC).date()
    });
    let mark = (0usize..5).prop_map(|n| Mark::ALL[n].0);
    prop_oneof![
        6 => (field, words, any::<bool>()).prop_map(|(field, words, open)| {
            Term::Text(field, Text::new(&words.to_lowercase(), open).unwrap())
        }),
        1 => day.clone().prop_map(Term::Since),
        1 => day.prop_map(Term::Before),
        1 => (300u64..900).prop_map(Term::Larger),
        1 => (300u64..900).prop_map(Term::Smaller),
        2 => mark.prop_map(Term::Flag),
        1 => Just(Term::Tag(crate::model::Keyword::new("work").unwrap())),
        1 => (0..3usize).prop_map(|n| Term::In(MAILBOXES[n].into())),
        1 => Just(Term::Attachment),
    ]
}

fn queries() -> impl Strategy<Value = Query> {
    terms()
        .prop_map(Query::Is)
        .prop_recursive(3, 12, 3, |inner| {
            let some = proptest::collection::vec(inner.clone(), 1..4);
            prop_oneof![
                some.clone().prop_map(Query::And),
                some.prop_map(Query::Or),
                inner.prop_map(|one| Query::Not(Box::new(one))),
            ]
        })
}

/// A Maildir of these, and an index beside it.
struct Corpus {
    dir: tempfile::TempDir,
    places: Vec<MailboxDirectory>,
}

impl Corpus {
    fn new() -> Corpus {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<MailboxName> = MAILBOXES
            .iter()
            .map(|name| MailboxName::parse(name).unwrap())
            .collect();
        let root = dir.path().join("mail");
        let places = MailboxDirectory::all(&root, Layout::Nested, names.iter());
        for place in &places {
            for sub in ["cur", "new", "tmp"] {
                std::fs::create_dir_all(place.directory.join(sub)).unwrap();
            }
            std::fs::write(place.directory.join("dovecot-keywords"), "0 work\n").unwrap();
        }
        Corpus { dir, places }
    }

    fn path(&self, n: usize, mail: &Mail) -> std::path::PathBuf {
        let place = &self.places[mail.mailbox].directory;
        match mail.new {
            true => place.join("new").join(format!("{n}.x.host")),
            false => place
                .join("cur")
                .join(format!("{n}.x.host:2,{}", mail.letters)),
        }
    }

    fn write(&self, n: usize, mail: &Mail) {
        let path = self.path(n, mail);
        std::fs::write(&path, mail.bytes()).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(mail.day.unsigned_abs() * 86_400);
        file.set_modified(at).unwrap();
    }

    /// Makes the last changes of directories look as if they were long ago, so that their time
    /// stamps can be relied on.
    fn age(&self) {
        let old = std::time::SystemTime::now() - Duration::from_secs(3600);
        for place in &self.places {
            for sub in ["cur", "new"] {
                let directory = std::fs::File::open(place.directory.join(sub)).unwrap();
                directory.set_modified(old).unwrap();
            }
        }
    }

    fn index(&self) -> std::path::PathBuf {
        self.dir.path().join("a.index")
    }

    fn bring_up(&self, depth: IndexDepth) -> Progress {
        let mut index = MailIndex::open(&self.index()).unwrap();
        bring_up(&mut index, &self.places, depth, &mut |_| false).unwrap()
    }

    fn find(&self, query: &Query, index: bool) -> BTreeSet<usize> {
        let index = index.then(|| MailIndex::open_beside(&self.index()).unwrap().unwrap());
        let here = search(query, &self.places, index.as_ref(), None).unwrap();
        assert_eq!(here.problems, Vec::<String>::new());
        let dates: Vec<i64> = here.found.iter().map(|found| found.date).collect();
        assert!(dates.is_sorted_by(|a, b| a >= b), "newest first");
        here.found.iter().map(|found| number(&found.name)).collect()
    }
}

fn number(name: &[u8]) -> usize {
    let text = String::from_utf8_lossy(name);
    text.split('.').next().unwrap().parse().unwrap()
}

fn judged(mails: &BTreeMap<usize, Mail>, query: &Query) -> BTreeSet<usize> {
    let found = mails.iter().filter(|(_, mail)| mail.answers(query));
    found.map(|(n, _)| *n).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn index_and_files_answer_as_the_judge(
        first in proptest::collection::vec(mails(), 0..12),
        later in proptest::collection::vec(mails(), 0..6),
        changes in proptest::collection::vec((0usize..12, 0..3usize), 0..6),
        asked in proptest::collection::vec(queries(), 1..6),
    ) {
        let corpus = Corpus::new();
        let mut mails: BTreeMap<usize, Mail> = first.into_iter().enumerate().collect();
        for (n, mail) in &mails {
            corpus.write(*n, mail);
        }
        corpus.age();
        corpus.bring_up(IndexDepth::Changes);
        // What happens after that is found all the same: before the index knows it, and after.
        for (n, what) in changes {
            let Some(mail) = mails.get(&n).cloned() else { continue };
            let mut now = mail.clone();
            match what {
                0 => drop(mails.remove(&n)),
                1 => now.letters = if mail.letters.contains('S') { "F" } else { "S" }.into(),
                _ => now.mailbox = (mail.mailbox + 1) % 3,
            }
            let old = corpus.path(n, &mail);
            match mails.get_mut(&n) {
                None => std::fs::remove_file(old).unwrap(),
                Some(mail) => {
                    std::fs::rename(old, corpus.path(n, &now)).unwrap();
                    *mail = now;
                }
            }
        }
        for (n, mail) in later.into_iter().enumerate() {
            corpus.write(100 + n, &mail);
            mails.insert(100 + n, mail);
        }
        for query in &asked {
            let wanted = judged(&mails, query);
            prop_assert_eq!(&corpus.find(query, false), &wanted, "files: {}", query);
            prop_assert_eq!(&corpus.find(query, true), &wanted, "index behind: {}", query);
        }
        corpus.bring_up(IndexDepth::Changes);
        for query in &asked {
            prop_assert_eq!(&corpus.find(query, true), &judged(&mails, query), "index: {}", query);
        }
        let again = corpus.bring_up(IndexDepth::Everything);
        prop_assert_eq!(again, Progress::default(), "a second time nothing is to be done");
    }
}

/// How many cases a property is tried with.
pub(super) fn cases() -> u32 {
    let wanted = std::env::var("MAILTIDE_CASES").ok();
    wanted
        .and_then(|text| text.parse::<u32>().ok())
        .map_or(30, |n| n.clamp(1, 2000))
}

fn one(n: usize, body: &str) -> Vec<u8> {
    format!("From: a@x\nSubject: number {n}\n\n{body}\n").into_bytes()
}

fn put(place: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(place.join("cur").join(name), bytes).unwrap();
}

fn read(text: &str) -> Query {
    parse(text, date(2024, 5, 17)).unwrap()
}

#[test]
fn an_index_that_is_cut_goes_on_where_it_was() {
    let corpus = Corpus::new();
    for n in 0..40 {
        put(
            &corpus.places[0].directory,
            &format!("{n}.x.host:2,"),
            &one(n, "tower"),
        );
    }
    corpus.age();
    let mut all = 0;
    for cut in 1..50 {
        let mut index = MailIndex::open(&corpus.index()).unwrap();
        let mut left = 7;
        let progress = bring_up(&mut index, &corpus.places, IndexDepth::Changes, &mut |_| {
            left -= 1;
            left == 0
        });
        all += progress.unwrap().added;
        drop(index);
        assert_eq!(
            corpus.find(&read("tower"), true).len(),
            40,
            "cut {cut}: what is not in it is read"
        );
        if all == 40 {
            break;
        }
    }
    assert_eq!(all, 40, "each message once");
}

#[test]
fn a_damaged_or_older_index_is_made_anew() {
    let corpus = Corpus::new();
    put(&corpus.places[0].directory, "1.x.host:2,", &one(1, "tower"));
    corpus.bring_up(IndexDepth::Changes);
    let whole = std::fs::read(corpus.index()).unwrap();
    let damage: [&dyn Fn() -> Vec<u8>; 3] = [
        &|| b"no database at all, but long enough to look like one".repeat(40),
        &|| whole[..whole.len() / 2].to_vec(),
        &|| {
            let mut old = whole.clone();
            old[60..64].copy_from_slice(&99u32.to_be_bytes());
            old
        },
    ];
    for make in damage {
        for end in ["-wal", "-shm"] {
            let _none = std::fs::remove_file(corpus.dir.path().join(format!("a.index{end}")));
        }
        std::fs::write(corpus.index(), make()).unwrap();
        let index = MailIndex::open_beside(&corpus.index()).unwrap();
        let found = search(&read("tower"), &corpus.places, index.as_ref(), None);
        if let Ok(here) = found {
            assert_eq!(here.found.len(), 1, "the files are read");
        }
        corpus.bring_up(IndexDepth::Changes);
        assert_eq!(corpus.find(&read("tower"), true).len(), 1);
    }
    use std::os::unix::fs::MetadataExt;
    let mode = corpus.index().metadata().unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_broken_or_huge_message_concerns_itself_only() {
    let corpus = Corpus::new();
    let inbox = &corpus.places[0].directory;
    put(inbox, "1.x.host:2,", &one(1, "tower"));
    put(
        inbox,
        "2.x.host:2,",
        b"\0\xff\xfe\r\r\nContent-Type: multipart/mixed; boundary=\n\n--\n",
    );
    put(inbox, "3.x.host:2,", b"");
    let mut huge = one(4, "tower");
    huge.extend(vec![b'x'; files::READ]);
    huge.extend(b"\nbehind\n");
    put(inbox, "4.x.host:2,", &huge);
    std::fs::create_dir(inbox.join("cur/5.x.host")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", inbox.join("cur/6.x.host")).unwrap();
    let progress = corpus.bring_up(IndexDepth::Changes);
    assert_eq!((progress.added, progress.unread), (4, 0), "{progress:?}");
    assert_eq!(corpus.find(&read("tower"), true), BTreeSet::from([1, 4]));
    assert_eq!(corpus.find(&read("behind"), true), BTreeSet::new());
    let large = format!("larger:{}", files::READ);
    assert_eq!(corpus.find(&read(&large), true), BTreeSet::from([4]));
    assert_eq!(
        corpus.find(&read("root"), true),
        BTreeSet::new(),
        "no link is followed"
    );
}

#[test]
fn a_file_written_anew_is_read_anew() {
    let corpus = Corpus::new();
    let inbox = &corpus.places[0].directory;
    put(inbox, "1.x.host:2,S", &one(1, "tower"));
    corpus.bring_up(IndexDepth::Changes);
    put(inbox, "1.x.host:2,S", &one(1, "bridge and more"));
    assert_eq!(corpus.bring_up(IndexDepth::Everything).added, 1);
    assert_eq!(corpus.find(&read("bridge"), true).len(), 1);
    assert_eq!(corpus.find(&read("tower"), true).len(), 0);
}

#[test]
fn many_conditions_are_not_too_many() {
    let corpus = Corpus::new();
    put(
        &corpus.places[0].directory,
        "1.x.host:2,S",
        &one(1, "tower"),
    );
    corpus.bring_up(IndexDepth::Changes);
    for between in [" ", " or "] {
        let text = vec!["tower"; 1000].join(between);
        assert_eq!(corpus.find(&read(&text), true).len(), 1);
    }
    let deep = format!("{}tower{}", "(x or -(".repeat(30), "))".repeat(30));
    corpus.find(&read(&deep), true);
}
