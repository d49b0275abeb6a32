"""The configurations of Envoy: one listener, one chain of filters, one route, everything else alike."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

TYPE = "type.googleapis.com/envoy.extensions"
TOKEN = "benchmark"
SIZES = {"1k": 1024, "10k": 10 * 1024, "100k": 100 * 1024}
STORABLE = {
    "content-type": "text/plain",
    "cache-control": "max-age=86400",
    "etag": '"v1"',
    "last-modified": "Wed, 01 Jan 2025 00:00:00 GMT",
}
UNSTORABLE = {**STORABLE, "cache-control": "no-store"}
# So slow that 500 clients keep Envoy half busy: else what is measured is the CPU, which other goals are about.
SECONDS_OF_SLOW_ORIGIN = 0.5


def origin() -> dict:
    """Answers by itself. /1k/… to /100k/… may be stored, /no-store/… and /slow/… not; /tagged/<tag>/… is tagged."""
    routes = [fixed(f"/{name}/", size, STORABLE) for name, size in SIZES.items()]
    routes += [fixed(f"/tagged/{tag}/", 1024, {**STORABLE, "cache-tag": tag}) for tag in ("one", "many")]
    delay = {
        "@type": f"{TYPE}.filters.http.fault.v3.HTTPFault",
        "delay": {"fixed_delay": f"{SECONDS_OF_SLOW_ORIGIN}s", "percentage": {"numerator": 100}},
    }
    slow = fixed("/slow/", 1024, UNSTORABLE)
    slow["typed_per_filter_config"] = {"fault": delay}
    fault = {"name": "fault", "typed_config": {"@type": f"{TYPE}.filters.http.fault.v3.HTTPFault"}}
    return bootstrap([fault], [*routes, fixed("/no-store/", 1024, UNSTORABLE), slow])


def direct() -> dict:
    """The limit of Envoy: it answers by itself, without any filter."""
    return bootstrap([], [fixed(f"/{name}/", size, STORABLE) for name, size in SIZES.items()])


def proxy(origin_port: int, *filters: dict) -> dict:
    """In front of the origin, with these filters."""
    return bootstrap(list(filters), [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}], origin_port)


def cache() -> dict:
    store = {"@type": f"{TYPE}.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig"}
    return {
        "name": "cache",
        "typed_config": {"@type": f"{TYPE}.filters.http.cache.v3.CacheConfig", "typed_config": store},
    }


def cache_v2() -> dict:
    store = {"@type": f"{TYPE}.http.cache_v2.simple_http_cache.v3.SimpleHttpCacheV2Config"}
    return {
        "name": "cache_v2",
        "typed_config": {"@type": f"{TYPE}.filters.http.cache_v2.v3.CacheV2Config", "typed_config": store},
    }


def larder(module: Path, config: dict) -> dict:
    return wasm("larder", module, json.dumps(config))


def with_token(config: dict) -> dict:
    """With an admin route that takes any number of commands."""
    tokens = [{"name": "bench", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}]
    return {**config, "admin": {"tokens": tokens, "rate": {"per_minute": 1000000, "burst": 1000000}}}


def wasm(name: str, module: Path, configuration: str) -> dict:
    """A filter in wasm, set up as envoy/envoy.yaml does it."""
    config = {
        "name": name,
        "root_id": name,
        "allow_on_headers_stop_iteration": True,
        "failure_policy": "FAIL_RELOAD",
        "vm_config": {
            "vm_id": name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": str(module)}},
        },
        "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
    }
    return {"name": name, "typed_config": {"@type": f"{TYPE}.filters.http.wasm.v3.Wasm", "config": config}}


def fixed(prefix: str, size: int, headers: dict) -> dict:
    """A route that answers by itself."""
    return {
        "match": {"prefix": prefix},
        "direct_response": {"status": 200, "body": {"inline_string": "x" * size}},
        "response_headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in headers.items()
        ],
    }


def bootstrap(filters: list[dict], routes: list[dict], origin_port: int | None = None) -> dict:
    router = {"name": "router", "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"}}
    manager = {
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "http_filters": [*filters, router],
        "route_config": {
            "max_direct_response_body_size_bytes": max(SIZES.values()),
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
        },
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    listener = {"name": "bench", "address": address(0), "filter_chains": [chain]}
    return {
        "admin": {"address": address(0)},
        "static_resources": {
            "listeners": [listener],
            "clusters": [cluster(origin_port)] if origin_port else [],
        },
    }


def cluster(port: int) -> dict:
    many = 1_000_000
    return {
        "name": "origin",
        "connect_timeout": "5s",
        "circuit_breakers": {
            "thresholds": [{"max_connections": many, "max_pending_requests": many, "max_requests": many}]
        },
        "load_assignment": {
            "cluster_name": "origin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }


def address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
