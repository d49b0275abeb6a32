#!/usr/bin/env python3
"""`make bench-core`: how many instructions the core takes for a request, against the counts in core.json.

Counted by valgrind, so nothing else on the machine makes a difference; the compiler's version does, which
rust-toolchain.toml pins, and the processor's architecture: on another one there is nothing to compare. UPDATE=1 writes
the counts down.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
COUNTS = HERE / "core.json"
TOLERANCE = 0.02
# What goes up: the difference is what the runs take, without starting up. A journal segment holds 64 records.
FEW, MANY = 5 * 64, 10 * 64


def main() -> None:
    valgrind, core = run([sys.executable, CHECKOUT / "tools" / "get.py", "valgrind"]).strip(), build()
    now = {case: count(valgrind, core, case) for case in run([core]).splitlines()}
    if os.environ.get("UPDATE"):
        COUNTS.write_text(json.dumps({"architecture": platform.machine(), "instructions": now}, indent=2) + "\n")
    written = json.loads(COUNTS.read_text())
    before = written["instructions"] if written["architecture"] == platform.machine() else {}
    verdicts = [compare(case, instructions, before.get(case)) for case, instructions in now.items()]
    if not all(verdicts):
        sys.exit(f"More than {TOLERANCE:.0%} worse than core.json. If that is worth it: UPDATE=1 make bench-core")


def build() -> str:
    said = run(["cargo", "bench", "--bench", "core", "--no-run", "--message-format=json"])
    messages = [json.loads(line) for line in said.splitlines()]
    return next(message["executable"] for message in messages if message.get("target", {}).get("name") == "core")


def count(valgrind: str, core: str, case: str) -> int:
    few, many = (instructions(valgrind, [core, case, str(n)]) for n in (FEW, MANY))
    return (many - few) // (MANY - FEW)


def instructions(valgrind: str, command: list[str]) -> int:
    tool = [valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run([*tool, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    found = re.search(r"I +refs: +([\d,]+)", done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return int(found.group(1).replace(",", ""))


def compare(case: str, now: int, before: int | None) -> bool:
    """Says how they compare; whether it is no worse."""
    change = (now - before) / before if before else 0.0
    print(f"{case:52} {now:8,}  {change:+6.1%}" if before else f"{case:52} {now:8,}     new", flush=True)
    return change <= TOLERANCE


def run(command: list) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    main()
