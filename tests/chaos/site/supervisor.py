"""Keeps worker processes running as a cluster would: started again when they end or hang."""

import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

from chaos.plan.course import Left
from chaos.plan.faults import BASE_WORKERS, ROLES, Role
from support.processes import Child, wait_until
from support.prometheus import http_get

#: A process that has ended is started again after so long.
BACK_OFF_SECONDS = 1.0

#: How long a worker that was asked to leave may take; after that it is killed. A pod has 30 s, and
#: a worker gives up by itself after 24.
LEAVE_SECONDS = 25.0

#: As often a worker's /healthz is asked, and this often in a row it may fail.
_POLL_SECONDS = 3.0
_POLLS_TO_FAIL = 3
_ANSWER_SECONDS = 2.0

#: A worker that hasn't answered at all for so long after its start is taken to hang.
_START_SECONDS = 40.0

_TICK_SECONDS = 0.1


@dataclass(eq=False)
class Slot:
    """The place of one worker: what it is called with, and the process that fills it, if any."""

    role: Role
    number: int
    command: Sequence[str]
    env: Mapping[str, str]
    http_port: int
    directory: Path
    wanted: bool = False
    child: Child | None = None
    #: Why the process will end, if somebody here has seen to it.
    ending: str | None = None
    #: Monotonic times.
    start_at: float = 0.0
    started: float = 0.0
    asked: float | None = None
    kill_at: float | None = None
    #: How many pauses there are just now.
    paused: int = 0
    answered: bool = False
    failed_polls: int = 0

    @property
    def name(self) -> str:
        return f"{self.role}-{self.number}"

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"


@dataclass
class Supervisor:
    """Runs the workers of some slots from :meth:`start` to :meth:`stop`. Thread-safe.

    ``say`` is called with what happens, a line each.
    """

    slots: Sequence[Slot]
    say: Callable[[str], None]
    #: How many workers of each role there are from the start.
    workers: Mapping[Role, int] = field(default_factory=BASE_WORKERS.copy)
    #: Ends of workers that nobody here has seen to, by role.
    unplanned: Counter[str] = field(default_factory=Counter)
    #: Workers that ended after SIGTERM, before :meth:`stop`.
    left: list[Left] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _failure: BaseException | None = None

    def start(self) -> None:
        """Start the workers of each role, and look after them from now on."""
        for role in ROLES:
            self.scale(role, self.workers.get(role, 0))
        # Children die with the thread that started them: one starts them all, and outlives them.
        for work, seconds in ((self._tend, _TICK_SECONDS), (self._poll, _POLL_SECONDS)):
            thread = threading.Thread(target=self._repeat, args=(work, seconds))
            thread.start()
            self._threads.append(thread)

    def _repeat(self, work: Callable[[], None], seconds: float) -> None:
        try:
            while not self._stopping.wait(seconds):
                work()
        except BaseException as error:
            self._failure = error
            raise
        self._over.wait()

    def check(self) -> None:
        """Raise what has ended the supervision, if anything has."""
        if self._failure is not None:
            raise RuntimeError("the supervisor has failed") from self._failure

    # -- what faults do -------------------------------------------------------------------------

    def running(self, role: Role) -> list[Slot]:
        """Return the slots of a role that have a process, by number."""
        with self._lock:
            return [slot for slot in self._of(role) if slot.child is not None]

    def wait_running(self, role: Role, seconds: float = 90.0) -> list[Slot]:
        """Return the slots of a role that have a process, of which there is one at least.

        Another fault may have stopped them all for a while.
        """
        return wait_until(
            lambda: self.running(role), seconds=seconds, what=f"a process of role {role}"
        )

    def kill(self, slot: Slot, why: str) -> None:
        """Send SIGKILL."""
        self._end(slot, signal.SIGKILL, why)

    def terminate(self, slot: Slot, why: str) -> None:
        """Send SIGTERM, and SIGKILL if the process doesn't leave in time."""
        self._end(slot, signal.SIGTERM, why)

    def _end(self, slot: Slot, number: signal.Signals, why: str) -> None:
        with self._lock:
            if slot.child is None:
                return
            slot.ending = why
            if number == signal.SIGTERM and slot.asked is None:
                slot.asked = time.monotonic()
                slot.kill_at = slot.asked + LEAVE_SECONDS
            slot.child.signal(number)

    def pause(self, slot: Slot, seconds: float) -> None:
        """Stop a process for so long, and let it go on, if it is still the same."""
        with self._lock:
            child = slot.child
            if child is None:
                return
            slot.paused += 1
            child.signal(signal.SIGSTOP)
        threading.Event().wait(seconds)
        with self._lock:
            if slot.child is not child:
                return
            slot.paused -= 1
            if slot.paused == 0:
                child.signal(signal.SIGCONT)

    def scale(self, role: Role, workers: int) -> None:
        """Have so many workers of a role: those with the lowest numbers."""
        with self._lock:
            for slot in self._of(role):
                slot.wanted = slot.number < workers
                if not slot.wanted:
                    self.terminate(slot, "scale")

    def _of(self, role: Role) -> list[Slot]:
        return [slot for slot in self.slots if slot.role == role]

    # -- supervision ----------------------------------------------------------------------------

    def _tend(self) -> None:
        now = time.monotonic()
        with self._lock:
            for slot in self.slots:
                if slot.child is None:
                    if slot.wanted and now >= slot.start_at:
                        self._start(slot, now)
                elif slot.child.process.poll() is not None:
                    self._note_end(slot, slot.child, now)
                elif slot.kill_at is not None and now > slot.kill_at:
                    self.say(
                        f"{slot.name} has not left {LEAVE_SECONDS:.0f} s after SIGTERM: SIGKILL"
                    )
                    slot.child.signal(signal.SIGKILL)
                    slot.kill_at = None

    def _start(self, slot: Slot, now: float) -> None:
        slot.child = Child(slot.command, log=slot.log, env=slot.env, cwd=slot.directory)
        slot.started = now
        slot.ending = slot.asked = slot.kill_at = None
        slot.paused = slot.failed_polls = 0
        slot.answered = False

    def _note_end(self, slot: Slot, child: Child, now: float) -> None:
        code = child.kill()
        if slot.ending is None:
            self.unplanned[slot.role] += 1
            self.say(f"{slot.name} ended by itself with {code}, after {now - slot.started:.0f} s")
        elif code not in (0, -signal.SIGKILL):
            self.say(f"{slot.name} ended with {code} ({slot.ending})")
        if slot.asked is not None:
            self.left.append(Left(slot.name, slot.ending or "", code, now - slot.asked))
        slot.child = None
        slot.start_at = now + BACK_OFF_SECONDS

    def _poll(self) -> None:
        for slot in self.slots:
            child = slot.child
            if child is None or slot.paused:
                continue
            alive = healthy(slot)
            with self._lock:
                if slot.child is not child or slot.paused or self._stopping.is_set():
                    continue
                slot.answered = slot.answered or alive
                starting = time.monotonic() - slot.started < _START_SECONDS
                if alive or (starting and not slot.answered):
                    slot.failed_polls = 0
                    continue
                slot.failed_polls += 1
                if slot.failed_polls >= _POLLS_TO_FAIL and slot.ending is None:
                    self.unplanned[slot.role] += 1
                    self.say(f"{slot.name} fails /healthz {_POLLS_TO_FAIL} times: SIGKILL")
                    self.kill(slot, "liveness")

    # -- the end --------------------------------------------------------------------------------

    def stop(self) -> list[str]:
        """Stop every worker by SIGTERM; return what did not leave in good order, in words."""
        self._stopping.set()
        findings = []
        asked = time.monotonic()
        with self._lock:
            children = [(slot, slot.child) for slot in self.slots if slot.child is not None]
            for _, child in children:
                child.signal(signal.SIGTERM)
        for slot, child in children:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, asked + LEAVE_SECONDS - time.monotonic()))
            if child.process.poll() is None:
                findings.append(f"{slot.name} has not left {LEAVE_SECONDS:.0f} s after SIGTERM")
            elif child.process.returncode != 0:
                findings.append(f"{slot.name} left with {child.process.returncode} after SIGTERM")
        self.kill_all()
        return findings

    def kill_all(self) -> None:
        """End every worker at once, and the supervision."""
        self._stopping.set()
        with self._lock:
            for slot in self.slots:
                if slot.child is not None:
                    slot.child.kill()
                    slot.child = None
        self._over.set()
        for thread in self._threads:
            thread.join()


def readiness(slot: Slot) -> str:
    """Return what a worker says of its conditions; nothing if it doesn't answer."""
    with suppress(URLError, OSError):
        return http_get(f"http://127.0.0.1:{slot.http_port}/readyz", seconds=_ANSWER_SECONDS)[1]
    return ""


def healthy(slot: Slot, path: str = "/healthz") -> bool:
    """Whether a worker says that it is alive, or by another path that it works."""
    with suppress(URLError, OSError):
        url = f"http://127.0.0.1:{slot.http_port}{path}"
        return http_get(url, seconds=_ANSWER_SECONDS)[0] == 200
    return False
