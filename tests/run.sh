#!/usr/bin/env bash
# Installs what is missing and runs all the tests.
#
#   MAILTIDE_RUNS=N   random runs of the convergence test (default 15,000)
#   MAILTIDE_CASES=N  cases of the planner's property test (default 200,000)
#   MAILTIDE_SIM=N    seeds of the simulator, each run twice (default 900)
#   MAILTIDE_KILLS=N  kills of the crash test (default 200)
#   MAILTIDE_RENAMES=N  seconds of renames in a mailbox of 20,000 (default 60)
#   MAILTIDE_SOAK=N   seconds of the watcher's soak test (default 180)
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh
began=$SECONDS
cargo test --locked --all-targets "$@"
echo "tests took $((SECONDS - began)) s"
