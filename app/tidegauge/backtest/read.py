"""What a backtest reads: which window reports, and which alerts."""

from collections.abc import Callable, Iterator

from tidegauge.contract import Alert, DecodingError, decode
from tidegauge.kafka import KafkaRecord, Skipped, refuse


class ModelKeys:
    """Tells by its key whether a window report is of a model that matches; notes the others.

    A key that names none is kept, since the report itself does.
    """

    def __init__(self, matches: Callable[[str], bool]) -> None:
        self._matches = matches
        self.others: set[str] = set()

    def __call__(self, key: bytes | None) -> bool:
        """Return whether the record is to be read."""
        try:
            named = decode(key, list[object])
        except DecodingError:
            return True
        if not named or not isinstance(named[0], str) or self._matches(named[0]):
            return True
        self.others.add(named[0])
        return False


def fired(
    history: Iterator[KafkaRecord],
    newest: Iterator[KafkaRecord],
    since: float,
    until: float,
    skipped: Skipped = refuse,
) -> list[Alert]:
    """Return a record of each episode that fired at some time in (``since``, ``until``].

    As a replay counts them: one that had begun before is one that is found at once. ``history``
    has every step from ``since`` on, ``newest`` the last one of each alert: those that fired all
    the time are in it. ``skipped`` is called with what is no alert; by default it raises
    ``ValueError``.
    """
    found: dict[str, Alert] = {}
    for alert in _alerts(history, skipped):
        if _has_fired(alert) and since < alert.window_end <= until:
            found.setdefault(alert.episode or alert.id, alert)
    for alert in _alerts(newest, skipped):
        still = _has_fired(alert) and alert.state != "resolved"
        if still and alert.starts_at < until and alert.window_end <= since:
            found.setdefault(alert.episode or alert.id, alert)
    return list(found.values())


def _has_fired(alert: Alert) -> bool:
    """Whether it fires, did when its data ended, or is over: not what was only pending."""
    return alert.state in ("firing", "resolved") or (alert.state, alert.was) == (
        "no_data",
        "firing",
    )


def _alerts(records: Iterator[KafkaRecord], skipped: Skipped) -> Iterator[Alert]:
    for record in records:
        try:
            yield decode(record.value, Alert)
        except DecodingError as error:
            skipped(record.place, f"no alert: {error}")
