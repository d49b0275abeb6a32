"""`python3 -m stand ORIGIN_PORT CONFIGURATION`: an Envoy with two workers and Larder, configured by that file in JSON, in
front of an origin on loopback. Prints where it listens and where its log is, as JSON, and ends with its input.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from . import find, template
from .process import Envoy


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    origin, configuration = ("127.0.0.1", int(sys.argv[1])), Path(sys.argv[2]).read_text()
    bootstrap = template.configured(template.fill_in(origin, find.module()), configuration)
    with Envoy(bootstrap, workers=2) as envoy:
        envoy.wait()
        print(json.dumps({"listener": f"127.0.0.1:{envoy.port}", "log": str(envoy.path / "log")}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
