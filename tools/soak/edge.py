"""A real Envoy with its listener in a file of its own, so that configurations can be pushed."""

import asyncio
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "target/soak"
MODULE = ROOT / "target/trap/larder.wasm"
WORKERS = 4
# The plugin configuration as it stands in envoy.yaml.
SHIPPED = 'value: |\n                    { "collapse": { "cluster": "route_loop" } }\n'
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


class Envoy:
    def __init__(self, origin_port, attacked_port):
        OUT.mkdir(parents=True, exist_ok=True)
        found = subprocess.run([sys.executable, ROOT / "tools/get.py", "envoy"], stdout=subprocess.PIPE, check=True)
        yaml = (ROOT / "envoy/envoy.yaml").read_text()
        for old, new in {
            "address: 127.0.0.1, port_value: 9901": "address: 127.0.0.1, port_value: 0",
            "address: 0.0.0.0, port_value: 10000": "address: 127.0.0.1, port_value: 0",
            "port_value: 8000": f"port_value: {origin_port}",
            "filename: dist/larder.wasm": f"filename: {json.dumps(str(MODULE))}",
            "stream_idle_timeout: 60s": f"stream_idle_timeout: {IDLE}s",
            "stat_prefix: larder\n    #": f"stat_prefix: larder\n    {SEND_BUFFER}#",
            "- match: { prefix: / }\n": f"{ATTACKED}- match: {{ prefix: / }}\n",
        }.items():
            assert yaml.count(old) == 1, f"envoy/envoy.yaml should have this exactly once: {old!r}"
            yaml = yaml.replace(old, new)
        before, rest = yaml.split("  listeners:\n")
        self.listener, clusters = rest.split("  clusters:\n")
        clusters += ATTACKED_CLUSTER.replace("PORT", str(attacked_port))
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
        # Full long before the end, so that what grows then is no store that fills.
        store = {"bytes_max": "64MiB", "worker_bytes_max": "16MiB", **configuration.pop("store", {})}
        whole = {"admin": admin, "collapse": collapse, "store": store, **configuration}
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

    def died(self):
        return len(re.findall(r"Function: \w+ failed", (OUT / "log").read_text(errors="replace")))


def cpu_seconds(pid):
    """What a process has taken of the processors."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine_seconds():
    """What all have taken of them."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
