#!/usr/bin/env python3
"""Writes docs/performance.md (between its marks) and docs/performance.svg from the lines of run.py
and rawlimit.py: table.py RESULTS..."""
import json
import os
import platform
import statistics
import sys

SCENARIOS = {
    "initial": "first sync", "noop": "nothing changed", "compare": "nothing changed, all compared",
    "flags1": "1 flag there",
    "flagsK": "1,000 flags there", "new1": "1 new there", "new100": "100 new there", "delete1000": "1,000 deleted there",
    "localflags1000": "1,000 flags here", "upload1000": "1,000 uploads",
    "localdelete1000": "1,000 deleted here"}
# What the same bytes cost without any sync logic; where nothing of the kind was measured, none.
FLOOR = {"initial": "pull-1c-syncfs", "noop": "noop-liststatus", "flags1": "noop-liststatus",
         "flagsK": "noop-qresync", "delete1000": "noop-qresync", "upload1000": "append1000",
         "localflags1000": "store1000", "localdelete1000": "store1000"}
NAMES = {"mailtide": "mailtide", "mbsync": "mbsync", "mbsync-nofsync": "mbsync, FSync off",
         "mbsync-plain": "mbsync, COMPRESS off", "mbsync-plain-nofsync": "mbsync, COMPRESS and FSync off",
         "interimap": "interimap"}
COLOURS = {"mailtide": "#1f6feb", "mbsync": "#6e7681", "mbsync-nofsync": "#8b949e", "mbsync-plain": "#a5acb5",
           "mbsync-plain-nofsync": "#c4cad1", "interimap": "#d4a72c"}
START, END = "<!-- measured -->", "<!-- end -->"
HERE = os.path.dirname(os.path.abspath(__file__))
DOCS = os.path.join(HERE, "..", "..", "docs")


def median(rows, key):
    values = [row[key] for row in rows if row.get(key) is not None]
    return statistics.median(values) if values else None


def seconds(value):
    return "-" if value is None else f"{value:.3f}" if value < 1 else f"{value:.2f}"


def size(value):
    if value is None:
        return "-"
    return f"{value / 1e6:.1f} MB" if value >= 1e6 else f"{value / 1e3:.1f} kB"


def ratio(one, other):
    return "-" if not one or not other else f"{one / other:.2f}"


def count(value):
    return "-" if value is None else f"{value:.0f}"


class Run:
    """What was measured of one profile at one RTT."""

    def __init__(self):
        self.floor, self.tools = {}, {}

    def add(self, row):
        if "raw" in row:
            self.floor.setdefault(row["raw"], []).append(row)
        else:
            self.tools.setdefault(row["tool"], {}).setdefault(row["scenario"], []).append(row)

    def rows(self, tool, scenario):
        rows = self.tools.get(tool, {})
        # The peers compare everything in each run.
        return rows.get("noop" if scenario == "compare" and tool != "mailtide" else scenario, [])

    def wall(self, tool, scenario):
        rows = self.rows(tool, scenario)
        if not rows or not all(row["ok"] for row in rows):
            return None
        timed = [row for row in rows if not row["counted"]]
        return median(timed, "wall")

    def best(self, scenario):
        """The fastest peer, durable or not, and its seconds; None where none was measured."""
        walls = [(self.wall(tool, scenario), tool) for tool in NAMES if tool in self.tools and tool != "mailtide"]
        wall, tool = min((pair for pair in walls if pair[0]), default=(None, None))
        return tool and (wall, tool)

    def to_the_best(self, scenario):
        """Our seconds as a share of those of the fastest peer, and which that is."""
        best, ours = self.best(scenario), self.wall("mailtide", scenario)
        return f"{ratio(ours, best[0])} ({NAMES[best[1]]})" if best and ours else "-"

    def least(self, scenario):
        return median(self.floor.get(FLOOR.get(scenario), []), "wall")

    def tables(self):
        peers = [tool for tool in NAMES if tool in self.tools and tool != "mailtide"]
        head = ["", "floor", "mailtide"] + [NAMES[peer] for peer in peers] + ["to the floor", "to the best peer, durable or not"]
        yield line(head)
        yield line(["---"] + ["---:"] * (len(head) - 1))
        for scenario, title in SCENARIOS.items():
            if not self.rows("mailtide", scenario):
                continue
            ours, least = self.wall("mailtide", scenario), self.least(scenario)
            theirs = [self.wall(peer, scenario) for peer in peers]
            yield line([title, seconds(least), f"**{seconds(ours)}**"] + [seconds(wall) for wall in theirs]
                       + [ratio(ours, least), self.to_the_best(scenario)])
        one, three = (median(self.floor.get(f"store1000-seen-{n}c", []), "wall") for n in (1, 3))
        if one and three:
            yield ""
            yield (f"Floor of 1,000 flags here, if each STORE waits for the UIDVALIDITY of its mailbox: {seconds(one)} on "
                   f"one connection, {seconds(three)} on three.")
        yield ""
        yield line(["", "turns", "up", "down", "client CPU s", "memory MB", "server CPU s"]
                   + [f"turns of {NAMES[peer]}" for peer in peers])
        yield line(["---"] + ["---:"] * (6 + len(peers)))
        for scenario, title in SCENARIOS.items():
            rows = self.rows("mailtide", scenario)
            if not rows:
                continue
            timed = [row for row in rows if not row["counted"]]
            counted = [row for row in rows if "up" in row]
            cpu = [row["user"] + row["sys"] for row in timed]
            cpu = f"{statistics.median(cpu):.2f}" if cpu else "-"
            turns = [median([row for row in self.rows(peer, scenario) if "up" in row], "turns")
                     for peer in peers]
            yield line([title, count(median(counted, "turns")), size(median(counted, "up")),
                        size(median(counted, "down")), cpu, count(median(timed, "rss_mb")),
                        seconds(median(timed, "server_cpu"))] + [count(turn) for turn in turns])


def line(cells):
    return "| " + " | ".join(cells) + " |"


def chart(run):
    """Bars of seconds, as a share of the slowest in each row, and the ratio to the best peer."""
    tools = [tool for tool in NAMES if tool in run.tools]
    rows, y = [], 26 + 16 * -(-len(tools) // 3)
    for at, tool in enumerate(tools):
        left, top = 20 + 220 * (at % 3), 8 + 16 * (at // 3)
        rows.append(f'<rect x="{left}" y="{top}" width="10" height="10" fill="{COLOURS[tool]}"/>'
                    f'<text x="{left + 15}" y="{top + 9}">{NAMES[tool]}</text>')
    for scenario, title in SCENARIOS.items():
        walls = {tool: run.wall(tool, scenario) for tool in tools}
        most = max((wall for wall in walls.values() if wall), default=None)
        if not most:
            continue
        rows.append(f'<text x="180" y="{y + 6 * len(tools)}" text-anchor="end">{title}</text>')
        for tool, wall in walls.items():
            if wall:
                width = max(1, 400 * wall / most)
                text = f"{seconds(wall)} s"
                if tool == "mailtide" and run.best(scenario):
                    text += f"; to the best peer: {run.to_the_best(scenario)}"
                rows.append(f'<rect x="190" y="{y}" width="{width:.0f}" height="9" fill="{COLOURS[tool]}"/>'
                            f'<text x="{195 + width:.0f}" y="{y + 8}" font-size="9">{text}</text>')
            y += 11
        y += 10
    style = 'font-family="sans-serif" font-size="12" fill="#57606a"'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="880" height="{y}" {style}>'
            f'<rect width="880" height="{y}" fill="#ffffff"/>{"".join(rows)}</svg>\n')


def main():
    runs = {}
    for path in sys.argv[1:]:
        with open(path) as lines:
            for text in lines:
                row = json.loads(text)
                runs.setdefault((row["profile"], row["rtt"]), Run()).add(row)
    order = {"small": 0, "medium": 1, "large": 2, "giant": 3}
    keys = sorted(runs, key=lambda key: (order[key[0]], key[1]))
    sizes = {"small": "1,000 messages, 8 mailboxes, 24 MB", "medium": "20,000 messages, 40 mailboxes, 487 MB",
             "large": "200,000 messages, 300 mailboxes, 336 MB",
             "giant": "200,000 messages, 1 mailbox, 336 MB"}
    out = [f"Measured on {os.cpu_count()} cores, {platform.system()} {platform.release()}."]
    for profile, rtt in keys:
        out += ["", f"### {sizes[profile]}, {rtt:g} ms to the server", ""] + list(runs[profile, rtt].tables())
    path = os.path.join(DOCS, "performance.md")
    with open(path) as file:
        text = file.read()
    before, rest = text.split(START)
    after = rest.split(END)[1]
    with open(path, "w") as file:
        file.write(before + START + "\n" + "\n".join(out) + "\n" + END + after)
    shown = [key for key in keys if key[0] != "giant"]
    shown = [key for key in shown if key[1]] or shown or keys
    with open(os.path.join(DOCS, "performance.svg"), "w") as file:
        file.write(chart(runs[shown[-1]]))
    print("\n".join(out))


if __name__ == "__main__":
    main()
