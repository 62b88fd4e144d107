#!/usr/bin/env python3
"""All mutants of cargo-mutants in one build: each function holds all of its mutants, and the
environment says which is meant. So a mutant costs a run of the tests, and no compilation.

  mutants.py TREE RESULTS JOBS DIRECTORY...

TREE is a clone that is spoilt by this. RESULTS gets a line for each mutant; those that are in it
already are not tried again, but for those that no stage noticed and that were not asked of all stages. Mutants that do not compile are left out; what cannot be held in this
way (const functions, functions that return `impl`) is named as not tried.
"""
import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys

# From the quickest to the dearest; the first that fails ends it. Seconds are for a hang.
# MAILTIDE_STAGES names those that are asked, with commas between them: all by default.
STAGES = [
    ("unit", "lib", ["reconcile", "engine"], 60),
    ("plans", "it", ["planner::plans"], 60),
    ("simulator", "it", ["simulated::nothing"], 120),
    ("contract", "it", ["contract::"], 120),
    ("convergence", "it", ["convergence::"], 120),
    ("tables", "it", ["cases::"], 120),
    ("units", "lib", [], 120),
    ("cost", "it", ["cost::"], 180),
    ("scripted", "it", ["scripted", "planner::small"], 300),
    ("servers", "it", ["anywhere", "dovecot", "files::"], 600),
]
WANTED = os.environ.get("MAILTIDE_STAGES", ",".join(stage[0] for stage in STAGES)).split(",")
STAGES = [stage for stage in STAGES if stage[0] in WANTED]
SIZES = {"MAILTIDE_CASES": "3000", "MAILTIDE_RUNS": "500", "MAILTIDE_SIM": "60", "RUST_BACKTRACE": "0"}
BUILD = {"CARGO_PROFILE_DEV_OPT_LEVEL": "1", "CARGO_PROFILE_TEST_OPT_LEVEL": "1",
         "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "0", "RUSTFLAGS": "-Awarnings"}
SWITCH = """
#[allow(missing_docs)]
pub mod mutants {
    static MEANT: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    });
    pub fn meant() -> u32 {
        *MEANT
    }
}
"""


def body(text):
    """Where a function's block begins: its first brace outside of all brackets."""
    at, depth = re.search(r"\bfn\s", text).end(), 0
    while text[at] != "{" or depth:
        depth += (text[at] in "([") - (text[at] in ")]")
        at = text.index("\n", at) if text.startswith("//", at) else at + 1
    return at


class File:
    """A source file, and the mutants in it."""

    def __init__(self, path):
        with open(path) as file:
            self.text = file.read()
        self.starts = [0]
        for line in self.text.split("\n"):
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.functions = {}

    def at(self, place):
        return self.starts[place["line"] - 1] + place["column"] - 1

    def span(self, span):
        return self.at(span["start"]), self.at(span["end"])

    def add(self, mutant):
        self.functions.setdefault(self.span(mutant["function"]["span"]), []).append(mutant)

    def outermost(self):
        kept = []
        for span in sorted(self.functions, key=lambda span: (span[0], -span[1])):
            if kept and span[1] <= kept[-1][0][1]:
                kept[-1][1].extend(self.functions[span])
            else:
                kept.append((span, list(self.functions[span])))
        return kept

    def held(self, dead, not_tried):
        """The text with all mutants in it, and the lines of each."""
        out, done, lines = "", 0, []
        for (start, end), mutants in self.outermost():
            block = start + body(self.text[start:end])
            head = self.text[start:block]
            if "const fn" in head or "impl " in head.rpartition("->")[2] and "->" in head:
                not_tried.update(mutant["id"] for mutant in mutants)
                continue
            out += self.text[done:block] + "{ match crate::mutants::meant() {\n"
            for mutant in mutants:
                if mutant["id"] not in dead:
                    at, to = self.span(mutant["span"])
                    first = out.count("\n") + 1
                    changed = self.text[block:at] + mutant["replacement"] + self.text[to:end]
                    out += f"{mutant['id']}u32 => {changed}\n"
                    lines.append((first, out.count("\n"), mutant["id"]))
            out += "_ => " + self.text[block:end] + "\n}}"
            done = end
        return out + self.text[done:], lines


def cargo(tree, *arguments):
    return subprocess.run(["cargo", *arguments, "--locked", "--message-format", "json"], cwd=tree,
                          env={**os.environ, **BUILD}, stdout=subprocess.PIPE, text=True)


def unviable(output, where):
    """The mutants that the compiler's errors are about."""
    found = set()
    for line in output.splitlines():
        message = json.loads(line)
        if message.get("reason") != "compiler-message" or message["message"]["level"] != "error":
            continue
        for span in message["message"]["spans"]:
            for first, last, number in where.get(span["file_name"], []):
                if span["is_primary"] and first <= span["line_start"] <= last:
                    found.add(number)
    return found


def hold(tree, mutants):
    """Writes the mutants into the tree; answers with those that do not compile, or are not held."""
    files, dead, not_tried = {}, set(), set()
    for mutant in mutants:
        if not mutant.get("function"):
            not_tried.add(mutant["id"])
            continue
        files.setdefault(mutant["file"], File(f"{tree}/{mutant['file']}")).add(mutant)
    with open(f"{tree}/src/lib.rs", "a") as lib:
        lib.write(SWITCH)
    while True:
        where = {}
        for name, file in files.items():
            text, where[name] = file.held(dead, not_tried)
            with open(f"{tree}/{name}", "w") as out:
                out.write(text)
        check = cargo(tree, "check", "--lib")
        if check.returncode == 0:
            return dead, not_tried
        new = unviable(check.stdout, where) - dead
        if not new:
            raise SystemExit("does not compile, and no mutant is to blame")
        dead |= new


def programs(tree):
    """The test programs, by the name of their target."""
    built = cargo(tree, "test", "--no-run", "--lib", "--bins", "--test", "it")
    if built.returncode:
        raise SystemExit("the tests do not compile")
    found = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            if message["profile"]["test"]:
                kind = message["target"]["kind"][0]
                found["it" if kind == "test" else kind] = message["executable"]
    return found


def fate(number, tree, tests, asked=frozenset()):
    """Which stage noticed it, of those that were not asked before; `None`: none."""
    environment = {**os.environ, **SIZES, "MUTANT": str(number)}
    for name, program, wanted, limit in STAGES:
        if name in asked:
            continue
        command = ["timeout", "-k", "5", str(limit), tests[program], *wanted]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        ended = subprocess.run(command, cwd=tree, env=environment, **silent).returncode
        if ended:
            return f"{name}, hung" if ended in (124, 137) else name
    return None


def name_all(mutants):
    """Names that hold when lines are added above: what is changed in which function, and its number
    among those of the same words."""
    seen = collections.Counter()
    for number, mutant in enumerate(mutants, 1):
        place, words = re.match(r"([^:]+):\d+:\d+: (.*)", mutant["name"]).groups()
        seen[place, words] += 1
        mutant["id"], mutant["words"] = number, f"{place}: {words} ({seen[place, words]})"


def results_of(path):
    """The stages that did not notice it are told behind the name."""
    known = {}
    if os.path.exists(path):
        with open(path) as lines:
            for line in lines:
                end, name, *asked = line.rstrip("\n").split("\t")
                before = known.get(name, (end, set()))[1]
                known[name] = end, before | set(asked[0].split(",") if asked else [])
    return known


def main():
    tree, results, jobs, *directories = sys.argv[1:]
    wanted = [word for directory in directories for word in ("-f", f"{directory}/*.rs")]
    listed = subprocess.run(["cargo", "mutants", "--list", "--json", *wanted], cwd=tree,
                            stdout=subprocess.PIPE, text=True, check=True)
    mutants = json.loads(listed.stdout)
    name_all(mutants)
    known = results_of(results)
    dead, not_tried = hold(tree, mutants)
    tests = programs(tree)
    if fate(0, tree, tests):
        raise SystemExit("the tests fail without a mutant")
    asked = {stage[0] for stage in STAGES}
    before = {name: stages if end == "MISSED" else asked for name, (end, stages) in known.items()}
    todo = [m for m in mutants if m["id"] not in dead | not_tried
            and asked - before.get(m["words"], set())]
    print(f"{len(mutants)} mutants: {len(dead)} do not compile, {len(not_tried)} not tried, "
          f"{len(known)} known, {len(todo)} to try", flush=True)
    with concurrent.futures.ThreadPoolExecutor(int(jobs)) as pool:
        tries = {}
        for mutant in todo:
            done = before.get(mutant["words"], set())
            tries[pool.submit(fate, mutant["id"], tree, tests, done)] = mutant["words"], done
        for one in concurrent.futures.as_completed(tries):
            words, done = tries[one]
            end = f"MISSED\t{words}\t{','.join(sorted(asked | done))}"
            with open(results, "a") as out:
                out.write((f"{one.result()}\t{words}" if one.result() else end) + "\n")


if __name__ == "__main__":
    main()
