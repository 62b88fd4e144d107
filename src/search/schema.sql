-- The index of one account's files: what they hold as words, for searching. It holds nothing that
-- is not in the files, and may be deleted at any time.

-- A mailbox, and when its directories had last changed as they were listed (mtime, ns); 0: they may
-- have changed since in a way that does not show.
CREATE TABLE mailbox (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    cur  INTEGER NOT NULL DEFAULT 0,
    new  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A message of it.
CREATE TABLE message (
    id         INTEGER PRIMARY KEY,
    mailbox    INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    -- The base name of its file (all before ':2,').
    file       BLOB NOT NULL,
    -- The name as a whole, and the directory: 0 cur, 1 new.
    name       BLOB NOT NULL,
    sub        INTEGER NOT NULL,
    -- As in the state: 1 \Answered, 2 \Deleted, 4 \Draft, 8 \Flagged, 16 \Seen.
    flags      INTEGER NOT NULL,
    -- In lower case, a space before and after each.
    keywords   TEXT NOT NULL,
    -- A digest of inode, mtime and size of the file.
    stamp      INTEGER NOT NULL,
    -- When it arrived, seconds since 1970; bytes with CRLF line ends.
    date       INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    attachment INTEGER NOT NULL,
    -- Why its words are not here: it cannot be read.
    problem    TEXT,
    UNIQUE (mailbox, file)
) STRICT;

CREATE INDEX message_date ON message (date);

-- The words of a message: made by `search::words`, a space between, so that the tokenizer has
-- nothing to decide.
CREATE VIRTUAL TABLE words USING fts5 (
    sender, recipient, copy, subject, body, names,
    content = '', contentless_delete = 1, tokenize = 'ascii'
);

PRAGMA user_version = 1;
