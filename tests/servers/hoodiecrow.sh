# hoodiecrow, from npm: in memory, all users see one account.

get() { node_with hoodiecrow-imap; }

run() { launch node "$here/hoodiecrow.js" "$prefix" "$PORT"; }
