#!/usr/bin/env bash
# Changes the program in one place at a time and asks whether a test notices. The places are those
# of cargo-mutants (which it installs); all are compiled at once, see mutants.py.
#
#   bash tests/mutants.sh [DIRECTORY...]     src/reconcile src/engine by default
#   MAILTIDE_JOBS=N                          so many at once (default 2)
#   MAILTIDE_LIMIT=S                         tests that take longer than S seconds are not asked (default 60)
#   MAILTIDE_BUDGET=S                        so many seconds of tests about one mutant (default: all)
#
# What was tried is remembered in target/mutants/results, with the test that noticed it; remove it to
# begin anew. Takes some hours on two cores. Those that no test can notice are in mutants.explained, with
# the reason; ends with 1 when there are others.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh
command -v cargo-mutants >/dev/null || cargo install --quiet --locked cargo-mutants
[ $# -gt 0 ] || set -- src/reconcile src/engine
mkdir -p target/mutants
rm -rf target/mutants/tree
git clone --quiet . target/mutants/tree
export CARGO_TARGET_DIR=$PWD/target/mutants/build
python3 tests/mutants.py target/mutants/tree target/mutants/results "${MAILTIDE_JOBS:-2}" "$@"
python3 tests/mutants_left.py target/mutants/results tests/mutants.explained
