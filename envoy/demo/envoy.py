"""Envoy with Larder, started from ../envoy.yaml: finds it, fills the file in, starts it, and sees to its end."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import NoReturn

CHECKOUT = Path(__file__).resolve().parent.parent.parent
MODULE = CHECKOUT / "dist" / "larder.wasm"
PREFERRED_PORT = 10000
# Where systems keep the certificates that they trust.
TRUSTED = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
# The plugin configuration as it stands in envoy.yaml.
SHIPPED = 'value: |\n                    { "collapse": { "cluster": "route_loop" } }\n'


@dataclass
class Upstream:
    """An origin."""

    host: str
    port: int
    tls: bool = False

    @staticmethod
    def read(text: str) -> Upstream:
        """`host:port`, or a URL without a path."""
        expected = f"Say where your origin is: make run ORIGIN=host:port, or http(s)://host[:port] (got {text!r})"
        is_url = "://" in text
        try:
            url = urllib.parse.urlsplit(text if is_url else f"//{text}")
            host, port = url.hostname, url.port
        except ValueError as error:
            give_up(f"{expected}: {error}.")
        if url.scheme not in ("", "http", "https") or not host or url.username is not None:
            give_up(f"{expected}.")
        if url.path not in ("", "/") or url.query or url.fragment:
            give_up(f"{expected}: the path comes with each request.")
        if port is None and not is_url:
            give_up(f"{expected}: the port is missing.")
        if port == 0:
            give_up(f"{expected}: 0 is no port.")
        return Upstream(host, port or (443 if url.scheme == "https" else 80), url.scheme == "https")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


class Envoy:
    """Envoy with two workers. Used with `with`, nothing of it is left afterwards."""

    def __init__(self, origin: Upstream, configuration: str, port: int | None) -> None:
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
        # Requests are shown as they come, not every ten seconds.
        command += ["--file-flush-interval-msec", "100"]
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


# The end of the origin's cluster, which is the end of the file.
ORIGIN = "- endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 8000 } } }\n"


def fill_in(origin: Upstream, configuration: str, port: int) -> str:
    yaml = (CHECKOUT / "envoy" / "envoy.yaml").read_text()
    changes = {
        "address: 127.0.0.1, port_value: 9901": "address: 127.0.0.1, port_value: 0",
        "address: 0.0.0.0, port_value: 10000": f"address: 127.0.0.1, port_value: {port}",
        ORIGIN: ORIGIN.replace("127.0.0.1", json.dumps(origin.host)).replace("8000", str(origin.port)) + tls(origin),
        "filename: dist/larder.wasm": f"filename: {json.dumps(str(MODULE))}",
        SHIPPED: f"value: {json.dumps(configuration)}\n",
    }
    if is_name(origin.host):
        changes["# auto_host_rewrite"] = "auto_host_rewrite"
    for old, new in changes.items():
        if yaml.count(old) != 1:
            give_up(f"envoy/envoy.yaml should have this exactly once: {old!r}")
        yaml = yaml.replace(old, new)
    return yaml


def tls(origin: Upstream) -> str:
    """The transport socket of a cluster: the origin has to have a certificate that this system trusts."""
    if not origin.tls:
        return ""
    paths = ssl.get_default_verify_paths()
    trusted = next((file for file in (paths.cafile, *TRUSTED) if file and Path(file).exists()), None)
    if trusted is None:
        give_up("No file with the certificates that this system trusts is found: set SSL_CERT_FILE to one.")
    name = {"san_type": "DNS" if is_name(origin.host) else "IP_ADDRESS", "matcher": {"exact": origin.host}}
    if origin.host == "localhost":
        name["san_type"] = "DNS"
    validation = {"trusted_ca": {"filename": trusted}, "match_typed_subject_alt_names": [name]}
    context = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"validation_context": validation},
    }
    if name["san_type"] == "DNS":
        context["sni"] = origin.host
    socket_of = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return f"    transport_socket: {json.dumps(socket_of)}\n"


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
