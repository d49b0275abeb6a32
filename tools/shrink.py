#!/usr/bin/env python3
"""`tools/shrink.py FROM TO`: takes out of a wasm module what the compiler leaves in it, with Binaryen's wasm-opt.

wasm-opt comes from npm, as tools/binaryen/package-lock.json pins it, and runs in Node.js. Where there is neither, the
module is copied as it is, and it is said that it is: it does the same, and is larger.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Optional

HERE = Path(__file__).resolve().parent
BINARYEN = HERE / "binaryen"
# What rustc uses of wasm, and Envoy's V8 has; the module does not say it once its symbols are gone.
FEATURES = ["bulk-memory", "multivalue", "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext"]


def main() -> None:
    module, shrunk = sys.argv[1:]
    Path(shrunk).parent.mkdir(parents=True, exist_ok=True)
    command = wasm_opt()
    if command:
        command += ["-Oz", *[f"--enable-{feature}" for feature in FEATURES], module, "--output", shrunk]
        sys.exit(subprocess.run(command, check=False).returncode)
    say(f"Node.js or wasm-opt could not be had (see above): {shrunk} is as the compiler made it, and larger than need be.")
    shutil.copyfile(module, shrunk)
    os.utime(shrunk, (0, 0))  # Old, so that the next build tries again.


def wasm_opt() -> Optional[list[str]]:
    """The command that runs it; none where it cannot be had."""
    node, npm = get("node"), get("npm")
    if not (node and npm):
        return None
    env = {**os.environ, "PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if subprocess.run([node, npm, "ci", "--prefix", BINARYEN, "--loglevel=error"], env=env, check=False).returncode != 0:
        return None
    return [node, str(BINARYEN / "node_modules" / "binaryen" / "bin" / "wasm-opt")]


def get(program: str) -> Optional[str]:
    found = subprocess.run(
        [sys.executable, HERE / "get.py", program], stdout=subprocess.PIPE, text=True, check=False
    )
    return found.stdout.strip() if found.returncode == 0 else None


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
