#!/usr/bin/env bash
# Writes what docs/using.md and docs/terminal.svg show anew: from what the commands print.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh
MAILTIDE_WRITE_DOCS=1 cargo test --locked --test it -- looking::shown
