"""A real Envoy with its listener in a file of its own, so that configurations can be pushed."""

import json
import os
import pathlib
import re

from stand import find, template
from stand.process import Envoy

OUT = find.CHECKOUT / "target/soak"
MODULE = find.CHECKOUT / "target/trap/larder.wasm"
WORKERS = 4
# A request that waits in a VM that dies ends by Envoy's silence timeout (envoy/envoy.yaml), which is shorter here.
IDLE = 8.0
TOKEN = "secret"
DIGEST = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
# What attackers ask for has an origin of its own, so that it is no burden to that of the others.
ATTACKED = "- { match: { prefix: /attack/ }, route: { cluster: attacked, timeout: 0s } }\n              "
ATTACKED_CLUSTER = """
  - name: attacked
    type: STATIC
    connect_timeout: 5s
    per_connection_buffer_limit_bytes: 262144
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http_protocol_options: { allow_custom_methods: true } }
    load_assignment:
      cluster_name: attacked
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: PORT } } } }] }]
"""
# On loopback Linux buffers megabytes for a client that does not read; over a network it begins with little.
SEND_BUFFER = "socket_options: [{ level: 1, name: 7, int_value: 16384, state: STATE_LISTENING }]\n    "
CHANGES = {
    "stream_idle_timeout: 60s": f"stream_idle_timeout: {IDLE}s",
    "stat_prefix: larder\n    #": f"stat_prefix: larder\n    {SEND_BUFFER}#",
    "- match: { prefix: / }\n": f"{ATTACKED}- match: {{ prefix: / }}\n",
}


class Edge(Envoy):
    """Envoy in front of two origins, whose listener is what was pushed last."""

    def __init__(self, origin_port, attacked_port):
        OUT.mkdir(parents=True, exist_ok=True)
        before, rest = template.fill_in(("127.0.0.1", origin_port), MODULE, more=CHANGES).split("  listeners:\n")
        self.template, clusters = rest.split("  clusters:\n")
        clusters += ATTACKED_CLUSTER.replace("PORT", str(attacked_port))
        source = f"dynamic_resources: {{ lds_config: {{ path_config_source: {{ path: {OUT}/listener.yaml }} }} }}\n"
        self.pushes = 0
        self.push({})
        more = ("--drain-time-s", "5", "--service-node", "soak", "--service-cluster", "soak")
        super().__init__(f"{before}  clusters:\n{clusters}{source}", *more, workers=WORKERS, folder=OUT)

    def wait(self, seconds=60):
        super().wait(seconds)
        # The port stays the same over all pushes.
        self.template = self.template.replace("127.0.0.1, port_value: 0", f"127.0.0.1, port_value: {self.port}", 1)

    def push(self, configuration):
        """No two are alike: Envoy takes up one that it knows as it was."""
        self.pushes += 1
        admin = {"tokens": [{"name": "ops", "sha256": DIGEST}]}
        collapse = {"cluster": "route_loop", **configuration.pop("collapse", {})}
        # Full long before the end, so that what grows then is no store that fills.
        store = {"bytes_max": "64MiB", "worker_bytes_max": "16MiB", **configuration.pop("store", {})}
        whole = {"admin": admin, "collapse": collapse, "store": store, **configuration}
        typed = '  - "@type": type.googleapis.com/envoy.config.listener.v3.Listener\n    name: larder\n'
        numbered = f"    metadata: {{ filter_metadata: {{ push: {{ number: {self.pushes} }} }} }}\n    address:"
        yaml = self.template.replace("  - name: larder\n    address:", typed + numbered)
        yaml = template.configured(yaml, json.dumps(whole) + " " * self.pushes)
        looped = typed.replace("larder", "route_loop")
        yaml = yaml.replace("  - name: route_loop\n    internal", f"{looped}    internal")
        (OUT / "next.yaml").write_text(f"resources:\n{yaml}")
        (OUT / "next.yaml").rename(OUT / "listener.yaml")

    def memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", status)[1]) / 1024

    def died(self):
        return len(re.findall(r"Function: \w+ failed", self.log()))


def cpu_seconds(pid):
    """What a process has taken of the processors."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine_seconds():
    """What all have taken of them."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
