#!/usr/bin/env python3
"""`tools/shrink.py FROM TO`: takes out of a wasm module what nobody calls and what the compiler leaves in it.

Binaryen comes from npm, as tools/binaryen/package-lock.json pins it, and runs in Node.js. Where there is neither, the
module is copied as it is, and it is said that it is: it does the same, and is larger.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Optional

HERE = Path(__file__).resolve().parent
BINARYEN = HERE / "binaryen"
# The section of a module that names its exports.
EXPORTS = 7
# What rustc uses of wasm, and Envoy's V8 has; the module does not say it once its symbols are gone.
FEATURES = ["bulk-memory", "multivalue", "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext"]

# Callbacks that the SDK exports whether a filter has them or not, and that Larder does not have: without them the host
# goes on as if they had agreed, and does not call into the VM for it.
UNUSED = {
    "proxy_on_done",
    "proxy_on_downstream_connection_close",
    "proxy_on_downstream_data",
    "proxy_on_foreign_function",
    "proxy_on_grpc_close",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_new_connection",
    "proxy_on_upstream_connection_close",
    "proxy_on_upstream_data",
}


def main() -> None:
    module, shrunk = sys.argv[1:]
    Path(shrunk).parent.mkdir(parents=True, exist_ok=True)
    binaryen = install()
    if binaryen:
        features = [f"--enable-{feature}" for feature in FEATURES]
        with tempfile.TemporaryDirectory() as folder:
            graph, used = Path(folder) / "graph.json", Path(folder) / "used.wasm"
            graph.write_text(json.dumps(reachable(exports(Path(module).read_bytes()) - UNUSED)))
            run([*binaryen("wasm-metadce"), *features, "--graph-file", graph, module, "--output", used])
            run([*binaryen("wasm-opt"), *features, "-Oz", used, "--output", shrunk])
        return
    say(f"Node.js or Binaryen could not be had (see above): {shrunk} is as the compiler made it, and larger than need be.")
    shutil.copyfile(module, shrunk)
    os.utime(shrunk, (0, 0))  # Old, so that the next build tries again.


def run(command: list) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)


def reachable(kept: set[str]) -> list[dict]:
    """What wasm-metadce shall keep: these exports and what they reach."""
    nodes = [{"name": name, "export": name} for name in sorted(kept)]
    return [{"name": "outside", "root": True, "reaches": sorted(kept)}, *nodes]


def exports(module: bytes) -> set[str]:
    """The names that a module exports."""
    names, at = set(), 8
    while at < len(module):
        section = module[at]
        length, at = number(module, at + 1)
        if section == EXPORTS:
            count, place = number(module, at)
            for _ in range(count):
                size, place = number(module, place)
                names.add(module[place : place + size].decode())
                _, place = number(module, place + size + 1)
        at += length
    return names


def number(module: bytes, at: int) -> tuple[int, int]:
    """A number in LEB128, and where it ends."""
    value, shift = 0, 0
    while True:
        byte = module[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def install() -> Optional[Callable[[str], list[str]]]:
    """Makes the command of a tool of Binaryen's; none where it cannot be had."""
    node, npm = get("node"), get("npm")
    if not (node and npm):
        return None
    env = {**os.environ, "PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if subprocess.run([node, npm, "ci", "--prefix", BINARYEN, "--loglevel=error"], env=env, check=False).returncode != 0:
        return None
    return lambda tool: [node, str(BINARYEN / "node_modules" / "binaryen" / "bin" / tool)]


def get(program: str) -> Optional[str]:
    found = subprocess.run(
        [sys.executable, HERE / "get.py", program], stdout=subprocess.PIPE, text=True, check=False
    )
    return found.stdout.strip() if found.returncode == 0 else None


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
