"""What a backtest reads: which window reports, and which alerts."""

from collections.abc import Callable, Iterator

import msgspec

from tidegauge.contract import Alert
from tidegauge.reading import Record


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
            named = msgspec.json.decode(key or b"", type=list[object])
        except msgspec.DecodeError:
            return True
        if not named or not isinstance(named[0], str) or self._matches(named[0]):
            return True
        self.others.add(named[0])
        return False


def fired(records: Iterator[Record], since: float, until: float) -> list[Alert]:
    """Return the alerts that fired in a window that ended in (``since``, ``until``], each once.

    Raises ``ValueError`` that names the place of what is no alert.
    """
    found: dict[str, Alert] = {}
    for record in records:
        try:
            alert = msgspec.json.decode(record.value, type=Alert)
        except msgspec.DecodeError as error:
            raise ValueError(f"{record.place} is no alert: {error}") from error
        goes_on = alert.reminder or alert.was == "firing"
        fires = alert.state == "firing" and not goes_on
        if fires and since < alert.window_end <= until:
            found.setdefault(alert.id, alert)
    return list(found.values())
