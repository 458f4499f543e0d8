"""The text of ``/metrics``, rendered by a thread of its own: no scrape waits for it long."""

import gzip
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Sample

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
    except Exception:  # a header is anybody's; of a version that is no number it raises TypeError
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
    """The last page rendered; a new one is rendered when somebody asks for it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._wanted: Future[Rendered] | None = None
        self._asked = threading.Event()
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
        """Have a page rendered from now on; all who ask before it is begun get the same."""
        with self._lock:
            if self._wanted is None:
                self._wanted = Future()
                self._asked.set()
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
        self._asked.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._asked.wait()
            with self._lock:
                wanted, self._wanted = self._wanted, None
                self._asked.clear()
            if self._stopped:
                return
            if wanted is None:
                continue
            try:
                last = self.last = self._render(time.monotonic())
                self.error = None
            except Exception as error:  # of a collector, whose code is anybody's
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
