#!/usr/bin/env python3
"""Which mutants no test noticed and nobody explained: mutants_left.py RESULTS EXPLAINED."""
import sys

ends = {}
with open(sys.argv[1]) as lines:
    for line in lines:
        end, name, *_ = line.rstrip("\n").split("\t")
        ends[name] = end
missed = {name for name, end in ends.items() if end == "MISSED"}
# A line that begins with white space is the reason for those above it.
with open(sys.argv[2]) as lines:
    explained = {line.rstrip("\n") for line in lines if line.strip() and line[0] not in " #"}
noticed = sum(end != "MISSED" for end in ends.values())
print(f"{len(ends)} tried: {noticed} noticed, {len(missed & explained)} explained, "
      f"{len(missed - explained)} left:")
print(*sorted(missed - explained), sep="\n")
for name in sorted(explained - missed):
    print(f"explained, but not missed: {name}")
sys.exit(1 if missed - explained else 0)
