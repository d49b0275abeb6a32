#!/usr/bin/env python3
"""`make bench`: measures what tests/bench/matrix.py claims, and reports it.

Environment: QUICK=1, the goals that can be looked at in three minutes, with fewer and shorter rounds and fewer stored
responses; ONLY=text, the goals and cells that hold it.
Envoy has one core and the load another. Targets take turns, so that what else the machine does meets them all alike.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "envoy"))

import envoys
from load import Load, Loader, Sample
from matrix import GOALS, LANDSCAPE, LOADS, TARGETS, Goal, Parts, expects_origin
from report import Results, begin, write
from servers import LOAD_CORE, Envoy, Server, give_up, say
from stand import find
from stories import STORIES

FOLDER = find.CHECKOUT / "target" / "bench"
ROUNDS, QUICK_ROUNDS = 5, 3
# For V8, which compiles once more what is run often.
SECONDS_TO_WARM_UP, QUICK_SECONDS_TO_WARM_UP = 2, 1


def main() -> None:
    quick, only = bool(os.environ.get("QUICK")), os.environ.get("ONLY", "")
    if len(os.sched_getaffinity(0)) < 2:
        give_up("The benchmark needs two cores: one for Envoy, one for the load.")
    goals = [goal for goal in GOALS if chosen(goal, only) and (goal.is_quick or not quick)]
    beside = [] if quick else [cell for cell in LANDSCAPE if only.lower() in cell]
    measured = cells(goals, beside)
    parts = find_parts({cell.split("/")[0] for cell in measured})
    results = Results(parts, goals, quick, only)
    begin(FOLDER)
    with Envoy("origin", envoys.origin(), LOAD_CORE) as origin:
        origin.wait()
        parts = replace(parts, origin_port=origin.port)
        loader = Loader(find.program("wrk"), origin)
        take_turns(parts, loader, measured, results)
        for name, story in STORIES.items():
            if any(goal.cell.startswith(name) for goal in goals):
                say(f"{name} …")
                results.figures |= story(parts, loader, quick)
    write(results, FOLDER)


def chosen(goal: Goal, only: str) -> bool:
    return only.lower() in f"{goal.claim} {goal.cell} {goal.against}".lower()


def cells(goals: list[Goal], beside: list[str]) -> list[str]:
    """Each once, those that are compared next to each other."""
    compared = [cell for goal in goals for cell in (goal.cell, goal.against) if cell and "/" in cell]
    return list(dict.fromkeys(compared + beside))


def take_turns(parts: Parts, loader: Loader, cells: list[str], results: Results) -> None:
    rounds, seconds = (QUICK_ROUNDS, 1) if results.quick else (ROUNDS, 2)
    warm_up = QUICK_SECONDS_TO_WARM_UP if results.quick else SECONDS_TO_WARM_UP
    with ExitStack() as stack:
        servers = start(parts, loader, cells, stack)
        results.absent = sorted({cell.split("/")[0] for cell in cells if cell not in servers})
        for cell, server in servers.items():
            prime(server, LOADS[cell.split("/")[1]])
        say("warming up …")
        for cell, server in servers.items():
            loader.run(server, LOADS[cell.split("/")[1]], warm_up)
        for number in range(1, rounds + 1):
            # There and back, so that no target is always measured after the same one.
            for cell in servers if number % 2 else reversed(servers):
                sample = loader.run(servers[cell], LOADS[cell.split("/")[1]], seconds)
                say(f"round {number} of {rounds}  {cell:24} {sample.cpu:8.1f} µs CPU  {1e6 / sample.each:8.0f}/s")
                results.add(cell, sample)
                check(cell, sample, results)


def start(parts: Parts, loader: Loader, cells: list[str], stack: ExitStack) -> dict[str, Server]:
    """The server of each cell, but for those that this machine does not have."""
    started: dict[tuple, Optional[Server]] = {}
    for place in dict.fromkeys(map(place_of, cells)):
        server = TARGETS[place[0]].start(place[0], parts)
        started[place] = server and stack.enter_context(server)
    for (name, _), server in started.items():
        if server:
            say(f"{name}: {TARGETS[name].says}")
            server.wait()
            TARGETS[name].prepare(server, loader)
    return {cell: server for cell in cells if (server := started[place_of(cell)])}


def place_of(cell: str) -> tuple[str, bool]:
    """Cells of one target share a server, but for those that fill it with ever new keys."""
    target, load = cell.split("/")
    return target, LOADS[load].kind == "new"


def prime(server: Server, load: Load) -> None:
    """What is to be a hit is stored now."""
    if load.kind == "same":
        for _ in range(2):
            status, _, _ = server.get(load.path)
            if status != 200:
                give_up(f"{server.name} answers {status} to {load.path}")


def check(cell: str, sample: Sample, results: Results) -> None:
    """A hit that went to the origin is none, nor is a miss that did not."""
    expected = 1.0 if expects_origin(cell) else 0.0
    if abs(sample.origin - expected) > 0.01 + expected * sample.unanswered:
        results.doubts.append(f"{cell}: the origin saw {sample.origin:.3f} requests for each, not {expected:.0f}")


def find_parts(targets: set[str]) -> Parts:
    filters = Path(os.environ.get("CARGO_TARGET_DIR", find.CHECKOUT / "target")) / "wasm32-wasip1/release/examples"
    if not (find.MODULE.exists() and (filters / "noop.wasm").exists()):
        give_up("The modules are missing: run `make bench`, which builds them first.")
    nginx = find.optional("nginx") if "nginx" in targets else None
    varnish = find.optional("varnishd") if "varnish" in targets else None
    return Parts(find.envoy(), find.MODULE, filters.resolve(), nginx, varnish)


if __name__ == "__main__":
    main()
