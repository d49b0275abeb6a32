#!/usr/bin/env python3
"""Runs the shell sessions of a page against the demo's Envoy: `transcript.py PAGE [--update]`.

A session is a block of Markdown marked `console`: lines after `$ ` are run, what follows is what they print. All of them
run in the order of the page, with TOKEN set, and with a curl for which every host is this Envoy. What differs from run to
run is replaced by a sample. Says what differs and ends with exit code 1, or with --update writes the page anew.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edge import Edge
from origin import Origin, Pages
from upstream import Upstream

TOKEN = "not a secret"
CONFIGURATION = {
    "admin": {
        "methods": True,
        "tokens": [
            {"name": "ops", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()},
            {"name": "dashboard", "sha256": hashlib.sha256(b"read only").hexdigest(), "scopes": ["read"]},
        ],
    },
    "tags": {"parents": {"blog": "site", "shop": "site"}},
    "rules": [{"name": "articles", "match": {"path": "/blog/**"}}],
}
# Stored pages are fresh for a minute, and so is the grace of a soft purge: these are what is said a second later. A sign says
# whether something is fresh, so it stays; so does all else that is the same in each run.
SAMPLES = [
    (r"(?m)^date: .*", "date: Sun, 06 Nov 1994 08:49:37 GMT"),
    (r"(?m)\b\d\d:\d\d:\d\d$", "08:49:37"),
    (r'"(issued_at|changed_at|stored_at)":\d+', r'"\1":784111777'),
    (r'"age":\d+', '"age":1'),
    (r'(\bttl=|"ttl":)(?!0\b)\d+', r"\g<1>59"),
    (r'(\bttl=|"ttl":)(-\d+|0\b)', r"\g<1>-1"),
    (r"\b(age of|purged) \d+ s\b", r"\1 1 s"),
    (r"\banother \d+ s\b", "another 59 s"),
]
FENCES = re.compile(r"(?ms)^```console\n(.*?)^```$")


def main() -> None:
    path = Path(sys.argv[1])
    page = path.read_text()
    origin = Origin(Pages(seconds_per_page=0).answer)
    origin.start_aside()
    with Edge(Upstream("127.0.0.1", origin.port), json.dumps(CONFIGURATION), None) as envoy:
        shell = Shell(envoy.port)
        ran = FENCES.sub(lambda block: f"```console\n{session(shell, block[1])}```", page)
    if "--update" in sys.argv:
        path.write_text(ran)
    elif ran != page:
        sys.stdout.writelines(difflib.unified_diff(page.splitlines(True), ran.splitlines(True), "the page", "what ran"))
        sys.exit(1)


def session(shell: Shell, block: str) -> str:
    return "".join(f"$ {command}\n{shell.run(command)}" for command in commands(block))


def commands(block: str) -> Iterator[str]:
    """The commands of a session. A line that ends in a backslash goes on in the next."""
    lines = iter(block.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command += "\n" + next(lines)
            yield command


def sampled(printed: str) -> str:
    """What was printed, with samples of what differs from run to run."""
    for pattern, sample in SAMPLES:
        printed = re.sub(pattern, sample, printed)
    return printed


class Shell:
    def __init__(self, port: int) -> None:
        self.curl = f'curl() {{ command curl --noproxy "*" --max-time 20 --connect-to "::127.0.0.1:{port}" "$@"; }}\n'

    def run(self, command: str) -> str:
        environment = {**os.environ, "TOKEN": TOKEN}
        ran = subprocess.run(
            ["sh", "-c", self.curl + command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        printed = sampled(ran.stdout.decode().replace("\r", ""))
        return printed if printed.endswith("\n") or not printed else printed + "\n"


if __name__ == "__main__":
    main()
