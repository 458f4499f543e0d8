"""A pytest plugin: only tests that start no process, and none any more when the time is over."""

import subprocess
import sys
import time
from functools import cache
from types import ModuleType

import pytest

#: A minute, less what pytest takes to start and to collect on a busy machine.
SECONDS = 40.0

#: Fixtures that start something.
_STARTING = frozenset({"redis_url"})


class FastLoop:
    """Counts what is left out, and says so at the end."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + SECONDS
        self._starting = 0
        self._too_late = 0

    @pytest.hookimpl
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave out what starts processes."""
        left_out = [item for item in items if _starts(item)]
        self._starting = len(left_out)
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Begin no test after the end."""
        if time.monotonic() < self._ends:
            return None
        self._too_late += 1
        return True

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was left out."""
        terminalreporter.write_line(
            f"fast loop: left out {self._starting} tests that start processes, and "
            f"{self._too_late} that did not begin within {SECONDS:g} s; `make test` runs all"
        )


def _starts(item: pytest.Item) -> bool:
    if _STARTING & set(getattr(item, "fixturenames", ())):
        return True
    module = getattr(item, "module", None)
    return module is not None and _uses_subprocess(module)


@cache
def _uses_subprocess(module: ModuleType) -> bool:
    """Tell whether a module uses subprocesses, itself or by a module of ``tests/support``."""
    for value in vars(module).values():
        if value is subprocess:
            return True
        owner = value.__name__ if isinstance(value, ModuleType) else _owner(value)
        support = owner.startswith("support.") and owner != module.__name__
        if support and _uses_subprocess(sys.modules[owner]):
            return True
    return False


def _owner(value: object) -> str:
    owner = getattr(value, "__module__", None)
    return owner if isinstance(owner, str) else ""
