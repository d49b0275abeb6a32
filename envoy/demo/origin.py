#!/usr/bin/env python3
"""A small, slow origin to put a cache in front of: `origin.py [port]`.

Every page says how many times it was made, so that one sees which requests came here.
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

SECONDS_PER_PAGE = 0.5


class Origin(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, host: str = "127.0.0.1", seconds_per_page: float = SECONDS_PER_PAGE) -> None:
        super().__init__((host, port), Page)
        self.seconds_per_page = seconds_per_page
        self.requests = 0
        self.made: dict = {}
        self.lock = Lock()

    def count(self) -> None:
        with self.lock:
            self.requests += 1

    def make(self, path: str) -> int:
        """Makes the page anew: takes its time, and returns how often it has been made."""
        time.sleep(self.seconds_per_page)
        with self.lock:
            self.made[path] = self.made.get(path, 0) + 1
            return self.made[path]


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Origin

    def do_GET(self) -> None:
        self.server.count()
        path = self.path.split("?")[0]
        version = self.server.make(path)
        body = f"{path}, made for the {ordinal(version)} time at {time.strftime('%H:%M:%S')}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=60, stale-while-revalidate=30")
        self.send_header("ETag", f'"version-{version}"')
        self.send_header("Cache-Tag", tags(path))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        """Says nothing: Envoy's access log has it all."""


def tags(path: str) -> str:
    """`/product/42` is tagged `product` and `product:42`."""
    parts = [part for part in path.split("/") if part] or ["home"]
    return ", ".join(":".join(parts[: n + 1]) for n in range(len(parts)))


def ordinal(n: int) -> str:
    return f"{n}{'th' if n % 100 in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    print(f"An origin on http://127.0.0.1:{port}/", flush=True)
    Origin(port).serve_forever()
