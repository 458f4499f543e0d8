"""What a backtest reads: which window reports, and which alerts."""

from collections.abc import Callable, Iterator

from tidegauge.contract import Alert, DecodingError, decode
from tidegauge.reading import Record, Skipped, refuse


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
    records: Iterator[Record], since: float, until: float, skipped: Skipped = refuse
) -> list[Alert]:
    """Return the alerts that fired in a window that ended in (``since``, ``until``], each once.

    ``skipped`` is called with what is no alert; by default it raises ``ValueError``.
    """
    found: dict[str, Alert] = {}
    for record in records:
        try:
            alert = decode(record.value, Alert)
        except DecodingError as error:
            skipped(record.place, f"no alert: {error}")
            continue
        fires = alert.event == "firing"
        if fires and since < alert.window_end <= until:
            found.setdefault(alert.id, alert)
    return list(found.values())
