"""Places that are filled by one process after the other, each of which dies at some step."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support import dying_retrainer, dying_worker
from support.processes import Child
from support.product import Installation

#: A place's processes: one for each step at which one dies, and the last one without.
Start = Callable[[str | None], Child]


#: How often a process may end by itself, to be started again, as workers do that can't go on.
_RESTARTS = 2


@dataclass
class Lives:
    """A place. Each process of it must end with ``code``, but the last: that must not end."""

    start: Start
    steps: Sequence[str]
    code: int = -9
    child: Child = field(init=False)
    _died: int = field(init=False, default=0)
    _restarts: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.child = self.start(None if self.last else self.steps[self._died])

    @property
    def last(self) -> bool:
        """Whether its last process has begun."""
        return self._died == len(self.steps)

    def look(self) -> None:
        """Begin the next process if one has died; fails if it ended otherwise."""
        code = self.child.process.poll()
        if code is None:
            return
        if code == self.code and not self.last:
            self._died += 1
        elif code == 1 and self._restarts < _RESTARTS:
            self._restarts += 1
        else:
            raise AssertionError(
                f"after {self.steps[: self._died]} it ended with {code}\n{self.child.tail()}"
            )
        self._begin()


def worker(installation: Installation, role: str) -> Start:
    """Return how a worker of a role is started, in a place of the installation."""

    def start(step: str | None) -> Child:
        program = ["-m", "tidegauge"] if step is None else [dying_worker.__file__, step]
        return Child(
            [sys.executable, *program, "run", "--role", role],
            log=installation.directory / f"{role}.log",
            env=installation.environment(),
            cwd=installation.directory,
        )

    return start


def retrainer(installation: Installation, *, work: Path, train: Sequence[str]) -> Start:
    """Return how the example consumer of an installation's actions is started."""
    options = {
        "group": f"{installation.name}-retrainer",
        # Nobody waits for the one that died before.
        "member": "only",
        "work": str(work),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]

    def start(step: str | None) -> Child:
        example = str(dying_retrainer.EXAMPLE)
        program = [example] if step is None else [dying_retrainer.__file__, step]
        return Child(
            [sys.executable, *program, *words, "--", *train],
            log=installation.directory / "retrainer.log",
            env=installation.environment(),
            cwd=installation.directory,
        )

    return start
