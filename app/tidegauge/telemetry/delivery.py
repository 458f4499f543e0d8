"""What the role ``notify`` exposes; the names are the contract with dashboards and alert rules."""

from collections.abc import Mapping
from typing import NamedTuple, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tidegauge.contract import NotifyReason
from tidegauge.telemetry.records import record_metrics

_RECEIVER = ("receiver",)


class ReceiverMetrics(NamedTuple):
    """The metrics of one receiver."""

    delivered: Counter
    failed: Counter
    dead_letters: Mapping[NotifyReason, Counter]
    up: Gauge
    delay: Histogram
    silenced: Counter
    withheld: Gauge
    digested: Counter
    digest_waiting: Gauge


class NotifyMetrics:
    """Metrics of NOTIFY, by receiver."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records_set_aside = record_metrics(registry)
        self.delivered = Counter(
            "tidegauge_notify_delivered_total",
            "Alerts that a receiver has taken",
            _RECEIVER,
            registry=registry,
        )
        self.failed = Counter(
            "tidegauge_notify_failed_total",
            "Attempts that failed, dead letters included",
            _RECEIVER,
            registry=registry,
        )
        self.dead_letters = Counter(
            "tidegauge_notify_dead_letters_total",
            "Alerts that were not delivered and became dead letters, by reason",
            (*_RECEIVER, "reason"),
            registry=registry,
        )
        self.up = Gauge(
            "tidegauge_notify_receiver_up",
            "0 if the last attempt got no answer, or an error of the receiver's own",
            _RECEIVER,
            registry=registry,
        )
        self.delay = Histogram(
            "tidegauge_notify_delay_seconds",
            "Time from the alert's record in Kafka to its delivery",
            _RECEIVER,
            registry=registry,
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400),
        )

        self.silenced = Counter(
            "tidegauge_notify_silenced_total",
            "Alerts that a receiver was not told of when their turn came, as they were silenced",
            _RECEIVER,
            registry=registry,
        )
        self.withheld = Gauge(
            "tidegauge_notify_withheld",
            "Alerts that a receiver is told of once nothing silences them",
            _RECEIVER,
            registry=registry,
        )
        self.digested = Counter(
            "tidegauge_notify_digested_total",
            "Alerts that the rate limit of a receiver put into a digest",
            _RECEIVER,
            registry=registry,
        )
        self.digest_waiting = Gauge(
            "tidegauge_notify_digest_waiting",
            "Alerts that wait for the digest of a receiver",
            _RECEIVER,
            registry=registry,
        )
        self.receivers_file_ok = Gauge(
            "tidegauge_notify_receivers_file_ok",
            "1 if the receivers in force are those of the file, 0 if it is wrong or gone",
            registry=registry,
        )

    def of(self, receiver: str) -> ReceiverMetrics:
        """Return those of one receiver, from 0 on: else the first event has no rate."""
        up = self.up.labels(receiver)
        up.set(1)
        reasons: tuple[NotifyReason, ...] = get_args(NotifyReason)
        return ReceiverMetrics(
            delivered=self.delivered.labels(receiver),
            failed=self.failed.labels(receiver),
            dead_letters={one: self.dead_letters.labels(receiver, one) for one in reasons},
            up=up,
            delay=self.delay.labels(receiver),
            silenced=self.silenced.labels(receiver),
            withheld=self.withheld.labels(receiver),
            digested=self.digested.labels(receiver),
            digest_waiting=self.digest_waiting.labels(receiver),
        )

    def forget(self, receiver: str) -> None:
        """Expose nothing more of a receiver that there is no more."""
        for metric in (
            self.delivered,
            self.failed,
            self.up,
            self.delay,
            self.silenced,
            self.withheld,
            self.digested,
            self.digest_waiting,
        ):
            metric.remove(receiver)
        reasons: tuple[NotifyReason, ...] = get_args(NotifyReason)
        for reason in reasons:
            self.dead_letters.remove(receiver, reason)
