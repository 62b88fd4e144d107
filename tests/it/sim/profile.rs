//! The servers that are played: what they announce and how they differ from the standard. The
//! defects are those that are known of the servers that the profiles are named after.

use super::habits::Habit;

/// How a server behaves.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    pub name: &'static str,
    pub capabilities: &'static str,
    /// What all mailboxes but INBOX begin with.
    pub prefix: &'static str,
    pub delimiter: char,
    /// Whether any keyword can be stored.
    pub keywords: bool,
    /// Whether SELECT tells UIDNEXT.
    pub uid_next: bool,
    /// ENABLE is answered with an empty list, and VANISHED is malformed (iCloud).
    pub shy: bool,
    /// UIDVALIDITY is the time in seconds (Courier).
    pub clock_epochs: bool,
    /// UIDVALIDITY is always 0.
    pub no_epoch: bool,
    /// COPYUID comes without its sets, and RFC822.SIZE is 0 for some (Exchange, Proton).
    pub sloppy: bool,
    /// What is stored gets CRLF at its end, if it has none (Courier).
    pub ends_lines: bool,
    /// When a mailbox that is open is deleted: VANISHED for all of it (Cyrus), instead of BYE.
    pub vanishes: bool,
    /// Deleted messages are to go to the trash (Gmail).
    pub gmail: bool,
    /// What it does not do as it says.
    pub habit: Habit,
}

const PLAIN: Profile = Profile {
    name: "plain",
    capabilities: "IMAP4rev1 UIDPLUS UNSELECT NAMESPACE",
    prefix: "",
    delimiter: '/',
    keywords: true,
    uid_next: true,
    shy: false,
    clock_epochs: false,
    no_epoch: false,
    sloppy: false,
    ends_lines: false,
    vanishes: false,
    gmail: false,
    habit: Habit::None,
};

/// All of them.
pub const PROFILES: &[Profile] = &[
    PLAIN,
    Profile {
        name: "bare",
        capabilities: "IMAP4rev1",
        ..PLAIN
    },
    Profile {
        name: "condstore",
        capabilities: "IMAP4rev1 UIDPLUS MOVE UNSELECT NAMESPACE ENABLE CONDSTORE ESEARCH LITERAL-",
        ..PLAIN
    },
    Profile {
        name: "qresync",
        capabilities: "IMAP4rev1 LITERAL+ ID ENABLE NAMESPACE UIDPLUS MOVE UNSELECT CONDSTORE \
                       QRESYNC ESEARCH LIST-EXTENDED LIST-STATUS SPECIAL-USE",
        ..PLAIN
    },
    Profile {
        name: "cyrus",
        capabilities: "IMAP4rev1 LITERAL+ ID ENABLE NAMESPACE UIDPLUS MOVE UNSELECT CONDSTORE \
                       QRESYNC ESEARCH LIST-EXTENDED LIST-STATUS OBJECTID",
        vanishes: true,
        ..PLAIN
    },
    Profile {
        name: "courier",
        capabilities: "IMAP4rev1 UIDPLUS NAMESPACE IDLE",
        prefix: "INBOX.",
        delimiter: '.',
        uid_next: false,
        clock_epochs: true,
        ends_lines: true,
        ..PLAIN
    },
    Profile {
        name: "gmail",
        capabilities: "IMAP4rev1 UNSELECT IDLE NAMESPACE ID UIDPLUS ENABLE MOVE CONDSTORE ESEARCH \
                       LIST-EXTENDED LIST-STATUS SPECIAL-USE X-GM-EXT-1",
        gmail: true,
        ..PLAIN
    },
    Profile {
        name: "icloud",
        capabilities: "IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDPLUS ESEARCH NAMESPACE ID",
        shy: true,
        ..PLAIN
    },
    Profile {
        name: "exchange",
        capabilities: "IMAP4 IMAP4rev1 UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+",
        keywords: false,
        sloppy: true,
        ..PLAIN
    },
    Profile {
        name: "yahoo",
        capabilities: "IMAP4rev1 ID NAMESPACE UIDPLUS LITERAL+ CHILDREN",
        keywords: false,
        ..PLAIN
    },
    Profile {
        name: "proton",
        capabilities: "IMAP4rev1 ID UIDPLUS UNSELECT IDLE",
        sloppy: true,
        ..PLAIN
    },
    Profile {
        name: "zero",
        capabilities: "IMAP4rev1 UIDPLUS CONDSTORE ENABLE",
        no_epoch: true,
        ..PLAIN
    },
];

impl Profile {
    pub fn can(&self, name: &str) -> bool {
        self.capabilities.split_whitespace().any(|c| c == name)
    }

    pub fn named(name: &str) -> Profile {
        let found = PROFILES.iter().find(|profile| profile.name == name);
        *found.unwrap_or_else(|| panic!("no server is called {name}"))
    }
}
