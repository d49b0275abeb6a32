"""The origin of whoever runs `make run`: as it is written, and as envoy/envoy.yaml has to have it."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

# Where systems keep the certificates that they trust.
TRUSTED = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass
class Upstream:
    """An origin."""

    host: str
    port: int
    tls: bool = False

    @staticmethod
    def read(text: str) -> Upstream:
        """`host:port`, or a URL without a path."""
        expected = f"Say where your origin is: make run ORIGIN=host:port, or http(s)://host[:port] (got {text!r})"
        is_url = "://" in text
        try:
            url = urllib.parse.urlsplit(text if is_url else f"//{text}")
            host, port = url.hostname, url.port
        except ValueError as error:
            sys.exit(f"{expected}: {error}.")
        if url.scheme not in ("", "http", "https") or not host or url.username is not None:
            sys.exit(f"{expected}.")
        if url.path not in ("", "/") or url.query or url.fragment:
            sys.exit(f"{expected}: the path comes with each request.")
        if port is None and not is_url:
            sys.exit(f"{expected}: the port is missing.")
        if port == 0:
            sys.exit(f"{expected}: 0 is no port.")
        return Upstream(host, port or (443 if url.scheme == "https" else 80), url.scheme == "https")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def changes(self) -> dict[str, str]:
        """What of envoy/envoy.yaml is another for it, beside its address."""
        return {"# auto_host_rewrite": "auto_host_rewrite"} if self.has_name() else {}

    def transport(self) -> str:
        """The end of its cluster, which is the end of the file: it has to have a certificate that this system trusts."""
        if not self.tls:
            return ""
        paths = ssl.get_default_verify_paths()
        trusted = next((file for file in (paths.cafile, *TRUSTED) if file and Path(file).exists()), None)
        if trusted is None:
            sys.exit("No file with the certificates that this system trusts is found: set SSL_CERT_FILE to one.")
        is_dns = self.has_name() or self.host == "localhost"
        name = {"san_type": "DNS" if is_dns else "IP_ADDRESS", "matcher": {"exact": self.host}}
        validation = {"trusted_ca": {"filename": trusted}, "match_typed_subject_alt_names": [name]}
        context = {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {"validation_context": validation},
            **({"sni": self.host} if is_dns else {}),
        }
        socket_of = {"name": "envoy.transport_sockets.tls", "typed_config": context}
        return f"    transport_socket: {json.dumps(socket_of)}\n"

    def has_name(self) -> bool:
        """Whether it has a name of its own to answer to."""
        return self.host != "localhost" and not all(c in "0123456789abcdefABCDEF:." for c in self.host)
