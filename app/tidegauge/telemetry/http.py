"""``/metrics``, ``/healthz`` and ``/readyz``, served from a thread of their own."""

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from tidegauge.telemetry.health import Health
from tidegauge.telemetry.page import CONTENT_TYPES, MetricsPage, form_of

log = logging.getLogger(__name__)

#: A scrape waits so long for a fresh page, and gets the last one then. Prometheus gives up after
#: ten seconds by default, and a process whose page is large is the one that somebody looks at.
FRESH_SECONDS = 0.5

#: A connection that is not done by then is cut: it sends its request byte by byte, or never, or
#: doesn't read the answer. Scrapes and probes have given up before that.
CONNECTION_SECONDS = 15.0

#: With more connections than this, the oldest is cut for a new one: a probe's is done within
#: milliseconds, so it is never among them.
MOST_CONNECTIONS = 100

_BACKLOG = 128

#: aiohttp logs a traceback of each request that is none; what anybody can send is not news.
_SILENT = logging.getLogger(f"{__name__}.requests")
_SILENT.disabled = True


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(page: MetricsPage, health: Health) -> web.Application:
    """Return the application; what has no route here is answered by aiohttp: 404, 405, 400."""

    async def metrics(request: web.Request) -> web.Response:
        asked = asyncio.wrap_future(page.ask())
        done, _ = await asyncio.wait([asked], timeout=FRESH_SECONDS)
        if (done and asked.exception() is not None) or page.error is not None:
            return web.Response(status=500, text=f"can't be rendered: {page.error!r}\n")
        last = page.last
        if last is None:
            return web.Response(status=503, text="the first page is being rendered\n")
        form = form_of(request.headers.get("Accept", ""))
        headers = {
            "Content-Type": CONTENT_TYPES[form],
            "Age": f"{last.age_seconds:.0f}",
            "Vary": "Accept, Accept-Encoding",
        }
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=last.body(form), headers=headers)
        packed = await asyncio.to_thread(page.packed, last, form)
        return web.Response(body=packed, headers={**headers, "Content-Encoding": "gzip"})

    async def healthz(request: web.Request) -> web.Response:
        return _said(*health.live())

    async def readyz(request: web.Request) -> web.Response:
        return _said(*health.ready())

    async def nothing(request: web.Request) -> web.Response:
        return web.Response(status=404, text="There is /metrics, /healthz and /readyz.\n")

    @web.middleware
    async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("%s can't be answered", request.path)
            return web.Response(status=500, text="see the log\n")

    async def close(request: web.Request, response: web.StreamResponse) -> None:
        response.force_close()  # a connection has one request, and so one deadline

    app = web.Application(middlewares=[tell], logger=_SILENT)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/{path:.*}", nothing)
    app.on_response_prepare.append(close)
    return app


def _said(good: bool, body: dict[str, object]) -> web.Response:
    return web.Response(
        status=200 if good else 503,
        body=msgspec.json.encode(body),
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )


class HttpServer:
    """A running server; ``port`` is the one it got if 0 was asked for."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise OSError(
                f"can't serve /metrics on {host}, port {port}: {error.strerror}; "
                "set http.port (TIDEGAUGE_HTTP__PORT) to a free one, or 0 for any"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        self._page = MetricsPage(registry)
        self._app = make_app(self._page, health)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop and free the port."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._page.stop()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        runner = web.AppRunner(
            self._app, access_log=None, logger=_SILENT, shutdown_timeout=0.0, lingering_time=0.0
        )
        await runner.setup()
        handlers = runner.server
        assert handlers is not None  # noqa: S101 - set up
        loop = asyncio.get_running_loop()

        def connect() -> asyncio.Protocol:
            there = [
                it
                for it in handlers.connections
                if it.transport is not None and not it.transport.is_closing()
            ]
            if len(there) >= MOST_CONNECTIONS:
                cut(there[0])
            handler = handlers()
            loop.call_later(CONNECTION_SECONDS, cut, handler)
            return handler

        def cut(handler: web.RequestHandler) -> None:
            if handler.transport is not None:
                handler.transport.abort()

        server = await loop.create_server(connect, sock=self._socket)
        await self._stopping.wait()
        server.close()
        await runner.cleanup()
