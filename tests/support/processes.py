"""Child processes of the tests: free ports, waiting with a deadline, and a certain end.

A child gets a session of its own and is registered here, so that it is stopped when its owner
forgets it or when pytest is interrupted. On Linux the kernel stops it too if pytest is killed
(through setpriv and not preexec_fn, which is unsafe while librdkafka's threads run).
"""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

_TAIL_BYTES = 20_000
_SETPRIV = shutil.which("setpriv")
_DIE_WITH_PARENT = [_SETPRIV, "--pdeathsig", "KILL", "--"] if _SETPRIV else []
#: A shell's background job ignores SIGINT, and so would all that it starts.
_ENV = shutil.which("env")
_TAKE_SIGINT = [_ENV, "--default-signal=INT"] if _ENV else []

T = TypeVar("T")

_running: set["Child"] = set()


_ports_given: set[int] = set()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on just now; never the same twice."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _ports_given:
            _ports_given.add(port)
            return port


def wait_until(
    condition: Callable[[], T | None], *, seconds: float, what: str | Callable[[], str]
) -> T:
    """Return the first true value of ``condition()``; fail with ``what`` at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            said = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {seconds} s: {said}")
        threading.Event().wait(0.05)


class Child:
    """A subprocess whose output goes to a file, and that is stopped for certain."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        self.command = list(command)
        # Text that an earlier child left in the same file is not this one's.
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                [*_DIE_WITH_PARENT, *_TAKE_SIGINT, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        _running.add(self)

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        """Return everything it has printed so far."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def tail(self) -> str:
        """Return the end of its output, for the message of a failure."""
        return f"--- end of {self.log.name} ---\n{self.output()[-_TAIL_BYTES:]}"

    def check_alive(self) -> None:
        code = self.process.poll()
        assert code is None, f"{' '.join(self.command)} ended with {code}\n{self.tail()}"

    def wait_for_output(self, text: str, *, seconds: float) -> None:
        """Return once ``text`` has been printed; fail if it ends or the deadline passes first."""

        def seen() -> bool:
            if text in self.output():
                return True
            self.check_alive()
            return False

        wait_until(seen, seconds=seconds, what=lambda: f"{text!r} in the output\n{self.tail()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def stop(self, *, seconds: float = 20) -> int:
        """Ask it to end, insist after ``seconds``, and return its exit code (negative: signal)."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        return self.kill()

    def kill(self) -> int:
        """End it at once, with all it started."""
        self.signal(signal.SIGKILL)
        _running.discard(self)
        return self.process.wait()


@atexit.register
def _stop_everything() -> None:
    for child in list(_running):
        child.kill()
