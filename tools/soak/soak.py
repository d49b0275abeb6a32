"""A bounded soak on loopback: a real Envoy with four workers, mixed traffic, everything that goes wrong in production at
once, and everything that attackers have: soak.py [MINUTES [REQUESTS_PER_SECOND]]

There are three parts. All the time there are purges, a configuration every few seconds, and an origin that restarts. In the
first part, workers' VMs die as well (with the build of the module that has the feature `trap`). The second is the measure:
how long hits take. In the third the same goes on beside attackers (attacks.py). Afterwards: no request hangs, no VM died but
those that were killed, memory is flat, hits took no more than twice as long beside attackers and were as many, and what was
answered agrees with the origin's log. Writes target/soak/report.svg; exits with 1 when something does not hold.
"""

import asyncio
import json
import os
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "envoy"))

from edge import IDLE, OUT, TOKEN, Edge, cpu_seconds, machine_seconds
from report import growth, plot, quantile, steady, table
from stand.origin import Origin, Response
from wire import Client

ATTACKS = pathlib.Path(__file__).with_name("attacks.py")
# The parts, and how much of the time each has.
PARTS = {"trouble": 0.4, "calm": 0.2, "attacks": 0.4}
CLIENTS = 48
PUSH_EVERY, PURGE_EVERY, TRAP_EVERY, RESTART_EVERY, SAMPLE_EVERY = 4.0, 0.5, 20.0, 30.0, 2.0
# Longer than Envoy's patience with silence.
HANGS_AFTER = 25.0
# Attackers, and those who measure, run on the processors that Envoy runs on: hits may wait that much longer for one.
WAIT_MS = 5.0
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


class Resources:
    """Answers with a number for each response, and remembers for which request and when each was made."""

    def __init__(self):
        self.made = []

    async def answer(self, request):
        await asyncio.sleep(random.random() * 0.03)
        path = request.path
        kind, variant = path.split("/")[1], request.fields.get("x-variant", "-")
        if kind not in CONTROL:
            return Response(404)
        if kind == "failing" and random.random() < 0.3:
            return Response(503)
        number = len(self.made)
        self.made.append((path, variant, time.monotonic()))
        body = f"{number} {path} {variant}\n".encode()
        if kind == "large":
            body += b"x" * 300_000
        fields = {"Cache-Control": CONTROL[kind], "ETag": f'"{number}"', "Cache-Tag": f"{kind}, {path.split('/')[2]}"}
        return Response(200, {**fields, "Vary": "x-variant"} if kind == "varied" else fields, body)


class Soak:
    def __init__(self, minutes, rate):
        self.seconds, self.rate = minutes * 60, rate
        self.count = dict.fromkeys(("requests", "hits", "stale", "collapsed", "forwarded", "unanswered", "5xx"), 0)
        self.count |= dict.fromkeys(("purges", "pushes", "traps", "restarts", "left"), 0)
        self.wrong, self.hung, self.purges, self.samples = [], [], {}, []
        self.parts = {}

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
        self.part.requests += 1
        sent = time.monotonic()
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
        if "; hit" in verdict:
            self.part.hits.append(client.begun - sent)
        if status != 200:
            self.count["5xx"] += status >= 500
            if status < 500:
                self.complain(f"{status} for {path}")
            return
        self.judge((kind, path, variant), (began, purged), verdict, body)

    def judge(self, asked, since, verdict, body):
        (kind, path, variant), (began, (soft, hard)) = asked, since
        number, said_path, said_variant = body.split(b"\n", 1)[0].decode().split()
        made_path, made_variant, made = self.resources.made[int(number)]
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
            {"store": {"in_flight_bytes_max": "8MiB"}},
        ]))

    async def trap(self):
        if self.part.name != "trouble":
            return
        self.count["traps"] += 1
        client = Client(self.envoy.port)
        await asyncio.wait([asyncio.create_task(client.send("GET", "/fresh/1", {"x-larder-trap": "1"}))], timeout=5)
        client.close()

    async def restart(self):
        self.count["restarts"] += 1
        await self.origin.restart(1)

    async def sample(self):
        stats = await asyncio.to_thread(self.envoy.stats, "larder_stored_bytes|vm_reload_success|server.memory_allocated")
        number = lambda name: sum(value for key, value in stats.items() if name in key)
        self.samples.append((
            time.monotonic() - self.begin, self.envoy.memory(), number("memory_allocated") / 2**20,
            number("stored_bytes") / 2**20, self.count["requests"],
        ))

    async def run(self):
        self.resources = Resources()
        self.origin = Origin(self.resources.answer)
        await self.origin.start()
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        self.attackers = await asyncio.create_subprocess_exec(sys.executable, ATTACKS, **pipes)
        try:
            self.envoy = Edge(self.origin.port, int(await self.attackers.stdout.readline()))
            try:
                await asyncio.to_thread(self.envoy.wait)
                self.begin = time.monotonic()
                self.end = self.begin + self.seconds
                acts = [(PURGE_EVERY, self.purge), (PUSH_EVERY, self.push), (TRAP_EVERY, self.trap),
                        (RESTART_EVERY, self.restart), (SAMPLE_EVERY, self.sample)]
                self.enter("trouble")
                await asyncio.gather(self.go_on(), *map(self.client, range(CLIENTS)), *(self.every(*act) for act in acts))
                return await self.settled()
            finally:
                self.envoy.end()
        finally:
            if self.attackers.returncode is None:
                self.attackers.kill()

    def enter(self, name):
        self.part = self.parts[name] = Part(name, self.seconds_taken(), self.envoy.died())

    async def go_on(self):
        """From part to part."""
        for name, share in PARTS.items():
            if name == "attacks":
                orders = json.dumps([self.envoy.port, f"Bearer {TOKEN}"])
                self.attackers.stdin.write(f"{orders}\n".encode())
            if name != "trouble":
                self.enter(name)
            await asyncio.sleep(share * self.seconds)
            self.part.ends(self.seconds_taken(), self.envoy.died())

    def seconds_taken(self):
        """What the processors have done: for Envoy, for the attackers, for the others with their origin, and at all."""
        pids = (self.envoy.process.pid, self.attackers.pid, os.getpid())
        return [*map(cpu_seconds, pids), machine_seconds()]

    async def settled(self):
        """What must hold when all is over; a list of what does not."""
        self.attackers.stdin.close()
        done, _ = await self.attackers.communicate()
        attacks = json.loads(done)
        await asyncio.sleep(IDLE + 12)
        active = self.envoy.stats("(http.larder.downstream|cluster.(origin|attacked).upstream)_rq_active$")
        # Each listener that still drains reloads a VM that died for itself, so reloads say less than what Envoy logs.
        reloads = self.envoy.stats("wasm.larder.vm_reload_success")
        died = self.envoy.died()
        calm, attacked = self.parts["calm"], self.parts["attacks"]
        first, last = steady([sample[1] for sample in self.samples if sample[0] < attacked.began - self.begin])
        under_attack = [sample for sample in self.samples if sample[0] >= attacked.began - self.begin]
        grows, usual = growth(under_attack), quantile([sample[1] for sample in under_attack], 0.5)
        minutes = (under_attack[-1][0] - under_attack[0][0]) / 60
        print(json.dumps(self.count), f"origin answered {len(self.resources.made)}", sep="\n")
        print(table([Part.TITLES, *(part.row() for part in self.parts.values())]))
        print(table([("attack", "sent", "answered", "ended", "hung"),
                     *((kind, *map(str, count.values())) for kind, count in attacks.items())]))
        print(f"VMs died: {died}; reloads: {sum(reloads.values())}; resident memory {first:.0f} MiB after a third, {last:.0f} MiB "
              f"before the attacks, {usual:.0f} MiB during them, {grows:+.1f} MiB a minute")
        (OUT / "report.svg").write_text(plot(self.samples))
        hung = {kind: count["hung"] for kind, count in attacks.items() if count["hung"]}
        slower = {name: (attacked.hit_ms(part), calm.hit_ms(part)) for name, part in (("half", 0.5), ("99 of 100", 0.99))}
        return [what for what, holds in {
            f"{len(self.hung)} requests hang: {self.hung[:9]}": not self.hung,
            f"attackers' requests hang: {hung}": not hung,
            f"requests are still under way: {active}": not any(active.values()),
            f"{died} VMs died, of which {self.count['traps']} were killed": died <= self.count["traps"],
            f"{attacked.died} VMs died under attack": not attacked.died,
            f"memory grows from {first:.0f} to {last:.0f} MiB": last < first * 1.15 + 16,
            f"memory grows by {grows:.1f} MiB a minute under attack": grows * minutes * 2 / 3 < usual * 0.15 + 16,
            f"{len(self.wrong)} answers are wrong": not self.wrong,
            "nothing was ever answered from the cache": self.count["hits"] > self.count["requests"] / 10,
            f"{attacked.hit_ratio():.0%} are hits under attack, of {calm.hit_ratio():.0%}": attacked.hit_ratio() > calm.hit_ratio() * 0.8,
            **{f"{name} of the hits begin within {now:.1f} ms under attack, and {before:.1f} ms without": now <= 2 * before + WAIT_MS
               for name, (now, before) in slower.items()},
        }.items() if not holds]


class Part:
    """What went on in a part of the time."""

    TITLES = ("part", "seconds", "requests", "hits", "median", "99 %", "99.9 %", "CPU: Envoy", "attackers", "clients", "machine", "VMs died")

    def __init__(self, name, taken, died):
        self.name, self.taken, self.died = name, taken, died
        self.began, self.requests, self.hits = time.monotonic(), 0, []

    def ends(self, taken, died):
        self.seconds = time.monotonic() - self.began
        self.taken = [now - before for now, before in zip(taken, self.taken)]
        self.died = died - self.died

    def hit_ms(self, part):
        return 1000 * quantile(self.hits, part)

    def hit_ratio(self):
        return len(self.hits) / max(1, self.requests)

    def row(self):
        times = [f"{self.hit_ms(part):.1f} ms" for part in (0.5, 0.99, 0.999)]
        cpu = [f"{seconds / self.seconds:.0%}" for seconds in self.taken]
        return (self.name, f"{self.seconds:.0f}", str(self.requests), f"{self.hit_ratio():.0%}", *times, *cpu, str(self.died))


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else 250
    failures = asyncio.run(Soak(minutes, rate).run())
    for failure in failures:
        print(f"FAILED: {failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
