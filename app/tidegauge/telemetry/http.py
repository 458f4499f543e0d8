"""``/metrics``, ``/healthz`` and ``/readyz``, served from a thread of their own.

Another thread renders the text of ``/metrics``, so that no scrape waits for it long.
"""

import asyncio
import gzip
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Literal, NamedTuple

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Sample

from tidegauge.telemetry.health import Health

log = logging.getLogger(__name__)

#: Samples rendered at once; some 5 ms.
_AT_ONCE = 500

#: From so many samples on, the thread rests after each step for this many times as long as it took:
#: a page of a hundred thousand series takes seconds, in which windows must close in time.
_LARGE = 5_000
_REST = 2.0


Form = Literal["text", "openmetrics"]

CONTENT_TYPES: Mapping[Form, str] = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}

_END_OF_OPENMETRICS = b"# EOF\n"


def form_of(accept: str) -> Form:
    """Return the form that a request asks for by its header ``Accept``.

    >>> form_of("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4")
    'openmetrics'
    >>> form_of("*/*"), form_of("application/openmetrics-text;version=new")
    ('text', 'text')
    """
    try:
        _, content_type = choose_encoder(accept)
    except Exception:  # any client writes headers; a version that is no number raises TypeError
        return "text"
    return "openmetrics" if content_type.startswith("application/openmetrics-text") else "text"


class Rendered(NamedTuple):
    """A page, and when it was rendered, by the monotonic clock.

    The forms differ in what stands before the samples of a family: ``heads``, by form. ``samples``
    are the lines of each family.
    """

    heads: Mapping[Form, Sequence[bytes]]
    samples: Sequence[bytes]
    at: float

    def body(self, form: Form) -> bytes:
        """Return the page in a form."""
        lines = [
            part for family in zip(self.heads[form], self.samples, strict=True) for part in family
        ]
        return b"".join(lines) + (_END_OF_OPENMETRICS if form == "openmetrics" else b"")

    @property
    def age_seconds(self) -> float:
        """How old it is."""
        return time.monotonic() - self.at


class MetricsPage:
    """The last page rendered; a new one is rendered on request."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._wanted: Future[Rendered] | None = None
        self._requested = threading.Event()
        self._stopped = False
        self._packed: dict[Form, tuple[Rendered, bytes]] = {}
        #: None until the first one is done.
        self.last: Rendered | None = None
        #: Why the last rendering failed, if it did.
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()
        self.ask()

    def ask(self) -> "Future[Rendered]":
        """Request a page; all requests before its rendering begins get the same one."""
        with self._lock:
            if self._wanted is None:
                self._wanted = Future()
                self._requested.set()
            return self._wanted

    def packed(self, page: Rendered, form: Form) -> bytes:
        """Return a page by gzip; of the last one it is kept."""
        kept = self._packed.get(form)
        if kept is None or kept[0] is not page:
            kept = self._packed[form] = page, gzip.compress(page.body(form), compresslevel=1)
        return kept[1]

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._requested.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._requested.wait()
            with self._lock:
                wanted, self._wanted = self._wanted, None
                self._requested.clear()
            if self._stopped:
                return
            if wanted is None:
                continue
            try:
                last = self.last = self._render(time.monotonic())
                self.error = None
            except Exception as error:  # of any collector
                log.exception("the page of metrics can't be rendered")
                self.error = error
                wanted.set_exception(error)
            else:
                wanted.set_result(last)

    def _render(self, at: float) -> Rendered:
        heads: dict[Form, list[bytes]] = {form: [] for form in CONTENT_TYPES}
        samples: list[bytes] = []
        done = 0
        for family in self._registry.collect():
            heads["text"].append(generate_latest(_Part(family, [])))
            head = openmetrics.generate_latest(_Part(family, []))  # type: ignore[no-untyped-call]
            heads["openmetrics"].append(head.removesuffix(_END_OF_OPENMETRICS))
            lines: list[bytes] = []
            for first in range(0, len(family.samples), _AT_ONCE):
                some = family.samples[first : first + _AT_ONCE]
                began = time.monotonic()
                lines.append(generate_latest(_Part(family, some)).split(b"\n", 2)[2])
                done += len(some)
                if done > _LARGE and not self._stopped:
                    time.sleep(_REST * (time.monotonic() - began))
            samples.append(b"".join(lines))
        return Rendered(heads, samples, at)


class _Part:
    """Some of the samples of a family, as a registry of their own."""

    def __init__(self, family: Metric, samples: Iterable[Sample]) -> None:
        self._family = Metric(family.name, family.documentation, family.type, family.unit)
        self._family.samples = list(samples)

    def collect(self) -> list[Metric]:
        """Return the part."""
        return [self._family]


#: A scrape waits so long for a fresh page, and gets the last one then. Prometheus gives up after
#: ten seconds by default, and a process with a large page is the most important one to scrape.
FRESH_SECONDS = 0.5

#: A connection that is not done by then is cut: it sends its request byte by byte, or never, or
#: doesn't read the answer. Scrapes and probes have given up before that.
CONNECTION_SECONDS = 15.0

#: With more connections than this, the oldest is cut for a new one: a probe's is done within
#: milliseconds, so it is never among them.
MOST_CONNECTIONS = 100

_BACKLOG = 128

#: aiohttp logs a traceback of each malformed request, which any client can send.
_SILENT = logging.getLogger(f"{__name__}.requests")
_SILENT.disabled = True


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(page: MetricsPage, health: Health) -> web.Application:
    """Return the application; aiohttp answers requests without a route: 404, 405, 400."""

    async def metrics(request: web.Request) -> web.Response:
        requested = asyncio.wrap_future(page.ask())
        done, _ = await asyncio.wait([requested], timeout=FRESH_SECONDS)
        if (done and requested.exception() is not None) or page.error is not None:
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
        return _health_answer(*health.live())

    async def readyz(request: web.Request) -> web.Response:
        return _health_answer(*health.ready())

    async def nothing(request: web.Request) -> web.Response:
        return web.Response(status=404, text="There is /metrics, /healthz and /readyz.\n")

    @web.middleware
    async def report_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("%s can't be answered", request.path)
            return web.Response(status=500, text="see the log\n")

    async def close(request: web.Request, response: web.StreamResponse) -> None:
        response.force_close()  # a connection has one request, and so one deadline

    app = web.Application(middlewares=[report_failures], logger=_SILENT)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/{path:.*}", nothing)
    app.on_response_prepare.append(close)
    return app


def _health_answer(good: bool, body: dict[str, object]) -> web.Response:
    return web.Response(
        status=200 if good else 503,
        body=msgspec.json.encode(body),
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )


class HttpServer:
    """A running server; ``port`` is the actual port if 0 was configured."""

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
