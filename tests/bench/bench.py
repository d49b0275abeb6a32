#!/usr/bin/env python3
"""`make bench`: measures what tests/bench/matrix.py claims, and reports it.

Environment: QUICK=1, the goals that can be looked at in three minutes; ONLY=text, the goals and cells that hold it.
Envoy has one core and the load another. Targets take turns, so that what else the machine does meets them all alike.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import envoys
from load import Loader, Sample
from matrix import GOALS, LANDSCAPE, LOADS, TARGETS, Goal, Parts, expects_origin
from report import Results, write
from servers import LOAD_CORE, Envoy, Server, give_up, say
from stories import STORIES

CHECKOUT = Path(__file__).resolve().parent.parent.parent
ROUNDS = 5


def main() -> None:
    quick, only = bool(os.environ.get("QUICK")), os.environ.get("ONLY", "")
    if len(os.sched_getaffinity(0)) < 2:
        give_up("The benchmark needs two cores: one for Envoy, one for the load.")
    goals = [goal for goal in GOALS if chosen(goal, only) and (goal.is_quick or not quick)]
    beside = [] if quick else [cell for cell in LANDSCAPE if only.lower() in cell]
    measured = cells(goals, beside)
    parts = find_parts({cell.split("/")[0] for cell in measured})
    results = Results(parts, goals, quick, only)
    with Envoy("origin", parts.envoy, envoys.origin(), LOAD_CORE) as origin:
        origin.wait()
        parts = replace(parts, origin_port=origin.port)
        loader = Loader(program("wrk"), origin)
        take_turns(parts, loader, measured, results, seconds=1 if quick else 2)
        for name, story in STORIES.items():
            if any(goal.cell == name for goal in goals):
                say(f"{name} …")
                results.figures |= story(parts, loader, quick)
    write(results, CHECKOUT / "target" / "bench")


def chosen(goal: Goal, only: str) -> bool:
    return only.lower() in f"{goal.claim} {goal.cell} {goal.against}".lower()


def cells(goals: list[Goal], beside: list[str]) -> list[str]:
    """Each once, those that are compared next to each other."""
    compared = [cell for goal in goals for cell in (goal.cell, goal.against) if cell and "/" in cell]
    return list(dict.fromkeys(compared + beside))


def take_turns(parts: Parts, loader: Loader, cells: list[str], results: Results, seconds: int) -> None:
    with ExitStack() as stack:
        servers = start(parts, loader, {cell.split("/")[0] for cell in cells}, stack)
        results.absent = sorted({cell.split("/")[0] for cell in cells} - set(servers))
        cells = [cell for cell in cells if cell.split("/")[0] in servers]
        for cell in cells:
            prime(servers, cell)
        for number in range(1, ROUNDS + 1):
            # There and back, so that no target is always measured after the same one.
            for cell in cells if number % 2 else reversed(cells):
                target, load = cell.split("/")
                sample = loader.run(servers[target], LOADS[load], seconds)
                say(f"round {number} of {ROUNDS}  {cell:24} {sample.cpu:8.1f} µs CPU  {1e6 / sample.each:8.0f}/s")
                results.add(cell, sample)
                check(cell, sample, results)


def start(parts: Parts, loader: Loader, names: set[str], stack: ExitStack) -> dict[str, Server]:
    servers: dict[str, Server] = {}
    for name in [name for name in TARGETS if name in names]:
        server = TARGETS[name].start(name, parts)
        if server:
            servers[name] = stack.enter_context(server)
    for name, server in servers.items():
        say(f"{name}: {TARGETS[name].says}")
        server.wait()
        TARGETS[name].prepare(server, loader)
    return servers


def prime(servers: dict[str, Server], cell: str) -> None:
    """What is to be a hit is stored now."""
    target, load = cell.split("/")
    if LOADS[load].kind == "same":
        for _ in range(2):
            status, _, _ = servers[target].get(LOADS[load].path)
            if status != 200:
                give_up(f"{target} answers {status} to {LOADS[load].path}")


def check(cell: str, sample: Sample, results: Results) -> None:
    """A hit that went to the origin is none, nor is a miss that did not."""
    expected = 1.0 if expects_origin(cell) else 0.0
    if abs(sample.origin - expected) > 0.01 + expected * sample.unanswered:
        results.doubts.append(f"{cell}: the origin saw {sample.origin:.3f} requests for each, not {expected:.0f}")


def find_parts(targets: set[str]) -> Parts:
    module = CHECKOUT / "dist" / "larder.wasm"
    filters = Path(os.environ.get("CARGO_TARGET_DIR", CHECKOUT / "target")) / "wasm32-wasip1/release/examples"
    if not (module.exists() and (filters / "noop.wasm").exists()):
        give_up("The modules are missing: run `make bench`, which builds them first.")
    nginx = optional("nginx") if "nginx" in targets else None
    varnish = optional("varnishd") if "varnish" in targets else None
    return Parts(program("envoy"), module, filters.resolve(), nginx, varnish)


def program(name: str) -> str:
    return optional(name) or sys.exit(1)  # get.py has said why.


def optional(name: str) -> str | None:
    found = subprocess.run([sys.executable, CHECKOUT / "tools" / "get.py", name], stdout=subprocess.PIPE, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


if __name__ == "__main__":
    main()
