"""Everything between a window's end and what is done about it, with processes that die at steps.

Each step at which DETECT dies has a model of its own, on a log of histograms of its own, and all of
them publish to the same topics. An undisturbed worker publishes the same models to topics beside.
From there on there is one receiver, one consumer of actions and one audit trail.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from support import dying_retrainer, dying_worker
from support.dying_worker import COMMITS_FIRST, SAVES_FIRST
from support.group_lag import GroupLag
from support.histogram_log import (
    DRIFTING,
    EVENTS,
    QUIET,
    HistogramLog,
    baseline_of,
    make_log,
    one_model_for_each,
)
from support.http_sink import HttpSink
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.lives import Lives, retrainer, worker
from support.processes import wait_until
from support.product import Installation
from support.way_outcome import Way
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.config.settings import Settings
from tidegauge.kafka.topics import Topics

RULES = """
rules:
  - {name: drift, metric: kl, above: 0.05, severity: high, minimum_events: 50, for: 2}
  - name: drift-retrain
    metric: kl
    above: 0.05
    severity: high
    minimum_events: 50
    for: 2
    action: retrain
"""

RECEIVERS = """
receivers:
  - {{name: hook, type: webhook, url: '{url}', match: {{models: ['{models}']}}}}
"""

WINDOW_SECONDS = 10
WINDOWS = [QUIET, QUIET, DRIFTING, DRIFTING, QUIET, QUIET]

#: The first flushes make alerts pending, which is saved before any step is come to.
BEFORE = 4

#: A drift fires with the second window, and that ends with the fifth flush.
COUNTED_WHEN_FIRING = 5 * EVENTS

DETECT_STEPS = list(dying_worker.DETECT)
NOTIFY_STEPS = list(dying_worker.NOTIFY)
RETRAINER_STEPS = ["write_events", "publish", "send", "commit"]

#: As often the brokers are asked how far everybody is.
ASK_SECONDS = 0.5

#: What DETECT puts out.
KINDS = ("windows", "alerts", "alerts_history", "actions", "audit_facts")

TRAIN = """
import pathlib
events = pathlib.Path("events.jsonl").read_text().splitlines()
pathlib.Path("model").write_text(str(len(events)))
"""


@dataclass
class Site:
    """Installations on one broker, and everything that runs in them."""

    directory: Path
    broker: KafkaBroker
    redis_url: str
    name: str = field(default_factory=lambda: unique("way"))
    hook: HttpSink = field(default_factory=HttpSink)
    other_hook: HttpSink = field(default_factory=HttpSink)
    places: list[Lives] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.steps = [*DETECT_STEPS, SAVES_FIRST]
        self.models = one_model_for_each(len(self.steps))
        (self.directory / "rules.yaml").write_text(RULES)
        self._lag = GroupLag(self.broker.bootstrap_servers)
        every = len(self.models)
        self.calm = self.installation("calm", {}, name=f"{self.name}-calm", partitions=every)
        self.detectors = [
            self.installation(
                f"detect-{i}",
                {
                    "DETECT__APP_ID": f"{self.name}-detect-{i}",
                    "TOPICS__HISTOGRAMS": f"{self.name}.histograms-{i}",
                },
            )
            for i in range(every)
        ]
        # Of a model whose alerts are published once: by a copy, the other one would be told too.
        once = self.models[self.steps.index("judged")]
        self.notifiers = [
            self.notifier("hook", self.hook, "*"),
            self.notifier("other", self.other_hook, once),
        ]
        self.ledger = self.installation("ledger", {"LEDGER__SESSION_TIMEOUT_SECONDS": "6"})

    def installation(
        self, place: str, extra: dict[str, str], *, name: str = "", partitions: int = 1
    ) -> Installation:
        """Make a place for a process; what reads and writes the same topics has the same name."""
        return Installation(
            self.directory / place,
            name or self.name,
            self.broker.bootstrap_servers,
            self.redis_url,
            {
                "TOPICS__PREDICTIONS": self.source,
                "TOPICS__PREDICTIONS_PARTITIONS": "1",
                "TOPICS__DETECT_PARTITIONS": str(partitions),
                "REDIS__PREFIX": self.name,
                "WINDOWS__SECONDS": str(WINDOW_SECONDS),
                "WINDOWS__GRACE_SECONDS": "1",
                "DETECT__RULES_FILE": str(self.directory / "rules.yaml"),
                "DETECT__SESSION_TIMEOUT_SECONDS": "6",
                "DETECT__CHECKPOINT_SECONDS": "0.5",
                **extra,
            },
        )

    def notifier(self, name: str, sink: HttpSink, models: str) -> Installation:
        receivers = self.directory / f"{name}.yaml"
        receivers.write_text(RECEIVERS.format(url=sink.url, models=models))
        return self.installation(
            f"notify-{name}",
            {
                "NOTIFY__RECEIVERS_FILE": str(receivers),
                "NOTIFY__GROUP_ID": f"{self.name}-{name}",
                "NOTIFY__SESSION_TIMEOUT_SECONDS": "6",
            },
        )

    @property
    def source(self) -> str:
        return f"{self.name}.predictions"

    def run(self) -> Way:
        """Go all the way, and return what came of it."""
        log = self.prepare()
        self.send(log.records[:BEFORE])
        self.start()
        self.wait(
            "the first windows are saved, and alerts are waited for",
            lambda: not (self.detectors_left() or self.notifiers_left()),
        )
        self.send(log.records[BEFORE:])
        self.start_retrainer()
        self.wait("every step was come to", lambda: all(place.last for place in self.places))
        self.wait("all work is done", lambda: not (self.detectors_left() or self.consumers_left()))
        return self.way()

    # -- what runs ---------------------------------------------------------------------------------

    def prepare(self) -> HistogramLog:
        """Make topics and baselines, and send the events; returns what is to be counted of them."""
        for one in (self.calm, *self.detectors, self.ledger):
            Topics(_settings(one)).create()
        with closing(BaselineStore(self.redis_url, prefix=self.name)) as store:
            for model in self.models:
                store.put(baseline_of(model))
        start = (int(time.time()) // WINDOW_SECONDS - 2 * len(WINDOWS)) * WINDOW_SECONDS
        log = make_log(
            self.models, WINDOWS, source=self.source, start=start, seconds=WINDOW_SECONDS
        )
        self._send((self.source, 0, value) for value in log.events)
        return log

    def send(self, flushes: Sequence[dict[int, bytes]]) -> None:
        """Send flushes to the undisturbed worker and to each of the others."""
        for records in flushes:
            self._send(
                (topic, at, value)
                for i, value in records.items()
                for topic, at in (
                    (self.calm.topic("histograms"), i),
                    (f"{self.name}.histograms-{i}", 0),
                )
            )

    def _send(self, records: Iterator[tuple[str, int, bytes]]) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap_servers})
        for topic, partition, value in records:
            producer.produce(topic, value, partition=partition)
        assert producer.flush(30) == 0

    def start(self) -> None:
        """Start every worker."""
        self.places.append(Lives(worker(self.calm, "detect"), []))
        for one, step in zip(self.detectors, self.steps, strict=True):
            self.places.append(Lives(worker(one, "detect"), [step]))
        for one, steps in zip(self.notifiers, (NOTIFY_STEPS, [COMMITS_FIRST]), strict=True):
            self.places.append(Lives(worker(one, "notify"), steps))
        self.places.append(Lives(worker(self.ledger, "ledger"), []))

    def start_retrainer(self) -> None:
        """Start who carries actions out."""
        start = retrainer(
            self.ledger, work=self.directory / "work", train=[sys.executable, "-c", TRAIN]
        )
        self.places.append(Lives(start, RETRAINER_STEPS, dying_retrainer.GONE))

    def kill(self) -> None:
        for place in self.places:
            place.child.kill()
        for sink in (self.hook, self.other_hook):
            sink.stop()
        self._lag.close()

    # -- how far it is -----------------------------------------------------------------------------

    def detectors_left(self) -> int:
        every = len(self.models)
        left = self._lag.left(f"{self.calm.name}-detect", self.calm.topic("histograms"), every)
        for i in range(every):
            left += self._lag.left(f"{self.name}-detect-{i}", f"{self.name}.histograms-{i}")
        return left

    def notifiers_left(self) -> int:
        alerts = self.ledger.topic("alerts_history")
        return sum(self._lag.left(f"{self.name}-{name}-hook", alerts) for name in ("hook", "other"))

    def consumers_left(self) -> int:
        """Return what is left to do for all who come after DETECT, in the order of the way."""
        topic, name = self.ledger.topic, self.name
        return (
            self.notifiers_left()
            or self._lag.left(f"{name}-retrainer", topic("actions"))
            or self._lag.left(f"{name}-ledger-acknowledgements", topic("acknowledgements"))
            or self._lag.left(f"{name}-ledger", topic("audit_facts"))
        )

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Wait, and begin the lives that follow meanwhile."""
        asked = 0.0

        def looked() -> bool:
            nonlocal asked
            for place in self.places:
                place.look()
            if time.monotonic() < asked + ASK_SECONDS:
                return False
            asked = time.monotonic()
            return done()

        wait_until(looked, seconds=120, what=lambda: f"{what}\n{self.tails()}")

    def tails(self) -> str:
        unfinished = [place for place in self.places if not place.last] or self.places
        return "\n".join(f"{place.steps}: {place.child.tail()[-3000:]}" for place in unfinished)

    # -- what came of it ---------------------------------------------------------------------------

    def way(self) -> Way:
        verdict = json.loads(self.ledger.succeed("audit", "verify", "--json"))["verdict"]
        topic = self.ledger.topic
        return Way(
            models=dict(zip(self.steps, self.models, strict=True)),
            calm={kind: self._values(self.calm.topic(kind)) for kind in KINDS},
            found={kind: self._values(topic(kind)) for kind in KINDS},
            acknowledged=[json.loads(it) for it in self._values(topic("acknowledgements"))],
            trail=[json.loads(it) for it in self._values(topic("audit"))],
            verdict=verdict,
            hook=self.hook,
            other_hook=self.other_hook,
            results={
                path.parent.name: path.read_text()
                for path in (self.directory / "work").glob("[!.]*/model")
            },
        )

    def _values(self, topic: str) -> list[bytes]:
        with closing(TopicReader(self.broker, topic)) as reader:
            found = sorted(reader.more(), key=lambda it: (it.partition() or 0, it.offset() or 0))
        return [message.value() or b"" for message in found]


def _settings(installation: Installation) -> Settings:
    """Return the settings that a process of an installation reads from its environment."""
    nested: dict[str, Any] = {}
    for name, value in installation.environment().items():
        section, _, field_name = name.removeprefix("TIDEGAUGE_").lower().partition("__")
        if name.startswith("TIDEGAUGE_"):
            nested.setdefault(section, {})[field_name] = value
    return Settings(**nested)
