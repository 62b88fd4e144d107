// WildDuck's IMAP server over mailboxes in memory, for tests: node wildduck.js PREFIX PORT
'use strict';

const path = require('path');
const { EventEmitter } = require('events');
const [prefix, port] = process.argv.slice(2);
const core = path.join(prefix, 'node_modules', 'wildduck', 'imap-core');
const { IMAPServer } = require(path.join(core, 'index.js'));
const parseMimeTree = require(path.join(core, 'lib', 'indexer', 'parse-mime-tree'));
const imapHandler = require(path.join(core, 'lib', 'handler', 'imap-handler'));

const accounts = new Map();
const byId = new Map();
let lastId = 0;
let lastValidity = Math.floor(Date.now() / 1000);

function folder(name) {
    const made = {
        _id: 'm' + ++lastId, path: name, specialUse: name === 'Trash' ? '\\Trash' : undefined, flags: [], uidValidity: ++lastValidity, uidNext: 1, modifyIndex: 1,
        messages: [], journal: []
    };
    byId.set(made._id, made);
    return made;
}

function account(session) {
    const user = session.user.username;
    if (!accounts.has(user)) {
        accounts.set(user, new Map([['INBOX', folder('INBOX')]]));
    }
    return accounts.get(user);
}

class Notifier extends EventEmitter {
    addListener(session, handler) {
        this.on(session.user.id, handler);
    }
    removeListener(session, handler) {
        this.off(session.user.id, handler);
    }
    fire(user) {
        setImmediate(() => this.emit(user));
    }
    getUpdates(id, since, callback) {
        const found = byId.get(id);
        callback(null, found ? found.journal.filter(entry => entry.modseq > since) : []);
    }
}

const quiet = { info() {}, debug() {}, error() {}, warn() {}, trace() {}, fatal() {} };
const server = new IMAPServer({
    logger: quiet,
    disableSTARTTLS: true,
    maxMessage: 64 << 20,
    id: { name: 'imap-core' }
});
server.notifier = new Notifier();
server.notifier.setMaxListeners(0);
server.on('error', error => console.error(error));

// Notes what happened to a message for all sessions but the one that did it.
function note(to, session, entry) {
    entry.modseq = ++to.modifyIndex;
    to.journal.push(entry);
    server.notifier.fire(session.user.id);
    return entry.modseq;
}

function add(to, session, flags, date, tree) {
    const message = { uid: to.uidNext++, flags, idate: date, mimeTree: tree };
    to.messages.push(message);
    message.modseq = note(to, session, { command: 'EXISTS', uid: message.uid });
    return message.uid;
}

function remove(from, session, gone, silent) {
    for (const uid of gone) {
        from.messages.splice(from.messages.findIndex(message => message.uid === uid), 1);
        if (!silent) {
            session.writeStream.write(session.formatResponse('EXPUNGE', uid));
        }
        note(from, session, { command: 'EXPUNGE', ignore: silent ? null : session.id, uid });
    }
}

server.onAuth = (login, session, callback) => {
    if (login.password !== 'pass') {
        return callback();
    }
    callback(null, { user: { id: login.username, username: login.username } });
};
server.onList = server.onLsub = (query, session, callback) => callback(null, account(session));
server.onSubscribe = server.onUnsubscribe = (name, session, callback) => callback(null, true);
server.onCreate = (name, session, callback) => {
    if (account(session).has(name)) {
        return callback(null, 'ALREADYEXISTS');
    }
    account(session).set(name, folder(name));
    callback(null, true);
};
server.onRename = (name, to, session, callback) => {
    const folders = account(session);
    if (!folders.has(name)) {
        return callback(null, 'NONEXISTENT');
    }
    if (folders.has(to)) {
        return callback(null, 'ALREADYEXISTS');
    }
    for (const [old, found] of [...folders]) {
        if (old === name || old.startsWith(name + '/')) {
            folders.delete(old);
            found.path = to + old.slice(name.length);
            folders.set(found.path, found);
        }
    }
    callback(null, true);
};
server.onDelete = (name, session, callback) => {
    const found = account(session).get(name);
    if (!found) {
        return callback(null, 'NONEXISTENT');
    }
    account(session).delete(name);
    byId.delete(found._id);
    callback(null, true);
};
server.onOpen = (name, session, callback) => {
    const found = account(session).get(name);
    if (!found) {
        return callback(null, 'NONEXISTENT');
    }
    const flags = new Set(found.messages.flatMap(message => message.flags.filter(flag => flag[0] !== '\\')));
    callback(null, {
        _id: found._id, uidValidity: found.uidValidity, uidNext: found.uidNext, modifyIndex: found.modifyIndex,
        flags: [...flags], uidList: found.messages.map(message => message.uid)
    });
};
server.onStatus = (name, session, callback) => {
    const found = account(session).get(name);
    if (!found) {
        return callback(null, 'NONEXISTENT');
    }
    callback(null, {
        messages: found.messages.length, uidNext: found.uidNext, uidValidity: found.uidValidity,
        highestModseq: found.modifyIndex,
        unseen: found.messages.filter(message => !message.flags.includes('\\Seen')).length
    });
};
server.onAppend = (name, flags, date, raw, session, callback) => {
    const found = account(session).get(name);
    if (!found) {
        return callback(null, 'TRYCREATE');
    }
    const uid = add(found, session, flags, (date && new Date(date)) || new Date(), parseMimeTree(raw));
    callback(null, true, { uidValidity: found.uidValidity, uid });
};
server.onStore = (id, update, session, callback) => {
    const found = byId.get(id);
    if (!found) {
        return callback(null, 'NONEXISTENT');
    }
    const modified = [];
    const condstore = session.selected.condstoreEnabled;
    for (const message of found.messages) {
        if (!update.messages.includes(message.uid)) {
            continue;
        }
        if (update.unchangedSince && message.modseq > update.unchangedSince) {
            modified.push(message.uid);
            continue;
        }
        const has = flag => message.flags.includes(flag);
        let flags = update.value;
        if (update.action === 'add') {
            flags = message.flags.concat(update.value.filter(flag => !has(flag)));
        } else if (update.action === 'remove') {
            flags = message.flags.filter(flag => !update.value.includes(flag));
        }
        if (flags.length !== message.flags.length || !flags.every(has)) {
            message.flags = flags;
            message.modseq = note(found, session, { command: 'FETCH', ignore: session.id, uid: message.uid, flags });
        }
        if (!update.silent || condstore) {
            session.writeStream.write(
                session.formatResponse('FETCH', message.uid, {
                    uid: update.isUid ? message.uid : false,
                    flags: update.silent ? false : message.flags,
                    modseq: condstore ? message.modseq : false
                })
            );
        }
    }
    callback(null, true, modified);
};
server.onExpunge = (id, update, session, callback) => {
    const found = byId.get(id);
    if (!found) {
        return callback(null, 'NONEXISTENT');
    }
    const gone = found.messages.filter(
        message => message.flags.includes('\\Deleted') && (!update.isUid || update.messages.includes(message.uid))
    );
    remove(found, session, gone.map(message => message.uid), update.silent);
    callback(null, true);
};
function copy(id, update, session) {
    const [from, to] = [byId.get(id), account(session).get(update.destination)];
    if (!from || !to) {
        return null;
    }
    const chosen = from.messages.filter(message => update.messages.includes(message.uid));
    const uids = chosen.map(one => add(to, session, [...one.flags], one.idate, one.mimeTree));
    return { uidValidity: to.uidValidity, sourceUid: chosen.map(one => one.uid), destinationUid: uids };
}
server.onCopy = (connection, id, update, session, callback) => {
    const done = copy(id, update, session);
    callback(null, done ? true : 'TRYCREATE', done || {});
};
server.onMove = (id, update, session, callback) => {
    const done = copy(id, update, session);
    if (done) {
        remove(byId.get(id), session, done.sourceUid, false);
    }
    callback(null, done ? true : 'TRYCREATE', done || {});
};
server.onFetch = (id, options, session, callback) => {
    const found = byId.get(id);
    if (!found) {
        return callback(null, 'NONEXISTENT');
    }
    const wanted = new Set(options.messages);
    const chosen = found.messages.filter(
        message => wanted.has(message.uid) && !(options.changedSince && message.modseq <= options.changedSince)
    );
    const next = () => {
        const message = chosen.shift();
        if (!message) {
            return callback(null, true);
        }
        if (options.markAsSeen && !message.flags.includes('\\Seen')) {
            message.flags = ['\\Seen', ...message.flags];
            const entry = { command: 'FETCH', ignore: session.id, uid: message.uid, flags: message.flags };
            message.modseq = note(found, session, entry);
        }
        const values = session.getQueryResponse(options.query, message);
        const answer = session.formatResponse('FETCH', message.uid, { query: options.query, values });
        session.writeStream.write(imapHandler.compileStream(answer), () => setImmediate(next));
    };
    next();
};
server.onSearch = (id, options, session, callback) => {
    const found = byId.get(id);
    const uidList = [];
    let highestModseq = 0;
    const messages = found ? [...found.messages] : [];
    const next = () => {
        const message = messages.shift();
        if (!message) {
            return callback(null, { uidList, highestModseq });
        }
        session.matchSearchQuery(message, options.query, (error, fits) => {
            if (!error && fits) {
                uidList.push(message.uid);
                highestModseq = Math.max(highestModseq, message.modseq);
            }
            setImmediate(next);
        });
    };
    next();
};
server.listen(Number(port), '127.0.0.1');
