"""The events of a benchmark: seeded columns, their signals, and numpy's own count of them.

A workload is a stream of ``events`` predictions over :data:`SPAN_SECONDS` of event time. All
contestants read the same topic; one that is slow reads a shorter stream of the same kind, over the
same windows. After the stream comes one closing event for each partition and model, late enough to
close every window.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from _job import Signal
from tidegauge.baseline import numeric_edges
from tidegauge.contract import LATENCY_EDGES_MS

Array = npt.NDArray[np.float64]

WINDOW_SECONDS = 60
SPAN_SECONDS = 5 * WINDOW_SECONDS
GRACE_SECONDS = 10
#: Of the closing events after the end of the stream; they are in a window that nobody compares.
CLOSING_SECONDS = 2 * WINDOW_SECONDS

#: Rows made at a time.
CHUNK = 50_000
#: Rows of the sample that bins are made of.
SAMPLE = 10_000
#: Categories with a bin of their own; the others share one.
TOP = 20

NULL, ABSENT = -1, -2

#: What an event's segment is called in.
DIMENSION = "region"


@dataclass(frozen=True)
class Workload:
    """What the events look like.

    ``missing``: the share of features that are absent, and the share that are null.
    ``segments`` > 0: each event is in one of so many of a monitored dimension.
    ``batch_rows`` > 0: Arrow batches of so many rows instead of JSON events.
    """

    name: str
    title: str
    events: int
    numeric: int = 10
    categorical: int = 0
    missing: float = 0.0
    models: int = 1
    segments: int = 0
    compression: str = "lz4"
    batch_rows: int = 0
    partitions: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_rows and (self.events % self.batch_rows or CHUNK % self.batch_rows):
            raise ValueError(
                f"{self.name}: {self.events} events in batches of {self.batch_rows}; both the "
                f"events and {CHUNK} must be a multiple of the batch"
            )
        if self.batch_rows and (
            self.models > 1 or self.categorical or self.missing or self.segments
        ):
            raise ValueError(
                f"{self.name}: Arrow batches are of one model, of numbers only and of no segments"
            )

    def with_events(self, events: int) -> "Workload":
        """Return the same stream at another length."""
        return replace(self, events=events)

    @property
    def model_names(self) -> list[str]:
        """Every model of the stream."""
        return [f"credit-{i:03}" for i in range(self.models)]

    @property
    def numeric_names(self) -> list[str]:
        """The numeric features."""
        return [f"f{i}" for i in range(self.numeric)]

    @property
    def categorical_names(self) -> list[str]:
        """The categorical features."""
        return [f"c{i}" for i in range(self.categorical)]

    @property
    def regions(self) -> list[str]:
        """What the dimension :data:`DIMENSION` can be."""
        return [f"region-{i}" for i in range(self.segments)]

    @property
    def values(self) -> list[str]:
        """What a categorical feature can be, commonest first."""
        return [f"v{i:04}" for i in range(1000)] if self.categorical else []

    @cached_property
    def signals(self) -> list[Signal]:
        """The signals: features, prediction, latency. Bins are those of a sample of the stream."""
        rng = np.random.default_rng(self.seed + 1)
        sample = numeric_edges(rng.normal(size=SAMPLE).round(5))
        return [
            *(Signal(name=name, edges=sample) for name in self.numeric_names),
            *(Signal(name=name, categories=self.values[:TOP]) for name in self.categorical_names),
            Signal(
                name="prediction",
                is_feature=False,
                edges=numeric_edges(rng.beta(2, 5, size=SAMPLE).round(6)),
            ),
            Signal(name="latency_ms", is_feature=False, edges=list(LATENCY_EDGES_MS)),
        ]

    def chunks(self, start: float) -> Iterator["Chunk"]:
        """Yield the stream from event time ``start``, a multiple of the window, epoch seconds."""
        rng = np.random.default_rng(self.seed)
        zipf = 1 / np.arange(1, len(self.values) + 1)
        for first in range(0, self.events, CHUNK):
            rows = min(CHUNK, self.events - first)
            number = np.arange(first, first + rows)
            categories = np.empty((self.categorical, rows), dtype=np.intp)
            for j in range(self.categorical):
                categories[j] = rng.choice(len(zipf), size=rows, p=zipf / zipf.sum())
            shape = (self.numeric + self.categorical, rows)
            holes = np.zeros(shape, dtype=np.intp)
            if self.missing:
                kind = rng.random(shape)
                holes[kind < 2 * self.missing] = NULL
                holes[kind < self.missing] = ABSENT
            yield Chunk(
                first=first,
                # Whole milliseconds: every contestant then sees the same window.
                times=start + (number * (SPAN_SECONDS * 1000) // self.events) / 1000,
                models=rng.integers(self.models, size=rows),
                numeric=rng.normal(size=(self.numeric, rows)).round(5),
                categories=categories,
                holes=holes,
                predictions=rng.beta(2, 5, size=rows).round(6),
                latencies=rng.gamma(2, 20, size=rows).round(3),
                regions=rng.integers(self.segments, size=rows) if self.segments else None,
            )


@dataclass(frozen=True)
class Chunk:
    """Some rows of the stream by column; ``holes`` says where a feature is null or absent."""

    first: int
    times: Array
    models: npt.NDArray[np.int64]
    numeric: Array
    categories: npt.NDArray[np.intp]
    holes: npt.NDArray[np.intp]
    predictions: Array
    latencies: Array
    #: None where nothing is in a segment.
    regions: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.times)


def slice_name(model: str, segment: Mapping[str, str]) -> str:
    """Name what is counted of a model: all of it, or a segment.

    >>> slice_name("credit", {}), slice_name("credit", {"region": "EU"})
    ('credit', 'credit, region=EU')
    """
    return ", ".join([model, *(f"{dimension}={value}" for dimension, value in segment.items())])


@dataclass
class Expected:
    """Numpy's count of a stream, chunk by chunk; of segments under the name that they have."""

    workload: Workload
    counts: dict[tuple[str, int], list[int]] = field(default_factory=dict)

    def add(self, chunk: Chunk) -> None:
        """Count a chunk into its windows."""
        columns = [self._bins(chunk, i, s) for i, s in enumerate(self.workload.signals)]
        starts = (chunk.times // WINDOW_SECONDS).astype(np.int64) * WINDOW_SECONDS
        slices = {
            name: chunk.models == model for model, name in enumerate(self.workload.model_names)
        }
        if chunk.regions is not None:
            slices |= {
                slice_name(name, {DIMENSION: region}): rows & (chunk.regions == i)
                for name, rows in slices.items()
                for i, region in enumerate(self.workload.regions)
            }
        for name, members in slices.items():
            for start in np.unique(starts):
                rows = members & (starts == start)
                if not rows.any():
                    continue
                found = np.concatenate(
                    [
                        np.bincount(column[rows], minlength=signal.width)
                        for column, signal in zip(columns, self.workload.signals, strict=True)
                    ]
                )
                before = self.counts.get((name, int(start)), [0] * len(found))
                self.counts[name, int(start)] = (np.array(before) + found).tolist()

    def _bins(self, chunk: Chunk, i: int, signal: Signal) -> npt.NDArray[np.intp]:
        if signal.categories is not None:
            bins = np.minimum(chunk.categories[i - self.workload.numeric], signal.bins - 1)
        else:
            values = {"prediction": chunk.predictions, "latency_ms": chunk.latencies}.get(
                signal.name
            )
            values = chunk.numeric[i] if values is None else values
            bins = np.searchsorted(np.array(signal.edges), values, side="right")
        if signal.is_feature:
            bins = np.where(chunk.holes[i] == ABSENT, signal.bins, bins)
            bins = np.where(chunk.holes[i] == NULL, signal.bins + 1, bins)
        return bins
