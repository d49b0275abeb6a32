"""Attackers, and the origin that they ask: attacks.py, a program of its own so that it delays nobody but by what Envoy does.

It prints its origin's port, begins when it reads Envoy's port and what authorises a purge, and ends with its input. Then it
prints what it has done as JSON. Each kind has a rate, and so many at a time, so that all of them together leave some of the
machine to others. ATTACKS="ranges tags" in the environment: these kinds alone.
"""

import asyncio
import json
import os
import pathlib
import random
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "envoy"))

from stand.origin import Origin, Response, read_head
from wire import Client, head_of

# How long one waits for an answer: longer than Envoy's own patience with silence.
HANGS_AFTER = 25.0
MIB = 1 << 20
FILE_BYTES = 64 * MIB
# Not UTF-8 in any way: a lone continuation byte, an overlong form, a byte that never occurs, then Latin-1.
ODD = "\x80\xc0\xaf\xff caf\xe9"
LONG = "x" * 8000
TAGS = ", ".join(f"{n:0200}" for n in range(120))
BANS = 500


async def answer(request):
    """By the second part of the path."""
    kind = (request.path.split("/") + ["", ""])[2]
    if kind == "slow":
        await asyncio.sleep(3)
    if kind == "stall":
        return fine(stalling(), **{"Content-Length": str(MIB)})
    if kind == "file" and (part := request.fields.get("range")):
        first, last = (int(position) for position in part.removeprefix("bytes=").split("-"))
        of_file = {"ETag": '"file"', "Content-Range": f"bytes {first}-{last}/{FILE_BYTES}"}
        return fine(bytes(last + 1 - first), 206, **of_file)
    if kind == "tags":
        return fine(bytes(2000), **{"Cache-Tag": TAGS})
    return fine(bytes({"big": MIB, "flood": 30_000}.get(kind, 500)), ETag='"page"')


async def stalling():
    """What is announced never comes."""
    yield b"x" * 20_000
    await asyncio.sleep(0.1)
    yield b"x" * 20_000
    await asyncio.sleep(60)


def fine(body, status=200, **fields):
    return Response(status, {"Cache-Control": "max-age=600", **fields}, body)


class Attackers:
    def __init__(self, port, authorisation):
        self.port, self.authorisation = port, authorisation
        self.counts, self.number = {}, 0

    async def one(self, kind, act):
        count = self.counts[kind]
        count["sent"] += 1
        try:
            answered = await asyncio.wait_for(act(), HANGS_AFTER)
            count["answered" if answered else "ended"] += 1
        except TimeoutError:
            count["hung"] += 1
        except (OSError, EOFError, asyncio.LimitOverrunError):
            count["ended"] += 1

    async def at(self, rate, most, act):
        """So many a second, and at most so many at a time."""
        kind = act.__name__
        self.counts[kind] = dict.fromkeys(("sent", "answered", "ended", "hung"), 0)
        running = set()
        while True:
            if len(running) < most:
                task = asyncio.create_task(self.one(kind, act))
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(random.uniform(0.5, 1.5) / rate)

    def next(self):
        self.number += 1
        return self.number

    async def ask(self, method, path, fields=None, body=b"", host="attack.example"):
        client = Client(self.port, host)
        try:
            return await client.send(method, path, fields, body)
        finally:
            client.close()

    async def large_heads(self):
        """Near Envoy's limits, 60 KB and 100 fields, for an origin that takes its time."""
        fields = {f"x-line-{n}": "v" * 580 for n in range(80)}
        return await self.ask("GET", f"/attack/slow/{self.next()}", fields)

    async def long_urls(self):
        return await self.ask("GET", f"/attack/slow/{self.next()}?{'y' * 20_000}")

    async def stalled_bodies(self):
        return await self.ask("GET", f"/attack/stall?{self.next()}")

    async def no_readers(self):
        """A megabyte each, of which nobody reads more than the first bytes; some ask for the same."""
        path = f"/attack/big?{self.next() if random.random() < 0.7 else 'same'}"
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        try:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", self.port))
            await loop.sock_sendall(client, head_of("GET", path, "attack.example"))
            answered = await loop.sock_recv(client, 100)
            await asyncio.sleep(7)
            return answered
        finally:
            client.close()

    async def who_waits_for_them(self):
        return await self.ask("GET", "/attack/big?same")

    async def ranges(self):
        first = self.next() * MIB % FILE_BYTES
        return await self.ask("GET", "/attack/file", {"Range": f"bytes={first}-{first + MIB - 1}"})

    async def purge(self, **command):
        body = json.dumps(command).encode()
        fields = {"authorization": self.authorisation, "content-type": "application/json"}
        return await self.ask("POST", "/_larder/purge", fields, body)

    async def bans(self):
        """As an application makes them; once, since more would only take the place of these."""
        accepted = 0
        for start in range(0, BANS, 50):
            selectors = [{"regex": f"part-[0-9]+-{n}"} for n in range(start, start + 50)]
            answer = await self.purge(selectors=selectors, mode="soft")
            accepted += 50 if answer and answer[0] == 200 else 0
        self.counts["bans"] = {"sent": BANS, "answered": accepted, "ended": 0, "hung": 0}

    async def hits_after_bans(self):
        """A URL of 8 KB that is stored, and a stranger's POST before each hit of it."""
        await self.ask("POST", f"/attack/other/{self.next() % 100}")
        return await self.ask("GET", f"/attack/page?{LONG}{self.next() % 8}")

    async def patterns_to_refresh(self):
        selectors = [{"regex": f"nothing-[a-z]+-{n}/"} for n in range(200)]
        return await self.purge(selectors=selectors, mode="soft", refresh=True)

    async def posts_to_hosts(self):
        return await self.ask("POST", f"/attack/post/{self.next() % 20}", host=f"h{random.randrange(1000)}.example")

    async def posts_to_one(self):
        return await self.ask("POST", f"/attack/post/{self.next() % 1000}", host="flooded.example")

    async def tags(self):
        return await self.ask("GET", f"/attack/tags/{self.next()}")

    async def urls(self):
        return await self.ask("GET", f"/attack/flood?{self.next()}")

    async def odd_bytes(self):
        fields = random.choice([
            {"cookie": ODD}, {"accept-encoding": f"gzip;q=9.9, {ODD}"}, {"range": "bytes=-0,5-4,99999999999999999999-"},
            {"cache-control": f"max-age={'9' * 40}, =,{ODD}"}, {"if-none-match": f'W/"{ODD}", "unterminated'},
            {"authorization": f"Bearer {ODD}"}, {"x-forwarded-for": ODD, "connection": f"x-a, {ODD}"},
        ])
        method = random.choice(["GET", "GET", "GET", "PURGE", "QUERY", "PROPFIND", "X"])
        target = random.choice(["caf\xe9", "a%00b", "%zz%f", "..//c///d;x", "?q", f"?{'a=b&' * 1000}", "page"])
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(head_of(method, f"/attack/odd/{target}", "attack.example", fields))
            return await read_head(reader)
        finally:
            writer.transport.abort()

    async def run(self):
        await self.bans()
        kinds = [
            (15, 100, self.large_heads), (10, 60, self.long_urls), (12, 150, self.stalled_bodies),
            (6, 60, self.no_readers), (3, 20, self.who_waits_for_them), (3, 4, self.ranges), (10, 10, self.hits_after_bans),
            (0.1, 1, self.patterns_to_refresh), (10, 20, self.posts_to_hosts), (10, 20, self.posts_to_one),
            (3, 5, self.tags), (10, 15, self.urls), (10, 50, self.odd_bytes),
        ]
        only = os.environ.get("ATTACKS", "").split()
        await asyncio.gather(*(self.at(*kind) for kind in kinds if not only or kind[2].__name__ in only))


async def main():
    origin = Origin(answer)
    await origin.start()
    print(origin.port, flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    port, authorisation = json.loads(await reader.readline())
    attackers = Attackers(port, authorisation)
    running = asyncio.create_task(attackers.run())
    await reader.read()
    running.cancel()
    await asyncio.wait([running])
    # Those that are under way have their time.
    await asyncio.sleep(HANGS_AFTER + 1)
    print(json.dumps(attackers.counts), flush=True)


if __name__ == "__main__":
    # Whoever attacks has machines of his own: what is measured is what Envoy makes of it.
    os.nice(10)
    asyncio.run(main())
