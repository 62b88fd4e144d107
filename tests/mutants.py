#!/usr/bin/env python3
"""All mutants of cargo-mutants in one build: each function holds all of its mutants, and the
environment says which is meant. So a mutant costs no compilation, and only those tests are asked that
reach its function, first those that are likely to notice.

  mutants.py SOURCE TREE NOTICED MISSED JOBS DIRECTORY...

SOURCE is a clone. TREE is the same with the mutants in it, and is only written to where it differs, so that what was
built is used again. NOTICED gets a line for each mutant that a test noticed: which mutant, the
sum of its function's text, the test. MISSED gets the others, with the tests that were asked. What was noticed is
not tried again while its function stays as it is; what was missed is asked of new tests. Mutants that do not compile
are left out; what cannot be held in this way (const functions, functions that return `impl`) is counted as not tried.

First all are asked of quick tests that are made quicker still (no step of a scene but the first is cut), then those
that were missed are asked of the whole of them.
"""
import collections
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

LIMIT = float(os.environ.get("MAILTIDE_LIMIT", "60"))
BUDGET = float(os.environ.get("MAILTIDE_BUDGET", "inf"))


class Round:
    """What the tests are to do less of, a mutant; tests that take longer than `limit` seconds, or are `without`, are
    not asked; `budget` seconds of tests are asked about one mutant, others by the next call; `group` seconds of
    them in one process."""

    def __init__(self, without, limit, budget, group, **sizes):
        self.without, self.limit, self.budget, self.group = without, limit, budget, group
        self.sizes = {f"MAILTIDE_{name}": str(size) for name, size in sizes.items()}
        self.tests = []


ROUNDS = [
    Round(r"^(tidy|anywhere|dovecot|watching|files|crash|limits)\b", 1.0, 10.0, 3.0,
          EACH=50, CASES=500, RUNS=50, SIM=8, KILLS=1, SOAK=10, RENAMES=5),
    Round("^tidy", LIMIT, BUDGET, 2.0,
          EACH=1, CASES=3000, RUNS=500, SIM=60, KILLS=5, SOAK=10, RENAMES=5),
]
BUILD = {"CARGO_PROFILE_DEV_OPT_LEVEL": "1", "CARGO_PROFILE_TEST_OPT_LEVEL": "1",
         "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "0", "RUSTFLAGS": "-Awarnings"}
# A function tells, where that is asked for, that a test reached it.
SWITCH = """
#[allow(missing_docs)]
pub mod mutants {
    use std::io::Write;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicBool, Ordering};
    static MEANT: LazyLock<u32> = LazyLock::new(|| {
        std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    });
    static TOLD: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("MUTANT_SEEN").ok());
    static SEEN: [AtomicBool; %d] = [const { AtomicBool::new(false) }; %d];
    pub fn meant(place: usize) -> u32 {
        if let Some(path) = &*TOLD && !SEEN[place].swap(true, Ordering::Relaxed) {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
            let _ = file.and_then(|mut file| file.write_all(format!("{place}\\n").as_bytes()));
        }
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
            place = mutants[0]["id"]
            out += self.text[done:block] + f"{{ match crate::mutants::meant({place}) {{\n"
            for mutant in mutants:
                mutant["place"] = place
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


def write_tree(source, tree, changed):
    """Makes the tree what the source is, but for what is changed."""
    listed = subprocess.run(["git", "ls-files"], cwd=source, stdout=subprocess.PIPE, text=True, check=True)
    wanted = set(listed.stdout.splitlines())
    for name in wanted:
        with open(f"{source}/{name}", "rb") as file:
            text = file.read()
        text = changed[name].encode() if name in changed else text
        path = f"{tree}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.exists(path):
            with open(path, "rb") as file:
                if file.read() == text:
                    continue
        with open(path, "wb") as out:
            out.write(text)
        shutil.copymode(f"{source}/{name}", path)
    for directory, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.relpath(path, tree) not in wanted:
                os.unlink(path)


def hold(source, tree, mutants):
    """Writes the mutants into the tree; answers with those that do not compile, or are not held."""
    files, dead, not_tried = {}, set(), set()
    remembered, known = f"{tree}.dead", set()
    if os.path.exists(remembered):
        with open(remembered) as lines:
            known = {line.rstrip("\n") for line in lines}
    dead.update(mutant["id"] for mutant in mutants if mutant["words"] in known)
    for mutant in mutants:
        if not mutant.get("function"):
            not_tried.add(mutant["id"])
            continue
        files.setdefault(mutant["file"], File(f"{source}/{mutant['file']}")).add(mutant)
    with open(f"{source}/src/lib.rs") as lib:
        changed = {"src/lib.rs": lib.read() + SWITCH % (len(mutants) + 1, len(mutants) + 1)}
    while True:
        where = {}
        for name, file in files.items():
            changed[name], where[name] = file.held(dead, not_tried)
        write_tree(source, tree, changed)
        check = cargo(tree, "check", "--lib")
        if check.returncode == 0:
            with open(remembered, "w") as out:
                out.writelines(f"{mutant['words']}\n" for mutant in mutants if mutant["id"] in dead)
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


def ask(program, tests, tree, limit, **environment):
    """The first test that fails, or `None`; and whether it came to an end at all. The others are not waited for."""
    command = ["timeout", "-k", "5", str(limit), program, "--exact", *tests]
    environment = {**os.environ, "RUST_BACKTRACE": "0", "RUST_TEST_THREADS": "1", **environment}
    running = subprocess.Popen(command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, errors="replace")
    with running:
        for line in running.stdout:
            failed = re.match(r"test (\S+)(?: - should panic)? \.\.\. FAILED", line)
            if failed:
                # `timeout` hands it on.
                running.terminate()
                return failed[1], True
    return (tests[0] if running.returncode else None), running.returncode not in (124, 137)


class Test:
    """A test: which functions it reaches, and how long it takes."""

    def __init__(self, kind, program, name):
        self.kind, self.program, self.name = kind, program, name
        self.reaches, self.seconds, self.holds = set(), 0.0, False

    def look(self, tree, how):
        told = tempfile.NamedTemporaryFile(delete=False).name
        began = time.monotonic()
        failed, _ = ask(self.program, [self.name], tree, how.limit + 3, MUTANT_SEEN=told, **how.sizes)
        self.seconds, self.holds = time.monotonic() - began, failed is None
        with open(told) as lines:
            self.reaches = {int(line) for line in lines if line.strip()}
        os.unlink(told)
        return self


def all_tests(tree, built, jobs, how):
    found = []
    for kind, program in built.items():
        listed = subprocess.run([program, "--list", "--format", "terse"], cwd=tree, text=True,
                                stdout=subprocess.PIPE, check=True).stdout
        names = [line[: -len(": test")] for line in listed.splitlines() if line.endswith(": test")]
        found += [Test(kind, program, name) for name in names if not re.search(how.without, name)]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for test in pool.map(lambda test: test.look(tree, how), found):
            if not test.holds and test.seconds <= how.limit:
                print(f"fails without a mutant, not asked: {test.kind} {test.name}", flush=True)
    kept = [test for test in found if test.holds and test.seconds <= how.limit]
    return sorted(kept, key=lambda test: test.seconds)


class Order:
    """Which tests to ask first: those that noticed another change of the same function, then those that
    noticed many for the time they take, above all many of the same file."""

    def __init__(self):
        self.of, self.all = collections.defaultdict(list), collections.Counter()

    def noticed(self, mutant, name):
        self.all[name] += 1
        self.all[mutant["file"], name] += 20
        if name not in self.of[mutant["place"]]:
            self.of[mutant["place"]].insert(0, name)

    def sort(self, mutant, tests):
        known = list(self.of[mutant["place"]])
        rank = {name: number for number, name in enumerate(known)}
        worth = {test.name: 1 + self.all[test.name] + self.all[mutant["file"], test.name] for test in tests}
        return sorted(tests, key=lambda test: (rank.get(test.name, len(known)),
                                               test.seconds / worth[test.name]))


def fate(mutant, tree, tests, order, how):
    """Which test noticed it, or the first of those asked together; `None`: none; and who was asked. What
    real servers are asked has to fail twice: a slow machine is not the mutant's doing."""
    tests, asked, spent = order.sort(mutant, tests), [], 0.0
    while tests and spent < how.budget:
        group, seconds = [], 0.0
        for test in tests:
            known = group and group[0].name in order.of[mutant["place"]]
            if group and (known or seconds + test.seconds > how.group or test.program != group[0].program):
                break
            group.append(test)
            seconds += test.seconds
        tests = tests[len(group):]
        asked += [test.name for test in group]
        spent += seconds
        for _ in range(2 if seconds > 0.5 else 1):
            names = [test.name for test in group]
            failed, ended = ask(group[0].program, names, tree, 8 + 5 * seconds, MUTANT=str(mutant["id"]),
                                **how.sizes)
            if not failed:
                break
        else:
            order.noticed(mutant, failed)
            return f"{failed}{'' if ended else ', hung'}", asked
    return None, asked


def name_all(mutants):
    """Names that hold when lines are added above: what is changed in which function, and its number
    among those of the same words."""
    seen = collections.Counter()
    for number, mutant in enumerate(mutants, 1):
        place, words = re.match(r"([^:]+):\d+:\d+: (.*)", mutant["name"]).groups()
        seen[place, words] += 1
        mutant["id"], mutant["words"] = number, f"{place}: {words} ({seen[place, words]})"


class Ledger:
    """What is known of earlier calls, and what is found by this one. The file of what was noticed is kept in
    order, so that changes of it can be read."""

    def __init__(self, noticed, missed, mutants, source):
        self.paths, self.sums = (noticed, missed), {}
        files = {mutant["file"]: File(f"{source}/{mutant['file']}") for mutant in mutants}
        # What is known of files that are not asked about in this call stays.
        self.others = {path: [line for line in self.lines(path) if line.split(":")[0] not in files]
                       for path in self.paths}
        for mutant in mutants:
            file = files[mutant["file"]]
            start, end = file.span(mutant["function"]["span"]) if mutant.get("function") else (0, 0)
            text = " ".join(file.text[start:end].split())
            self.sums[mutant["words"]] = hashlib.sha256(text.encode()).hexdigest()[:8]
        self.noticed = {words: rest for words, *rest in self.read(noticed)}
        self.missed = {words: set(rest[1].split(",")) for words, *rest in self.read(missed)}

    @staticmethod
    def lines(path):
        if not os.path.exists(path):
            return []
        with open(path) as lines:
            return list(lines)

    def read(self, path):
        fields = [line.rstrip("\n").split("\t") for line in self.lines(path)]
        return [one for one in fields if self.sums.get(one[0]) == one[1]]

    def add(self, words, test, asked):
        if test:
            self.noticed[words] = [self.sums[words], test]
            self.missed.pop(words, None)
        else:
            self.missed[words] = self.missed.get(words, set()) | set(asked)

    def write(self):
        sums = self.sums
        missed = {words: [sums[words], ",".join(sorted(asked))] for words, asked in self.missed.items()}
        for path, all_of_it in zip(self.paths, (self.noticed, missed)):
            lines = ["\t".join([words, *rest]) + "\n" for words, rest in all_of_it.items()]
            with open(f"{path}.new", "w") as out:
                out.writelines(sorted(self.others[path] + lines))
            os.rename(f"{path}.new", path)


def one_round(how, tree, todo, jobs, ledger, order):
    """Asks the tests of a round; the mutants that none noticed come back."""
    asks = []
    for mutant in todo:
        before = ledger.missed.get(mutant["words"], set())
        last = how is ROUNDS[-1]
        tests = [test for test in how.tests
                 if mutant["place"] in test.reaches and not (last and test.name in before)]
        asks.append((mutant, tests))
    # First those of which few tests are to be asked.
    asks.sort(key=lambda one: sum(test.seconds for test in one[1]))
    left, written = [], time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        tries = {pool.submit(fate, mutant, tree, tests, order, how): mutant for mutant, tests in asks}
        for one in concurrent.futures.as_completed(tries):
            mutant = tries[one]
            noticed, asked = one.result()
            if not noticed:
                left.append(mutant)
            if noticed or how is ROUNDS[-1]:
                ledger.add(mutant["words"], noticed, asked)
            if time.monotonic() - written > 10:
                ledger.write()
                written = time.monotonic()
    ledger.write()
    return left


def main():
    source, tree, noticed, missed, jobs, *places = sys.argv[1:]
    jobs = int(jobs)
    files = [place if place.endswith(".rs") else f"{place}/*.rs" for place in places]
    wanted = [word for file in files for word in ("-f", file)]
    listed = subprocess.run(["cargo", "mutants", "--list", "--json", *wanted], cwd=source,
                            stdout=subprocess.PIPE, text=True, check=True)
    mutants = json.loads(listed.stdout)
    name_all(mutants)
    ledger = Ledger(noticed, missed, mutants, source)
    dead, not_tried = hold(source, tree, mutants)
    built = programs(tree)
    order = Order()
    for mutant in mutants:
        if mutant["words"] in ledger.noticed and "place" in mutant:
            order.noticed(mutant, ledger.noticed[mutant["words"]][1].removesuffix(", hung"))
    todo = [mutant for mutant in mutants
            if mutant["id"] not in dead | not_tried and mutant["words"] not in ledger.noticed]
    print(f"{len(mutants)} mutants: {len(dead)} do not compile, {len(not_tried)} not tried, "
          f"{len(ledger.noticed)} known as noticed, {len(todo)} to try", flush=True)
    for number, how in enumerate(ROUNDS, 1):
        if not todo:
            break
        how.tests = all_tests(tree, built, jobs, how)
        todo = one_round(how, tree, todo, jobs, ledger, order)
        print(f"round {number}: {len(how.tests)} tests; {len(todo)} left", flush=True)


if __name__ == "__main__":
    main()
