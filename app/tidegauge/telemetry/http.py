"""``/metrics``, ``/healthz`` and ``/readyz``, served from a thread of their own."""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec
from prometheus_client import CollectorRegistry, make_wsgi_app

from tidegauge.telemetry.health import Health

Start = Callable[..., Any]


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread, so that a slow scrape never delays a probe."""

    daemon_threads = True


class _SilentHandler(WSGIRequestHandler):
    """Logs nothing: a probe every few seconds is not news."""

    def log_message(self, format: str, *args: Any) -> None:
        """Drop the line."""


def make_app(
    registry: CollectorRegistry, health: Health
) -> Callable[[dict[str, Any], Start], Iterable[bytes]]:
    """Return the WSGI application."""
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return cast(Iterable[bytes], metrics(environ, start))
        if path not in ("/healthz", "/readyz"):
            start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"There is /metrics, /healthz and /readyz.\n"]
        good, body = health.live() if path == "/healthz" else health.ready()
        status = "200 OK" if good else "503 Service Unavailable"
        start(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [msgspec.json.encode(body)]

    return app


class HttpServer:
    """A running server; ``port`` is the one it got if 0 was asked for."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        app = make_app(registry, health)
        try:
            self._server = make_server(host, port, app, _Server, _SilentHandler)
        except OSError as error:
            raise OSError(
                f"can't serve /metrics on {host}, port {port}: {error.strerror}; "
                "set http.port (TIDEGAUGE_HTTP__PORT) to a free one, or 0 for any"
            ) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            name="http",
            kwargs={"poll_interval": 0.2},
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
