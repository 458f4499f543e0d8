"""Records that a command passes over, since they are not what their topic holds."""

from collections.abc import Iterator
from contextlib import contextmanager

from tidegauge.cli._print import echo

#: Places that are named; the others are counted.
_NAMED = 5


class SkippedRecords:
    """Called with the place of a record, and with what it is not and why."""

    def __init__(self) -> None:
        self.number = 0
        self._first: list[str] = []

    def __call__(self, place: str, why: str) -> None:
        """Note one."""
        self.number += 1
        if len(self._first) < _NAMED:
            self._first.append(f"{place} ({why})")

    def __str__(self) -> str:
        """Say how many there were, and where."""
        records = "1 record was" if self.number == 1 else f"{self.number} records were"
        more = self.number - len(self._first)
        named = "; ".join(self._first) + (f"; and {more} more" if more else "")
        return f"{records} skipped: {named}"


@contextmanager
def skipping() -> Iterator[SkippedRecords]:
    """Give what to call; what was skipped is said once, on standard error, when it is over."""
    found = SkippedRecords()
    try:
        yield found
    finally:
        if found.number:
            warn(str(found))


def warn(text: str) -> None:
    """Say something on standard error that changes nothing for the exit code."""
    echo(f"tidegauge: warning: {text}", err=True)
