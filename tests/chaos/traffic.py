"""The producer of a run: numbered events at a steady rate, a process of its own.

``python -m chaos.traffic --help`` says how it is called. What an event holds follows from the seed
and its number alone, except for its time, which is when it was sent.
"""

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from confluent_kafka import KafkaException, Producer

from chaos.labels import EVERY, NEGATIVE, POSITIVE, Labels
from chaos.plan.faults import MORE_PARTITIONS, SOURCE_PARTITIONS, WINDOW_SECONDS, Fault
from chaos.site.hold import End, Hold
from chaos.site.steady import SteadyProducer

MODELS = tuple(f"m{n}" for n in range(8))
VERSION = "1"

#: Of m0's events.
CANARY_SHARE = 0.1
BAD_SHARE = 0.001

#: m1 drifts and m2 is slow for this long by event time, then not, for as long; the one when the
#: other isn't. Rules see two windows of 5 s of each, so alerts fire and are resolved every 20 s.
PHASE_SECONDS = 10
DRIFT_SIGMAS = 1.0
SLOW_FACTOR = 15.0

#: Drawn at once: what is drawn must not depend on how much was due.
_BLOCK = 10_000

#: Sent between two looks at the clock.
_AT_ONCE = 500

_DAY = 86_400.0
_IN_1999 = 915_148_800.0

#: How long after the traffic windows that lie ahead are waited for.
_WAIT_SECONDS = 30.0

#: An outage of the brokers is waited for, however long: nothing may be given up.
_DELIVERY_SECONDS = 600.0


@dataclass(frozen=True)
class Jump:
    """Events sent between ``start`` and ``end`` (seconds of traffic) carry shifted times.

    Of a ``share`` of them it is so, at random.
    """

    start: float
    end: float
    shift: float
    #: None: of every partition.
    partition: int | None
    share: float = 1.0

    def shift_at(self, elapsed: float, partition: int) -> float:
        """Return by how much an event sent now to ``partition`` is shifted, seconds."""
        hit = self.partition is None or self.partition == partition
        return self.shift if hit and self.start <= elapsed < self.end else 0.0


def jumps_of(faults: Sequence[Fault]) -> list[Jump]:
    """Return the clock jumps and skewed clocks of a plan."""
    return [
        Jump(fault.at, fault.at + fault.seconds, fault.shift, fault.partition, fault.share)
        for fault in faults
        if fault.kind in ("clock_jump", "clock_skew")
    ]


def grown_at(faults: Sequence[Fault]) -> float | None:
    """Return from when on (seconds of traffic) the source may have more partitions, if ever."""
    return next((fault.at for fault in faults if fault.kind == "partitions_added"), None)


def last_due(ended: float) -> int:
    """Return the event time from which on windows of a run need not be reported, epoch seconds.

    Traffic ``ended`` at an epoch second; windows farther ahead close when nobody waits any more.
    """
    return int((ended + _WAIT_SECONDS) // WINDOW_SECONDS * WINDOW_SECONDS)


def drifts(event_time: float) -> bool:
    """Whether m1 drifts at this event time."""
    return event_time // PHASE_SECONDS % 2 == 1


Traffic = Producer | SteadyProducer

#: What is drawn for one event; the rest follows from when it is sent.
Drawn = tuple[int, bool, bool, int, float, float, float, float, float, float]


def drawn(seed: int) -> Iterator[Drawn]:
    """Yield what is drawn for each event, on and on: the same for the same seed.

    Model, canary?, error?, colour, age in seconds, prediction, latency in ms, x, y, bad below
    ``BAD_SHARE``.
    """
    rng = np.random.default_rng([seed, 1])
    while True:
        columns = (
            rng.integers(len(MODELS), size=_BLOCK),
            rng.random(_BLOCK) < CANARY_SHARE,
            rng.random(_BLOCK) < 0.01,
            rng.choice(len(COLOURS), size=_BLOCK, p=COLOUR_SHARES),
            rng.random(_BLOCK),
            rng.beta(2, 3, _BLOCK),
            20 * rng.lognormal(0, 0.3, _BLOCK),
            rng.normal(0, 1, _BLOCK),
            rng.normal(10, 4, _BLOCK),
            rng.random(_BLOCK),
        )
        yield from zip(*(column.tolist() for column in columns), strict=True)


COLOURS = ("red", "green", "blue")
COLOUR_SHARES = (0.5, 0.3, 0.2)


def reference_csv(seed: int, *, labelled: bool = False, rows: int = 5_000) -> str:
    """Return reference data as the events of a model that is well have it, another by each seed.

    If it is ``labelled``, there is what came true as well.
    """
    rng = np.random.default_rng([seed, 2])
    x = rng.normal(0, 1, rows)
    y = rng.normal(10, 4, rows)
    colour = rng.choice(len(COLOURS), size=rows, p=COLOUR_SHARES)
    score = rng.beta(2, 3, rows)
    lines = [f"{x[i]:.4f},{y[i]:.4f},{COLOURS[colour[i]]},{score[i]:.4f}" for i in range(rows)]
    header = "x,y,colour,score"
    if labelled:
        header += ",truth"
        truth = np.where(rng.random(rows) < score, POSITIVE, NEGATIVE)
        lines = [f"{line},{came}" for line, came in zip(lines, truth, strict=True)]
    return "\n".join([header, *lines]) + "\n"


class Events:
    """The events of a run, one after the other; ``far_ahead`` of them are of ``due`` or later.

    ``labels`` are told of some of them.
    """

    def __init__(self, seed: int, due: float = math.inf, labels: Labels | None = None) -> None:
        self.bad = self.far_ahead = 0
        self.labels = labels
        self._due = due
        self.made = 0
        self._drawn = drawn(seed)
        self._dice = random.Random(f"bad records of {seed}")

    def next(self, at: float) -> bytes | None:
        """Return the next event, of somebody whose clock says ``at`` (epoch seconds)."""
        model, canary, failed, colour, age, prediction, latency, x, y, bad = next(self._drawn)
        time = at - age
        if model == 1 and drifts(time):
            x += DRIFT_SIGMAS
        elif model == 2 and not drifts(time):
            latency *= SLOW_FACTOR
        variant = "canary" if canary and model == 0 else ""
        status = "error" if failed else "ok"
        number = self.made
        self.made = number + 1
        event = (
            f'{{"id":"{number}","time":{time:.3f},"model":"{MODELS[model]}","version":"{VERSION}",'
            f'"variant":"{variant}","prediction":{prediction:.4f},"latency_ms":{latency:.2f},'
            f'"status":"{status}","features":{{"x":{x:.4f},"y":{y:.4f},'
            f'"colour":"{COLOURS[colour]}"}}}}'
        ).encode()
        if self.labels is not None and number % EVERY == 0:
            # As they are written in the event.
            score, written = round(prediction, 4), round(time, 3)
            self.labels.take(number, MODELS[model], variant, written, score)
        if bad >= BAD_SHARE:
            self.far_ahead += time >= self._due
            return event
        self.bad += 1
        return self._spoilt(event, time)

    def _spoilt(self, event: bytes, time: float) -> bytes | None:
        """Return what nobody can count: for good, whoever reads it and whenever."""
        dice = self._dice
        match dice.randrange(7):
            case 0:
                return event[: dice.randrange(1, len(event))]
            case 1:
                return None
            case 2:
                return b""
            case 3:
                return event.replace(b'"model"', b'"modell"')
            case 4:
                return event.replace(f"{time:.3f}".encode(), f"{time + _DAY:.3f}".encode())
            case 5:
                return event.replace(
                    f"{time:.3f}".encode(), f"{_IN_1999 + number_of(event)}".encode()
                )
            case _:
                # Not JSON and not the beginning of an Arrow stream; too large for a small topic.
                return b"\x00" + dice.randbytes(2_999)


def number_of(event: bytes) -> int:
    """Return the number of an event.

    >>> number_of(b'{"id":"17","time":1.0}')
    17
    """
    return int(event[7 : event.index(b'"', 7)])


@dataclass(frozen=True)
class Sent:
    """What was delivered, for certain: ``rate`` is records/s from the beginning to the last.

    ``far_ahead`` of them lie in windows that need not be reported. The last one was made at
    ``ended``, epoch seconds. ``labels`` is how many of those were delivered.
    """

    sent: int
    bad: int
    seconds: float
    rate: float
    far_ahead: int = 0
    ended: float = 0.0
    labels: int = 0


def send(
    producer: Traffic,
    topic: str,
    events: Events,
    *,
    seed: int,
    rate: float,
    seconds: float,
    began: float,
    jumps: Sequence[Jump],
    grown: float | None = None,
    send_label: Callable[[int, bytes], None] = lambda partition, value: None,
    held: Callable[[Traffic], Traffic | None] = lambda _: None,
    until: Callable[[], float] = lambda: 0.0,
    clock: Callable[[], float] = time.time,
) -> Sent:
    """Send ``rate`` events a second for ``seconds`` from ``began`` (epoch seconds) on, and flush.

    It goes on longer if ``until`` says so, epoch seconds. Late, it makes up for it. After
    ``grown`` seconds the brokers are asked for more partitions until there are, and those get
    events too. Labels of events go to ``send_label`` when they are due, and the rest of them at
    the end. ``held`` is asked time and again whether the source was made again meanwhile, and
    returns another producer then. Raises ``RuntimeError`` if not everything was delivered.
    """
    partitions = random.Random(f"partitions of {seed}")
    nodes = random.Random(f"nodes of {seed}")
    shifts = [0.0] * MORE_PARTITIONS
    skews: list[list[Jump]] = [[] for _ in range(MORE_PARTITIONS)]
    number, asked, labels = SOURCE_PARTITIONS, 0.0, 0
    time.sleep(max(0.0, began - clock()))
    while (elapsed := clock() - began) < max(seconds, until() - began):
        if (other := held(producer)) is not None:
            producer, number, asked = other, SOURCE_PARTITIONS, 0.0
            continue
        due = min(_AT_ONCE, int(rate * elapsed) - events.made)
        if due < _AT_ONCE / 4:
            producer.poll(0.005)
            continue
        if grown is not None and elapsed > max(grown, asked + 1) and number < MORE_PARTITIONS:
            number, asked = _partitions(producer, topic), elapsed
        for partition in range(number):
            now_on = [jump for jump in jumps if jump.shift_at(elapsed, partition)]
            shifts[partition] = sum(jump.shift for jump in now_on if jump.share == 1)
            skews[partition] = [jump for jump in now_on if jump.share < 1]
        now = began + elapsed
        labels += _send_labels(events, now, now, send_label)
        for _ in range(due):
            partition = int(partitions.random() * number)
            skew = sum(one.shift for one in skews[partition] if nodes.random() < one.share)
            value = events.next(now + shifts[partition] + skew)
            while True:
                try:
                    producer.produce(topic, value, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)
    labels += _send_labels(events, clock(), math.inf, send_label)
    _deliver(producer)
    took = clock() - began
    rate = round(events.made / took, 1)
    ended = max(began + seconds, until())
    return Sent(events.made, events.bad, round(took, 3), rate, events.far_ahead, ended, labels)


def _send_labels(
    events: Events, now: float, due: float, send_label: Callable[[int, bytes], None]
) -> int:
    if events.labels is None:
        return 0
    events.labels.now = now
    sent = 0
    for partition, value in events.labels.due(due):
        send_label(partition, value)
        sent += 1
    return sent


def _deliver(producer: Traffic) -> None:
    left = producer.flush(_DELIVERY_SECONDS)
    if left:
        raise RuntimeError(f"{left} records were not delivered")


def _partitions(producer: Traffic, topic: str) -> int:
    try:
        found = producer.list_topics(topic, timeout=1).topics[topic]
    except KafkaException:
        return SOURCE_PARTITIONS
    return MORE_PARTITIONS if len(found.partitions) >= MORE_PARTITIONS else SOURCE_PARTITIONS


def main() -> None:
    """Parse the command line, send, and write what was sent."""
    parser = argparse.ArgumentParser(prog="chaos.traffic", description=__doc__)
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--labels", required=True, help="their topic")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="events a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--began", type=float, required=True, help="epoch seconds")
    parser.add_argument("--jumps", default="[]", help="JSON: a list of the fields of Jump")
    parser.add_argument("--grown", type=float, help="seconds; see send")
    parser.add_argument("--hold", type=lambda text: Hold(Path(text)), help="directory; see hold.py")
    parser.add_argument("--until", type=lambda text: End(Path(text)), help="directory; see hold.py")
    parser.add_argument("--result", type=Path, required=True, help="JSON file to write at the end")
    given = parser.parse_args()
    failures: list[str] = []
    config = {
        "bootstrap.servers": given.bootstrap_servers,
        "enable.idempotence": True,
        "message.timeout.ms": int(_DELIVERY_SECONDS * 1000),
        "linger.ms": 20,
        "compression.type": "lz4",
        # Minutes of an outage fit; after that the traffic waits.
        "queue.buffering.max.messages": 5_000_000,
        "queue.buffering.max.kbytes": 1_500_000,
        # A callback for each of 20,000 records a second would cost as much as making them.
        "delivery.report.only.error": True,
        "reconnect.backoff.max.ms": 500,
        "log_level": 2,
    }

    def producer() -> SteadyProducer:
        return SteadyProducer(config, given.topic, failures)

    def held(before: Traffic) -> Traffic | None:
        if given.hold is None or not given.hold.is_asked():
            return None
        _deliver(before)
        given.hold.wait()
        # The one before knows of the topic that is gone.
        return producer()

    labels = SteadyProducer(config, given.labels, failures)

    def send_label(partition: int, value: bytes) -> None:
        labels.produce(given.labels, value, partition)
        labels.poll(0)

    sent = send(
        producer(),
        given.topic,
        Events(
            given.seed,
            last_due(given.began + given.seconds) if given.until is None else math.inf,
            Labels(given.seed),
        ),
        seed=given.seed,
        rate=given.rate,
        seconds=given.seconds,
        began=given.began,
        jumps=[Jump(**jump) for jump in json.loads(given.jumps)],
        grown=given.grown,
        send_label=send_label,
        held=held,
        until=(lambda: 0.0) if given.until is None else given.until.read,
    )
    _deliver(labels)
    if failures:
        sys.exit(f"{len(failures)} records were refused, the first: {failures[0]}")
    given.result.write_text(json.dumps(asdict(sent)))


if __name__ == "__main__":
    main()
