"""A bounded soak on loopback: a real Envoy with four workers, mixed traffic, and everything that goes wrong in
production at once: soak.py [MINUTES [REQUESTS_PER_SECOND]]

Purges all the time, a configuration every few seconds, an origin that restarts, workers whose VM dies (with the build
of the module that has the feature `trap`). Afterwards: no request hangs, no VM was reloaded but those that were killed,
memory is flat, and what was answered agrees with the origin's log. Writes target/soak/report.svg; exits with 1 when
something does not hold.
"""

import asyncio
import json
import pathlib
import random
import re
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "target/soak"
MODULE = ROOT / "target/trap/larder.wasm"
WORKERS = 4
CLIENTS = 48
PUSH_EVERY, PURGE_EVERY, TRAP_EVERY, RESTART_EVERY, SAMPLE_EVERY = 4.0, 0.5, 20.0, 30.0, 2.0
# The plugin configuration as it stands in envoy.yaml.
SHIPPED = 'value: |\n                    { "collapse": { "cluster": "route_loop" } }\n'
# A request that waits in a VM that dies ends by Envoy's silence timeout (envoy/envoy.yaml), which is shorter here.
IDLE, HANGS_AFTER = 8.0, 25.0
TOKEN = "secret"
DIGEST = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
# Seconds for which each kind of resource may be answered from the cache, stale windows and grace included.
KINDS = {"fresh": 5, "stale": 11, "varied": 5, "large": 5, "private": 0, "nostore": 0, "failing": 31}
CONTROL = {
    "fresh": "max-age=5", "stale": "max-age=1, stale-while-revalidate=10", "varied": "max-age=5",
    "large": "max-age=5", "private": "private, max-age=60", "nostore": "no-store",
    "failing": "max-age=1, stale-if-error=30",
}
# How an answer says that it is served in spite of being stale.
STALE = ("soft-purged", "stale-while-revalidate", "stale-if-error", "stale-if-down")
SLACK = 1.5  # Age is in whole seconds, and the machine may be busy.


class Origin:
    """Answers with a number for each response, and remembers for which request and when each was made."""

    def __init__(self):
        self.made, self.connections, self.server = [], set(), None

    async def start(self, port=0):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def restart(self):
        self.server.close()
        for writer in list(self.connections):
            writer.transport.abort()
        await asyncio.sleep(1)
        await self.start(self.port)

    async def serve(self, reader, writer):
        self.connections.add(writer)
        try:
            while head := await read_head(reader):
                await asyncio.sleep(random.random() * 0.03)
                writer.write(self.answer(*head))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    def answer(self, start, fields):
        path = start.split()[1].split("?")[0]
        kind, variant = path.split("/")[1], fields.get("x-variant", "-")
        if kind == "failing" and random.random() < 0.3:
            return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
        number = len(self.made)
        self.made.append((path, variant, time.monotonic()))
        body = f"{number} {path} {variant}\n".encode()
        if kind == "large":
            body += b"x" * 300_000
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nCache-Control: {CONTROL[kind]}\r\n"
            f"ETag: \"{number}\"\r\nCache-Tag: {kind}, {path.split('/')[2]}\r\n"
        )
        return head.encode() + (b"Vary: x-variant\r\n" if kind == "varied" else b"") + b"\r\n" + body


async def read_head(reader):
    raw = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not raw:
        return None
    start, *lines = raw.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    return start, {name.lower(): value for name, value in fields.items()}


class Envoy:
    """Envoy with its listener in a file of its own, so that configurations can be pushed."""

    def __init__(self, origin_port):
        OUT.mkdir(parents=True, exist_ok=True)
        found = subprocess.run([sys.executable, ROOT / "tools/get.py", "envoy"], stdout=subprocess.PIPE, check=True)
        yaml = (ROOT / "envoy/envoy.yaml").read_text()
        for old, new in {
            "address: 127.0.0.1, port_value: 9901": "address: 127.0.0.1, port_value: 0",
            "address: 0.0.0.0, port_value: 10000": "address: 127.0.0.1, port_value: 0",
            "port_value: 8000": f"port_value: {origin_port}",
            "filename: dist/larder.wasm": f"filename: {json.dumps(str(MODULE))}",
            "stream_idle_timeout: 60s": f"stream_idle_timeout: {IDLE}s",
        }.items():
            assert yaml.count(old) == 1, f"envoy/envoy.yaml should have this exactly once: {old!r}"
            yaml = yaml.replace(old, new)
        before, rest = yaml.split("  listeners:\n")
        self.listener, clusters = rest.split("  clusters:\n")
        source = f"dynamic_resources: {{ lds_config: {{ path_config_source: {{ path: {OUT}/listener.yaml }} }} }}\n"
        (OUT / "envoy.yaml").write_text(f"{before}  clusters:\n{clusters}{source}")
        self.pushes = 0
        self.push({})
        (OUT / "admin").unlink(missing_ok=True)
        command = [found.stdout.decode().strip(), "--config-path", OUT / "envoy.yaml", "--admin-address-path"]
        command += [OUT / "admin", "--concurrency", str(WORKERS), "--disable-hot-restart", "--log-level", "warning"]
        command += ["--drain-time-s", "5", "--service-node", "soak", "--service-cluster", "soak"]
        with open(OUT / "log", "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)

    def push(self, configuration):
        """No two are alike: Envoy takes up one that it knows as it was."""
        self.pushes += 1
        admin = {"tokens": [{"name": "ops", "sha256": DIGEST}]}
        collapse = {"cluster": "route_loop", **configuration.pop("collapse", {})}
        whole = {"admin": admin, "collapse": collapse, **configuration}
        quoted = json.dumps(json.dumps(whole) + " " * self.pushes)
        typed = '  - "@type": type.googleapis.com/envoy.config.listener.v3.Listener\n    name: larder\n'
        numbered = f"    metadata: {{ filter_metadata: {{ push: {{ number: {self.pushes} }} }} }}\n    address:"
        yaml = self.listener.replace("  - name: larder\n    address:", typed + numbered)
        assert yaml.count(SHIPPED) == 1, f"envoy/envoy.yaml should have this exactly once: {SHIPPED!r}"
        yaml = yaml.replace(SHIPPED, f"value: {quoted}\n")
        looped = typed.replace("larder", "route_loop")
        yaml = yaml.replace("  - name: route_loop\n    internal", f"{looped}    internal")
        (OUT / "next.yaml").write_text(f"resources:\n{yaml}")
        (OUT / "next.yaml").rename(OUT / "listener.yaml")

    async def ready(self):
        for _ in range(600):
            try:
                self.admin = (OUT / "admin").read_text().strip()
                found = re.search(r"^larder::(\S+):(\d+)", self.get("/listeners"), re.MULTILINE)
                if found and self.get("/ready").strip() == "LIVE":
                    self.port = int(found[2])
                    # The port stays the same over all pushes.
                    self.listener = self.listener.replace("127.0.0.1, port_value: 0", f"127.0.0.1, port_value: {self.port}", 1)
                    return
            except OSError:
                pass
            await asyncio.sleep(0.1)
        sys.exit("Envoy was not ready within 60 seconds")

    def get(self, target):
        with urllib.request.urlopen(f"http://{self.admin}{target}", timeout=20) as response:
            return response.read().decode()

    def stats(self, names):
        lines = self.get(f"/stats?filter={names}").splitlines()
        return {name: int(value) for name, _, value in (line.partition(": ") for line in lines) if value.isdigit()}

    def memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", status)[1]) / 1024


class Client:
    """One connection, opened again whenever Envoy closes it."""

    def __init__(self, port):
        self.port, self.writer = port, None

    async def send(self, method, path, fields=None, body=b""):
        """(status, fields, body); none when the connection ended before a response began."""
        lines = [f"{method} {path} HTTP/1.1", "Host: shop.example", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
        if not body:
            lines.pop(2)
        try:
            if self.writer is None:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            head = await read_head(self.reader)
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


class Soak:
    def __init__(self, minutes, rate):
        self.end, self.rate = time.monotonic() + minutes * 60, rate
        self.begin = time.monotonic()
        self.count = dict.fromkeys(("requests", "hits", "stale", "collapsed", "forwarded", "unanswered", "5xx"), 0)
        self.count |= dict.fromkeys(("purges", "pushes", "traps", "restarts", "left"), 0)
        self.wrong, self.hung, self.purges, self.samples, self.last_trap = [], [], {}, [], 0.0

    def runs(self):
        return time.monotonic() < self.end

    def complain(self, what):
        if len(self.wrong) < 20:
            print(f"wrong: {what}", flush=True)
        self.wrong.append(what)

    async def client(self, number):
        client = Client(self.envoy.port)
        await asyncio.sleep(number / self.rate)
        while self.runs():
            began = time.monotonic()
            kind = random.choices(list(KINDS), [30, 20, 15, 3, 5, 5, 10])[0]
            path = f"/{kind}/{min(int(random.paretovariate(0.7)), 300)}"
            variant = random.choice("ab")
            if random.random() < 0.01:
                await self.leaves(path, variant)
            else:
                await self.asks(client, kind, path, variant, began)
            pause = CLIENTS / self.rate - (time.monotonic() - began)
            await asyncio.sleep(max(0, pause * random.uniform(0.5, 1.5)))
        client.close()

    async def leaves(self, path, variant):
        client = Client(self.envoy.port)
        asked = asyncio.create_task(client.send("GET", path, {"x-variant": variant}))
        await asyncio.sleep(random.random() * 0.02)
        client.close()
        await asyncio.wait([asked], timeout=HANGS_AFTER)
        self.count["left"] += 1

    async def asks(self, client, kind, path, variant, began):
        # When the last purges were sent that were acknowledged before it began: of both modes, and of the hard one.
        tags = (kind, path.split("/")[2])
        purged = [max(self.purges.get((tag, mode), 0) for tag in tags) for mode in ("soft", "hard")]
        self.count["requests"] += 1
        try:
            found = await asyncio.wait_for(client.send("GET", path, {"x-variant": variant}), HANGS_AFTER)
        except TimeoutError:
            self.hung.append((path, round(began - self.begin, 1)))
            return client.close()
        if found is None:
            self.count["unanswered"] += 1
            return
        status, fields, body = found
        verdict = fields.get("cache-status", "")
        if status != 200:
            self.count["5xx"] += status >= 500
            if status < 500:
                self.complain(f"{status} for {path}")
            return
        self.judge((kind, path, variant), (began, purged), verdict, body)

    def judge(self, asked, since, verdict, body):
        (kind, path, variant), (began, (soft, hard)) = asked, since
        number, said_path, said_variant = body.split(b"\n", 1)[0].decode().split()
        made_path, made_variant, made = self.origin.made[int(number)]
        if (said_path, said_variant) != (made_path, made_variant) or made_path != path:
            return self.complain(f"{path} was answered with {body[:60]!r}")
        if kind == "varied" and made_variant != variant:
            return self.complain(f"variant {variant} of {path} was answered with {body[:60]!r}")
        hit = "; hit" in verdict
        is_stale = any(word in verdict for word in STALE)
        self.count["hits" if hit else "forwarded"] += 1
        self.count["stale"] += hit and is_stale
        self.count["collapsed"] += "collapsed" in verdict
        age = began - made
        if age > KINDS[kind] + SLACK:
            self.complain(f"{path}, {age:.1f} s old: {verdict}")
        # A soft purge lets it be answered for a while, as stale.
        if made < hard or (made < soft and not is_stale):
            self.complain(f"{path} in spite of a purge {began - max(soft, hard):.3f} s before: {verdict}")
        if age > 0 and not hit and "collapsed" not in verdict and "fwd-status=304" not in verdict:
            self.complain(f"{path} says that it was fetched, {age:.3f} s before: {verdict}")

    async def every(self, seconds, act):
        while self.runs():
            await asyncio.sleep(seconds * random.uniform(0.5, 1.5))
            await act()

    async def purge(self):
        client, tag = Client(self.envoy.port), random.choice([*list(KINDS), *map(str, range(1, 20))])
        fields = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        mode = random.choice(["soft", "hard"])
        sent, body = time.monotonic(), json.dumps({"selectors": [{"tag": tag}], "mode": mode}).encode()
        found = await asyncio.wait_for(client.send("POST", "/_larder/purge", fields, body), HANGS_AFTER)
        client.close()
        if found and found[0] == 200:
            self.count["purges"] += 1
            # What was made before the purge was sent must not be seen by whoever asks from now on.
            self.purges[tag, mode] = sent
        elif found and found[0] not in (503, 504):
            self.complain(f"a purge was answered with {found}")

    async def push(self):
        self.count["pushes"] += 1
        self.envoy.push(random.choice([
            {}, {"collapse": {"fetch": "dispatched", "cluster": "origin"}}, {"collapse": {"fetch": "inline"}},
            {"store": {"worker_bytes_max": "1MiB"}}, {"store": {"bytes_max": "8MiB"}},
        ]))

    async def trap(self):
        self.count["traps"] += 1
        client = Client(self.envoy.port)
        await asyncio.wait([asyncio.create_task(client.send("GET", "/fresh/1", {"x-larder-trap": "1"}))], timeout=5)
        client.close()

    async def restart(self):
        self.count["restarts"] += 1
        await self.origin.restart()

    async def sample(self):
        stats = await asyncio.to_thread(self.envoy.stats, "larder_stored_bytes|vm_reload_success|server.memory_allocated")
        number = lambda name: sum(value for key, value in stats.items() if name in key)
        self.samples.append((
            time.monotonic() - self.begin, self.envoy.memory(), number("memory_allocated") / 2**20,
            number("stored_bytes") / 2**20, self.count["requests"],
        ))

    async def run(self):
        self.origin = Origin()
        await self.origin.start()
        self.envoy = Envoy(self.origin.port)
        try:
            await self.envoy.ready()
            acts = [(PURGE_EVERY, self.purge), (PUSH_EVERY, self.push), (TRAP_EVERY, self.trap),
                    (RESTART_EVERY, self.restart), (SAMPLE_EVERY, self.sample)]
            await asyncio.gather(*map(self.client, range(CLIENTS)), *(self.every(*act) for act in acts))
            return await self.settled()
        finally:
            self.envoy.process.terminate()
            self.envoy.process.wait()

    async def settled(self):
        """What must hold when all is over; a list of what does not."""
        await asyncio.sleep(IDLE + 12)
        active = self.envoy.stats("(http.larder.downstream|cluster.origin.upstream)_rq_active$")
        # Each listener that still drains reloads a VM that died for itself, so reloads say less than what Envoy logs.
        reloads = self.envoy.stats("wasm.larder.vm_reload_success")
        died = len(re.findall(r"Function: \w+ failed", (OUT / "log").read_text(errors="replace")))
        first, last = steady([sample[1] for sample in self.samples])
        print(json.dumps(self.count), f"origin answered {len(self.origin.made)}", sep="\n")
        print(f"VMs died: {died}; reloads: {sum(reloads.values())}; resident memory {first:.0f} MiB after a third, {last:.0f} MiB at the end")
        (OUT / "report.svg").write_text(plot(self.samples))
        return [what for what, holds in {
            f"{len(self.hung)} requests hang: {self.hung[:9]}": not self.hung,
            f"requests are still under way: {active}": not any(active.values()),
            f"{died} VMs died, of which {self.count['traps']} were killed": died <= self.count["traps"],
            f"memory grows from {first:.0f} to {last:.0f} MiB": last < first * 1.15 + 16,
            f"{len(self.wrong)} answers are wrong": not self.wrong,
            "nothing was ever answered from the cache": self.count["hits"] > self.count["requests"] / 10,
        }.items() if not holds]


def steady(values):
    """The median of the second third and of the last tenth: the first third is for filling up."""
    median = lambda part: sorted(part)[len(part) // 2]
    third, tenth = len(values) // 3, max(1, len(values) // 10)
    return median(values[third:2 * third]), median(values[-tenth:])


def plot(samples):
    """Resident memory, what Envoy has allocated, and what is stored, over time."""
    width, height, left, top = 720, 260, 60, 20
    last, most = samples[-1][0], max(max(sample[1:4]) for sample in samples) * 1.1
    lines = []
    for nth, (name, colour) in enumerate((("resident", "#b3402a"), ("allocated", "#2a6fb3"), ("stored", "#3a8f4a")), 1):
        points = " ".join(
            f"{left + sample[0] / last * width:.1f},{top + height - sample[nth] / most * height:.1f}" for sample in samples
        )
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        lines.append(f'<text x="{left + 8 + 110 * (nth - 1)}" y="{top + 14}" fill="{colour}">{name}</text>')
    for part in range(5):
        y = top + height - height * part / 4
        lines.append(f'<line x1="{left}" x2="{left + width}" y1="{y}" y2="{y}" stroke="#ccc"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{most * part / 4:.0f} MiB</text>')
        lines.append(f'<text x="{left + width * part / 4}" y="{top + height + 18}" text-anchor="middle">{last / 60 * part / 4:.1f} min</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 40} {top + height + 30}" '
        f'font-family="sans-serif" font-size="11">{"".join(lines)}</svg>\n'
    )


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else 250
    failures = asyncio.run(Soak(minutes, rate).run())
    for failure in failures:
        print(f"FAILED: {failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
