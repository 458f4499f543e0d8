"""How the traffic of a run is told what to do meanwhile, by files.

It is held while the source topic is made again, so whatever was sent was sent to the one topic or
to the other, and is known to be there. And it goes on until faults whose length nobody knows
beforehand, such as the start of brokers on a busy machine, have been over for a while.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.processes import wait_until

#: An outage of the brokers may have to end before what was sent is delivered.
_SECONDS = 120.0


@dataclass
class Hold:
    """Both sides of it: the traffic asks and waits, and whoever makes the topic again holds it."""

    directory: Path

    @property
    def _asked(self) -> Path:
        return self.directory / "traffic.hold"

    @property
    def _held(self) -> Path:
        return self.directory / "traffic.held"

    def is_asked(self) -> bool:
        """Whether the traffic is to stop."""
        return self._asked.exists()

    def wait(self) -> None:
        """Say that all that was sent is delivered, and return when more may be sent."""
        self._held.touch()
        wait_until(lambda: not self._asked.exists(), seconds=2 * _SECONDS, what="traffic may go on")
        self._held.unlink()

    @contextmanager
    def traffic(self, is_over: Callable[[], bool]) -> Iterator[None]:
        """Let nothing be sent meanwhile; there may be no traffic any more."""
        self._asked.touch()
        try:
            wait_until(
                lambda: self._held.exists() or is_over(),
                seconds=_SECONDS,
                what="everything that was sent is delivered",
            )
            yield
        finally:
            self._asked.unlink()


@dataclass
class End:
    """Both sides of it: the traffic goes on until it is told when to end."""

    directory: Path

    @property
    def _told(self) -> Path:
        return self.directory / "traffic.until"

    def read(self) -> float:
        """Return when the traffic is to end, epoch seconds; infinite while that isn't known."""
        try:
            return float(self._told.read_text())
        except FileNotFoundError:
            return math.inf

    def tell(self, at: float) -> None:
        """Let it end then, unless it has been told already."""
        if not self._told.exists():
            whole = self._told.with_suffix(".new")
            whole.write_text(str(at))
            whole.replace(self._told)
