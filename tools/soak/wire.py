"""A client over asyncio's streams, as little of HTTP/1.1 as the soak needs."""

import asyncio
import time

from stand.origin import read_head


def head_of(method, path, host, fields=None, body=b""):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
    if body or method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Client:
    """One connection, opened again whenever Envoy closes it."""

    def __init__(self, port, host="shop.example"):
        self.port, self.host, self.writer, self.begun = port, host, None, 0.0

    async def send(self, method, path, fields=None, body=b""):
        """(status, fields, body); none when the connection ended before the response did. `begun` is when it began."""
        try:
            if self.writer is None:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.writer.write(head_of(method, path, self.host, fields, body) + body)
            head = await read_head(self.reader)
            self.begun = time.monotonic()
            length = int(head[1].get("content-length", 0)) if head else 0
            body = await self.reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            head = None
        if head is None:
            self.close()
            return None
        start, fields = head
        if fields.get("connection") == "close":
            self.close()
        return int(start.split()[1]), fields, body

    def close(self):
        if self.writer:
            self.writer.transport.abort()
        self.writer = None
