"""Load on a server, by wrk on the core of the load."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from servers import LOAD_CORE, Server, give_up, say, tied_to

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 64
SECONDS_TO_FILL = 1800
WORTH_A_WORD = 100_000
# Until what was under way when wrk ended has reached the origin.
SECONDS_TO_SETTLE = 0.1


@dataclass(frozen=True)
class Load:
    """What is requested, over and over. load.lua says what the kinds are."""

    path: str
    kind: str = "same"
    argument: str = "0"  # how many different paths, or the body of `post`
    headers: tuple[str, ...] = ()
    connections: int = CONNECTIONS
    is_stored: bool = True  # or else each request goes to the origin

    def command(self, wrk: str, port: int, seconds: int, path: str | None = None) -> list[str]:
        lines = "".join(f"{line}\r\n" for line in self.headers)
        command = [wrk, "--threads", "1", "--connections", str(self.connections), "--duration", f"{seconds}s"]
        command += ["--timeout", "10s", "--latency", "--script", str(SCRIPT), f"http://127.0.0.1:{port}"]
        return [*command, "--", self.kind, path or self.path, self.argument, lines]


@dataclass(frozen=True)
class Sample:
    """What one run of a load showed."""

    cpu: float  # µs of the server's CPU for each request
    each: float  # µs from one answer to the next: the inverse of requests per second
    p50: float  # µs
    p99: float  # µs
    origin: float  # requests that the origin saw for each
    unanswered: float  # how many were under way at the end, at most, for each that was answered


class Loader:
    """Puts load on servers that share one origin."""

    def __init__(self, wrk: str, origin: Server) -> None:
        self.wrk = wrk
        self.origin = origin
        self.runs = 0

    def run(self, server: Server, load: Load, seconds: int) -> Sample:
        self.runs += 1
        path = f"{load.path}{self.runs}-" if load.kind == "new" else load.path
        origin, cpu = self.origin.requests(), server.cpu_us()
        result = self._run(load.command(self.wrk, server.port, seconds, path))
        time.sleep(SECONDS_TO_SETTLE)
        origin, cpu = self.origin.requests() - origin, server.cpu_us() - cpu
        requests = result["requests"]
        if not requests or result["broken"] or result["refused"]:
            give_up(f"{server.name} did not bear the load of {path}: {result}")
        each = result["seconds"] * 1e6 / requests
        unanswered = load.connections / requests
        return Sample(cpu / requests, each, result["p50"], result["p99"], origin / requests, unanswered)

    def fill(self, server: Server, path: str, count: int) -> None:
        """Requests `path` with each number below `count`."""
        if count >= WORTH_A_WORD:
            say(f"  {server.name}: storing {count:,} responses …")
        wrk = self._start(Load(path, "fill", str(count)).command(self.wrk, server.port, SECONDS_TO_FILL))
        for line in wrk.stdout:
            if line == "FILLED\n":
                wrk.send_signal(signal.SIGINT)
        if wrk.wait() != 0:
            give_up(f"wrk could not fill {server.name}")

    def _run(self, command: list[str]) -> dict:
        said = self._start(command).communicate()[0]
        found = [line for line in said.splitlines() if line.startswith("RESULT ")]
        if not found:
            give_up(f"wrk failed: {' '.join(command)}\n{said}")
        return json.loads(found[0].removeprefix("RESULT "))

    def _start(self, command: list[str]) -> subprocess.Popen:
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, preexec_fn=tied_to(LOAD_CORE), **out)
