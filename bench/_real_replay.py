"""Real data through the product: a baseline of the first days, and the others as events.

The baseline is made as ``tidegauge baseline create`` makes it. The others are sent as JSON through
INGEST's counter and DETECT's windows, detector and rules, all of them the product's own; only Kafka
and Redis are left out.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb
import msgspec

from _real_sets import DAY_SECONDS, RealSet
from tidegauge.alerting import DEFAULT_RULES
from tidegauge.baseline import Baseline
from tidegauge.baseline.io import build
from tidegauge.config import IngestSettings, TopicSettings, WindowSettings
from tidegauge.contract import SignalReport
from tidegauge.counting import Counter, Position, Tenure
from tidegauge.windows import Closing, DriftDetector, PartitionState, RawRecord, Slice

#: What the product's own parts take for the source topic.
_SOURCE = TopicSettings().predictions

_VERSION = "1"

#: What each default rule is on.
METRICS_OF = {rule.name: rule.metric for rule in DEFAULT_RULES.rules}

_IDLE_SECONDS = IngestSettings().idle_seconds


class Day(NamedTuple):
    """What the rules made of a day: signals that they hold on, each with rule and size.

    ``sent`` are the alerts that receivers get.
    """

    day: str
    events: int
    alarms: dict[str, str]
    sent: list[str]


class Replayed(NamedTuple):
    """Days replayed by a baseline, what ``create`` warned of, and why the budget isn't kept."""

    days: list[Day]
    baseline: Baseline
    warnings: list[str]
    reasons: list[str]


class _Message(NamedTuple):
    """What the counter uses of a Kafka message."""

    payload: bytes
    at: int

    def value(self) -> bytes:
        return self.payload

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at

    def error(self) -> None:
        return None

    def headers(self) -> None:
        return None


def replay(real: RealSet, connection: duckdb.DuckDBPyConnection) -> Replayed:
    """Make a baseline of the events of the first days, and replay the others."""
    warnings: list[str] = []
    with TemporaryDirectory() as directory:
        file = Path(directory) / f"{real.name}.parquet"
        before = connection.sql("SELECT * FROM events WHERE time < CAST(? AS TIMESTAMP)",
                                params=[real.since])  # fmt: skip
        before.write_parquet(str(file))
        built = build(
            file,
            model=real.name,
            version=_VERSION,
            exclude=real.exclude,
            warn=warnings.append,
            **real.options(),
        )
    site = _Site(built.baseline)
    for start, values in _days(real, connection):
        site.send(start, values)
    return Replayed(site.finish(), built.baseline, warnings, site.reasons)


def _days(
    real: RealSet, connection: duckdb.DuckDBPyConnection
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield start and events of each day that has any."""
    asked = "SELECT * FROM events WHERE time >= CAST(? AS TIMESTAMP) ORDER BY time"
    rows = connection.execute(asked, [real.since])
    names = [column[0] for column in rows.description]
    by_day: defaultdict[int, list[bytes]] = defaultdict(list)
    while some := rows.fetchmany(10_000):
        for row in some:
            found = dict(zip(names, row, strict=True))
            time = found["time"].replace(tzinfo=UTC).timestamp()
            by_day[int(time // DAY_SECONDS) * DAY_SECONDS].append(_event(real, time, found))
    yield from by_day.items()


def _event(real: RealSet, time: float, row: Mapping[str, Any]) -> bytes:
    features = {
        name: value
        for name, value in row.items()
        if name != real.prediction and name not in real.no_signals
    }
    event = {"time": time, "model": real.name, "version": _VERSION, "features": features}
    if real.prediction is not None:
        event["prediction"] = row[real.prediction]
    return msgspec.json.encode(event)


class _Site:
    """INGEST and DETECT of one model, with windows of a day."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline
        self._settings = WindowSettings(seconds=DAY_SECONDS)
        self._now = 0.0
        self._counter = Counter(
            source=_SOURCE,
            settings=IngestSettings(),
            window_of=lambda model: self._settings,
            clock=lambda: self._now,
        )
        self._tenure: Tenure | None = None
        self._state = PartitionState(
            partition=0, window_of=lambda model: self._settings, idle_seconds=_IDLE_SECONDS
        )
        self._state.hold_baseline(baseline.id, baseline)
        self._detector = DriftDetector(lambda model: 1.0)
        self._records = 0
        self._found: list[Day] = []
        self.reasons: list[str] = []

    def send(self, start: int, values: Sequence[bytes]) -> None:
        """Count the events of a day and close what ends before it."""
        if self._tenure is None:
            position = Position(origin=0, start=0, since=0, to=0, arrived=float(start))
            self._tenure = Tenure(began=float(start), positions={0: position})
            name = (self._baseline.model, self._baseline.version)
            self._counter.use({name: (self._baseline.id, self._baseline)}, self._tenure)
        self._now = float(start + DAY_SECONDS)
        position = self._tenure.positions[0]
        messages = [_Message(value, position.to + at) for at, value in enumerate(values)]
        self._counter.count(messages, self._tenure)
        position.to += len(values)
        position.arrived = self._now
        if self._counter.dead_letters:
            raise ValueError(f"an event was refused: {self._counter.dead_letters[0]}")
        self._flush(self._tenure)

    def _flush(self, tenure: Tenure) -> None:
        self._counter.settle(tenure)
        for _, record in tenure.records(
            now=self._now,
            monotonic=self._now,
            idle_seconds=_IDLE_SECONDS,
            source=_SOURCE,
            sources=1,
            destinations=1,
            baselines_age_seconds=0.0,
        ):
            self._state.join(msgspec.json.decode(record, type=RawRecord), self._records)
            self._records += 1
            self._close()
        tenure.flushed()

    def _close(self) -> None:
        """Close the windows that are due, one after the other as DETECT does."""
        self._state.pass_due()
        for counts in sorted(self._state.waiting.values(), key=lambda it: it.window.end):
            closing = Closing(
                self._state, rules=DEFAULT_RULES, topics=TopicSettings(), watch=self._detector
            )
            closing.close_together([counts])
            if counts.window.slice.model == self._baseline.model:
                self._found.append(self._day(closing, counts.window.slice))
        self._state.expire()

    def _day(self, closing: Closing, where: Slice) -> Day:
        (report,) = closing.closed.reports
        (part,) = report.parts
        if part.alarm_budget is not None:
            self.reasons = part.alarm_budget.reasons
        holding: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for episode in self._state.slices[where].alerts.firing:
            if episode.signal is not None and not episode.clear:
                holding[episode.signal][episode.rule] = episode.value
        alarms = {name: _told(rules, part.signals[name]) for name, rules in holding.items()}
        return Day(
            day=f"{datetime.fromtimestamp(report.window_start, UTC):%Y-%m-%d}",
            events=report.events,
            alarms=dict(sorted(alarms.items())),
            sent=[
                f"{alert.rule} ({alert.severity})"
                for alert in closing.closed.alerts
                if alert.event == "firing"
            ],
        )

    def finish(self) -> list[Day]:
        """Close the last day, by an event of another model three days later."""
        last = int(self._now) + 3 * DAY_SECONDS
        self.send(last, [msgspec.json.encode({"time": float(last), "model": "-", "version": "1"})])
        return self._found


def _told(rules: Mapping[str, float], signal: SignalReport) -> str:
    """Say what is broken about a signal in alarm, or how far it drifts: KL if a rule is, or PSI."""
    for rule in ("drift-retrain", "drift"):
        if rule in rules:
            return f"KL {rules[rule]:.2f}"
    for rule, value in rules.items():
        if METRICS_OF[rule] != "surprise":
            return f"{rule} {value:.2f}"
    psi = signal.evidence.psi_corrected if signal.evidence else None
    return "" if psi is None else f"{psi:.3f}"
