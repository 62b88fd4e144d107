#!/usr/bin/env bash
# mailtide and its peers in turn against one private Dovecot, with the floor (no sync logic at all).
# Checks every result, and writes docs/performance.md and docs/performance.svg.
#
#   bash benches/run.sh [--rtt MS] [--profile small|medium|large|giant] [--reps N] [--tools A,B]
#
# Without --rtt: once at 0 ms and once at 50 ms. Wants root (the private Dovecot), Linux, an otherwise
# idle machine, memory for the server's mail, and a real disk under TMPDIR: fsync is measured.
set -euo pipefail
cd "$(dirname "$0")/.."
rtts=(0 50)
profile=medium
reps=3
tools=mailtide,mbsync,mbsync-nofsync,mbsync-plain,mbsync-plain-nofsync,interimap
while [ $# -gt 0 ]; do
    case $1 in
        --rtt) rtts=("$2") ;;
        --profile) profile=$2 ;;
        --reps) reps=$2 ;;
        --tools) tools=$2 ;;
        *) sed -n '2,9p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
. tests/install.sh
if command -v apt-get >/dev/null; then
    for need in python3:python3 interimap:interimap time:time; do
        command -v "${need%%:*}" >/dev/null ||
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need##*:}" >/dev/null ||
            echo "no ${need##*:} to be had here"
    done
fi
cargo build --release --locked --quiet
MAILTIDE=$(realpath "${CARGO_TARGET_DIR:-target}/release/mailtide")
work=$(mktemp -d "${TMPDIR:-/tmp}/mailtide-bench.XXXXXX")
memory=$(mktemp -d /dev/shm/mailtide-bench.XXXXXX)
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
export MAILTIDE BENCH_WORK=$work BENCH_DIR=$memory
BENCH_PORT=$(port) BENCH_TLS_PORT=$(port) BENCH_PROXY_PORT=$(port)
export BENCH_PORT BENCH_TLS_PORT BENCH_PROXY_PORT
# Python would leave its bytecode in the tree.
export PYTHONDONTWRITEBYTECODE=1
chmod 755 "$work" "$memory"
clean_up() {
    bash benches/peers/dovecot.sh stop "$memory/server" >/dev/null || true
    rm -rf "$work" "$memory"
}
trap clean_up EXIT
results=target/bench
mkdir -p "$results"
for rtt in "${rtts[@]}"; do
    : >"$results/$profile-$rtt.jsonl"
    python3 benches/peers/rawlimit.py "$profile" --rtt "$rtt" --reps "$reps" \
        --only noop-liststatus,noop-qresync,pull-1c-files,pull-1c-syncfs,append1000,store1000,store1000-seen-1c,store1000-seen-3c \
        --out "$results/$profile-$rtt.jsonl"
    for tool in ${tools//,/ }; do
        case $tool in
            mbsync*) command -v mbsync >/dev/null || continue ;;
            interimap*) command -v interimap >/dev/null || continue ;;
        esac
        python3 benches/peers/run.py "$tool" all "$profile" --rtt "$rtt" --reps "$reps" \
            --out "$results/$profile-$rtt.jsonl" || echo "$tool: not measured to its end"
    done
done
python3 benches/peers/table.py "$results"/*.jsonl
