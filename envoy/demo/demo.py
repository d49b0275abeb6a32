#!/usr/bin/env python3
"""A tour of Larder in a real Envoy, or Envoy with Larder in front of your own origin (`--origin`).

DEMO_EXIT=1 ends it after the tour. A step that does not show what it claims ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from threading import Event, Thread

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from client import Client
from edge import Edge
from origin import Origin, Pages
from tour import Failed, tour
from upstream import Upstream


def main() -> None:
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    arguments = parse()
    try:
        if arguments.origin is None:
            demo(arguments.port)
        else:
            run(Upstream.read(arguments.origin), arguments.port, arguments.config)
    except KeyboardInterrupt:
        print()


def demo(port: int | None) -> None:
    pages = Pages()
    origin = Origin(pages.answer)
    origin.start_aside()
    token, configuration = with_token()
    with Edge(Upstream("127.0.0.1", origin.port), configuration, port) as envoy:
        base = f"http://127.0.0.1:{envoy.port}"
        print(f"Envoy with two workers and Larder listens on {base}/, its origin on 127.0.0.1:{origin.port}.")
        try:
            tour(Client(envoy, base), pages, token)
        except Failed as failed:
            sys.exit(f"\nThat is not what should have happened: {failed}")
        if os.environ.get("DEMO_EXIT", "") in ("", "0"):
            wait(envoy, f"Try {base}/product/42, or any other path.", token)


def run(origin: Upstream, port: int | None, config: str | None) -> None:
    token, configuration = (None, read(config)) if config else with_token()
    try:
        socket.create_connection((origin.host, origin.port), timeout=3).close()
    except OSError as error:
        print(f"Nothing answers at {origin} yet ({error}); going on all the same.")
    with Edge(origin, configuration, port) as envoy:
        base = f"http://127.0.0.1:{envoy.port}"
        wait(envoy, f"Envoy with Larder listens on {base}/, in front of {origin}.", token)


def wait(envoy: Edge, greeting: str, token: str | None) -> None:
    """Shows the access log until Ctrl-C."""
    print(f"\n{greeting}")
    if token:
        print(f"Token of the admin route: {token}")
    else:
        print("The admin route has the tokens of your configuration.")
    print(f"Envoy's admin page: http://{envoy.admin}/\nRequests appear below. Ctrl-C ends it.", flush=True)
    envoy.echo = True
    ended = Event()
    Thread(target=lambda: (envoy.process.wait(), ended.set()), daemon=True).start()
    while not ended.wait(timeout=1):  # A wait without a timeout would not notice signals.
        pass
    sys.exit("Envoy has ended.")


def with_token() -> tuple[str, str]:
    """A token made up for this run, and a configuration that knows it by its digest."""
    token = secrets.token_urlsafe(12)
    digest = hashlib.sha256(token.encode()).hexdigest()
    admin = {"tokens": [{"name": "demo", "sha256": digest}]}
    return token, json.dumps({"collapse": {"cluster": "route_loop"}, "admin": admin})


def read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        sys.exit(f"The configuration cannot be read: {error}.")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A tour of Larder in a real Envoy.")
    parser.add_argument("--origin", help="your own origin (host:port, http://host or https://host): no tour, just the cache in front of it")
    parser.add_argument("--config", help="a file with a plugin configuration of your own (with --origin)")
    parser.add_argument("--port", type=int, help="where Envoy listens; without it, 10000 or a free one")
    return parser.parse_args()


if __name__ == "__main__":
    main()
