#!/usr/bin/env python3
"""`tools/finish.py FROM TO [quick]`: makes the module that Envoy loads from the one that the compiler has made.

It exports the callbacks that Larder has, and no others. Then Binaryen takes out what nobody calls and what the compiler
leaves in it, unless it shall be quick: that takes a minute. Binaryen comes from npm, as
tools/binaryen/package-lock.json pins it, and runs in Node.js; where there is neither, it is said that the module is
larger than need be.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Optional

HERE = Path(__file__).resolve().parent
BINARYEN = HERE / "binaryen"
# The section of a module that names its exports.
EXPORTS = 7
# What rustc uses of wasm, and Envoy's V8 has; the module does not say it once its symbols are gone.
FEATURES = [
    "bulk-memory",
    "multivalue",
    "mutable-globals",
    "nontrapping-float-to-int",
    "reference-types",
    "sign-ext",
    "simd",
]

# Callbacks of Larder's own that take the place of the SDK's (wasm/src/exports.rs).
OWN = {
    "larder_on_grpc_close": "proxy_on_grpc_close",
    "larder_on_grpc_receive": "proxy_on_grpc_receive",
    "larder_on_queue_ready": "proxy_on_queue_ready",
}
# Callbacks that the SDK exports whether a filter has them or not, and that Larder does not have: without them the host
# goes on as if they had agreed, and does not call into the VM for it.
UNUSED = {
    "proxy_on_done",
    "proxy_on_downstream_connection_close",
    "proxy_on_downstream_data",
    "proxy_on_foreign_function",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_new_connection",
    "proxy_on_upstream_connection_close",
    "proxy_on_upstream_data",
}


def main() -> None:
    compiled, finished, *quick = sys.argv[1:]
    Path(finished).parent.mkdir(parents=True, exist_ok=True)
    Path(finished).write_bytes(with_exports(Path(compiled).read_bytes()))
    if quick:
        return
    command = wasm_opt()
    if command:
        command += ["-Oz", *[f"--enable-{feature}" for feature in FEATURES], finished, "--output", finished]
        done = subprocess.run(command, check=False)
        if done.returncode != 0:
            Path(finished).unlink()
        sys.exit(done.returncode)
    say(f"Node.js or wasm-opt could not be had (see above): {finished} is as the compiler made it, and larger than need be.")
    os.utime(finished, (0, 0))  # Old, so that the next build tries again.


def with_exports(module: bytes) -> bytes:
    """The module with the exports that the host shall see."""
    at, parts = 8, [module[:8]]
    while at < len(module):
        section, (length, start) = module[at], number(module, at + 1)
        content = module[start : start + length]
        if section == EXPORTS:
            content = exports(content)
        parts += [bytes([section]), leb128(len(content)), content]
        at = start + length
    return b"".join(parts)


def exports(section: bytes) -> bytes:
    """The content of the section with our own callbacks under the host's names."""
    count, at = number(section, 0)
    kept, missing = [], set(OWN)
    for _ in range(count):
        size, start = number(section, at)
        name = section[start : start + size].decode()
        _, end = number(section, start + size + 1)
        if name not in UNUSED | set(OWN.values()):
            missing.discard(name)
            shown = OWN.get(name, name).encode()
            kept.append(leb128(len(shown)) + shown + section[start + size : end])
        at = end
    if missing:
        sys.exit(f"The module does not export {', '.join(sorted(missing))}: is it Larder's?")
    return leb128(len(kept)) + b"".join(kept)


def number(module: bytes, at: int) -> tuple[int, int]:
    """A number in LEB128, and where it ends."""
    value, shift = 0, 0
    while True:
        byte = module[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def leb128(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


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
