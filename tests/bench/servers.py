"""Servers under measurement: started on a core, asked for what they used, and ended with this program."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Callable, NoReturn

from stand import process

# The first and the last that this program may use; with one alone nothing is measured.
SERVER_CORE, LOAD_CORE = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
SECONDS_TO_START = 60
STARTED = time.monotonic()


class Server:
    """A process, with its children, that listens on a port."""

    def __init__(self, name: str, core: int = SERVER_CORE) -> None:
        self.name = name
        self.core = core
        self.port = 0
        self.folder = tempfile.TemporaryDirectory(prefix="larder-bench-")
        self.path = Path(self.folder.name)

    def start(self, command: list[str]) -> None:
        with open(self.path / "log", "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.path, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=tied_to(self.core)
            )

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def wait(self) -> None:
        end = time.monotonic() + SECONDS_TO_START
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                log = (self.path / "log").read_text(errors="replace")
                give_up(f"{self.name} did not start:\n" + "\n".join(log.splitlines()[-15:]))
            time.sleep(0.05)

    def cpu_us(self) -> float:
        """The CPU time of all its threads so far."""
        return sum(schedstat(task) for pid in family(self.process.pid) for task in tasks(pid)) / 1000

    def rss_bytes(self) -> int:
        """The memory that it has in RAM."""
        return sum(resident(pid) for pid in family(self.process.pid))

    def get(self, path: str, headers: dict | None = None, data: bytes | None = None) -> tuple[int, dict, bytes]:
        """Status, header fields and body of a response."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()


class Envoy(Server):
    """Envoy with one worker."""

    def __init__(self, name: str, config: dict, core: int = SERVER_CORE) -> None:
        super().__init__(name, core)
        options = {"workers": 1, "listener": "bench", "folder": self.path, "before": tied_to(core)}
        self.envoy = process.Envoy(json.dumps(config), **options)
        self.process = self.envoy.process

    def stop(self) -> None:
        self.envoy.end()
        self.folder.cleanup()

    def is_ready(self) -> bool:
        is_ready = self.envoy.is_ready()
        self.port = self.envoy.port
        return is_ready

    def stat(self, name: str) -> int:
        return self.envoy.stats(f"^{name}$").get(name, 0)

    def requests(self) -> int:
        return self.stat("http.bench.downstream_rq_total")


def tied_to(core: int) -> Callable[[], None]:
    """For a child before it starts: on this core, and killed when this program dies."""
    libc = ctypes.CDLL(None)

    def tie() -> None:
        os.sched_setaffinity(0, {core})
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    return tie


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        for task in tasks(parent):
            try:
                found += map(int, (task / "children").read_text().split())
            except OSError:
                pass  # It has ended.
    return found


def tasks(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").glob("*"))


def schedstat(task: Path) -> int:
    """The nanoseconds that a thread has been running."""
    try:
        return int((task / "schedstat").read_text().split()[0])
    except OSError:
        return 0  # It has ended.


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def say(text: str) -> None:
    """Progress, with the time since the start."""
    seconds = int(time.monotonic() - STARTED)
    print(f"{seconds // 60:3}:{seconds % 60:02}  {text}", file=sys.stderr, flush=True)


def give_up(text: str) -> NoReturn:
    say(text)
    sys.exit(1)
