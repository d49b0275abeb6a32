"""An origin on HTTP/1.1: one server, whose responses are made by whoever starts it. It needs nothing else of this folder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Thread
from typing import AsyncIterator, Awaitable, Callable

# Heads of Envoy at its default limits, and more.
HEAD_BYTES = 256 << 10


@dataclass
class Request:
    method: str
    target: str
    fields: dict[str, str]  # by their names in lower case

    @property
    def path(self) -> str:
        return self.target.split("?")[0]


@dataclass
class Response:
    """A response. With a body in pieces, `fields` say its length."""

    status: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] = b""

    def head(self) -> bytes:
        length = {"Content-Length": str(len(self.body))} if isinstance(self.body, bytes) else {}
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in {**length, **self.fields}.items()]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Origin:
    """A server that answers each request by `answer`."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]], host: str = "127.0.0.1", port: int = 0) -> None:
        self.answer = answer
        self.host = host
        self.port = port
        self.connections: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listens, where it has listened before or on a free port."""
        self.server = await asyncio.start_server(self._serve, self.host, self.port, limit=HEAD_BYTES)
        self.port = self.server.sockets[0].getsockname()[1]

    async def restart(self, seconds: float) -> None:
        """Breaks off whatever it does, and is away for so long."""
        self.server.close()
        for writer in list(self.connections):
            writer.transport.abort()
        await asyncio.sleep(seconds)
        await self.start()

    def start_aside(self) -> None:
        """Serves in a thread of its own, for programs that wait otherwise; listens on return."""
        loop = asyncio.new_event_loop()
        loop.run_until_complete(self.start())
        Thread(target=loop.run_forever, daemon=True).start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            while head := await read_head(reader):
                goes_on = await self._exchange(*head, reader, writer)
                await writer.drain()
                if not goes_on:
                    break
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # Whoever asked has left, or said what is no HTTP.
        finally:
            self.connections.discard(writer)
            writer.close()

    async def _exchange(self, start: str, fields: dict, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its response; whether another may follow."""
        method, target, version = start.split(" ")
        await reader.readexactly(int(fields.get("content-length", 0)))
        # Bodies in chunks are not read.
        goes_on = version == "HTTP/1.1" and fields.get("connection") != "close" and "transfer-encoding" not in fields
        response = await self.answer(Request(method, target, fields))
        if not goes_on:
            response.fields["Connection"] = "close"
        writer.write(response.head())
        if method == "HEAD":
            return goes_on
        if isinstance(response.body, bytes):
            writer.write(response.body)
        else:
            async for piece in response.body:
                writer.write(piece)
        return goes_on


async def read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    """Start line and fields of a message; none where the connection ends."""
    raw = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not raw:
        return None
    start, *lines = raw.decode("latin-1").split("\r\n")
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return start, {name.lower(): value.strip() for name, value in fields.items()}
