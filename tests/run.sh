#!/usr/bin/env bash
# Installs what is missing and runs all the tests.
#
#   bash tests/run.sh [--long] [CARGO ARGUMENTS]
#
# With --long, the random tests make as many runs as before a release. A variable sets one of them:
#                       short, --long
#   MAILTIDE_RUNS=N     4,000, 15,000   random runs of the convergence tests
#   MAILTIDE_CASES=N   50,000, 200,000  cases of the planner's property test
#   MAILTIDE_SIM=N        250, 2,000    seeds of the simulator, each run twice
#   MAILTIDE_ODD=N         50, 370      seeds of the simulator with odd servers
#   MAILTIDE_FIELD=N       20, 75       seeds with backups, mounts and mail readers
#   MAILTIDE_KILLS=N       60, 200      kills of the crash test
#   MAILTIDE_RENAMES=N     15, 60       seconds of renames in a mailbox of 20,000
#   MAILTIDE_SOAK=N        45, 180      seconds of the watcher's soak test
#   MAILTIDE_EACH=N         1, 1        each Nth step at which a row is cut
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh
amounts="RUNS=4000 CASES=50000 SIM=250 ODD=50 FIELD=20 KILLS=60 RENAMES=15 SOAK=45"
if [ "${1:-}" = --long ]; then
    shift
    amounts="RUNS=15000 CASES=200000 SIM=2000 ODD=370 FIELD=75 KILLS=200 RENAMES=60 SOAK=180"
fi
for amount in $amounts; do
    name=MAILTIDE_${amount%=*}
    export "$name=${!name:-${amount#*=}}"
done
cargo test --locked --all-targets --no-run
began=$SECONDS
cargo test --locked --all-targets "$@"
echo "tests took $((SECONDS - began)) s, without compilation"
