"""Envoy with Larder, started from ../envoy.yaml: finds it, fills the file in, starts it, and sees to its end."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from threading import Thread
from typing import NoReturn

CHECKOUT = Path(__file__).resolve().parent.parent.parent
MODULE = CHECKOUT / "dist" / "larder.wasm"
PREFERRED_PORT = 10000
# The plugin configuration as it stands in envoy.yaml.
SHIPPED = 'value: |\n                    { "collapse": { "cluster": "route_loop" } }\n'


class Envoy:
    """Envoy with two workers. Used with `with`, nothing of it is left afterwards."""

    def __init__(self, origin: tuple[str, int], configuration: str, port: int | None) -> None:
        self.port = port or (PREFERRED_PORT if is_free(PREFERRED_PORT) else 0)
        if port and not is_free(port):
            give_up(f"Port {port} is taken: choose another, or leave it out and get a free one.")
        if not MODULE.exists():
            give_up("dist/larder.wasm is missing: run `make build` first.")
        self.binary = find_envoy()
        self.folder = tempfile.TemporaryDirectory(prefix="larder-demo-")
        self.path = Path(self.folder.name)
        (self.path / "envoy.yaml").write_text(fill_in(origin, configuration, self.port))
        self.echo = False  # whether the access log is shown

    def __enter__(self) -> Envoy:
        command = [self.binary, "--config-path", "envoy.yaml", "--admin-address-path", "admin", "--concurrency", "2"]
        command += ["--disable-hot-restart", "--log-level", "warning"]
        with open(self.path / "log", "wb") as log:
            # In a session of its own: Ctrl-C is for this program, which then ends Envoy.
            self.process = subprocess.Popen(
                command, cwd=self.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        # Should this program be killed, the shell's standard input ends, and with it Envoy.
        script = 'read -r _; kill -9 "$1"; rm -rf "$2"'
        self.watchdog = subprocess.Popen(
            ["sh", "-c", script, "sh", str(self.process.pid), self.folder.name],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        Thread(target=self._access_log, daemon=True).start()
        try:
            self._wait_until_live()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.watchdog.kill()
        self.watchdog.wait()
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def ask_admin(self, target: str) -> str:
        with urllib.request.urlopen(f"http://{self.admin}{target}", timeout=5) as response:
            return response.read().decode()

    def accepted(self) -> list[int]:
        """How many connections each worker has accepted."""
        text = self.ask_admin("/stats?filter=listener.larder.worker_..downstream_cx_total")
        return [int(line.split(": ")[1]) for line in sorted(text.splitlines())]

    def _wait_until_live(self) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self.process.poll() is not None:
                give_up("Envoy did not start:\n" + "\n".join(self._log()[-15:]))
            try:
                self.admin = (self.path / "admin").read_text().strip()
                if self.ask_admin("/ready").strip() == "LIVE":
                    listening = [line for line in self.ask_admin("/listeners").splitlines() if line.startswith("larder::")]
                    self.port = int(listening[0].rsplit(":", 1)[1])
                    return
            except (OSError, ValueError, IndexError):
                pass
            time.sleep(0.05)
        give_up("Envoy was not ready within 30 seconds:\n" + "\n".join(self._log()[-15:]))

    def _log(self) -> list[str]:
        return (self.path / "log").read_text(errors="replace").splitlines()

    def _access_log(self) -> None:
        for line in self.process.stdout:
            if self.echo:
                print(line.decode(errors="replace"), end="", flush=True)


def find_envoy() -> str:
    found = subprocess.run([sys.executable, CHECKOUT / "tools" / "get.py", "envoy"], stdout=subprocess.PIPE, check=False)
    if found.returncode != 0:
        sys.exit(1)  # It has said why.
    return found.stdout.decode().strip()


def fill_in(origin: tuple[str, int], configuration: str, port: int) -> str:
    host, origin_port = origin
    yaml = (CHECKOUT / "envoy" / "envoy.yaml").read_text()
    changes = {
        "address: 127.0.0.1, port_value: 9901": "address: 127.0.0.1, port_value: 0",
        "address: 0.0.0.0, port_value: 10000": f"address: 127.0.0.1, port_value: {port}",
        "address: 127.0.0.1, port_value: 8000": f"address: {json.dumps(host)}, port_value: {origin_port}",
        "filename: dist/larder.wasm": f"filename: {json.dumps(str(MODULE))}",
        SHIPPED: f"value: {json.dumps(configuration)}\n",
    }
    if is_name(host):
        changes["# auto_host_rewrite"] = "auto_host_rewrite"
    for old, new in changes.items():
        if yaml.count(old) != 1:
            give_up(f"envoy/envoy.yaml should have this exactly once: {old!r}")
        yaml = yaml.replace(old, new)
    return yaml


def is_name(host: str) -> bool:
    """Whether a host has a name of its own to answer to."""
    return host != "localhost" and not all(c in "0123456789abcdefABCDEF:." for c in host)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def give_up(text: str) -> NoReturn:
    print(text, file=sys.stderr, flush=True)
    sys.exit(1)
