"""Starts of DETECT by the dozen: ``python -m chaos.starts --help``.

Three workers start at once behind the proxies of the chaos suite, again and again, and are then
restarted one after the other as a Deployment does it, while events come in and every core is busy.
None may end by itself, each must be ready in time, and what comes in must be taken and committed.
The last line of the output is JSON; the exit code is 1 unless every start was sound.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from chaos.run import machine_turn
from chaos.site.cluster import SETTINGS, Cluster
from chaos.site.supervisor import Slot
from support.group_lag import GroupLag
from support.processes import Child, wait_until
from support.prometheus import http_get

WORKERS = 3

#: A worker must be ready so soon after its process was started.
READY_SECONDS = 15.0

#: What had come in when all were ready must be committed so soon: a few checkpoints.
TAKEN_SECONDS = 15.0

#: Events a second: a few windows of each model, and flushes to every partition.
_RATE = 500.0

#: What isn't there in time is waited for all the same, to see whether it hangs or is slow.
_PATIENCE_SECONDS = 60.0

_TESTS = Path(__file__).resolve().parents[1]

#: Keeps one core busy, and not for ever, should nobody end it.
_BUSY = "import time\nend = time.monotonic() + 7200\nwhile time.monotonic() < end: pass"


@dataclass
class Starts:
    """What was seen: how long starts took, and what was not as it must be, in words."""

    ready: list[float] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)
    replaced: list[float] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def totals(self) -> dict[str, Any]:
        """Return the figures of the last line."""
        return {
            "starts": len(self.ready),
            "restarts": len(self.replaced),
            "ready_seconds": _spread(self.ready),
            "taken_seconds": _spread(self.taken),
            "replaced_seconds": _spread(self.replaced),
            "failures": len(self.findings),
            "findings": self.findings,
        }


def _spread(seconds: Sequence[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    return {"median": round(median(seconds), 1), "max": round(max(seconds), 1)}


class Site:
    """A cluster with one INGEST worker, events, and DETECT workers that come and go."""

    def __init__(self, cluster: Cluster, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._supervisor = cluster.supervisor
        self._say = say
        self._group = f"{cluster.installation.name}-detect"
        self._input = cluster.installation.topic("histograms")
        self._partitions = int(SETTINGS["TOPICS__DETECT_PARTITIONS"])
        self._lag = GroupLag(cluster.broker.bootstrap_servers)
        self.seen = Starts()

    def close(self) -> None:
        self._lag.close()

    def start_together(self, name: str, *, kill: bool) -> None:
        """Start all workers at once, wait until they work, and end them."""
        supervisor, before = self._supervisor, len(self.seen.findings)
        ended = self._unplanned()
        began = time.monotonic()
        supervisor.scale("detect", WORKERS)
        slots = wait_until(self._all_running, seconds=10, what="every process is started")
        self._judge(name, self.seen.ready, began, lambda: self._work(slots), READY_SECONDS)
        self._judge_taken(name)
        self._note_ends(name, ended)
        self._keep_logs(name, slots, before)
        for slot in slots:
            if kill:
                supervisor.kill(slot, "a start is over")
        supervisor.scale("detect", 0)
        wait_until(
            lambda: not supervisor.running("detect"), seconds=30, what="every process has ended"
        )

    def restart_each(self, name: str) -> None:
        """Replace one worker after the other, each once the one before is ready."""
        supervisor = self._supervisor
        for slot in supervisor.running("detect"):
            before, ended, old = len(self.seen.findings), self._unplanned(), slot.child
            what = f"{name}, {slot.name}"
            supervisor.terminate(slot, "rolling restart")
            wait_until(
                lambda slot=slot, old=old: slot.child not in (None, old),  # type: ignore[misc]
                seconds=40,
                what=f"{slot.name} is replaced",
            )
            began = slot.started
            slots = supervisor.running("detect")
            self._judge(
                what,
                self.seen.replaced,
                began,
                lambda slots=slots: self._work(slots),  # type: ignore[misc]
                READY_SECONDS,
            )
            self._note_ends(what, ended)
            self._keep_logs(what, slots, before)
        self._judge_taken(name)

    def _all_running(self) -> list[Slot]:
        running = self._supervisor.running("detect")
        return running if len(running) == WORKERS else []

    def _unplanned(self) -> int:
        return self._supervisor.unplanned["detect"]

    def _work(self, slots: list[Slot]) -> bool:
        """Whether all are ready, and have every partition between them, each once."""
        self._supervisor.check()
        owned: list[int] = []
        for slot in slots:
            partitions = owned_by(slot)
            if partitions is None:
                return False
            owned += partitions
        return sorted(owned) == list(range(self._partitions))

    def _judge(
        self,
        name: str,
        into: list[float],
        began: float,
        condition: Callable[[], bool],
        seconds: float,
    ) -> None:
        try:
            wait_until(condition, seconds=_PATIENCE_SECONDS, what=name)
        except AssertionError:
            self._find(f"{name}: not within {_PATIENCE_SECONDS:.0f} s")
            return
        took = time.monotonic() - began
        into.append(took)
        self._say(f"{name}: {took:.1f} s")
        if took > seconds:
            self._find(f"{name}: {took:.1f} s, expected {seconds:.0f} s at most")

    def _judge_taken(self, name: str) -> None:
        began = time.monotonic()
        ends = self._lag.ends(self._input, self._partitions)
        self._judge(
            f"{name}, what came in is committed",
            self.seen.taken,
            began,
            lambda: self._lag.reached(self._group, self._input, ends),
            TAKEN_SECONDS,
        )

    def _note_ends(self, name: str, before: int) -> None:
        if self._unplanned() > before:
            self._find(f"{name}: {self._unplanned() - before} workers ended by themselves")

    def _find(self, text: str) -> None:
        self.seen.findings.append(text)
        self._say(f"NOT SOUND {text}")

    def _keep_logs(self, name: str, slots: list[Slot], before: int) -> None:
        """Leave the logs of a start that wasn't sound under its name."""
        for slot in slots:
            if len(self.seen.findings) > before:
                kept = slot.log.with_name(f"{name}-{slot.log.name}".replace(" ", "_"))
                shutil.copy(slot.log, kept)


def owned_by(slot: Slot) -> list[int] | None:
    """Return the partitions that a worker says it owns; None if it isn't ready."""
    try:
        status, body = http_get(f"http://127.0.0.1:{slot.http_port}/readyz", seconds=2)
    except OSError:
        return None
    detail = json.loads(body)["conditions"]["detect"]["detail"]
    if status != 200 or not detail.startswith("owns partitions "):
        return None
    owned: list[int] = json.loads(detail.removeprefix("owns partitions "))
    return owned


@contextmanager
def busy(cores: int, directory: Path) -> Iterator[None]:
    """Keep so many cores busy."""
    with ExitStack() as stack:
        for number in range(cores):
            child = Child([sys.executable, "-c", _BUSY], log=directory / f"busy-{number}.log")
            stack.callback(child.kill)
        yield


def run(
    directory: Path, *, starts: int, restarts: int, load: int, say: Callable[[str], None] = print
) -> Starts:
    """Carry out so many starts and rolling restarts in a cluster of its own."""
    zero = time.monotonic()

    def note(text: str) -> None:
        say(f"{time.monotonic() - zero:6.1f} {text}")

    with (
        Cluster(directory, say=note, workers={"ingest": 1}) as cluster,
        closing(Site(cluster, note)) as site,
        ExitStack() as stack,
    ):
        cluster.wait_ready()
        stack.enter_context(machine_turn())
        stack.callback(_start_traffic(cluster).kill)
        stack.enter_context(busy(load, directory))
        for number in range(starts):
            # One in four ends like a node: the group learns of it by the session's timeout.
            site.start_together(f"start {number}", kill=number % 4 == 3)
        if restarts:
            cluster.supervisor.scale("detect", WORKERS)
            cluster.wait_ready()
        for number in range(restarts):
            site.restart_each(f"restart {number}")
        site.seen.findings += cluster.supervisor.stop()
        return site.seen


def _start_traffic(cluster: Cluster) -> Child:
    arguments = {
        "bootstrap-servers": cluster.broker.bootstrap_servers,
        "topic": cluster.installation.topic("predictions"),
        "seed": 1,
        "rate": _RATE,
        "seconds": 7200,
        "began": time.time(),
        "result": cluster.directory / "sent.json",
    }
    command = [sys.executable, "-m", "chaos.traffic"]
    for name, value in arguments.items():
        command += [f"--{name}", str(value)]
    env = dict(os.environ) | {"PYTHONPATH": str(_TESTS), "OPENBLAS_NUM_THREADS": "1"}
    return Child(command, log=cluster.directory / "traffic.log", env=env)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="chaos.starts", description=__doc__)
    parser.add_argument("--starts", type=int, default=100, help="of three workers at once (100)")
    parser.add_argument("--restarts", type=int, default=50, help="of each worker in turn (50)")
    parser.add_argument(
        "--load", type=int, default=os.cpu_count() or 1, help="busy processes beside (one a core)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave all data and logs there")
    given = parser.parse_args()
    # Line by line, also into a pipe: it takes minutes.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    directory = given.keep or Path(tempfile.mkdtemp(prefix="starts-"))
    seen = run(directory.resolve(), starts=given.starts, restarts=given.restarts, load=given.load)
    if given.keep is None and not seen.findings:
        shutil.rmtree(directory, ignore_errors=True)
    print(json.dumps(seen.totals()))
    sys.exit(bool(seen.findings))


if __name__ == "__main__":
    main()
