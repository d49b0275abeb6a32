#!/usr/bin/env python3
"""The pages of a small, slow origin to put a cache in front of: `origin.py [port]` serves them.

Every page says how many times it was made, so that one sees which requests came here.
"""

from __future__ import annotations

import asyncio
import sys
import time
from email.utils import formatdate
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stand.origin import Origin, Request, Response

SECONDS_PER_PAGE = 0.5


class Pages:
    def __init__(self, seconds_per_page: float = SECONDS_PER_PAGE) -> None:
        self.seconds_per_page = seconds_per_page
        self.requests = 0
        self.made: dict[str, int] = {}

    async def answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(501)
        self.requests += 1
        path, version = request.path, await self.make(request.path)
        body = f"{path}, made for the {ordinal(version)} time at {time.strftime('%H:%M:%S')}\n"
        fields = {
            "Date": formatdate(usegmt=True),
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "max-age=60, stale-while-revalidate=30",
            "ETag": f'"version-{version}"',
            "Cache-Tag": tags(path),
        }
        return Response(200, fields, body.encode())

    async def make(self, path: str) -> int:
        """Makes the page anew: takes its time, and returns how often it has been made."""
        await asyncio.sleep(self.seconds_per_page)
        self.made[path] = self.made.get(path, 0) + 1
        return self.made[path]


def tags(path: str) -> str:
    """`/product/42` is tagged `product` and `product:42`."""
    parts = [part for part in path.split("/") if part] or ["home"]
    return ", ".join(":".join(parts[: n + 1]) for n in range(len(parts)))


def ordinal(n: int) -> str:
    return f"{n}{'th' if n % 100 in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


async def serve(port: int) -> None:
    await Origin(Pages().answer, port=port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    print(f"An origin on http://127.0.0.1:{chosen}/", flush=True)
    asyncio.run(serve(chosen))
