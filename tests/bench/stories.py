"""What takes more than one load to measure: the memory of the process, and the size of the module."""

from __future__ import annotations

import envoys
from load import Loader
from matrix import Parts
from servers import Envoy, say

MIB = 1024 * 1024
RESPONSES = 100_000
# How many bytes of the churn have which size.
MIX = {"1k": 0.1, "10k": 0.3, "100k": 0.6}


def memory(parts: Parts, loader: Loader, quick: bool) -> dict[str, list[float]]:
    """What each stored response takes: in shared data, and with the copies in worker memory at their default."""
    room = {"entries_max": 8 * RESPONSES, "bytes_max": "1GiB"}
    figures = {"memory": per_response(parts, loader, {**room, "worker_bytes_max": "0"})}
    if not quick:
        figures["memory with worker copies"] = per_response(parts, loader, room)
    return figures


def per_response(parts: Parts, loader: Loader, store: dict) -> list[float]:
    with started(parts, {"store": store}) as server:
        loader.fill(server, "/1k/before-", 64)  # What Envoy itself takes under load.
        before = server.rss_bytes()
        loader.fill(server, "/1k/", RESPONSES)
        stored = server.stat("wasmcustom.larder_stored") - server.stat("wasmcustom.larder_evicted")
        return [(server.rss_bytes() - before) / stored]


def churn(parts: Parts, loader: Loader, quick: bool) -> dict[str, list[float]]:
    """The growth of the process while ten times the budget goes through, as parts of the budget."""
    shared, worker = (32, 8) if quick else (256, 64)
    store = {"bytes_max": f"{shared}MiB", "worker_bytes_max": f"{worker}MiB"}
    budget = (shared + worker) * MIB
    with started(parts, {"store": store}) as server:
        before, ratios = server.rss_bytes(), []
        for step in range(10):
            for size, part in MIX.items():
                loader.fill(server, f"/{size}/{step}-", int(budget * part / envoys.SIZES[size]))
            ratios.append((server.rss_bytes() - before) / budget)
            counted = server.stat("wasmcustom.larder_stored_bytes") / MIB
            say(
                f"  after {step + 1} × {budget // MIB} MiB: {ratios[-1]:.2f} of it; counted: {counted:.0f} MiB in shared data"
            )
        return {"churn": [max(ratios)], "churn, step by step": ratios}


def module(parts: Parts, loader: Loader, quick: bool) -> dict[str, list[float]]:
    return {"module": [float(parts.larder.stat().st_size)]}


def started(parts: Parts, config: dict) -> Envoy:
    server = Envoy("larder", parts.envoy, envoys.proxy(parts.origin_port, envoys.larder(parts.larder, config)))
    server.wait()
    return server


STORIES = {"memory": memory, "churn": churn, "module": module}
