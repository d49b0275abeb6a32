"""What is measured and what is claimed: targets, loads, goals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import envoys
from load import Load, Loader
from peers import Nginx, Varnish
from servers import Envoy, Server, give_up


@dataclass(frozen=True)
class Parts:
    """What targets are made of."""

    envoy: str
    larder: Path
    filters: Path  # the folder of the filters that are compared with
    nginx: Optional[str]
    varnish: Optional[str]
    origin_port: int = 0


@dataclass(frozen=True)
class Target:
    """A server that can be put under load."""

    says: str
    start: Callable[[str, Parts], Optional[Server]]  # none where the machine does not have it
    prepare: Callable[[Server, Loader], None] = lambda server, loader: None
    caches: bool = True


@dataclass(frozen=True)
class Goal:
    """A ratio of two cells (`target/load`), or a figure by itself, and what it may be at most."""

    claim: str
    cell: str
    against: Optional[str]
    at_most: float
    of: str = "cpu"  # the field of `Sample`
    is_quick: bool = True  # whether `QUICK=1` looks at it


def in_envoy(config: Callable[[Parts], dict]) -> Callable[[str, Parts], Server]:
    return lambda name, parts: Envoy(name, config(parts))


def behind(*filters: Callable[[Parts], dict]) -> Callable[[str, Parts], Server]:
    return in_envoy(lambda parts: envoys.proxy(parts.origin_port, *[make(parts) for make in filters]))


def larder(config: dict) -> Callable[[str, Parts], Server]:
    return behind(lambda parts: envoys.larder(parts.larder, config))


def sdk_filter(name: str, configuration: str = "") -> Callable[[Parts], dict]:
    return lambda parts: envoys.wasm(name, parts.filters / f"{name}.wasm", configuration)


def constant(size: str) -> Target:
    return Target(
        f"a constant of {size} from a wasm filter through the SDK",
        behind(sdk_filter("constant", str(envoys.SIZES[size]))),
    )


def a_thousand_rules() -> dict:
    """Rules as a large fleet has them; none is for what is requested."""
    kinds = [
        lambda n: {"match": {"path": f"/service-{n}/**"}, "ttl": f"{n + 1}s"},
        lambda n: {"match": {"path": f"/api/*/thing-{n}/{{id}}"}, "tags": [f"thing-{n}:{{id}}"]},
        lambda n: {"match": {"host": f"*.customer-{n}.example"}, "ttl": {"default": "5m"}},
        lambda n: {"match": {"path": f"/**/*.type{n}"}, "stale_while_revalidate": "1m"},
        lambda n: {"match": {"header": {"x-tenant": f"tenant-{n}"}}, "bypass": True},
    ]
    return {"rules": [kinds[n % len(kinds)](n) for n in range(1000)]}


def purge(server: Server, selectors: list[dict]) -> int:
    """The position in the journal."""
    headers = {"Authorization": f"Bearer {envoys.TOKEN}", "Content-Type": "application/json"}
    status, _, body = server.get("/_larder/purge", headers, json.dumps({"selectors": selectors}).encode())
    if status != 200:
        give_up(f"{server.name} did not take a purge: {status} {body.decode()}")
    return json.loads(body)["receipt"]


def ten_thousand_purges(server: Server, loader: Loader) -> None:
    server.get(LOADS["1k"].path)  # Stored before them, so that they all count for it.
    for n in range(0, 10_000, 250):
        numbers = range(n, n + 250)
        purge(server, [{"tag": f"product:{m}"} if m % 2 else {"url": f"http://other.example/{m}"} for m in numbers])
    if purge(server, [{"tag": "last"}]) <= 10_000:
        give_up("The journal did not take 10,000 records.")


def filled(*paths: tuple[str, int]) -> Callable[[Server, Loader], None]:
    def fill(server: Server, loader: Loader) -> None:
        for path, count in paths:
            loader.fill(server, path, count)

    return fill


ROOMY = {"store": {"entries_max": 4_194_304, "bytes_max": "8GiB", "worker_bytes_max": "0"}}

TARGETS = {
    "direct": Target("Envoy's `direct_response`, no filter", in_envoy(lambda parts: envoys.direct())),
    **{f"constant-{size}": constant(size) for size in envoys.SIZES},
    "cache": Target("Envoy's own filter `cache`, simple storage", behind(lambda parts: envoys.cache())),
    "cache_v2": Target("Envoy's own filter `cache_v2`, simple storage", behind(lambda parts: envoys.cache_v2())),
    "larder": Target("Larder with its default configuration", larder({})),
    "l2": Target("Larder without copies in worker memory", larder({"store": {"worker_bytes_max": "0"}})),
    "rules": Target("Larder with 1,000 rules", larder(a_thousand_rules())),
    "journal": Target("Larder after 10,000 journal records", larder(envoys.with_token({})), ten_thousand_purges),
    "few": Target("Larder with 1,000 stored responses, in shared data only", larder(ROOMY), filled(("/1k/", 1000))),
    "many": Target("the same with 1,000,000", larder(ROOMY), filled(("/1k/", 1_000_000))),
    "tagged": Target(
        "Larder with 100,000 stored responses of one tag, and one of another",
        larder(envoys.with_token(ROOMY)),
        filled(("/tagged/many/", 100_000), ("/tagged/one/", 1)),
    ),
    "plain": Target("Envoy proxying, without any filter", behind(), caches=False),
    "noop": Target("Envoy proxying, with a wasm filter that does nothing", behind(sdk_filter("noop")), caches=False),
    "nginx": Target("nginx, proxy_cache", lambda name, p: Nginx(p.nginx, p.origin_port) if p.nginx else None),
    "varnish": Target("Varnish, in memory", lambda name, p: Varnish(p.varnish, p.origin_port) if p.varnish else None),
}


def purging(tag: str) -> Load:
    headers = (f"Authorization: Bearer {envoys.TOKEN}", "Content-Type: application/json")
    body = json.dumps({"selectors": [{"tag": tag}]})
    return Load("/_larder/purge", "post", body, headers, connections=1)


LOADS = {
    **{size: Load(f"/{size}/a") for size in envoys.SIZES},
    "304": Load("/1k/a", headers=('If-None-Match: "v1"',)),
    "miss": Load("/1k/", "new", is_stored=False),
    "pass": Load("/no-store/a", is_stored=False),
    "500-clients": Load("/slow/a", connections=500, is_stored=False),
    "of-1000": Load("/1k/", "random", "1000"),
    "of-1000000": Load("/1k/", "random", "1000000"),
    "purge-one": purging("one"),
    "purge-many": purging("many"),
}

# What is claimed. Measured in this order, so what is compared should stand together.
GOALS = [
    Goal("L1 hit, 1 KB, against Envoy's `cache`", "larder/1k", "cache/1k", 1.00),
    Goal("L1 hit, 1 KB, against a constant from a wasm filter", "larder/1k", "constant-1k/1k", 1.08),
    Goal("304 to a conditional request against a 1 KB hit", "larder/304", "larder/1k", 1.00),
    Goal("hit with 1,000 rules against none", "rules/1k", "larder/1k", 1.03),
    Goal("hit after 10,000 journal records against none", "journal/1k", "larder/1k", 1.03),
    Goal("L1 hit, 10 KB, against Envoy's `cache`", "larder/10k", "cache/10k", 1.00, is_quick=False),
    Goal(
        "L1 hit, 10 KB, against a constant from a wasm filter", "larder/10k", "constant-10k/10k", 1.08, is_quick=False
    ),
    Goal("L1 hit, 100 KB, against Envoy's `cache`", "larder/100k", "cache/100k", 1.05, is_quick=False),
    Goal("L2 hit, 1 KB, against Envoy's `cache_v2`", "l2/1k", "cache_v2/1k", 1.05),
    Goal("L2 hit, 10 KB, against Envoy's `cache_v2`", "l2/10k", "cache_v2/10k", 1.05, is_quick=False),
    Goal("L2 hit, 100 KB, against Envoy's `cache_v2`", "l2/100k", "cache_v2/100k", 1.05, is_quick=False),
    Goal("miss with store, every key new, against Envoy's `cache`", "larder/miss", "cache/miss", 1.00),
    Goal("miss with store, every key new, against Envoy's `cache_v2`", "larder/miss", "cache_v2/miss", 0.80),
    Goal("uncacheable pass-through against a no-op wasm filter", "larder/pass", "noop/pass", 1.10),
    Goal("hit with 1,000,000 stored responses against 1,000", "many/of-1000000", "few/of-1000", 1.08, is_quick=False),
    Goal(
        "purge of a tag of 100,000 responses against 1: time to acknowledge",
        "tagged/purge-many",
        "tagged/purge-one",
        1.05,
        "each",
    ),
    Goal(
        "500 clients on a `no-store` URL, 500 ms origin, against no cache: median latency",
        "larder/500-clients",
        "plain/500-clients",
        1.05,
        "p50",
    ),
    Goal("process memory per stored 1 KB response, of 100,000, or 25,000 with QUICK=1 (bytes)", "memory", None, 1.5 * 1024),
    Goal("process memory after ten times the budget, against the budget", "churn", None, 1.25, is_quick=False),
    Goal("size of the shipped module (bytes)", "module", None, 600_000),
    Goal("miss ratio above that of a global SIEVE, where it is worst (points)", "eviction", None, 1.0, is_quick=False),
    Goal("miss ratio against LRU's, where it is worst", "eviction against LRU", None, 1.0, is_quick=False),
]

# What is measured beside the goals, to see them in their landscape.
LANDSCAPE = [
    *[
        f"{name}/{size}"
        for name in ("direct", "cache_v2", "plain", "noop", "nginx", "varnish")
        for size in envoys.SIZES
    ],
    "constant-100k/100k",
    *[f"{target}/miss" for target in ("plain", "nginx", "varnish")],
    "plain/pass",
]


def expects_origin(cell: str) -> bool:
    target, load = cell.split("/")
    return not (TARGETS[target].caches and LOADS[load].is_stored)
