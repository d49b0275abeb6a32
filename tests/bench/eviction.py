#!/usr/bin/env python3
"""Miss ratios of Larder's eviction beside those that libCacheSim reckons for the same traces: a table and a plot.

`make bench-eviction [QUICK=1]` writes target/bench/eviction.md and .svg, and `make bench` does so as a part of its
report. The traces are made, with fixed seeds, by tests/bench/eviction.rs, which sends them through Larder's own code;
libCacheSim reads the same files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html import escape
from pathlib import Path
from typing import NamedTuple, NoReturn

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "target" / "bench"
TRACES = CHECKOUT / "target" / "traces"
TABLE, PLOT = FOLDER / "eviction.md", FOLDER / "eviction.svg"
POLICIES = ["LRU", "Sieve", "S3FIFO"]
# A trace beyond the goals, in which popularity changes all the time.
BEYOND = "drift"
WITHIN = 0.01


class Case(NamedTuple):
    trace: str
    thousandths: int
    capacity: int
    ratios: dict[str, float]

    def part(self) -> str:
        return f"{self.thousandths / 10:g} %"

    def ours(self) -> float:
        return max(self.ratios["shared"], self.ratios["workers"])

    def is_met(self) -> bool:
        return self.ours() <= self.ratios["Sieve"] + WITHIN and self.ours() < self.ratios["LRU"]


def main() -> None:
    if sys.argv[1:2] == ["--simulate"]:
        return simulate(json.loads(sys.argv[2]))
    quick = os.environ.get("QUICK", "") not in ("", "0")
    cases = compare(quick)
    print(TABLE.read_text())
    if any(not case.is_met() for case in cases if case.trace != BEYOND) and not quick:
        give_up("A goal is missed.")


def compare(quick: bool) -> list[Case]:
    """Plays all traces, and leaves the table and the plot."""
    requests = 300_000 if quick else 2_000_000
    TRACES.mkdir(parents=True, exist_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    python = output(sys.executable, "tools/get.py", "simulator").strip()
    say(f"Sending {requests:,} requests of each trace through Larder …")
    cases = larder(requests)
    say("… and through libCacheSim.")
    for line in output(python, __file__, "--simulate", json.dumps([case[:3] for case in cases])).splitlines():
        at, policy, ratio = line.split()
        cases[int(at)].ratios[policy] = float(ratio)
    PLOT.write_text(plot(cases))
    TABLE.write_text(report(cases, requests))
    return cases


def larder(requests: int) -> list[Case]:
    build = ["cargo", "bench", "--profile", "chaos", "--bench", "eviction", "--", str(TRACES), str(requests)]
    cases: dict[tuple[str, str], Case] = {}
    for line in output(*build).splitlines():
        trace, part, capacity, variant, ratio = line.split()
        case = cases.setdefault((trace, part), Case(trace, int(part), int(capacity), {}))
        case.ratios[variant] = float(ratio)
    return list(cases.values())


def simulate(cases: list[tuple[str, int, int]]) -> None:
    """Runs where libCacheSim is installed."""
    import libcachesim  # pylint: disable=import-error

    for at, (trace, _, capacity) in enumerate(cases):
        sizes = libcachesim.ReaderInitParam(ignore_obj_size=trace != "web-sizes")
        for policy in POLICIES:
            kind = libcachesim.TraceType.ORACLE_GENERAL_TRACE
            reader = libcachesim.TraceReader(str(TRACES / trace), kind, sizes)
            ratio, _ = getattr(libcachesim, policy)(capacity, hashpower=20).process_trace(reader)
            print(at, policy, f"{ratio:.5f}", flush=True)


def report(cases: list[Case], requests: int) -> str:
    columns = ["shared", "workers", *POLICIES]
    names = ["Larder", "Larder, 2 workers", *POLICIES]
    lines = [
        "## Miss ratios",
        "",
        f"{requests:,} requests for each trace, in percent of requests that went to the origin. *Larder*: shared data "
        "alone, as shipped (16 ways in a set). *Larder, 2 workers*: with the workers' own copies, a quarter of the "
        "capacity each, which hide hits from it. The others are libCacheSim's, over one global queue. The goals: no "
        "more than one point above SIEVE, and below LRU; `drift` is beyond them.",
        "",
        f"| Trace | Part of the footprint | Capacity | {' | '.join(names)} | |",
        "|---" * (len(names) + 4) + "|",
    ]
    for case in cases:
        ratios = " | ".join(f"{case.ratios[column] * 100:.2f}" for column in columns)
        verdict = "met" if case.is_met() else "missed" if case.trace != BEYOND else "–"
        capacity = f"{case.capacity:,} bytes" if case.trace == "web-sizes" else f"{case.capacity:,} entries"
        lines.append(f"| {case.trace} | {case.part()} | {capacity} | {ratios} | {verdict} |")
    return "\n".join([*lines, "", "![miss ratios](eviction.svg)", "", "`make bench-eviction`", ""])


def plot(cases: list[Case]) -> str:
    """A group of bars for each case."""
    series = [("shared", "Larder", "#c2410c"), ("Sieve", "SIEVE", "#94a3b8"), ("LRU", "LRU", "#cbd5e1")]
    bar, gap, height, top = 12, 16, 240, 40
    group = bar * len(series) + gap
    parts = []
    for n, (_, name, colour) in enumerate(series):
        parts.append(f'<rect x="{60 + 90 * n}" y="10" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{76 + 90 * n}" y="21">{name}</text>')
    for percent in range(0, 101, 20):
        y = top + height * (1 - percent / 100)
        parts.append(f'<line x1="50" x2="{60 + group * len(cases)}" y1="{y}" y2="{y}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="44" y="{y + 4}" text-anchor="end">{percent} %</text>')
    for at, case in enumerate(cases):
        x = 60 + group * at
        for n, (key, _, colour) in enumerate(series):
            tall = height * case.ratios[key]
            parts.append(f'<rect x="{x + bar * n}" y="{top + height - tall:.1f}" width="{bar - 1}" height="{tall:.1f}" fill="{colour}"/>')
        label = f"{case.trace} {case.part()}"
        y = top + height + 14
        parts.append(f'<text transform="translate({x + 14},{y}) rotate(40)">{escape(label)}</text>')
    size = f'width="{140 + group * len(cases)}" height="{top + height + 100}"'
    style = 'font-family="sans-serif" font-size="11" fill="#334155"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'


def output(*command: str) -> str:
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        give_up(f"{' '.join(command[:3])} … failed.")
    return done.stdout


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def give_up(text: str) -> NoReturn:
    say(text)
    sys.exit(1)


if __name__ == "__main__":
    main()
