#!/usr/bin/env bash
# Runs every fuzz target, one after another.
#
#   bash fuzz/run.sh [SECONDS] [TARGET...]     600 seconds each by default
#
# Needs a nightly compiler (or RUSTC_BOOTSTRAP=1 with the stable one) and cargo-fuzz, which it
# installs. What is found lies in fuzz/artifacts; `cargo fuzz run TARGET FILE` repeats it.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
shift || true
if rustup run nightly rustc --version >/dev/null 2>&1; then
    export RUSTUP_TOOLCHAIN=nightly
else
    export RUSTC_BOOTSTRAP=1
fi
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz
[ $# -gt 0 ] || set -- $(cargo fuzz list)
for target in "$@"; do
    mkdir -p "fuzz/corpus/$target"
    log=$(mktemp)
    if cargo fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -max_len=8192 >"$log" 2>&1; then
        grep -E "^Done" "$log" | sed "s/^/$target: /"
        grep -E "cov: " "$log" | tail -1 | sed "s/^/$target: /"
    else
        echo "$target: FAILED"
        tail -60 "$log"
        exit 1
    fi
done
