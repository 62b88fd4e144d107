#!/usr/bin/env python3
"""Which mutants no test noticed and nobody explained: mutants_left.py NOTICED MISSED EXPLAINED."""
import sys


def first_fields(path):
    with open(path) as lines:
        return {line.rstrip("\n").split("\t")[0] for line in lines}


noticed, missed = map(first_fields, sys.argv[1:3])
# A line that begins with white space is the reason for those above it.
with open(sys.argv[3]) as lines:
    explained = {line.rstrip("\n") for line in lines if line.strip() and line[0] not in " #"}
left = sorted(missed - explained)
print(f"{len(noticed | missed)} tried: {len(noticed)} noticed, {len(missed & explained)} explained, {len(left)} left:")
print(*left, sep="\n")
for name in sorted(explained - missed):
    print(f"explained, but not missed: {name}")
sys.exit(1 if left else 0)
