"""Twisted's IMAP server over mailboxes in memory, for tests: any user, any password.

python twisted_memory.py PORT
"""

import email
import itertools
import re
import sys
import time
from io import BytesIO

from twisted.cred import checkers, credentials, portal
from twisted.internet import defer, protocol, reactor
from twisted.mail import imap4
from zope.interface import implementer

FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"]
VALIDITY = itertools.count(int(time.time()))


@implementer(imap4.IMessage, imap4.IMessageFile)
class Message:
    def __init__(self, uid, raw, flags, date):
        self.uid, self.raw, self.flags, self.date = uid, raw, set(flags), date

    def getUID(self):
        return self.uid

    def getFlags(self):
        return sorted(self.flags)

    def getInternalDate(self):
        return self.date

    def open(self):
        return BytesIO(self.raw)

    def getSize(self):
        return len(self.raw)

    def getBodyFile(self):
        return BytesIO(re.split(rb"\r?\n\r?\n", self.raw, 1)[-1])

    def getHeaders(self, negate, *names):
        wanted = {name.lower() if isinstance(name, str) else name.decode().lower() for name in names}
        parsed = email.message_from_bytes(self.raw)
        return {
            key.lower(): str(value).encode("ascii", "replace").decode()
            for key, value in parsed.items()
            if (key.lower() in wanted) != bool(negate)
        }

    def isMultipart(self):
        return False

    def getSubPart(self, part):
        raise IndexError(part)


@implementer(imap4.IMailbox, imap4.ICloseableMailbox)
class Mailbox:
    def __init__(self):
        self.validity, self.next = next(VALIDITY), 1
        self.messages, self.listeners = [], []

    def getFlags(self):
        # The library asks this for LIST and for SELECT.
        return FLAGS

    def getHierarchicalDelimiter(self):
        return "/"

    def getUIDValidity(self):
        return self.validity

    def getUIDNext(self):
        return self.next

    def getUID(self, number):
        return self.messages[number - 1].uid

    def getMessageCount(self):
        return len(self.messages)

    def getRecentCount(self):
        return 0

    def getUnseenCount(self):
        return sum("\\Seen" not in message.flags for message in self.messages)

    def isWriteable(self):
        return True

    def destroy(self):
        pass

    def close(self):
        pass

    def requestStatus(self, names):
        return imap4.statusRequestHelper(self, names)

    def addListener(self, listener):
        self.listeners.append(listener)

    def removeListener(self, listener):
        self.listeners.remove(listener)

    def addMessage(self, message, flags=(), date=None):
        raw = message if isinstance(message, bytes) else message.read()
        if date is None:
            date = time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime())
        if isinstance(date, bytes):
            date = date.decode()
        self.messages.append(Message(self.next, raw, flags, date))
        self.next += 1
        for listener in list(self.listeners):
            listener.newMessages(len(self.messages), None)
        return defer.succeed(None)

    def chosen(self, messages, uid):
        if not self.messages:
            return
        messages.last = self.messages[-1].uid if uid else len(self.messages)
        if uid:
            # Not by its numbers: 1:4294967295 has four billions.
            for number, message in enumerate(self.messages, 1):
                if message.uid in messages:
                    yield number, message
        else:
            for number in messages:
                yield number, self.messages[number - 1]

    def fetch(self, messages, uid):
        return list(self.chosen(messages, uid))

    def store(self, messages, flags, mode, uid):
        changed = {}
        for number, message in self.chosen(messages, uid):
            if mode > 0:
                message.flags |= set(flags)
            elif mode < 0:
                message.flags -= set(flags)
            else:
                message.flags = set(flags)
            changed[number] = message.getFlags()
        for listener in list(self.listeners):
            listener.flagsChanged(changed)
        return changed

    def expunge(self):
        gone, left = [], []
        for message in self.messages:
            if "\\Deleted" in message.flags:
                gone.append(len(left) + 1)
            else:
                left.append(message)
        self.messages = left
        return gone


@implementer(imap4.IAccount, imap4.INamespacePresenter)
class Account:
    def __init__(self):
        self.mailboxes, self.subscribed = {"INBOX": Mailbox()}, set()

    def key(self, name):
        return "INBOX" if name.upper() == "INBOX" else name.rstrip("/")

    def select(self, name, rw=True):
        return self.mailboxes.get(self.key(name))

    def create(self, name):
        if self.key(name) in self.mailboxes:
            raise imap4.MailboxCollision(name)
        self.mailboxes[self.key(name)] = Mailbox()
        return True

    addMailbox = create

    def delete(self, name):
        if self.mailboxes.pop(self.key(name), None) is None:
            raise imap4.NoSuchMailbox(name)

    def rename(self, old, new):
        if self.key(old) not in self.mailboxes:
            raise imap4.NoSuchMailbox(old)
        for name in list(self.mailboxes):
            if name == old or name.startswith(old + "/"):
                self.mailboxes[new + name[len(old) :]] = self.mailboxes.pop(name)

    def isSubscribed(self, name):
        return name in self.subscribed

    def subscribe(self, name):
        self.subscribed.add(name)

    def unsubscribe(self, name):
        self.subscribed.discard(name)

    def listMailboxes(self, reference, wildcard):
        fits = imap4.wildcardToRegexp(wildcard, "/")
        return [pair for pair in sorted(self.mailboxes.items()) if fits.match(pair[0])]

    def getPersonalNamespaces(self):
        return [[b"", b"/"]]

    def getSharedNamespaces(self):
        return None

    getUserNamespaces = getSharedNamespaces


@implementer(portal.IRealm)
class Realm:
    accounts = {}

    def requestAvatar(self, user, mind, *interfaces):
        account = self.accounts.setdefault(user, Account())
        return imap4.IAccount, account, lambda: None


@implementer(checkers.ICredentialsChecker)
class AnyPassword:
    credentialInterfaces = (credentials.IUsernamePassword,)

    def requestAvatarId(self, offered):
        return defer.succeed(offered.username)


class Factory(protocol.ServerFactory):
    def __init__(self):
        self.portal = portal.Portal(Realm(), [AnyPassword()])

    def buildProtocol(self, address):
        server = imap4.IMAP4Server()
        server.portal, server.factory = self.portal, self
        return server


reactor.listenTCP(int(sys.argv[1]), Factory(), interface="127.0.0.1")
reactor.run()
