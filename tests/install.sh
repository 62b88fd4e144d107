#!/usr/bin/env bash
# Installs what tests and demo need and the machine lacks, from the distribution's packages: a C
# compiler for the bundled SQLite, Dovecot, openssl, and the mail programs it is tested beside.
# Sourced or run; does nothing when all is there.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/usr/local/sbin:$HOME/.cargo/bin

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v dovecot >/dev/null || missing+=(dovecot-core dovecot-imapd)
[ -e /usr/lib/dovecot/imap ] || [ -e /usr/libexec/dovecot/imap ] || missing+=(dovecot-imapd)
command -v doveadm >/dev/null || missing+=(dovecot-core)
command -v openssl >/dev/null || missing+=(openssl)
# Neighbours, for the tests that they and mailtide share a Maildir.
command -v mbsync >/dev/null || missing+=(isync)
for program in mutt neomutt notmuch; do
    command -v "$program" >/dev/null || missing+=("$program")
done
command -v offlineimap >/dev/null || missing+=(offlineimap3)
command -v mu >/dev/null || missing+=(maildir-utils)
command -v script >/dev/null || missing+=(bsdutils)
# Other readers of what is written for programs.
for package in jsonschema prometheus_client; do
    /usr/bin/python3 -c "import $package" 2>/dev/null || missing+=("python3-${package/_/-}")
done
# For what happens to the machine: units, a bus, networks.
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v dbus-daemon >/dev/null || missing+=(dbus-daemon)
command -v ip >/dev/null || missing+=(iproute2)
command -v unshare >/dev/null || missing+=(util-linux)
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing: ${missing[*]}"
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    if command -v apt-get >/dev/null; then
        # A service of its own is not wanted here; the tests start private servers.
        "${as_root[@]}" apt-get update -qq
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    elif command -v dnf >/dev/null; then
        "${as_root[@]}" dnf install -y -q gcc dovecot openssl isync mutt neomutt notmuch \
            offlineimap maildir-utils python3-jsonschema python3-prometheus_client util-linux-script systemd dbus-daemon iproute
    else
        echo "no apt-get and no dnf: please install ${missing[*]}" >&2
        exit 1
    fi
fi
command -v cargo >/dev/null || {
    echo "cargo is missing: install Rust 1.89 or later first (https://rustup.rs)" >&2
    exit 1
}
