# The IMAP server of Twisted, from PyPI, over mailboxes in memory (twisted.py).

get() { python_with twisted; }

run() { launch "$prefix/bin/python" "$here/twisted_memory.py" "$PORT"; }
