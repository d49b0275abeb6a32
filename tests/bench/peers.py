"""The caches outside Envoy that are compared with, where the machine has them."""

from __future__ import annotations

from servers import Server, free_port

NGINX = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  tcp_nopush off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  proxy_cache_path cache levels=1:2 keys_zone=bench:256m max_size=8g;
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 256;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_cache bench;
    }}
  }}
}}
"""

VARNISH = """
vcl 4.1;
backend origin {{ .host = "127.0.0.1"; .port = "{origin}"; }}
"""


class Nginx(Server):
    """nginx with proxy_cache and one worker."""

    def __init__(self, binary: str, origin_port: int) -> None:
        super().__init__("nginx")
        self.port = free_port()
        (self.path / "nginx.conf").write_text(NGINX.format(origin=origin_port, port=self.port))
        self.path.chmod(0o755)  # The worker of an nginx that was started by root is somebody else.
        self.start([binary, "-p", str(self.path), "-c", "nginx.conf"])


class Varnish(Server):
    """Varnish with its cache in memory."""

    def __init__(self, binary: str, origin_port: int) -> None:
        super().__init__("varnish")
        self.port = free_port()
        (self.path / "bench.vcl").write_text(VARNISH.format(origin=origin_port))
        self.path.chmod(0o755)
        command = [binary, "-F", "-n", str(self.path / "work"), "-f", str(self.path / "bench.vcl")]
        self.start([*command, "-a", f"127.0.0.1:{self.port}", "-s", "malloc,1g", "-p", "thread_pools=1"])
