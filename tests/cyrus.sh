#!/usr/bin/env bash
# A private Cyrus for tests, on loopback, on a free port, in one directory. Its programs are those
# that tests/servers.sh unpacked.
#
#   tests/cyrus.sh start DIR      writes DIR/env (PORT)
#   tests/cyrus.sh stop DIR
#
# Any user, any password. Works as root or not; touches nothing outside DIR, and signals only the
# processes that it started.
set -euo pipefail
command=${1:?start or stop}
dir=${2:?DIR}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/loopback.sh"
prefix=$(cd "$here/.." && pwd)/target/servers/cyrus
bin=$prefix/usr/lib/cyrus/bin
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
pid_file=$dir/master.pid

write_config() {
    local user
    user=$(id -un)
    [ "$user" != root ] || user=mail
    cat >"$dir/imapd.conf" <<CONF
configdirectory: $dir/conf
defaultpartition: default
partition-default: $dir/spool
cyrus_user: $user
admins: admin
allowplaintext: yes
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN LOGIN
altnamespace: yes
unixhierarchysep: yes
autocreate_post: yes
autocreate_quota: 0
idlesocket: $dir/sock/idle
lmtpsocket: $dir/sock/lmtp
syslog_prefix: mailtide-test
CONF
    cat >"$dir/cyrus.conf" <<CONF
START {
  recover cmd="$bin/ctl_cyrusdb -C $dir/imapd.conf -r"
  idled cmd="$bin/idled -C $dir/imapd.conf"
}
SERVICES {
  imap cmd="$bin/imapd -C $dir/imapd.conf" listen="127.0.0.1:$PORT" prefork=0 maxchild=100
}
EVENTS {
}
CONF
    [ "$user" != mail ] || chown -R mail "$dir/conf" "$dir/spool" "$dir/sock" "$dir/run"
}

case $command in
stop)
    [ -s "$dir/group" ] || exit 0
    # Nothing of it is to be kept.
    group=$(cat "$dir/group")
    kill -KILL -- "-$group" 2>/dev/null || true
    rm -f "$dir/group"
    for _ in $(seq 100); do alive "$group" || break; sleep 0.05; done
    ;;
start)
    [ -e "$prefix/complete" ] || { echo "bash tests/servers.sh comes first" >&2; exit 1; }
    mkdir -p "$dir/conf" "$dir/spool" "$dir/sock" "$dir/run"
    chmod 755 "$dir"
    LD_LIBRARY_PATH=$(library_path "$prefix")
    export LD_LIBRARY_PATH
    # Another process may take the port between the look and the start: then once more.
    for _ in 1 2 3; do
        PORT=$(free_port)
        write_config
        # A process group of its own, by which it is stopped.
        setsid "$bin/master" -C "$dir/imapd.conf" -M "$dir/cyrus.conf" -p "$dir/run/pid" \
            >"$dir/start.log" 2>&1 </dev/null &
        echo $! >"$dir/group"
        for _ in $(seq 200); do
            if taken "$PORT"; then
                echo "PORT=$PORT" >"$dir/env"
                exit 0
            fi
            alive "$(cat "$dir/group")" || break
            sleep 0.05
        done
    done
    echo "Cyrus did not start:" >&2
    cat "$dir/start.log" >&2
    exit 1
    ;;
*)
    echo "start or stop, not $command" >&2
    exit 2
    ;;
esac
