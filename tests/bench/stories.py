"""What takes more than one load to measure: the memory of the process, the size of the module, what eviction costs."""

from __future__ import annotations

import envoys
import eviction as misses
from load import Loader
from matrix import Parts
from servers import Envoy, say

MIB = 1024 * 1024
# How many bytes of the churn have which size.
MIX = {"1k": 0.1, "10k": 0.3, "100k": 0.6}


def memory(parts: Parts, loader: Loader, quick: bool) -> dict[str, list[float]]:
    """What each stored response takes: in shared data, and with a copy in worker memory, for which it has to be asked
    for twice."""
    responses = 25_000 if quick else 100_000
    figures = {"memory": per_response(parts, loader, responses, 1, "0"), "memory, of": [responses]}
    if not quick:
        figures["memory with a worker's copy"] = per_response(parts, loader, responses, 2, "512MiB")
    return figures


def per_response(parts: Parts, loader: Loader, responses: int, times: int, worker: str) -> list[float]:
    """What an Envoy that has stored them has more than one that has borne the same load and holds hardly any: what
    Envoy, V8 and their code take under load is no part of it, the directory of all sets is."""
    rss, held = [], []
    # Room for nearly all: keys are not spread over the sets evenly.
    for entries in (64, responses * 4 // 3):
        config = {"store": {"bytes_max": "1GiB", "entries_max": entries, "worker_bytes_max": worker}}
        with started(parts, config) as server:
            for _ in range(times):
                loader.fill(server, "/1k/", responses)
            rss.append(server.rss_bytes())
            held.append(server.stat("wasmcustom.larder_stored") - server.stat("wasmcustom.larder_evicted"))
    return [(rss[1] - rss[0]) / (held[1] - held[0])]


def churn(parts: Parts, loader: Loader, quick: bool) -> dict[str, list[float]]:
    """The growth of a process that was idle while ten times the budget goes through, as parts of the budget, which is
    the default one: what V8 takes beside it is the same for all. All is asked for twice, so that worker memory fills as
    well."""
    shared, worker = 256, 64
    store = {"bytes_max": f"{shared}MiB", "worker_bytes_max": f"{worker}MiB"}
    budget = (shared + worker) * MIB
    with started(parts, {"store": store}) as server:
        before, ratios = server.rss_bytes(), []
        for step in range(10):
            for size, part in MIX.items():
                # In portions that are still there the second time.
                count = int(budget * part / envoys.SIZES[size])
                for portion in range(4):
                    for _ in range(2):
                        loader.fill(server, f"/{size}/{step}-{portion}-", count // 4)
            ratios.append((server.rss_bytes() - before) / budget)
            counted = server.stat("wasmcustom.larder_stored_bytes") / MIB
            say(
                f"  after {step + 1} × {budget // MIB} MiB: {ratios[-1]:.2f} of it; counted: {counted:.0f} MiB in shared data"
            )
        return {"churn": [max(ratios)], "churn, step by step": ratios, "churn, budget in MiB": [budget // MIB]}


def module(parts: Parts, loader: Loader, quick: bool) -> dict[str, list[float]]:
    return {"module": [float(parts.larder.stat().st_size)]}


def eviction(parts: Parts, loader: Loader, quick: bool) -> dict[str, list[float]]:
    """How many points of miss ratio are lost to the best that is known, and the ratio to LRU's, where it is worst."""
    cases = [case for case in misses.compare(quick) if case.trace != misses.BEYOND]
    return {
        "eviction": [max(100 * (case.ours() - case.ratios["Sieve"]) for case in cases)],
        "eviction against LRU": [max(case.ours() / case.ratios["LRU"] for case in cases)],
    }


def started(parts: Parts, config: dict) -> Envoy:
    server = Envoy("larder", envoys.proxy(parts.origin_port, envoys.larder(parts.larder, config)))
    server.wait()
    return server


STORIES = {"memory": memory, "churn": churn, "module": module, "eviction": eviction}
