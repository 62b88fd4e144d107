//! The servers that the end-to-end tests run on, and what each of them cannot do. A scenario that
//! needs it is skipped there, and the file that `MAILTIDE_SKIPPED` names gets a line about it.

use std::io::Write;

/// What a scenario or a part of it needs, beyond what servers announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Several users, each with mailboxes of their own.
    Users,
    /// A login by password.
    Login,
    /// Keywords, with `\*` in PERMANENTFLAGS.
    Keywords,
    /// The date of APPEND is the INTERNALDATE, and stays; without COPYUID it tells copies apart.
    Dates,
    /// A CR without LF stays in a message.
    LoneCr,
    /// A message that ends without a line end stays so.
    OpenEnd,
    /// A message without a header.
    NoHeader,
    /// Bytes that are no ASCII.
    EightBit,
    /// Names with characters outside ASCII, `&` and spaces.
    Names,
    /// Mailboxes below others, and those above them that hold mail.
    Nesting,
    /// A piece of each of several messages by one command.
    Pieces,
    /// Content-Disposition with its parameters in BODYSTRUCTURE.
    FileNames,
}

impl Need {
    pub const ALL: &[Need] = &[
        Need::Users,
        Need::Login,
        Need::Keywords,
        Need::Dates,
        Need::LoneCr,
        Need::OpenEnd,
        Need::NoHeader,
        Need::EightBit,
        Need::Names,
        Need::Nesting,
        Need::Pieces,
        Need::FileNames,
    ];

    /// What a server without it lacks, in the table that tests/servers.sh prints.
    pub fn words(self) -> &'static str {
        match self {
            Need::Users => "users of their own",
            Need::Login => "a login by password",
            Need::Keywords => "keywords",
            Need::Dates => "dates of APPEND",
            Need::LoneCr => "a CR without LF",
            Need::OpenEnd => "a message without a last line end",
            Need::NoHeader => "a message without a header",
            Need::EightBit => "bytes above 127",
            Need::Names => "names outside ASCII",
            Need::Nesting => "mailboxes below mailboxes with mail",
            Need::Pieces => "pieces of several messages",
            Need::FileNames => "file names in BODYSTRUCTURE",
        }
    }
}

/// A server program in one of its settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Traits {
    /// As `MAILTIDE_SERVER` and tests/servers.sh say it.
    pub name: &'static str,
    /// Follows the name of a user at a login.
    pub domain: &'static str,
    /// In the order of `Need::ALL`.
    pub lacks: &'static [Need],
}

const fn server(name: &'static str, lacks: &'static [Need]) -> Traits {
    Traits {
        name,
        domain: "",
        lacks,
    }
}

pub const DOVECOT: &Traits = &SERVERS[0];

pub const SERVERS: &[Traits] = &[
    server("dovecot", &[]),
    // "Message contains invalid header".
    server("cyrus", &[Need::NoHeader]),
    // One user, who is logged in as he connects; the CR is dropped and the last line ended.
    server(
        "courier",
        &[Need::Users, Need::Login, Need::LoneCr, Need::OpenEnd],
    ),
    // Content-Disposition is one string in BODYSTRUCTURE.
    server(
        "pymap",
        &[Need::Users, Need::Keywords, Need::NoHeader, Need::FileNames],
    ),
    server(
        "pymap-maildir",
        &[
            Need::Keywords,
            Need::LoneCr,
            Need::NoHeader,
            Need::FileNames,
        ],
    ),
    Traits {
        name: "mailutils",
        domain: "@test",
        lacks: &[Need::Keywords, Need::Dates, Need::NoHeader],
    },
    server("twisted", &[Need::FileNames]),
    server("hoodiecrow", &[Need::Users, Need::Pieces]),
    server("wildduck", &[]),
    server("imapproxy", &[]),
    server("imapproxy-select", &[]),
    server("nginx", &[]),
    server(
        "dovecot-mbox",
        &[Need::OpenEnd, Need::NoHeader, Need::Nesting],
    ),
    server("dovecot-maildir", &[]),
    server("dovecot-mdbox", &[]),
    server("dovecot-index", &[]),
    server("dovecot-fs", &[]),
    server("dovecot-acl", &[]),
    server("dovecot-quota", &[]),
    server("dovecot-one", &[]),
    server("dovecot-rev1", &[]),
];

impl Traits {
    /// The server that `MAILTIDE_SERVER` names, Dovecot without it.
    pub fn wanted() -> &'static Traits {
        let name = std::env::var("MAILTIDE_SERVER").unwrap_or_else(|_| "dovecot".into());
        let found = SERVERS.iter().find(|server| server.name == name);
        found.unwrap_or_else(|| panic!("MAILTIDE_SERVER={name}: no such server"))
    }

    /// Whether a server has it; a lack is noted for the table as skipped.
    pub fn has(&self, need: Need) -> bool {
        let has = !self.lacks.contains(&need);
        if !has {
            note_skipped(self.name, need.words());
        }
        has
    }
}

/// Notes that the test of this thread, or a part of it, is skipped on a server.
pub fn note_skipped(server: &str, lack: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("?").to_owned();
    eprintln!("skipped on {server}: {test} or a part of it needs {lack}");
    if let Ok(path) = std::env::var("MAILTIDE_SKIPPED") {
        let mut options = std::fs::File::options();
        let mut file = options.create(true).append(true).open(path).unwrap();
        file.write_all(format!("{server}\t{test}\t{lack}\n").as_bytes())
            .unwrap();
    }
}
