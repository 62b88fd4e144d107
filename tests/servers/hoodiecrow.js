// hoodiecrow over mailboxes in memory, for tests: node hoodiecrow.js PREFIX PORT
'use strict';

const path = require('path');
const [prefix, port] = process.argv.slice(2);
const hoodiecrow = require(path.join(prefix, 'node_modules', 'hoodiecrow-imap'));

const users = {};
for (let n = 1; n < 10; n++) {
    users['u' + n] = { password: 'pass' };
}
const server = hoodiecrow({
    plugins: [
        'ID', 'SASL-IR', 'AUTH-PLAIN', 'NAMESPACE', 'IDLE', 'ENABLE', 'CONDSTORE', 'LITERALPLUS', 'UNSELECT',
        'SPECIAL-USE', 'CREATE-SPECIAL-USE', 'MOVE', 'UIDPLUS'
    ],
    users,
    storage: { INBOX: {}, '': { separator: '/', folders: {} } }
});
server.listen(Number(port), '127.0.0.1');
