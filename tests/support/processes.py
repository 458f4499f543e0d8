"""Child processes of the tests: ports for them, waiting with a deadline, and a certain end.

A child gets a session of its own and is registered here, so that it is stopped when its owner
forgets it or when pytest is interrupted. On Linux the kernel stops it too if pytest is killed
(through setpriv and not preexec_fn, which is unsafe while librdkafka's threads run).
"""

import atexit
import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
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


#: One socket for each port that was given out; closing it would let others have the port.
_held: dict[int, socket.socket] = {}


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is this process's until it ends, listened on or not.

    A socket stays bound to it that never listens. So the kernel gives it to nobody who asks for any
    port, be it to listen on or as the source of a connection (which is how a port that is only
    probed gets lost), also while the server that it is for is down. The server itself sets
    ``SO_REUSEADDR``, as servers do, and Linux lets it listen beside a socket that does not.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port: int = held.getsockname()[1]
    if sys.platform == "linux":
        _make_room_for_files(len(_held))
        _held[port] = held
    else:  # elsewhere the server would be refused
        held.close()
    return port


def _make_room_for_files(held: int) -> None:
    """See to it that ports leave the process enough files to open: many systems allow 1,024."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * held + 512
    if now < wanted and now != resource.RLIM_INFINITY:
        most_of_it = wanted * 2 if most == resource.RLIM_INFINITY else min(wanted * 2, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, most_of_it), most))


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
    for held in _held.values():
        held.close()
