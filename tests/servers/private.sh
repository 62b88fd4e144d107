#!/usr/bin/env bash
# A private server for tests, on loopback, on a free port, in one directory.
#
#   tests/servers/private.sh get NAME           brings its program into target/servers
#   tests/servers/private.sh start NAME DIR     writes DIR/env (PORT)
#   tests/servers/private.sh stop NAME DIR
#
# NAME is PROGRAM or PROGRAM-SETTING. PROGRAM.sh beside this file tells how to get the program (`get`) and
# how to run it on $PORT with all its files in $dir (`run`, which calls `launch COMMAND...`).
# Users u1 to u9, password "pass". Works as root or not; touches nothing outside DIR and
# target/servers, and signals only the processes that it started.
set -euo pipefail
command=${1:?get, start or stop}
name=${2:?NAME}
here=$(cd "$(dirname "$0")" && pwd)
tests=$(dirname "$here")
. "$tests/loopback.sh"
. "$tests/packages.sh"
program=${name%%-*}
setting=${name#"$program"}
setting=${setting#-}
prefix=$(dirname "$tests")/target/servers/$program
[ -e "$here/$program.sh" ] || { echo "no such server: $name" >&2; exit 2; }

# Runs a command in a process group of its own, by which it is stopped.
launch() {
    setsid "$@" >>"$dir/start.log" 2>&1 </dev/null &
    group=$!
    echo "$group" >>"$dir/groups"
}

# A Dovecot behind what is tried; sets BEHIND to its port.
dovecot_behind() {
    bash "$tests/dovecot.sh" start "$dir/behind"
    BEHIND=$(sed -n 's/^PORT=//p' "$dir/behind/env")
}

# What ends besides the groups; a program may say more.
ended() { :; }

stop_groups() {
    [ -s "$dir/groups" ] || return 0
    local one
    while read -r one; do
        kill -KILL -- "-$one" 2>/dev/null || true
        for _ in $(seq 100); do alive "$one" || break; sleep 0.05; done
    done <"$dir/groups"
    rm -f "$dir/groups"
}

start() {
    # Another process may take the port between the look and the start: then once more.
    for _ in 1 2 3; do
        PORT=$(free_port)
        run
        for _ in $(seq 400); do
            if taken "$PORT"; then
                echo "PORT=$PORT" >"$dir/env"
                return 0
            fi
            alive "$group" || break
            sleep 0.05
        done
        stop_groups
    done
    echo "$name did not start:" >&2
    cat "$dir/start.log" >&2
    return 1
}

. "$here/$program.sh"
[ "$command" != get ] || { get; exit; }
dir=${3:?DIR}
mkdir -p "$dir"
chmod 755 "$dir"
dir=$(cd "$dir" && pwd)
case $command in
stop)
    stop_groups
    ended
    [ ! -e "$dir/behind" ] || bash "$tests/dovecot.sh" stop "$dir/behind"
    ;;
start) start ;;
*)
    echo "get, start or stop, not $command" >&2
    exit 2
    ;;
esac
