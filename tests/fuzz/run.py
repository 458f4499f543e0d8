"""Fuzz every target for some minutes; ``python -m fuzz.run --minutes 10``. See ``make fuzz``.

The last line is JSON: executions, crashes (what ended a process, or took too long), records that
were not accounted for exactly once, and the largest growth of resident memory since a target was
warm. Ends with 1 if there is a crash or a record unaccounted for, or memory grew by half.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from fuzz import native
from fuzz.seeds import ROOT, WORDS, events
from fuzz.targets import TARGETS

#: Of the time, what the native decoder gets; it makes a hundred times as many executions.
NATIVE_SHARE = 0.15

#: Of a target's time, what goes without the guide, to look at memory (``fuzz.child``).
PLAIN_SHARE = 0.35

MOST_GROWTH = 1.5

#: libFuzzer's code for a deadly input, a timeout, memory above the limit.
_FOUND = (77, 70, 71)


@dataclass
class Totals:
    """What came of all targets."""

    executions: int = 0
    crashes: int = 0
    unaccounted: int = 0
    rss_ratios: list[float] = field(default_factory=list)

    def line(self) -> str:
        return json.dumps(
            {
                "executions": self.executions,
                "crashes": self.crashes,
                "unaccounted": self.unaccounted,
                "rss_ratio": round(max(self.rss_ratios, default=1.0), 3),
            }
        )

    @property
    def sound(self) -> bool:
        return not (self.crashes or self.unaccounted) and all(
            ratio <= MOST_GROWTH for ratio in self.rss_ratios
        )


def fuzz_python(name: str, seconds: float, folder: Path, totals: Totals) -> None:
    """Fuzz one target; if a record ends its process, another one goes on."""
    target = TARGETS[name]
    corpus, found = folder / "corpus", folder / "found"
    corpus.mkdir(parents=True)
    found.mkdir()
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    _write_words(folder / "words")
    begin, looked = time.time(), len(totals.rss_ratios)
    for plain, end in (False, begin + (1 - PLAIN_SHARE) * seconds), (True, begin + seconds):
        # In the last seconds a process would do little but import.
        while end - time.time() > min(10.0, PLAIN_SHARE * seconds / 2):
            code = _fuzz_once(name, end, folder, totals, plain=plain)
            if code != 0:
                totals.crashes += 1
                print(f"{name}: ended with {code}; see {folder}", flush=True)
                if totals.crashes >= 5:
                    return
    if len(totals.rss_ratios) == looked:
        totals.crashes += 1
        print(f"{name}: its memory was never looked at; see {folder}", flush=True)
    print(f"{name}: {totals.line()}", flush=True)


def _fuzz_once(name: str, end: float, folder: Path, totals: Totals, *, plain: bool) -> int:
    """Run one process, add what it did, and return its exit code."""
    corpus, found = folder / "corpus", folder / "found"
    (found / "stats.json").unlink(missing_ok=True)
    arguments = [name, f"{end:.1f}", str(corpus), str(found), *(["plain"] if plain else [])]
    with (folder / "log").open("ab") as log:
        code = subprocess.run(
            [sys.executable, "-m", "fuzz.child", *arguments],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        ).returncode
    stats = json.loads((found / "stats.json").read_text()) if _exists(found) else {}
    totals.executions += stats.get("executions", 0)
    totals.unaccounted += stats.get("unaccounted", 0)
    if stats.get("rss_ratio"):
        totals.rss_ratios.append(stats["rss_ratio"])
    return code


def _exists(found: Path) -> bool:
    return (found / "stats.json").exists()


def _write_words(path: Path) -> None:
    escaped = (word.replace("\\", "\\\\").replace('"', '\\"') for word in WORDS)
    path.write_text("".join(f'"{word}"\n' for word in escaped))


def fuzz_native(program: Path, seconds: float, folder: Path, totals: Totals) -> None:
    """Fuzz the native decoder."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, seed in enumerate(events()):
        (corpus / f"seed-{number}").write_bytes(seed)
    _write_words(folder / "words")
    done = subprocess.run(
        [
            program, corpus, f"-max_total_time={max(1, round(seconds))}", "-max_len=16384",
            f"-artifact_prefix={folder}/", f"-dict={folder / 'words'}", "-timeout=20",
            "-rss_limit_mb=1024", "-print_final_stats=1",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )  # fmt: skip
    (folder / "log").write_text(done.stdout)
    executed = re.findall(r"number_of_executed_units: (\d+)", done.stdout)
    totals.executions += int(executed[-1]) if executed else 0
    if done.returncode != 0:
        totals.crashes += 1
        print(f"native: ended with {done.returncode}; see {folder}", flush=True)
    print(f"native: {totals.line()}", flush=True)


def main() -> int:
    """Fuzz, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", choices=[*TARGETS, "native"], help="one target alone")
    parser.add_argument(
        "--without-native", action="store_true", help="leave out what needs a Rust compiler"
    )
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tidegauge-fuzz-"))
    seconds = 60 * options.minutes
    totals = Totals()
    with_native = options.only == "native" or not (options.only or options.without_native)
    shares = {name: target.share for name, target in TARGETS.items()}
    if options.only:
        shares = {name: 1.0 for name in shares if name == options.only}
    elif with_native:
        shares = {name: share * (1 - NATIVE_SHARE) for name, share in shares.items()}
    os.chdir(ROOT)
    for name, share in shares.items():
        fuzz_python(name, seconds * share, folder / name, totals)
    if with_native:
        share = 1.0 if options.only else NATIVE_SHARE
        fuzz_native(native.build(), seconds * share, folder / "native", totals)
    if totals.sound:
        shutil.rmtree(folder)
    print(totals.line())
    return 0 if totals.sound else 1


if __name__ == "__main__":
    sys.exit(main())
