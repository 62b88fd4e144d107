#!/usr/bin/env bash
# A private Courier for tests, on loopback, on a free port, in one directory. Its programs are those
# that tests/servers.sh unpacked.
#
#   tests/courier.sh start DIR      writes DIR/env (PORT)
#   tests/courier.sh stop DIR
#
# One user, u1, who is logged in as soon as he connects (PREAUTH): Courier's own login asks a daemon
# at a path that is compiled in. Works as root or not; touches nothing outside DIR, and signals only
# the processes that it started.
set -euo pipefail
command=${1:?start or stop}
dir=${2:?DIR}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/loopback.sh"
prefix=$(cd "$here/.." && pwd)/target/servers/courier
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

case $command in
stop)
    [ -s "$dir/groups" ] || exit 0
    for group in $(cat "$dir/groups"); do
        kill -KILL -- "-$group" 2>/dev/null || true
        for _ in $(seq 100); do alive "$group" || break; sleep 0.05; done
    done
    rm -f "$dir/groups"
    ;;
start)
    [ -e "$prefix/complete" ] || { echo "bash tests/servers.sh comes first" >&2; exit 1; }
    LD_LIBRARY_PATH=$(library_path "$prefix")
    export LD_LIBRARY_PATH
    [ -d "$dir/Maildir" ] || "$prefix/usr/bin/maildirmake.courier" "$dir/Maildir"
    cat >"$dir/session.sh" <<SESSION
#!/usr/bin/env bash
cd "$dir"
set -a
. "$prefix/etc/courier/imapd"
HOME=$dir
MAILDIR=$dir/Maildir
AUTHENTICATED=u1
AUTHADDR=u1
IMAP_STARTTLS=NO
IMAP_EMPTYTRASH=
IMAP_ENHANCEDIDLE=1
exec "$prefix/usr/bin/imapd" "$dir/Maildir"
SESSION
    chmod +x "$dir/session.sh"
    # Without its watcher of files Courier waits for seconds at each login, and complains.
    GAM_CLIENT_ID=mailtide$$
    export GAM_CLIENT_ID
    setsid "$prefix/usr/libexec/gam_server" --notimeout "$GAM_CLIENT_ID" >"$dir/gamin.log" 2>&1 </dev/null &
    echo $! >"$dir/groups"
    # Another process may take the port between the look and the start: then once more.
    for _ in 1 2 3; do
        PORT=$(free_port)
        setsid "$prefix/usr/sbin/couriertcpd" -address=127.0.0.1 -nodnslookup -noidentlookup \
            -maxprocs=100 -maxperip=100 "-stderr=$dir/start.log" "$PORT" "$dir/session.sh" \
            >/dev/null 2>&1 </dev/null &
        server=$!
        echo "$server" >>"$dir/groups"
        for _ in $(seq 100); do
            if taken "$PORT"; then
                echo "PORT=$PORT" >"$dir/env"
                exit 0
            fi
            alive "$server" || break
            sleep 0.05
        done
    done
    echo "Courier did not start:" >&2
    cat "$dir/start.log" "$dir/gamin.log" >&2
    exit 1
    ;;
*)
    echo "start or stop, not $command" >&2
    exit 2
    ;;
esac
