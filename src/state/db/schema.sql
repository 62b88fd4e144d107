-- mailtide's state: what both sides of one account last agreed on. One database per account.
-- This file is the source of truth; `migrate.rs` says how older databases get here.
--
-- Times are seconds since 1970-01-01 UTC. Sides: 0 remote (the IMAP server), 1 local (the Maildir).

-- The account; exactly one row.
CREATE TABLE account (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    -- Random; also in the marker file in the Maildir, so that the two know each other.
    uuid        TEXT NOT NULL,
    -- The settings that decide which mailbox is which, and what may be deleted (host, port, user,
    -- Maildir, layout, patterns, directions, trash), as of the last run that finished with nothing
    -- held. A change makes deletions wait (guard G6).
    config      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    -- Rises with each run that changes something, here first and then in the Maildir's marker: a
    -- marker that is ahead shows that this database was put back from an old copy, and one that is
    -- behind that the Maildir was.
    generation  INTEGER NOT NULL DEFAULT 0,
    -- The last generation that is known to stand in the marker.
    settled     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A mailbox that is kept in step.
CREATE TABLE mailbox (
    id            INTEGER PRIMARY KEY,
    -- The name as text: components joined by '/', with '/' and '%' inside a component escaped.
    name          TEXT NOT NULL UNIQUE,
    -- Random 32-bit number that names the mailbox in the names of downloaded files.
    tag           INTEGER NOT NULL,
    -- The UIDVALIDITY in which all UIDs below were learned; NULL before the first look.
    epoch         INTEGER,
    -- Where each side was left; NULL: never, or to be looked at anew. Text made by that side.
    remote_cursor TEXT,
    local_cursor  TEXT,
    -- When the mailbox was last compared message by message.
    full_at       INTEGER NOT NULL DEFAULT 0,
    -- What each side calls the mailbox whatever its name: MAILBOXID or UIDVALIDITY, the number of
    -- its directory. NULL: not known.
    remote_id     TEXT,
    local_id      TEXT,
    -- 1: a UID may mean another message than the one that it was learned for, although UIDVALIDITY
    -- is the same; 2: one does, and the UIDs of all pairs are looked for anew.
    doubted       INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A message that both sides have.
CREATE TABLE pair (
    id        INTEGER PRIMARY KEY,
    mailbox   INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    uid       INTEGER NOT NULL CHECK (uid BETWEEN 1 AND 4294967295),
    -- The base name of its file (all before ':2,'); that of a downloaded one in fewer bytes: 0, the
    -- number of its origin, and the rest of its numbers (`names.rs`).
    file      BLOB NOT NULL,
    -- System flags as bits: 1 \Answered, 2 \Deleted, 4 \Draft, 8 \Flagged, 16 \Seen.
    flags     INTEGER NOT NULL,
    -- Keywords, separated by spaces; those that one side cannot store are here all the same.
    keywords  TEXT NOT NULL,
    -- BLAKE3 of the canonical content (no CR, one newline at the end).
    hash      BLOB NOT NULL CHECK (length(hash) = 32),
    -- Bytes on disk.
    size      INTEGER NOT NULL,
    -- Set while we take the message away from that side: its absence there is then our doing.
    tombstone INTEGER,
    -- Names the message wherever it lies on the server; odd: by the server's own id, even: by
    -- Message-ID, INTERNALDATE and size. NULL: not known.
    kin       INTEGER,
    -- A digest of inode, mtime and ctime of its file when its content was last known. NULL: not
    -- known.
    stamp     INTEGER,
    -- 1: taken for one message by cheap evidence (size, header, pieces), and the contents were not
    -- compared yet; 2: they could not be.
    unproven  INTEGER NOT NULL DEFAULT 0,
    -- Of a message that we uploaded: a number made of its Message-ID. A message of this UID with
    -- another content and this Message-ID is what the server made of it. NULL: we did not, or it
    -- has none.
    sent      INTEGER,
    UNIQUE (mailbox, uid),
    UNIQUE (mailbox, file)
) STRICT;

CREATE INDEX pair_nameless ON pair (mailbox) WHERE kin IS NULL;
CREATE INDEX pair_kin ON pair (kin) WHERE kin IS NOT NULL;
CREATE INDEX pair_size ON pair (size);
CREATE INDEX pair_unproven ON pair (mailbox) WHERE unproven = 1;
CREATE INDEX pair_tombstone ON pair (mailbox) WHERE tombstone IS NOT NULL;

-- What the names of downloaded files have in common.
CREATE TABLE origin (
    id    INTEGER PRIMARY KEY,
    -- The mailbox, by the number that names it there.
    tag   INTEGER NOT NULL,
    -- UIDVALIDITY.
    epoch INTEGER NOT NULL,
    host  TEXT NOT NULL,
    UNIQUE (tag, epoch, host)
) STRICT;

-- A message that was deleted here because it was gone there, and whose bytes are in quarantine:
-- when it appears elsewhere on the server, it was moved, and is taken from there.
CREATE TABLE buried (
    kin      INTEGER NOT NULL,
    hash     BLOB NOT NULL CHECK (length(hash) = 32),
    -- Flags and keywords as both sides last agreed on them, and as they were here.
    flags    INTEGER NOT NULL,
    keywords TEXT NOT NULL,
    flags_here    INTEGER NOT NULL,
    keywords_here TEXT NOT NULL,
    -- Where the bytes are, below the quarantine.
    path     BLOB NOT NULL PRIMARY KEY,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX buried_kin ON buried (kin);

-- A message that one side has and that is not copied, and why.
CREATE TABLE aside (
    mailbox  INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    side     INTEGER NOT NULL,
    -- Remote: the UID as 4 bytes, big-endian. Local: the base name.
    message  BLOB NOT NULL,
    -- 'marked-deleted', 'marked-by-us', 'refused', 'kept', 'unmatched' or 'not-listed'.
    reason   TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    -- When to try again; NULL: when something changes.
    retry_at INTEGER,
    flags    INTEGER NOT NULL,
    keywords TEXT NOT NULL,
    -- What the side said when it refused.
    detail   TEXT NOT NULL,
    PRIMARY KEY (mailbox, side, message)
) STRICT, WITHOUT ROWID;

-- A keyword that the server refuses in a mailbox although it says that it takes any: messages here
-- keep it, and it is not sent again.
CREATE TABLE refused_keyword (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    keyword TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (mailbox, keyword)
) STRICT, WITHOUT ROWID;

-- A file whose letters were read and say what no pair does: a new file that is no half of a pair, or
-- that of a pair with keywords of its own, where the server may not be changed. The name of a file does
-- not tell for which mailbox its letters were written.
CREATE TABLE lettered (
    mailbox  INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    file     BLOB NOT NULL,
    -- The keywords that the letters said when they were read, separated by spaces.
    keywords TEXT NOT NULL,
    -- Its content, as in `pair`, and bytes on disk. NULL: not read yet.
    hash     BLOB CHECK (length(hash) = 32),
    size     INTEGER,
    PRIMARY KEY (mailbox, file)
) STRICT, WITHOUT ROWID;

-- An upload whose outcome is not known yet: the one step that must not simply be repeated.
-- Written before the first byte is sent, gone when a listing of the mailbox shows the message.
-- Copies and moves on the server are uploads without a body.
CREATE TABLE upload (
    mailbox  INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    file     BLOB NOT NULL,
    -- 0: sending (the server cannot have stored it), 1: committing (it may have), 2: the server
    -- told its UID, and has not listed it yet, 3: it lists it, and flags that it lacked were set.
    phase    INTEGER NOT NULL,
    -- When the phase was entered.
    at       INTEGER NOT NULL,
    -- The highest UID that the mailbox had before.
    above    INTEGER NOT NULL DEFAULT 0,
    -- Of a move: the pair, and the mailbox and UID from where the server was to take it.
    pair     INTEGER REFERENCES pair (id) ON DELETE SET NULL,
    source   INTEGER,
    uid      INTEGER,
    -- 1: the server said that it stored the message, and told no UID.
    taken    INTEGER NOT NULL DEFAULT 0,
    -- The UID that the server told: that of a pair.
    told     INTEGER,
    -- How often the server said that it stored the message.
    tries    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (mailbox, file)
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_pair ON upload (pair);
CREATE TRIGGER pair_gone AFTER DELETE ON pair BEGIN
    DELETE FROM upload WHERE mailbox = OLD.mailbox AND told = OLD.uid;
END;

-- A part of a plan that waits for the user's word. Named by its content, so an approval lets
-- exactly that run, once.
CREATE TABLE held (
    id       TEXT PRIMARY KEY,
    kind     TEXT NOT NULL,
    side     INTEGER NOT NULL,
    mailbox  TEXT NOT NULL,
    -- Messages, and mailboxes that would be deleted with some of them.
    count    INTEGER NOT NULL,
    mailboxes INTEGER NOT NULL DEFAULT 0,
    -- What it would do, a line each.
    lines    TEXT NOT NULL,
    at       INTEGER NOT NULL,
    -- The user's word: 0 not given, 1 it may run, 2 it shall not, and what led to it is undone.
    approved INTEGER NOT NULL
) STRICT;

-- A run that changed something.
CREATE TABLE run (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    -- The program that ran: version and command.
    program TEXT NOT NULL,
    -- The first line of history that it may have.
    first   INTEGER NOT NULL DEFAULT 0,
    -- 1: it took back what others did.
    undo    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Every change made, so that "why" can be answered later.
CREATE TABLE history (
    id      INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES run (id),
    mailbox TEXT NOT NULL,
    -- Where the change was made.
    side    INTEGER NOT NULL,
    -- 'new', 'flags', 'deleted', 'linked', 'mailbox-created', 'mailbox-deleted', 'refused', ...
    what    TEXT NOT NULL,
    -- The message: its UID in decimal or its base name (as in `pair`); empty for a mailbox.
    message BLOB NOT NULL,
    -- The details and the reason.
    why     TEXT NOT NULL,
    -- Where the bytes of what was deleted are: the path of the file, or of the directory of a whole
    -- mailbox, below the quarantine. In older rows only the name of the file, if it was deleted on
    -- the server, and nothing of a mailbox. NULL: nothing was deleted, or it is in the trash.
    kept    BLOB,
    -- The keywords of a message that was deleted, separated by spaces: its name in quarantine has
    -- no letters for them, or some whose meaning is lost with the mailbox. NULL: none.
    keywords TEXT
) STRICT;

-- A change of flags that a line of history tells of.
CREATE TABLE flag_change (
    id      INTEGER PRIMARY KEY REFERENCES history (id),
    -- The pair, and its content, for the number may mean another one day. NULL: the message was no
    -- pair, or an older mailtide wrote the line.
    pair    INTEGER,
    hash    BLOB,
    -- What was added and removed: bits and keywords, as in `pair`.
    added   INTEGER NOT NULL,
    added_keywords   TEXT NOT NULL,
    removed INTEGER NOT NULL,
    removed_keywords TEXT NOT NULL
) STRICT;

-- Where the message of a line of history was before, and which pair it was.
CREATE TABLE trail (
    id     INTEGER PRIMARY KEY REFERENCES history (id),
    -- Of a move, the mailbox that the message left; of a rename, the name before.
    source TEXT,
    -- The UID of the message, where the line names its file.
    uid    INTEGER,
    -- The pair and its content, as in `flag_change`.
    pair   INTEGER,
    hash   BLOB
) STRICT;

-- Messages that a run deleted, or was about to: the limits of the guard count those of a day.
CREATE TABLE charge (
    id       INTEGER PRIMARY KEY,
    run      INTEGER NOT NULL,
    side     INTEGER NOT NULL,
    mailbox  TEXT NOT NULL,
    -- The UIDVALIDITY of the UIDs.
    epoch    INTEGER,
    -- Messages that the mailbox held before.
    held     INTEGER NOT NULL,
    -- 1: the mailbox itself was deleted.
    whole    INTEGER NOT NULL,
    -- 1: the user approved it, so it counts against no limit.
    approved INTEGER NOT NULL,
    -- The UIDs, 4 bytes each, big-endian.
    uids     BLOB NOT NULL
) STRICT;

-- A mailbox that cannot be looked into, and since when.
CREATE TABLE unseen (
    mailbox TEXT PRIMARY KEY,
    since   INTEGER NOT NULL
) STRICT;

-- A message that was under way when the connection broke: from then on it is copied by itself,
-- after all others, and is set aside when the connection breaks at it again.
CREATE TABLE suspect (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    side    INTEGER NOT NULL,
    -- As in `aside`.
    message BLOB NOT NULL,
    -- How often the connection broke while it was under way.
    breaks  INTEGER NOT NULL,
    PRIMARY KEY (mailbox, side, message)
) STRICT, WITHOUT ROWID;

-- A day on which a run found something in quarantine: what lies there ages by these.
CREATE TABLE seen_day (
    -- The date by the clock, days since 1970.
    date   INTEGER PRIMARY KEY,
    -- The how manieth it is.
    number INTEGER NOT NULL,
    -- The boot of the machine, and seconds since then: the next day does not come sooner than one
    -- can have passed, whatever the clock says.
    boot   TEXT NOT NULL,
    uptime INTEGER NOT NULL
) STRICT;

-- A directory of the quarantine, and the number of the day since when it is as old as it is.
CREATE TABLE kept_day (
    name  TEXT PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT;

-- A message of which the server refuses a change, or at which the connection breaks when it is
-- changed: no change of it is sent before its time.
CREATE TABLE refused_change (
    pair     INTEGER PRIMARY KEY REFERENCES pair (id) ON DELETE CASCADE,
    attempts INTEGER NOT NULL,
    retry_at INTEGER NOT NULL,
    -- The change, and what the server said.
    detail   TEXT NOT NULL
) STRICT;

-- What the server was found to do otherwise than it announces (`imap::net::server_traits`), and since when.
CREATE TABLE learned (
    name TEXT PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT;
