"""The demo's Envoy: two workers on a port that is easy to type, and an access log that can be shown."""

from __future__ import annotations

import socket
import subprocess
import sys
from threading import Thread

from stand import find, template
from stand.process import Envoy
from upstream import Upstream

PREFERRED_PORT = 10000


class Edge(Envoy):
    """Envoy in front of an origin, ready when it is made."""

    def __init__(
        self, origin: Upstream, configuration: str, port: int | None, changes: dict[str, str] | None = None
    ) -> None:
        if port and not is_free(port):
            sys.exit(f"Port {port} is taken: choose another, or leave it out and get a free one.")
        wanted = port or (PREFERRED_PORT if is_free(PREFERRED_PORT) else 0)
        yaml = template.fill_in((origin.host, origin.port), find.module(), wanted, {**origin.changes(), **(changes or {})})
        yaml += origin.transport()
        # Requests are shown as they come, not every ten seconds.
        often = ("--file-flush-interval-msec", "100")
        yaml = template.configured(yaml, configuration)
        super().__init__(yaml, *often, workers=2, stdout=subprocess.PIPE, is_apart=True)
        self.echo = False  # whether the access log is shown
        Thread(target=self._access_log, daemon=True).start()
        try:
            self.wait()
        except BaseException:
            self.end()
            raise

    def accepted(self) -> list[int]:
        """How many connections each worker has accepted."""
        return [count for _, count in sorted(self.stats("listener.larder.worker_..downstream_cx_total").items())]

    def _access_log(self) -> None:
        for line in self.process.stdout:
            if self.echo:
                print(line.decode(errors="replace"), end="", flush=True)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
