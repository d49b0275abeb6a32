"""A client for the tour: curl where there is one, else the same requests from Python."""

from __future__ import annotations

import http.client
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field

from edge import Edge

CURL = shutil.which("curl")
TRIES = 100


@dataclass
class Request:
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None  # a POST if there is one

    def arguments(self, base: str) -> list[str]:
        arguments = ["-si"]
        for name, value in self.headers.items():
            arguments += ["-H", f"{name}: {value}"]
        if self.body is not None:
            arguments += ["-d", self.body]
        return [*arguments, base + self.path]

    def shown(self, base: str) -> str:
        return shlex.join(["curl", *self.arguments(base)])


@dataclass
class Response:
    status: int
    headers: list[tuple[str, str]]
    body: str
    seconds: float
    worker: int
    tries: int = 1  # connections that were opened until this worker accepted one

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key.lower() == name)


class Client:
    def __init__(self, envoy: Edge, base: str) -> None:
        self.envoy = envoy
        self.base = base

    def ask(self, request: Request, worker: int | None = None) -> Response:
        """Sends it over a new connection; again, if need be, until this worker is the one that accepted it."""
        for tries in range(1, TRIES + 1):
            response = self._once(request)
            if worker in (None, response.worker):
                response.tries = tries
                return response
        sys.exit(f"None of {TRIES} connections went to worker {worker}.")

    def _once(self, request: Request) -> Response:
        before = self.envoy.accepted()
        start = time.monotonic()
        status, headers, body = self._with_curl(request) if CURL else self._without(request)
        seconds = time.monotonic() - start
        after = self.envoy.accepted()
        worker = next((n for n, count in enumerate(after) if count != before[n]), -1)
        return Response(status, headers, body, seconds, worker)

    def _with_curl(self, request: Request) -> tuple[int, list[tuple[str, str]], str]:
        # No proxy may stand between: the tour is about this one.
        command = [CURL, "--noproxy", "*", "--max-time", "20", *request.arguments(self.base)]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        if said.returncode != 0:
            sys.exit(f"curl failed with exit code {said.returncode}: {request.shown(self.base)}")
        head, _, body = said.stdout.decode(errors="replace").partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        return int(start.split()[1]), [tuple(line.split(": ", 1)) for line in lines if ": " in line], body

    def _without(self, request: Request) -> tuple[int, list[tuple[str, str]], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.envoy.port, timeout=20)
        connection.request("GET" if request.body is None else "POST", request.path, request.body, request.headers)
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
        connection.close()
        return response.status, response.getheaders(), body
