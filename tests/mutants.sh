#!/usr/bin/env bash
# Changes the program in one place at a time and asks whether a test notices. The places are those
# of cargo-mutants (which it installs); all are compiled at once, see mutants.py.
#
#   bash tests/mutants.sh [PLACE...]         files or directories (src/reconcile src/engine)
#   MAILTIDE_JOBS=N                          so many at once (default 2)
#   MAILTIDE_LIMIT=S                         tests that take longer than S seconds are not asked (default 60)
#   MAILTIDE_BUDGET=S                        so many seconds of tests about one mutant (default: all)
#
# What a test noticed is kept in target/mutants/noticed, with that test, and not asked again while the
# function stays as it is; what was missed is in target/mutants/missed, with the tests that were asked. Takes
# hours on two cores from nothing. Those that no test can notice are in mutants.explained, with
# the reason; ends with 1 when there are others.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh
command -v cargo-mutants >/dev/null || cargo install --quiet --locked cargo-mutants
[ $# -gt 0 ] || set -- src/reconcile src/engine
mkdir -p target/mutants
rm -rf target/mutants/source
git clone --quiet . target/mutants/source
export CARGO_TARGET_DIR=$PWD/target/mutants/build
python3 tests/mutants.py target/mutants/source target/mutants/tree target/mutants/noticed target/mutants/missed \
    "${MAILTIDE_JOBS:-2}" "$@"
python3 tests/mutants_left.py target/mutants/noticed target/mutants/missed tests/mutants.explained
