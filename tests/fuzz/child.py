"""One target in a process of its own: a crash ends it.

``python -m fuzz.child TARGET UNTIL CORPUS FOUND [plain]`` runs until that time, epoch seconds, and
writes what it did to FOUND/stats.json. It runs under libFuzzer (atheris), or ``plain``: what is in
CORPUS is mutated by chance. Memory is looked at in plain processes alone: under atheris it grows by
2 kB an execution, while it stays as it is if the same corpus is run without.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PLAIN = sys.argv[5:] == ["plain"]

try:
    import atheris
except ImportError:  # no wheel for this platform: then mutations go by chance alone
    atheris = None
if PLAIN:
    atheris = None

if atheris is not None:
    with atheris.instrument_imports(include=["tidegauge"]):
        from fuzz.targets import TARGETS, UnaccountedError
else:
    from fuzz.targets import TARGETS, UnaccountedError

#: How often memory is looked at, in executions.
EVERY = 500

#: Until then, modules are imported, caches filled and the allocator has grown: no leak.
WARM_SHARE = 0.2

LONGEST = 16_384


class Stats:
    """Executions and memory; kept in a file, for the process may end at any time."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.executions = 0
        self.unaccounted = 0
        self._path = path
        self._process = psutil.Process()
        self._warm_at = time.monotonic() + WARM_SHARE * seconds
        self._start: int | None = None

    def executed(self) -> None:
        self.executions += 1
        if self.executions % EVERY == 0:
            self.write()

    def write(self) -> None:
        resident = self._process.memory_info().rss
        if PLAIN and self._start is None and time.monotonic() >= self._warm_at:
            self._start = resident
        ratio = resident / self._start if self._start else None
        said = {
            "executions": self.executions, "unaccounted": self.unaccounted, "rss_ratio": ratio,
        }  # fmt: skip
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(said))
        os.replace(part, self._path)


def main() -> None:
    """Fuzz one target."""
    name, until, corpus, found = sys.argv[1], float(sys.argv[2]), *map(Path, sys.argv[3:5])
    # The imports have taken some of the time, on a busy machine a lot.
    seconds = max(2.0, until - time.time())
    target = TARGETS[name]
    stats = Stats(found / "stats.json", seconds)

    def one(value: bytes) -> None:
        try:
            target.call(value)
        except UnaccountedError as error:
            stats.unaccounted += 1
            where = found / f"unaccounted-{stats.unaccounted}"
            where.write_bytes(value)
            print(f"{name}: {error}: {where}", file=sys.stderr)
            if stats.unaccounted >= 20:
                stats.write()
                raise
        stats.executed()

    for seed in target.seeds():
        one(seed)
    stats.write()
    if atheris is None:
        _by_chance(one, [path.read_bytes() for path in sorted(corpus.iterdir())], seconds)
        stats.write()
        return
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={found}/",
        f"-dict={corpus.parent / 'words'}",
        # No record may take so long, on a machine that does other things beside it.
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-verbosity=0",
    ]
    atheris.Setup(arguments, one)
    atheris.Fuzz()


def _by_chance(one: Callable[[bytes], None], seeds: list[bytes], seconds: float) -> None:
    dice = random.Random(1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = bytearray(dice.choice(seeds)[:LONGEST])
        for _ in range(dice.randint(1, 4)):
            if value:
                value[dice.randrange(len(value))] = dice.randrange(256)
        one(bytes(value))


if __name__ == "__main__":
    main()
