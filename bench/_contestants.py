"""Who takes part, in which environment, and on which workloads."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from _arena import Arena, Command
from _environments import PEERS, java_classes, python_environment
from _fill import Filled
from _tally import Figures
from _workload import Workload

Run = Callable[[Arena, Filled], Figures]


@dataclass(frozen=True)
class Contestant:
    """``prepare`` builds the environment and returns what runs it once.

    ``most_events``: as many events of 12 signals as it gets, because it would take minutes for
    more; rates are of a steady state, so that fewer do it no harm. ``optional``: the benchmark is
    whole without it, where it can't be installed.
    """

    name: str
    title: str
    prepare: Callable[[], Run]
    most_events: int | None = None
    optional: bool = False

    def events(self, workload: Workload) -> int:
        """How many events it gets of a workload."""
        if self.most_events is None:
            return workload.events
        return min(workload.events, self.most_events * 12 // len(workload.signals))


def _tidegauge() -> Run:
    return Arena.tidegauge


def _two_of_tidegauge() -> Run:
    return lambda arena, filled: arena.tidegauge(filled, processes=2)


def _peer(name: str, command: Command) -> Run:
    return lambda arena, filled: arena.peer(name, filled, command)


def _python(name: str, script: str) -> Callable[[], Run]:
    """Prepare a script of ``bench/peers`` with the environment that its requirements name."""

    def prepare() -> Run:
        python = python_environment(PEERS / f"{script}.requirements.txt")
        return _peer(name, lambda job: [str(python), str(PEERS / f"{script}.py"), str(job)])

    return prepare


def _limit(name: str, what: str) -> Callable[[], Run]:
    """Prepare a limit, which is measured with the very libraries that tidegauge runs on."""
    script = str(PEERS / "limits.py")
    return lambda: _peer(name, lambda job: [sys.executable, script, what, str(job)])


def _kafka_streams() -> Run:
    path = java_classes(PEERS / "kafka-streams")
    options = ["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]

    def command(job: Path) -> list[str]:
        return ["java", *options, "-cp", path, "tidegauge.bench.Main", str(job)]

    return _peer("kafka_streams", command)


TIDEGAUGE_JSON = Contestant("tidegauge_json", "tidegauge, JSON events", _tidegauge)
TIDEGAUGE_TWICE = Contestant(
    "tidegauge_two", "tidegauge, JSON events, two processes", _two_of_tidegauge
)
TIDEGAUGE_ARROW = Contestant("tidegauge_arrow", "tidegauge, Arrow batches", _tidegauge)
KAFKA_STREAMS = Contestant("kafka_streams", "Kafka Streams, one thread", _kafka_streams)
#: It has wheels for some versions of Python only.
BYTEWAX = Contestant("bytewax", "Bytewax", _python("bytewax", "bytewax_flow"), 400_000, True)
QUIX = Contestant("quix_streams", "Quix Streams", _python("quix_streams", "quix_streams"), 150_000)
FAUST = Contestant("naive_faust", "Faust, naive", _python("naive_faust", "faust_naive"), 25_000)
CONSUME = Contestant("consume_only", "limit: consume only", _limit("consume_only", "consume"))
DECODE = Contestant("decode_only", "limit: consume and decode", _limit("decode_only", "decode"))

#: The rows of ``make bench-quick``.
QUICK = (TIDEGAUGE_JSON, KAFKA_STREAMS, QUIX, FAUST, DECODE, CONSUME)

#: By whose first run a workload is made long enough: marks of all others come more often.
QUICKEST = frozenset({TIDEGAUGE_JSON.name, TIDEGAUGE_ARROW.name})

_LIMITED = (TIDEGAUGE_JSON, DECODE, CONSUME)

#: Every workload with who takes part in it.
PROGRAMME: dict[str, tuple[Workload, tuple[Contestant, ...]]] = {
    workload.name: (workload, contestants)
    for workload, contestants in (
        (
            Workload("small", "300 B, 12 signals", 2_000_000),
            (
                TIDEGAUGE_JSON,
                TIDEGAUGE_TWICE,
                KAFKA_STREAMS,
                BYTEWAX,
                QUIX,
                FAUST,
                DECODE,
                CONSUME,
            ),
        ),
        (
            Workload("arrow", "Arrow batches of 500 rows, 12 signals", 15_000_000, batch_rows=500),
            (TIDEGAUGE_ARROW, CONSUME),
        ),
        (
            Workload("wide", "1.6 kB, 100 signals", 1_000_000, numeric=98),
            (TIDEGAUGE_JSON, KAFKA_STREAMS, QUIX, DECODE, CONSUME),
        ),
        (
            Workload(
                "mixed",
                "5 numbers and 5 categories (1,000 values, Zipf), 5 % absent, 5 % null",
                2_000_000,
                numeric=5,
                categorical=5,
                missing=0.05,
            ),
            (TIDEGAUGE_JSON, KAFKA_STREAMS, QUIX, DECODE, CONSUME),
        ),
        (
            Workload("models", "100 models interleaved, 12 signals", 2_000_000, models=100),
            (TIDEGAUGE_JSON, KAFKA_STREAMS, QUIX, DECODE, CONSUME),
        ),
        # The peers count by model and window only; by segment each would need a second key.
        (
            Workload("segments", "as the first, each in one of 8 segments", 2_000_000, segments=8),
            _LIMITED,
        ),
        (Workload("backlog", "a backlog of 5 million, as the first", 5_000_000), (TIDEGAUGE_JSON,)),
        (Workload("zstd", "as the first, by zstd", 2_000_000, compression="zstd"), _LIMITED),
        (Workload("plain", "as the first, uncompressed", 2_000_000, compression="none"), _LIMITED),
    )
}

#: The workload that the ratios are of.
MAIN = "small"
