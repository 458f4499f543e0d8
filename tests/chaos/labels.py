"""The labels of a run: which ones are sent, when, and how each names its prediction.

Some come at once and some later, twice, corrected, retracted, before their prediction, or of
nothing that there is. What is drawn follows from the seed and the events alone. All labels of one
id go to one partition, one after the other, and name their prediction in one way, so that the two
source topics alone say what each counts for.
"""

import heapq
import itertools
import json
import random
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

#: Models whose baselines have a target, and one that has none.
LABELLED = ("m0", "m3")
WITHOUT_TARGET = "m5"
POSITIVE, NEGATIVE = "1", "0"
THRESHOLD = 0.5

PARTITIONS = 3

#: A label by id counts so long after its prediction, and waits for it for so long. More than any
#: outage, so that no run depends on who is faster; a skewed clock is more than the first behind.
RETENTION_SECONDS = 600
EARLY_SECONDS = 900

#: Of so many events one may get labels.
EVERY = 25

#: How far ahead the event is that an early label names: it isn't made yet, and gets no others.
_AHEAD = 20_001

#: A prediction that long ago may get one label alone: which of several is refused depends on
#: whether they or the prediction are read first.
_LONG_AGO = 400

#: What the labels of one id are, each a delay after the one before in seconds, a revision, and the
#: actual: the true one, its opposite, none, or no class.
_Story = tuple[tuple[float, int, str], ...]
_STORIES: dict[str, tuple[float, _Story]] = {
    "once": (45, ((1, 0, "true"),)),
    "late": (10, ((8, 0, "true"),)),
    "twice": (12, ((1, 0, "true"), (2, 0, "true"))),
    "another_of_the_revision": (3, ((1, 0, "true"), (2, 0, "false"))),
    "corrected": (12, ((1, 0, "false"), (3, 1, "true"))),
    "corrected_late": (4, ((1, 0, "false"), (8, 3, "true"))),
    "stale": (4, ((1, 2, "true"), (2, 1, "false"))),
    "retracted": (6, ((1, 0, "true"), (3, 1, "none"))),
    "retracted_at_once": (1, ((1, 0, "none"),)),
    "back_again": (3, ((1, 0, "false"), (1, 1, "none"), (2, 2, "true"))),
}
_INVALID: _Story = ((1, 0, "invalid"),)


@dataclass(order=True)
class _Due:
    at: float
    number: int
    partition: int = field(compare=False)
    value: bytes = field(compare=False)


class Labels:
    """Draws the labels of events, and gives them out when they are due."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(f"labels of {seed}")
        self._waiting: list[_Due] = []
        self._numbers = itertools.count()
        #: What time it is, epoch seconds; an event may be of another.
        self.now = 0.0

    def take(self, number: int, model: str, variant: str, time: float, score: float) -> None:
        """Draw what labels an event gets, if any."""
        dice = self._dice
        kind = dice.random()
        if kind < 0.03:
            self._tell({"id": str(number + _AHEAD)}, score, (0.0, 0, "true"))
        elif kind < 0.06:
            self._nobody(number, time, score)
        elif model not in LABELLED:
            if kind < 0.08:
                self._tell({"id": str(number)}, score, (1.0, 0, "true"))
        else:
            self._of(number, model, variant, time, score)

    def _of(self, number: int, model: str, variant: str, time: float, score: float) -> None:
        dice = self._dice
        way = dice.choices(("id", "model", "receipt", "prediction", "alone"), (45, 10, 25, 12, 8))[
            0
        ]
        story = dice.choices(
            [it for _, it in _STORIES.values()], [n for n, _ in _STORIES.values()]
        )[0]
        if dice.random() < 0.03:
            story = _INVALID
        id = str(number)
        if way in ("id", "model") and self.now - time > _LONG_AGO:
            story = story[:1]
        match way:
            case "id":
                named: dict[str, Any] = {"id": id}
            case "model":
                named = {"id": id, "model": model}
            case "receipt":
                named = {"receipt": _receipt(model, variant, time, score, id)}
            case _:
                named = {"model": model, "version": "1", "time": time, "prediction": score}
                named |= {"variant": variant} if variant else {}
                named |= {"id": id} if way == "prediction" else {}
        if way == "alone":
            # Without an id nothing can take it back, and each that comes counts.
            story = ((1.0, 0, "true"),)
        self._tell(named, score, *story, id=id)

    def _nobody(self, number: int, time: float, score: float) -> None:
        """Draw what is of no use to anybody."""
        match self._dice.randrange(5):
            case 0:
                story = self._dice.choice([it for _, it in _STORIES.values()])
                self._tell({"id": f"nobody-{number}"}, score, *story)
            case 1:
                self._tell(
                    {"id": f"of-none-{number}", "model": WITHOUT_TARGET}, score, (1, 0, "true")
                )
            case 2:
                receipt = _receipt(WITHOUT_TARGET, "", time, score, f"none-{number}")
                self._tell({"receipt": receipt}, score, (1, 0, "true"))
            case 3:
                receipt = _receipt("m0", "", time, score, f"cut-{number}")[:-9]
                self._tell({"receipt": receipt}, score, (1, 0, "true"))
            case _:
                self._send(str(number), f'{{"id": "{number}", "actual": 1, cut off'.encode(), 0.0)

    def _tell(
        self, named: dict[str, Any], score: float, *story: tuple[float, int, str], id: str = ""
    ) -> None:
        dice = self._dice
        truth = dice.random() < score
        at = 0.0
        for delay, revision, what in story:
            at += delay * dice.random()
            label = dict(named)
            match what:
                case "true" | "false":
                    actual = truth == (what == "true")
                    label["actual"] = dice.choice(
                        [int(actual), float(actual), str(int(actual)), f" {int(actual)} ", actual]
                    )
                case "invalid":
                    label["actual"] = "perhaps"
            if what == "none":
                label["retracted"] = True
            if revision:
                label["revision"] = revision
            number = next(self._numbers)
            # No two are alike: of a producer that has lost its brokers it is told what has arrived.
            label["source"] = f"chaos-{number:08d}"
            self._send(str(named.get("id") or id), json.dumps(label).encode(), at)

    def _send(self, id: str, value: bytes, seconds: float) -> None:
        due = _Due(
            self.now + seconds, next(self._numbers), zlib.crc32(id.encode()) % PARTITIONS, value
        )
        heapq.heappush(self._waiting, due)

    def due(self, now: float) -> Iterator[tuple[int, bytes]]:
        """Give out what is due, as (partition, value); with infinity, everything."""
        while self._waiting and self._waiting[0].at <= now:
            one = heapq.heappop(self._waiting)
            yield one.partition, one.value


def _receipt(model: str, variant: str, time: float, score: float, id: str) -> str:
    """Return a receipt as docs/outcomes.md describes it."""
    body = msgspec.msgpack.encode([model, "1", variant, time, score, None, None, id])
    return "tg1." + urlsafe_b64encode(b"\x01" + body).rstrip(b"=").decode()
