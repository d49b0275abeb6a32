#!/usr/bin/env python3
"""A tour of a fleet: three Envoys and an etcd from nothing; what is purged through one of them is purged in all.

DEMO_EXIT=1 ends it after the tour. A step that does not show what it claims ends it with exit code 1.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from client import Client, Request, Response
from demo import wait, with_token
from edge import Edge
from origin import Origin, Pages
from stand import find
from tour import PAGE, Failed, Guide
from upstream import Upstream

NAMES = ("gw-a", "gw-b", "gw-c")
SECONDS_TO_START = 30
MAX_LAG = 8
# As envoy/fleet/envoy.yaml has it, but for TLS.
CLUSTER = """  clusters:
  - name: etcd
    type: STATIC
    connect_timeout: 0.5s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{ connection_keepalive: {{ interval: 10s, timeout: 3s }} }} }}
    health_checks:
    - {{ timeout: 0.5s, interval: 1s, no_traffic_interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, grpc_health_check: {{}} }}
    common_lb_config: {{ healthy_panic_threshold: {{ value: 0 }} }}
    load_assignment:
      cluster_name: etcd
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }}
"""


class Etcd:
    """One member, which keeps what it has when it is killed."""

    def __init__(self, stack: ExitStack) -> None:
        get = subprocess.run([sys.executable, find.CHECKOUT / "tools" / "get.py", "etcd"], stdout=subprocess.PIPE, text=True, check=False)
        if get.returncode != 0:
            sys.exit("A fleet needs etcd, which could not be had (see above).")
        self.program = get.stdout.strip()
        self.data = stack.enter_context(tempfile.TemporaryDirectory(prefix="larder-etcd-"))
        self.port, self.peers = free_ports(2)
        self.process: subprocess.Popen | None = None
        stack.callback(self.kill)
        self.start()

    def start(self) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.port, self.peers))
        addresses = ["--listen-client-urls", client, "--advertise-client-urls", client]
        addresses += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
        command = [self.program, "--data-dir", self.data, "--log-level", "error", *addresses]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, start_new_session=True, **quiet)
        end = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    sys.exit(f"{self.program} did not start.")
                time.sleep(0.05)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def free_ports(count: int) -> list[int]:
    """All at once, so that no two are the same."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def main() -> None:
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    with ExitStack() as stack:
        try:
            run(stack)
        except KeyboardInterrupt:
            print()
        except Failed as failed:
            sys.exit(f"\nThat is not what should have happened: {failed}")


def run(stack: ExitStack) -> None:
    pages = Pages()
    origin = Origin(pages.answer)
    origin.start_aside()
    etcd = Etcd(stack)
    token, plain = with_token()
    edges = []
    for name in NAMES:
        configuration = json.dumps({**json.loads(plain), "fleet": {"name": "demo", "member": name, "members": True, "max_lag": f"{MAX_LAG}s"}})
        changes = {"  clusters:\n": CLUSTER.format(port=etcd.port)}
        edges.append(stack.enter_context(Edge(Upstream("127.0.0.1", origin.port), configuration, None, changes)))
    clients = {name: Client(edge, f"http://127.0.0.1:{edge.port}") for name, edge in zip(NAMES, edges)}
    addresses = ", ".join(f"{name} on {client.base}" for name, client in clients.items())
    print(f"Three Envoys ({addresses}), one origin, and etcd on 127.0.0.1:{etcd.port}.")
    admin = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for edge in edges:
        joined(edge)
    tour(clients, pages, etcd, admin)
    if os.environ.get("DEMO_EXIT", "") in ("", "0"):
        wait(edges[0], f"Try {clients['gw-a'].base}{PAGE}, and purge it through another one.", token)


def joined(edge: Edge) -> None:
    """Until it has heard of etcd."""
    end = time.monotonic() + SECONDS_TO_START
    while not any(edge.stats("wasmcustom.larder_fleet_revision").values()):
        if time.monotonic() > end:
            sys.exit("An Envoy has not joined the fleet:\n" + edge.log_end())
        time.sleep(0.05)


def tour(clients: dict[str, Client], pages: Pages, etcd: Etcd, admin: dict[str, str]) -> None:
    guides = {name: Guide(client, pages) for name, client in clients.items()}
    a, b = guides["gw-a"], guides["gw-b"]

    def step(title: str, text: str) -> None:
        a.step(title, text)
        for guide in guides.values():
            guide.steps = a.steps

    def purge(more: dict) -> Request:
        return Request("/_larder/purge", admin, json.dumps({"selectors": [{"tag": "product:42"}], "mode": "hard", **more}))

    def fleet_of(response: Response) -> dict:
        return json.loads(response.body).get("fleet", {})

    step("Each Envoy stores its own copy", "The origin makes the page once for each of them.")
    for made, guide in enumerate(guides.values(), 1):
        guide.expect(guide.ask(Request(PAGE)), "fwd=uri-miss", made=made)
    for made, guide in enumerate(guides.values(), 1):
        guide.expect(guide.ask(Request(PAGE)), "hit", made=made)

    step("A purge on one", "It is answered when etcd has committed it: with the revision at which it did.")
    answer = a.ask(purge({}))
    a.check(answer.status == 200 and fleet_of(answer).get("state") == "committed", "it is committed")
    a.say("… is a miss on the others, a few milliseconds later.")
    time.sleep(0.1)
    for made, guide in enumerate(guides.values(), 4):
        guide.expect(guide.ask(Request(PAGE)), "fwd=uri-miss", made=made)

    step("The fleet, seen by one of them", "Who belongs to it, what each has applied, when etcd was last heard of.")
    a.ask(Request("/_larder/fleet", admin))

    step("etcd is killed", "A purge still holds where it is given, and says that the others do not have it.")
    etcd.kill()
    answer = a.ask(purge({}))
    a.check(answer.status == 503 and fleet_of(answer).get("state") == "pending", "it is pending")
    a.expect(a.ask(Request(PAGE)), "fwd=uri-miss", made=7)
    b.expect(b.ask(Request(PAGE)), "hit", made=5)

    step("… and nobody serves for long what may have been purged", f"After max_lag, {MAX_LAG} s here, the origin is asked first.")
    time.sleep(MAX_LAG)
    b.expect(b.ask(Request(PAGE)), "fwd=stale", made=8)

    step("etcd is back", "What was given meanwhile reaches the others, and everything else is valid again.")
    etcd.start()
    end = time.monotonic() + SECONDS_TO_START
    while b.client.ask(purge({"acknowledge": "everywhere"})).status != 200:
        if time.monotonic() > end:
            raise Failed("etcd is back, and a purge is not applied everywhere")
        time.sleep(0.2)
    answer = b.ask(purge({"acknowledge": "everywhere"}))
    b.check(fleet_of(answer).get("state") == "everywhere", "every member has applied it")


if __name__ == "__main__":
    main()
