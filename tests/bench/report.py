"""What came out: a table on the terminal, and a report with plots."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Optional

from load import CONNECTIONS, Sample
from matrix import TARGETS, Goal, Parts
from plot import bars

HOW = f"""\
Envoy has one worker on one core; wrk with {CONNECTIONS} keep-alive connections and the origin, an Envoy that answers by
itself, are on another. Targets take turns, there and back, after a round that does not count. CPU per request is the
time that the scheduler gave to all threads of the server, over the requests that wrk counted. A cell is in doubt when
the origin saw requests for what should be hits, or none for misses. Nothing is left out. Memory is what is resident:
for each stored response, what an Envoy that keeps them has more than one that has borne the same load and keeps 64; for
the churn, the growth since the Envoy was idle with the filter loaded."""


@dataclass
class Results:
    parts: Parts
    goals: list[Goal]
    quick: bool
    only: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    figures: dict[str, list[float]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def add(self, cell: str, sample: Sample) -> None:
        self.samples.setdefault(cell, []).append(sample)

    def values(self, goal: Goal) -> list[float]:
        """The ratios of a goal, round by round."""
        if goal.against is None:
            return self.figures.get(goal.cell, [])
        pairs = zip(self.samples.get(goal.cell, []), self.samples.get(goal.against, []))
        return [getattr(ours, goal.of) / getattr(theirs, goal.of) for ours, theirs in pairs]

    def verdict(self, goal: Goal) -> str:
        values = self.values(goal)
        if not values:
            return "not measured"
        if any(doubt.startswith((f"{goal.cell}:", f"{goal.against}:")) for doubt in self.doubts):
            return "in doubt"
        return "met" if median(values) <= goal.at_most else "missed"


def begin(folder: Path) -> None:
    """Leaves nothing of an earlier run."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def write(results: Results, folder: Path) -> None:
    rows = [goal_row(results, goal) for goal in results.goals]
    print("\n" + aligned([["goal", "median", "range", "at most", ""], *rows]))
    for doubt in results.doubts:
        print(f"in doubt: {doubt}")
    (folder / "samples.json").write_text(json.dumps(raw(results), indent=1))
    plots = draw(results, folder)
    (folder / "report.md").write_text(markdown(results, rows, plots, eviction(folder)))
    (folder / "readme.md").write_text(for_the_readme(results, rows))
    print(f"\nThe report: {folder / 'report.md'}; what the README quotes: {folder / 'readme.md'}")


def goal_row(results: Results, goal: Goal) -> list[str]:
    values = results.values(goal)
    shown = [number(median(values)), f"{number(min(values))} – {number(max(values))}"] if values else ["–", "–"]
    return [goal.claim, *shown, number(goal.at_most), results.verdict(goal)]


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def cell_row(cell: str, samples: list[Sample]) -> list[str]:
    cpu = [sample.cpu for sample in samples]
    each, p50, p99 = (median(getattr(sample, of) for sample in samples) for of in ("each", "p50", "p99"))
    spread = f"{min(cpu):.1f} – {max(cpu):.1f}"
    return [cell, f"{median(cpu):.1f}", spread, f"{1e6 / each:,.0f}", f"{p50 / 1000:.2f}", f"{p99 / 1000:.2f}"]


def draw(results: Results, folder: Path) -> list[tuple[str, str]]:
    """Plots of CPU per request, one for each load: title and file name."""
    plots = []
    for load in dict.fromkeys(cell.split("/")[1] for cell in results.samples):
        cells = {cell: samples for cell, samples in results.samples.items() if cell.endswith(f"/{load}")}
        data = {cell.split("/")[0]: [sample.cpu for sample in samples] for cell, samples in cells.items()}
        if len(data) > 1:
            title = f"{load}: CPU µs per request"
            (folder / f"{load}.svg").write_text(bars(title, data))
            plots.append((title, f"{load}.svg"))
    return plots


def eviction(folder: Path) -> str:
    """The table of miss ratios with its plot, where it was made."""
    table = folder / "eviction.md"
    return table.read_text() if table.exists() else ""


def markdown(results: Results, rows: list[list[str]], plots: list[tuple[str, str]], misses: str) -> str:
    cells = [cell_row(cell, samples) for cell, samples in results.samples.items()]
    figures = [[name, ", ".join(map(number, values))] for name, values in results.figures.items()]
    used = dict.fromkeys(cell.split("/")[0] for cell in results.samples)
    parts = [
        "# What Larder costs",
        conditions(results),
        "## Goals",
        "Ratios are taken round by round; the median counts.",
        table(["goal", "median", "range", "at most", "verdict"], rows),
        *[f"**In doubt**: {doubt}" for doubt in results.doubts],
        "## Everything that was measured",
        table(["target/load", "CPU µs per request", "range", "requests/s", "p50 ms", "p99 ms"], cells),
        "\n".join(f"- `{name}`: {TARGETS[name].says}" for name in used),
        table(["figure", "values"], figures),
        *[f"![{title}]({file})" for title, file in plots],
        misses,
        "## How",
        HOW,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def for_the_readme(results: Results, rows: list[list[str]]) -> str:
    short = [[claim, value, goal, verdict] for claim, value, _, goal, verdict in rows]
    return f"{conditions(results)}\n\n{table(['', 'median', 'goal', ''], short)}\n"


def conditions(results: Results) -> str:
    absent = f" Not on this machine: {', '.join(results.absent)}." if results.absent else ""
    return (
        f"`{command(results)}` on {time.strftime('%-d %B %Y')}, {machine()}, {versions(results.parts)}.{absent} "
        "Ratios are of CPU time per request unless they say otherwise."
    )


def command(results: Results) -> str:
    return "make bench" + (" QUICK=1" if results.quick else "") + (f" ONLY={results.only}" if results.only else "")


def machine() -> str:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores of {model}, Linux {platform.release().split('-')[0]}"


def versions(parts: Parts) -> str:
    asked = [("Envoy", parts.envoy, "--version"), ("nginx", parts.nginx, "-v"), ("Varnish", parts.varnish, "-V")]
    found = [f"{name} {version(said([binary, option]))}" for name, binary, option in asked if binary]
    return ", ".join([f"Larder at {said(['git', 'describe', '--always', '--dirty']).strip()}", *found])


def version(text: str) -> str:
    found = re.search(r"\b\d+\.\d+\.\d+\b", text)
    return found.group() if found else "of unknown version"


def said(command: list[str]) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path(__file__).parent, check=False
    )
    return done.stdout


def raw(results: Results) -> dict:
    cells = {cell: [asdict(sample) for sample in samples] for cell, samples in results.samples.items()}
    return {"cells": cells, "figures": results.figures, "doubts": results.doubts}


def table(head: list[str], rows: list[list[str]]) -> Optional[str]:
    if not rows:
        return None
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)
