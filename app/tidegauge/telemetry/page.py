"""The text of ``/metrics``, rendered by a thread of its own: no scrape waits for it long."""

import gzip
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.samples import Sample

log = logging.getLogger(__name__)

#: Samples rendered at once; some 5 ms.
_AT_ONCE = 500

#: From so many samples on, the thread rests after each step for this many times as long as it took:
#: a page of a hundred thousand series takes seconds, in which windows must close in time.
_LARGE = 5_000
_REST = 2.0


class Rendered(NamedTuple):
    """A page, and when it was rendered, by the monotonic clock."""

    text: bytes
    at: float

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
        self._packed: tuple[Rendered, bytes] | None = None
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

    def packed(self, page: Rendered) -> bytes:
        """Return a page by gzip; of the last one it is kept."""
        kept = self._packed
        if kept is None or kept[0] is not page:
            kept = self._packed = page, gzip.compress(page.text, compresslevel=1)
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
                at = time.monotonic()
                last = self.last = Rendered(b"".join(self._render()), at)
                self.error = None
            except Exception as error:  # of a collector, whose code is anybody's
                log.exception("the page of metrics can't be rendered")
                self.error = error
                wanted.set_exception(error)
            else:
                wanted.set_result(last)

    def _render(self) -> Iterator[bytes]:
        done = 0
        for family in self._registry.collect():
            head = True
            for first in range(0, max(1, len(family.samples)), _AT_ONCE):
                samples = family.samples[first : first + _AT_ONCE]
                began = time.monotonic()
                text = generate_latest(_Part(family, samples))
                # Of all parts but the first without HELP and TYPE.
                yield text if head else text.split(b"\n", 2)[2]
                head = False
                done += len(samples)
                if done > _LARGE and not self._stopped:
                    time.sleep(_REST * (time.monotonic() - began))


class _Part:
    """Some of the samples of a family, as a registry of their own."""

    def __init__(self, family: Metric, samples: Iterable[Sample]) -> None:
        self._family = Metric(family.name, family.documentation, family.type, family.unit)
        self._family.samples = list(samples)

    def collect(self) -> list[Metric]:
        """Return the part."""
        return [self._family]
