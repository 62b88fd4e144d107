#!/usr/bin/env bash
# Shows mailtide at work: installs what is missing, builds, starts a private Dovecot with a few
# hundred messages, syncs, changes things on both sides, syncs again, and prints side by side what
# each side had and has. Needs no port that is taken, and leaves nothing behind.
#
#   MAILTIDE_PROFILE=dev   builds as the tests do, which is faster than a release
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh

echo "building mailtide ..."
profile=${MAILTIDE_PROFILE:-release}
cargo build --profile "$profile" --locked --quiet --example phone --bin mailtide
bin=${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}
work=$(mktemp -d "${TMPDIR:-/tmp}/mailtide-demo.XXXXXX")
watcher=
clean_up() {
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
    bash tests/dovecot.sh stop "$work/server" || true
    rm -rf "$work"
}
trap clean_up EXIT
chmod 755 "$work"

bash tests/dovecot.sh start "$work/server"
# shellcheck disable=SC1091
. "$work/server/env"
cat >"$work/config.toml" <<CONFIG
state_dir = "$work/state"
[accounts.demo]
host = "localhost"
port = $TLS_PORT
tls_ca_file = "$CA"
user = "u1"
password = "pass"
maildir = "$work/Mail"
CONFIG
export XDG_RUNTIME_DIR=$work/run
chmod 600 "$work/config.toml"
mailtide() { "$bin/mailtide" --config "$work/config.toml" "$@"; }
phone() { "$bin/examples/phone" "$PORT" u1 pass "$@"; }
show() {
    echo
    phone table "$work/Mail"
    echo
}

echo
echo "== A server with mail on it, and no Maildir yet"
phone seed
show

echo "== mailtide check"
mailtide check
echo
echo "== mailtide sync"
mailtide sync
show
echo "== mailtide sync, once more: nothing to do"
mailtide sync

echo
echo "== On the phone: mark ten messages read, star one, delete three, file mail into a new mailbox"
phone change
echo "== On disk, as a mail reader does: answer one, delete two, write a draft, make a mailbox"
inbox=$work/Mail/INBOX
answered=$(find "$inbox/cur" -type f -name '*:2,S' | sort | sed -n 1p)
mv "$answered" "${answered%:2,S}:2,RS"
find "$work/Mail/Arbeit/Entwürfe" -type f | sort | sed -n 1,2p | xargs -d '\n' rm
mkdir -p "$work/Mail/Drafts/"{tmp,new,cur} "$work/Mail/Ideas/Später/"{tmp,new,cur}
printf 'Subject: a draft\n\nto be continued\n' >"$work/Mail/Drafts/cur/1700000000.M1P1.desk:2,DS"
printf 'Subject: an idea\n\nwrite it down\n' >"$work/Mail/Ideas/Später/new/1700000001.M1P1.desk"
show
echo "== mailtide sync --dry-run: the very plan that would run"
mailtide sync --dry-run | sort | uniq -c -w 40 | sort -rn | sed -n 1,12p
echo
echo "== mailtide sync"
mailtide sync
show
phone compare "$work/Mail"
echo "== mailtide sync, once more: nothing to do"
mailtide sync

echo
echo "== On disk: file all of Arbeit under Ideas/Später, and rename Drafts: moved and renamed there"
find "$work/Mail/Arbeit/cur" "$work/Mail/Arbeit/new" -type f -print0 |
    xargs -0 mv -t "$work/Mail/Ideas/Später/cur"
mv "$work/Mail/Drafts" "$work/Mail/Written"
mailtide sync
phone compare "$work/Mail"

echo
echo "== mailtide watch: from now on by itself"
"$bin/mailtide" --config "$work/config.toml" --log-format json -v watch 2>"$work/log" &
watcher=$!
in_step() { mailtide status | grep -q '^demo: synced ('; }
now() { date +%s%3N; }
# Looks until the command succeeds; answers with the milliseconds since it was asked.
until_it() {
    local began=$1
    shift
    until "$@"; do
        [ $(($(now) - began)) -lt 30000 ] || { echo "it never came: $*" >&2; exit 1; }
        sleep 0.002
    done
    echo $(($(now) - began))
}
until_it "$(now)" in_step >/dev/null
mailtide status
told() { grep -c '"message":"wake","side":"remote"' "$work/log" || true; }

echo
echo "== On the phone: star a message"
before=$(told)
began=$(now)
phone star INBOX 30
told=$(until_it "$began" eval '[ "$(told)" -gt "$before" ]')
shown=$(until_it "$began" eval 'ls "$inbox/cur" | grep -q "_0000001e_.*:2,.*F"')
echo "the server told of it after $told ms (Dovecot gathers changes for half a second), and"
echo "$((shown - told)) ms later it was on disk"
echo "== On disk: mark a message answered"
sleep 1
file=$(find "$inbox/cur" -type f -name '*:2,S' | sort | sed -n 1p)
answered_there=0
while phone answered INBOX $((answered_there + 1)) 2>/dev/null; do
    answered_there=$((answered_there + 1))
done
began=$(now)
mv "$file" "${file%:2,S}:2,RS"
echo "on the server $(until_it "$began" eval "phone answered INBOX $((answered_there + 1)) 2>/dev/null") ms after the rename"
echo "== On disk: new mail, for the server"
began=$(now)
printf 'Subject: by the way\n\nhello\n' >"$inbox/tmp/1800000000.M1P1.desk"
mv "$inbox/tmp/1800000000.M1P1.desk" "$inbox/new/1800000000.M1P1.desk"
echo "on the server $(until_it "$began" eval 'phone has INBOX "by the way" 2>/dev/null') ms later"
until_it "$(now)" in_step >/dev/null
phone compare "$work/Mail"
mailtide status
kill -TERM "$watcher"
wait "$watcher"
watcher=

echo
echo "Deleted bytes are kept for 30 days:"
(cd "$work/Mail" && find .mailtide/quarantine -type f | sed 's/^/    /' | sed -n 1,6p)
