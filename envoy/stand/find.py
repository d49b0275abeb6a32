"""Where a stand's parts are: Envoy, other programs, and the module that is built."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
MODULE = CHECKOUT / "dist" / "larder.wasm"


@lru_cache(maxsize=None)
def envoy() -> str:
    """The binary: `LARDER_ENVOY`, or what tools/get.py finds."""
    return os.environ.get("LARDER_ENVOY") or program("envoy")


def program(name: str) -> str:
    return optional(name) or sys.exit(1)  # get.py has said why.


def optional(name: str) -> str | None:
    """A program that tools/get.py knows; none where it is not to be had."""
    command = [sys.executable, str(CHECKOUT / "tools" / "get.py"), name]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def module() -> Path:
    """The module to ship."""
    return MODULE if MODULE.exists() else sys.exit("dist/larder.wasm is missing: run `make build` first.")
