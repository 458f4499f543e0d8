"""The packages that are used for this, as they are shipped and calibrated, on the same signals.

Evidently and NannyML judge a window at a time; what they call a drift score is calibrated like any
figure. river's detectors watch a stream, and are calibrated by the parameter they have for it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from _detection_calibration import (
    NOT_WATCHED,
    Late,
    any_of,
    best,
    loosest,
    of_shares,
    of_streams,
    threshold,
    verdict,
)
from _detection_delay import SIGNALS, Delay, of_detector, of_oracle
from _detection_worlds import DRIFTS, Drift, Kind, values
from _peer_process import Peer, environment, version

Floats = npt.NDArray[np.float64]

PEERS = "detection_evidently", "detection_nannyml", "detection_river"

BASELINE = 10_000
#: A rate that packages which take milliseconds a window can be measured at: windows of a signal
#: for one false alarm.
EVERY = 1_000

#: Events in a window of the tables.
SIZES = 200, 1_000, 5_000

#: Undisturbed windows of each of ``_BASELINES`` signals, by events in them; and after a drift.
_UNDISTURBED: Mapping[Kind, Mapping[int, int]] = {
    "numeric": {200: 400, 1_000: 400, 5_000: 200},
    # No drift of this kind has 5,000: nothing to calibrate, which takes far more windows.
    "categorical": {200: 400, 1_000: 400, 5_000: 20},
}
_DRIFTED = 60
_BASELINES = 10

#: Streams that river watches, undisturbed windows before the drift, and windows after it.
_STREAMS, _BEFORE, _LONGEST = 40, 100, 200


class Watch(NamedTuple):
    """A detector of river's, what it is fed, and the range of its parameter."""

    detector: str
    feed: str
    parameter: str
    strict: float
    loose: float
    fixed: Mapping[str, float | int]
    #: Windows of the undisturbed stream that it is calibrated on.
    windows: int
    streams: int = _STREAMS
    #: Whether it looks at ranks alone: one setting is then right for windows of any size.
    ranks: bool = False

    def __str__(self) -> str:
        return f"{self.detector}, {self.feed}"


#: A value at a time takes ADWIN and PageHinkley a microsecond or two, KSWIN a thousand. ADWIN looks
#: at every 32nd value unless told otherwise: too seldom where a value is a window.
WATCHES = (
    Watch("ADWIN", "events", "delta", 1e-9, 1.0, {}, 4_000),
    Watch("PageHinkley", "events", "threshold", 1e4, 1.0, {}, 4_000),
    Watch("ADWIN", "means", "delta", 1e-9, 1.0, {"clock": 1}, 40_000),
    Watch("PageHinkley", "means", "threshold", 1e3, 1e-3, {}, 40_000),
    Watch("KSWIN", "means", "alpha", 1e-9, 0.1, {"seed": 1}, 4_000, 20, True),
)
#: Windows of more events than this are fed as means alone.
_FED = 200

#: Values for how often each detector alarms as shipped.
_AS_SHIPPED = {"ADWIN": 400_000, "PageHinkley": 400_000, "KSWIN": 10_000}


class Row(NamedTuple):
    """A drift: the delays of the detector, the oracle and every peer."""

    drift: str
    ours: Delay
    oracle: Delay
    peers: dict[str, Late]

    @property
    def best(self) -> str | None:
        """Who of the peers is the fastest, of those that detect it."""
        return best(self.peers, EVERY)

    @property
    def ratio(self) -> float | None:
        """The best peer's delay ÷ the detector's."""
        return (
            None if self.best is None else round(self.peers[self.best].windows / self.ours.mean, 3)
        )

    def cells(self) -> list[str]:
        """Return it as text, the ratio and what it says last."""
        peers = [str(it) for it in self.peers.values()]
        if self.best is None:
            tail = ["none", "", "no peer detects"]
        else:
            said = verdict(self.ours.mean, self.oracle.mean, self.peers[self.best].windows)
            tail = [self.best, f"{self.ratio:.1f}", said]
        return [self.drift, str(self.ours), str(self.oracle), *peers, *tail]


Show = Callable[[list[str], Iterator[list[str]], str], None]

#: Of the table of rows.
HEAD = ["drift", "tidegauge", "oracle", "Evidently", "NannyML", *(f"{it}" for it in WATCHES),
        "best peer", "÷ tidegauge", "2 x as fast"]  # fmt: skip


def prepare() -> None:
    """Build the environments, which takes minutes once; raises ``UnavailableError``."""
    for name in PEERS:
        environment(name)


def beside_packages(show: Show, seed: int) -> list[Row]:
    """Show the packages' false alarms as shipped and their delays once calibrated."""
    events = [f"n = {n:,}" for n in SIZES]
    rows = []
    with Packages(seed) as packages:
        about = f"As shipped: the probability that any of {SIGNALS} undisturbed signals alarms in a"
        about += f" window, m = {BASELINE:,}; {version('evidently', PEERS[0])},"
        about += f" {version('nannyml', PEERS[1])}."
        show(["package", *events], packages.as_shipped(), about)
        about = f"{version('river', PEERS[2])} as shipped, fed every value: alarms in 1,000"
        about += " undisturbed windows of one signal."
        show(["detector", *events], packages.streams_as_shipped(), about)

        def cells() -> Iterator[list[str]]:
            for row in packages.rows():
                rows.append(row)
                yield row.cells()

        about = "Delays of all at one false alarm in"
        about += f" {EVERY:,} windows of a signal, in windows, m = {BASELINE:,}."
        show(HEAD, cells(), about)
        about = "What that took: thresholds and parameters."
        show(["setting", *events], packages.settings(), about)
    return rows


class Packages:
    """The peers, running, and what they were calibrated to; a context."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._stack = ExitStack()
        self._limits: dict[tuple[str, Kind, int], float] = {}
        self._settings: dict[tuple[str, int], float] = {}
        self._references: dict[Kind, Path] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(TemporaryDirectory()))
            evidently, nannyml, river = (stack.enter_context(Peer(name)) for name in PEERS)
            self._peers = {"Evidently": evidently, "NannyML": nannyml}
            self._river = river
            kinds: tuple[Kind, Kind] = "numeric", "categorical"
            for number, kind in enumerate(kinds):
                rng = np.random.default_rng([self._seed, 5, number])
                drawn = values(kind, (_BASELINES, BASELINE), rng)
                self._references[kind] = self._saved(f"reference-{kind}", drawn)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def as_shipped(self) -> Iterator[list[str]]:
        """Judge undisturbed windows; yield P(any of 20 signals alarms) of a peer by events."""
        shares: dict[tuple[str, Kind], list[str]] = {}
        for kind in self._references:
            for number, (events, windows) in enumerate(_UNDISTURBED[kind].items()):
                rng = np.random.default_rng([self._seed, 6, number, len(kind)])
                drawn = values(kind, (_BASELINES, windows, events), rng)
                for name, (scores, alarms) in self._judge(kind, drawn).items():
                    if any((it.kind, it.events) == (kind, events) for it in DRIFTS):
                        self._limits[name, kind, events] = threshold(scores, EVERY)
                    of_any = any_of(float(np.mean(alarms)), SIGNALS)
                    shares.setdefault((name, kind), []).append(f"{of_any:.3g}")
        for (name, kind), row in shares.items():
            yield [f"{name}, {kind}", *row]

    def streams_as_shipped(self) -> Iterator[list[str]]:
        """Yield how many alarms a detector of river's gives in 1,000 undisturbed windows."""
        rng = np.random.default_rng([self._seed, 7])
        for detector, size in _AS_SHIPPED.items():
            stream = self._saved("stream", values("numeric", (1, 1, size), rng))
            seeded = {"seed": 1} if detector == "KSWIN" else {}
            found = self._river.ask(
                "count", streams=str(stream), detector=detector, arguments=seeded
            )
            rates = (found / size * events * 1_000 for events in SIZES)
            yield [f"river {detector}", *(f"{rate:,.0f}" for rate in rates)]

    def rows(self) -> Iterator[Row]:
        """Yield every drift's delays, at one false alarm in ``EVERY`` windows of a signal."""
        for number, drift in enumerate(DRIFTS):
            rng = np.random.default_rng([self._seed, 8, number])
            given = {"runs": 400, "seed": self._seed, "baseline": BASELINE, "every": EVERY}
            mine, oracle = of_detector(drift, **given).evidence, of_oracle(drift, **given)
            yield Row(drift.name, mine, oracle, self._delays(drift, rng))

    def settings(self) -> Iterator[list[str]]:
        """Yield what each peer was calibrated to, by events, once ``rows`` has been through."""
        by_name: dict[str, dict[int, float]] = {}
        for (name, kind, events), limit in self._limits.items():
            by_name.setdefault(f"{name}, {kind}: threshold", {})[events] = limit
        for (name, events), setting in self._settings.items():
            by_name.setdefault(name, {})[events] = setting
        for name, its in by_name.items():
            yield [name, *(f"{its[n]:.3g}" if n in its else "" for n in SIZES)]

    def _delays(self, drift: Drift, rng: np.random.Generator) -> dict[str, Late]:
        drawn = values(drift.kind, (_BASELINES, _DRIFTED, drift.events), rng)
        found = {}
        judged = self._judge(drift.kind, drift.change.values(drawn, rng))
        for name, (scores, _) in judged.items():
            limit = self._limits[name, drift.kind, drift.events]
            found[name] = of_shares(int((scores > limit).sum()), len(scores))
        for watch in WATCHES:
            # river's detectors are of numbers.
            if drift.kind == "categorical" or (watch.feed == "events" and drift.events > _FED):
                found[str(watch)] = NOT_WATCHED
            else:
                found[str(watch)] = self._watched(watch, drift, rng)
        return found

    def _judge(self, kind: Kind, windows: Floats) -> dict[str, tuple[Floats, Floats]]:
        """Return scores and alarms of all windows by peer."""
        question = {
            "reference": str(self._references[kind]),
            "windows": str(self._saved("windows", windows)),
            "categorical": kind == "categorical",
        }
        answers = {name: peer.ask("judge", **question) for name, peer in self._peers.items()}
        return {
            name: (np.array(it["scores"]), np.array(it["alarms"])) for name, it in answers.items()
        }

    def _watched(self, watch: Watch, drift: Drift, rng: np.random.Generator) -> Late:
        setting = self._setting(watch, drift.events)

        def stream() -> Floats:
            before = values(drift.kind, (_BEFORE, drift.events), rng)
            after = values(drift.kind, (_LONGEST, drift.events), rng)
            return _fed(watch, np.concatenate([before, drift.change.values(after, rng)]))

        streams = np.array([stream() for _ in range(watch.streams)])
        found = self._river.ask(
            "delays",
            streams=str(self._saved("streams", streams)),
            detector=watch.detector,
            arguments={**watch.fixed, watch.parameter: setting},
            before=_BEFORE,
        )
        return of_streams(found, _LONGEST)

    def _setting(self, watch: Watch, events: int) -> float:
        """Calibrate a detector of river's on an undisturbed stream, once for each window size."""
        if watch.ranks:
            events = _FED
        key = f"river {watch}: {watch.parameter}", events
        if key not in self._settings:
            rng = np.random.default_rng([self._seed, 9, events])
            windows = min(watch.windows, 40_000_000 // events)
            parts = (values("numeric", (100, events), rng) for _ in range(windows // 100))
            stream = np.concatenate([_fed(watch, part) for part in parts])
            path = str(self._saved("undisturbed", stream[None]))

            def rate(setting: float) -> float:
                arguments = {**watch.fixed, watch.parameter: setting}
                detector = watch.detector
                found = self._river.ask(
                    "count", streams=path, detector=detector, arguments=arguments
                )
                return float(found) / windows

            self._settings[key] = loosest(rate, watch.strict, watch.loose, 1 / EVERY)
        return self._settings[key]

    def _saved(self, name: str, array: Floats) -> Path:
        path = self._folder / f"{name}.npy"
        np.save(path, array)
        return path


def _fed(watch: Watch, windows: Floats) -> Floats:
    """Return (windows, values): all of them, or each window's mean."""
    return windows if watch.feed == "events" else np.nanmean(windows, axis=1, keepdims=True)
