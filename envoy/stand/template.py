"""envoy/envoy.yaml, which operators copy, with ports, module and plugin configuration filled in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from . import find

# What stands there for each of them.
ADMIN = "address: 127.0.0.1, port_value: 9901"
LISTENER = "address: 0.0.0.0, port_value: 10000"
ORIGIN = "address: 127.0.0.1, port_value: 8000"
FILE = "filename: dist/larder.wasm"
CONFIGURATION = 'value: |\n                    { "collapse": { "cluster": "route_loop" } }\n'


def fill_in(origin: tuple[str, int], module: Path, port: int = 0, more: dict[str, str] | None = None) -> str:
    """The file with Envoy on loopback, on free ports or the one that is given, in front of an origin; with more of it
    replaced by what is wanted instead. The plugin configuration is still the one that is shipped."""
    host, origin_port = origin
    changes = {
        ADMIN: "address: 127.0.0.1, port_value: 0",
        LISTENER: f"address: 127.0.0.1, port_value: {port}",
        ORIGIN: f"address: {json.dumps(host)}, port_value: {origin_port}",
        FILE: f"filename: {json.dumps(str(module))}",
    }
    return replaced((find.CHECKOUT / "envoy" / "envoy.yaml").read_text(), {**changes, **(more or {})})


def configured(yaml: str, configuration: str) -> str:
    """With this plugin configuration, in JSON."""
    return replaced(yaml, {CONFIGURATION: f"value: {json.dumps(configuration)}\n"})


def replaced(yaml: str, changes: dict[str, str]) -> str:
    """What is replaced has to be there once: else the file has changed, and this would do something else."""
    for old, new in changes.items():
        if yaml.count(old) != 1:
            sys.exit(f"envoy/envoy.yaml should have this exactly once: {old!r}")
        yaml = yaml.replace(old, new)
    return yaml
