#!/usr/bin/env bash
# Changes the program in one place at a time and asks whether a test notices (cargo-mutants, which it
# installs). Takes a night.
#
#   bash tests/mutants.sh [DIRECTORY...]     src/reconcile src/engine by default
#
# First the unit tests are asked, then, of what they let pass, the tables, the planner, the
# contracts, the reference and some seeds of the simulator. What is left is in
# target/mutants/mutants.out/missed.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh
command -v cargo-mutants >/dev/null || cargo install --quiet --locked cargo-mutants
[ $# -gt 0 ] || set -- src/reconcile src/engine
files=()
for directory in "$@"; do
    files+=(-f "$directory/*.rs")
done
# Built without optimisation: a mutant is compiled in seconds.
export CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0
export MAILTIDE_CASES=2000 MAILTIDE_RUNS=500 MAILTIDE_SIM=50
mutants() {
    # 2: some were missed. 3: some never ended, which counts as noticed.
    local result=0
    cargo mutants --baseline skip --timeout 120 --build-timeout 600 -o target/mutants \
        --cargo-arg=--locked "${files[@]}" "$@" || result=$?
    case $result in 0 | 2 | 3) ;; *) exit "$result" ;; esac
}
mutants -- --lib
mutants --iterate -- --test it -- cases:: convergence:: contract:: planner::plans \
    simulated::nothing
echo "not noticed:"
cat target/mutants/mutants.out/missed.txt
