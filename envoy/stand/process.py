"""An Envoy as a process: started from a configuration, asked for what it knows, and ended with this program."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Callable

from . import find

SECONDS_TO_START = 30
# Should this program be killed, the shell's standard input ends, and with it Envoy; and the folder, if it is for this run.
WATCHDOG = 'read -r _; kill -9 "$1"; [ -z "$2" ] || rm -rf "$2"'


class Envoy:
    """Envoy with so many workers, which is not awaited yet. Used with `with`, nothing of it is left afterwards but a folder
    that was given.

    `options` are more of its own, `before` is called in the child, and its access log goes to `stdout`. With `is_apart` it
    has a session of its own: Ctrl-C is for this program, which then ends Envoy. Whoever measures leaves that out, because
    the scheduler weighs sessions against each other, and what is nice only within one.
    """

    def __init__(
        self,
        bootstrap: str,
        *options: str,
        workers: int,
        listener: str = "larder",
        folder: Path | None = None,
        stdout: int = subprocess.DEVNULL,
        before: Callable[[], None] | None = None,
        is_apart: bool = False,
    ) -> None:
        self.listener = listener
        self.temporary = None if folder else tempfile.TemporaryDirectory(prefix="larder-envoy-")
        self.path = folder or Path(self.temporary.name)
        # JSON is YAML, too.
        (self.path / "envoy.yaml").write_text(bootstrap)
        (self.path / "admin").unlink(missing_ok=True)
        self.admin = ""
        self.port = 0
        command = [find.envoy(), "--config-path", "envoy.yaml", "--admin-address-path", "admin", "--concurrency", str(workers)]
        command += ["--disable-hot-restart", "--log-level", "warning", *options]
        with open(self.path / "log", "wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.path,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                start_new_session=is_apart,
                preexec_fn=before,
            )
        self.watchdog = subprocess.Popen(
            ["sh", "-c", WATCHDOG, "sh", str(self.process.pid), self.temporary.name if self.temporary else ""],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def __enter__(self) -> Envoy:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self.watchdog.kill()
        self.watchdog.wait()
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.temporary:
            self.temporary.cleanup()

    def wait(self, seconds: float = SECONDS_TO_START) -> None:
        """Until it listens; where it does not, this program ends with what Envoy has logged."""
        end = time.monotonic() + seconds
        while not self.is_ready():
            if self.process.poll() is not None:
                sys.exit("Envoy did not start:\n" + self.log_end())
            if time.monotonic() > end:
                sys.exit(f"Envoy was not ready within {seconds:.0f} seconds:\n" + self.log_end())
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Whether it is live; from then on, ports are known."""
        try:
            self.admin = (self.path / "admin").read_text().strip()
            if self.ask_admin("/ready").strip() != "LIVE":
                return False
            found = re.search(rf"^{self.listener}::\S+:(\d+)$", self.ask_admin("/listeners"), re.MULTILINE)
        except (OSError, ValueError):
            return False
        self.port = int(found[1]) if found else 0
        return found is not None

    def ask_admin(self, target: str) -> str:
        """What its admin page says."""
        with urllib.request.urlopen(f"http://{self.admin}{target}", timeout=20) as response:
            return response.read().decode()

    def stats(self, names: str) -> dict[str, int]:
        """The counters and gauges whose names this regular expression finds."""
        lines = self.ask_admin(f"/stats?filter={names}").splitlines()
        return {name: int(value) for name, _, value in (line.partition(": ") for line in lines) if value.isdigit()}

    def log(self) -> str:
        """What it has logged, requests apart."""
        return (self.path / "log").read_text(errors="replace")

    def log_end(self) -> str:
        return "\n".join(self.log().splitlines()[-15:])
