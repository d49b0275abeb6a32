"""The tour: what is done is shown as a curl command line, what comes back is checked against what is claimed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from client import Client, Request, Response
from origin import SECONDS_PER_PAGE, Pages

PAGE = "/product/42"
SHOWN = ("age", "etag", "cache-status")
# What a response that does not wait for the origin takes, on a busy machine and with curl's own start.
AT_ONCE = SECONDS_PER_PAGE * 0.8


def counted(statistics: str) -> str:
    """The statistics that are not 0, a line each."""
    return "\n".join(f"{name}: {count}" for name, count in json.loads(statistics).items() if count)


class Failed(Exception):
    """A step did not show what it claims."""


def tour(client: Client, origin: Pages, token: str) -> None:
    guide = Guide(client, origin)
    admin = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def purge(command: dict) -> Request:
        return Request("/_larder/purge", admin, json.dumps(command))

    guide.step("Miss", f"Nothing is stored yet: the origin makes the page, which takes it {SECONDS_PER_PAGE} s.")
    first = guide.ask(Request(PAGE))
    guide.expect(first, "fwd=uri-miss", made=1)

    guide.step("Hit", "The same again: Larder answers from what it stored, and the origin does not hear of it.")
    hit = guide.ask(Request(PAGE), worker=first.worker)
    guide.expect(hit, "hit", made=1)

    guide.step("Hit on the other worker", "Each worker is a thread with a wasm VM of its own; they share what is stored.")
    other = guide.ask(Request(PAGE), worker=1 - first.worker)
    guide.expect(other, "hit", made=1)

    guide.step("Conditional hit", "A client that has this version already is told so, without asking the origin.")
    conditional = guide.ask(Request(PAGE, {"If-None-Match": first.header("etag")}))
    guide.check(conditional.status == 304 and not conditional.body, "a 304 without a body")
    guide.check(origin.requests == 1, "the origin was not asked")

    guide.step("Tag purge", "The origin tagged the page `product` and `product:42`. A hard purge of a tag: all of it is gone.")
    guide.accepted(guide.ask(purge({"selectors": [{"tag": "product:42"}], "mode": "hard"})))
    guide.expect(guide.ask(Request(PAGE)), "fwd=", made=2)

    guide.step(
        "Soft purge", "Purged softly, a page may be served stale once more, at once, while it is refreshed behind the scenes."
    )
    guide.accepted(guide.ask(purge({"selectors": [{"url": client.base + PAGE}]})))
    stale = guide.ask(Request(PAGE))
    guide.expect(stale, "hit", made=2)
    guide.say(f"… {2 * SECONDS_PER_PAGE:.0f} s later, and without any client having waited:")
    guide.wait_for_origin(3)
    guide.expect(guide.ask(Request(PAGE)), "hit", made=3)

    guide.step("Statistics", "What Larder counted, over both workers (shown are those that are not 0).")
    statistics = guide.ask(Request("/_larder/stats", {"Authorization": admin["Authorization"]}), shown=counted)
    guide.check(statistics.status == 200 and bool(counted(statistics.body)), "statistics")
    guide.say(f"\nClients sent {guide.requests} requests for the page; the origin made it {origin.requests} times.")


class Guide:
    """Tells, asks and checks."""

    def __init__(self, client: Client, origin: Pages) -> None:
        self.client = client
        self.origin = origin
        self.requests = 0
        self.steps = 0

    def step(self, title: str, text: str) -> None:
        self.steps += 1
        self.say(f"\n{bold(f'{self.steps}. {title}')}\n{text}")

    def ask(self, request: Request, worker: int | None = None, shown: Callable[[str], str] = str) -> Response:
        self.say(dim("$ " + request.shown(self.client.base)))
        response = self.client.ask(request, worker)
        self.requests += response.tries if request.path == PAGE else 0
        self.show(response, shown(response.body))
        return response

    def show(self, response: Response, body: str) -> None:
        tries = f", which accepted connection {response.tries} (the kernel chooses)" if response.tries > 1 else ""
        self.say(f"  {response.status} from worker {response.worker}{tries} in {response.seconds * 1000:.0f} ms")
        for name in SHOWN:
            if response.header(name):
                self.say(f"  {name}: {response.header(name)}")
        for line in body.splitlines()[:40]:
            self.say(f"  {line}")

    def expect(self, response: Response, verdict: str, made: int) -> None:
        """That this page came, with this verdict, in the version that was made as the so-manyeth."""
        status = response.header("cache-status")
        self.check(response.status == 200, "a page")
        self.check(f"; {verdict}" in status, f"“{verdict}” in Cache-Status: {status!r}")
        self.check(response.header("etag") == f'"version-{made}"', f"version {made}: {response.header('etag')}")
        if verdict == "hit":
            self.check(response.seconds < AT_ONCE, f"an answer at once, not after {response.seconds:.2f} s")

    def accepted(self, response: Response) -> None:
        self.check(200 <= response.status < 300, "an accepted purge")

    def wait_for_origin(self, made: int) -> None:
        """Until the origin has made the page so many times and the response has had time to arrive."""
        end = time.monotonic() + 10
        while self.origin.made.get(PAGE, 0) < made and time.monotonic() < end:
            time.sleep(0.05)
        self.check(self.origin.made.get(PAGE, 0) == made, f"a refresh, {made} pages made")
        time.sleep(SECONDS_PER_PAGE)

    def check(self, holds: bool, claim: str) -> None:
        if not holds:
            raise Failed(f"step {self.steps} should have shown {claim}")

    @staticmethod
    def say(text: str) -> None:
        print(text, flush=True)


def bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def dim(text: str) -> str:
    return f"\033[36m{text}\033[0m" if sys.stdout.isatty() else text
