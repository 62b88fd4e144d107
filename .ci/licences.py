#!/usr/bin/env python3
"""Checks that each dependency has an accepted licence and comes from the crates.io registry.

Reads `cargo metadata`. Exits with 1 and names the crates that fail.
"""

import json
import re
import subprocess
import sys

ACCEPTED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def is_accepted(expression):
    """Whether an SPDX expression can be met with accepted licences; AND binds closer than OR."""
    tokens = re.findall(r"\(|\)|[^\s()/]+|/", expression)

    def alternatives(at):
        ok, at = conjunction(at)
        while at < len(tokens) and tokens[at] in ("OR", "/"):
            other, at = conjunction(at + 1)
            ok = ok or other
        return ok, at

    def conjunction(at):
        ok, at = term(at)
        while at < len(tokens) and tokens[at] == "AND":
            other, at = term(at + 1)
            ok = ok and other
        return ok, at

    def term(at):
        if tokens[at] == "(":
            ok, at = alternatives(at + 1)
            return ok, at + 1
        name = tokens[at]
        if at + 2 < len(tokens) and tokens[at + 1] == "WITH":
            name, at = f"{name} WITH {tokens[at + 2]}", at + 2
        return name in ACCEPTED, at + 1

    return alternatives(0)[0]


def main():
    metadata = subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1"],
        check=True,
        capture_output=True,
        text=True,
    )
    wrong = []
    packages = [p for p in json.loads(metadata.stdout)["packages"] if p["source"]]
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["source"] != REGISTRY:
            wrong.append(f"{name} comes from {package['source']}")
        if not is_accepted(package["license"] or "none"):
            wrong.append(f"{name} has the licence {package['license']}")
    assert not is_accepted("GPL-3.0 OR (MIT AND GPL-2.0)") and is_accepted("GPL-3.0 OR MIT")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(packages)} dependencies have accepted licences")


main()
