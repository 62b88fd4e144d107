# The IMAP part of WildDuck, from npm, over mailboxes in memory instead of MongoDB (wildduck.js).

get() { node_with wildduck; }

run() { launch node "$here/wildduck.js" "$prefix" "$PORT"; }
