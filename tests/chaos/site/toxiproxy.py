"""Toxiproxy: a TCP proxy that cuts and slows connections on demand, told so over HTTP.

``scripts/test-machine`` builds the server.
"""

import json
import os
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from support.processes import Child, free_port, wait_until

_SERVER = Path(__file__).resolve().parents[3] / ".cache" / "toxiproxy" / "server"
_SECONDS = 20.0


class Proxy:
    """One proxied port. Cuts and delays may overlap: each ends when its ``with`` block does."""

    def __init__(self, server: "Toxiproxy", name: str, port: int) -> None:
        self.name = name
        self.port = port
        self._server = server
        self._lock = threading.Lock()
        self._refusing = 0
        self._toxics = 0

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Break every connection, and refuse new ones."""
        with self._lock:
            self._refusing += 1
            self._enable(self._refusing == 0)
        try:
            yield
        finally:
            with self._lock:
                self._refusing -= 1
                self._enable(self._refusing == 0)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let nothing through in either direction; connections stay, and are broken at the end."""
        with (
            self._toxic("timeout", "upstream", {"timeout": 0}),
            self._toxic("timeout", "downstream", {"timeout": 0}),
        ):
            yield

    @contextmanager
    def slow(self, latency_ms: int, jitter_ms: int) -> Iterator[None]:
        """Delay everything that comes back by ``latency_ms`` ± ``jitter_ms``."""
        attributes = {"latency": latency_ms, "jitter": jitter_ms}
        with self._toxic("latency", "downstream", attributes):
            yield

    @contextmanager
    def _toxic(self, kind: str, stream: str, attributes: Mapping[str, int]) -> Iterator[None]:
        with self._lock:
            self._toxics += 1
            name = f"{kind}-{self._toxics}"
        path = f"/proxies/{self.name}/toxics"
        toxic = {"name": name, "type": kind, "stream": stream, "attributes": dict(attributes)}
        self._server.call("POST", path, toxic)
        try:
            yield
        finally:
            self._server.call("DELETE", f"{path}/{name}")

    def _enable(self, enabled: bool) -> None:
        self._server.call("POST", f"/proxies/{self.name}", {"enabled": enabled})


class Toxiproxy:
    """The server, on free ports of 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "toxiproxy.log"
        self._port = free_port()
        self._child: Child | None = None

    def start(self) -> None:
        """Start it, and return once it answers."""
        assert _SERVER.exists(), f"no {_SERVER}; run scripts/test-machine (make chaos does)"
        command = [str(_SERVER), "-host", "127.0.0.1", "-port", str(self._port)]
        # Its default tells of every connection made and lost: megabytes in an outage.
        env = dict(os.environ) | {"LOG_LEVEL": "warn"}
        child = self._child = Child(command, log=self.log, env=env)

        def answers() -> bool:
            child.check_alive()
            try:
                self.call("GET", "/version")
            except URLError:
                return False
            return True

        wait_until(answers, seconds=_SECONDS, what=lambda: f"toxiproxy answers\n{child.tail()}")

    def stop(self) -> None:
        """End it and every connection through it."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def proxy(self, name: str, *, port: int, upstream: int) -> Proxy:
        """Make a proxy that listens on ``port`` and connects to ``upstream``."""
        self.call(
            "POST",
            "/proxies",
            {
                "name": name,
                "listen": f"127.0.0.1:{port}",
                "upstream": f"127.0.0.1:{upstream}",
                "enabled": True,
            },
        )
        return Proxy(self, name, port)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        """Call the HTTP API; raises ``URLError`` if nobody answers, and what it refuses."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                answer.read()
        except HTTPError as refused:
            with refused:
                said = refused.read().decode(errors="replace").strip()
            raise RuntimeError(f"toxiproxy: {method} {path}: {refused.code} {said}") from refused
