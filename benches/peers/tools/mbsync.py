"""mbsync (isync), as the distribution has it."""
import os
import subprocess

from . import Tool, register


class Mbsync(Tool):
    binary = "mbsync"
    fsync = True
    tls_keyword = "SSLType"
    extra_store = ""

    def write_config(self, host, port, user, password):
        os.makedirs(self.root, exist_ok=True)
        self.write("mbsyncrc", f"""\
FSync {'yes' if self.fsync else 'no'}

IMAPStore remote
Host {host}
Port {port}
User {user}
Pass {password}
{self.tls_keyword} None
AuthMechs LOGIN
{self.extra_store}
MaildirStore local
Path {self.root}/
Inbox {self.root}/INBOX
SubFolders Verbatim

Channel bench
Far :remote:
Near :local:
Patterns *
Sync All
Create Both
Expunge Both
CopyArrivalDate yes
SyncState *
""")

    def command(self):
        return [self.binary, "-q", "-c", os.path.join(self.dir, "mbsyncrc"), "-a"]

    def version(self):
        return subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout.strip()


@register
class Mbsync14(Mbsync):
    name = "mbsync"
    fsyncs = "each file"


@register
class Mbsync14NoFsync(Mbsync14):
    name = "mbsync-nofsync"
    fsync = False
    fsyncs = "none"


@register
class Mbsync14Plain(Mbsync14):
    """Without COMPRESS, which costs a first sync most of its time: its best configuration that is durable."""
    name = "mbsync-plain"
    extra_store = "DisableExtension COMPRESS=DEFLATE\n"


@register
class Mbsync14PlainNoFsync(Mbsync14Plain):
    """Its best configuration, durable or not."""
    name = "mbsync-plain-nofsync"
    fsync = False
    fsyncs = "none"
