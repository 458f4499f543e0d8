"""How long DETECT takes to have its state back after a SIGKILL, and how its changelog grows.

Histograms are written as INGEST writes them, by three workers that all count every model. Without
``--day``: windows are kept open; each was written to the changelog so many times (``--rounds``)
when DETECT is killed and started again. "At once" finds the dead member still in the group;
"later" waits until the group has forgotten it. With ``--day``: a day of windows in ``--minutes``,
with every interval that matters to the changelog shortened by the same factor.

    python bench/recovery.py [--models 200] [--signals 100] [--windows 3] [--rounds 1 12]
    python bench/recovery.py --day [--models 5] [--signals 100] [--minutes 10]
    python bench/recovery.py --quick

Prints the figures, and one JSON line last.
"""

import argparse
import json
import time
from collections.abc import Mapping

import _harness  # noqa: F401 - puts the tests' support on the path
from _recovery_day import day
from _recovery_load import EVENTS, Fleet, baseline_of
from _recovery_site import NOTHING, Restart, site
from tidegauge.config import WindowSettings

WORKERS = 3
DETECT_PARTITIONS = 8

#: To see soon that it runs.
_IMPATIENT = {"checkpoint_seconds": 1.0, "session_timeout_seconds": 6.0}

_SECONDS = 60

#: The first window's start; any full minute.
_BEGIN = 1_750_000_020


def recovery(
    models: int,
    signals: int,
    windows: int,
    rounds: list[int],
    detect: Mapping[str, float] = NOTHING,
) -> dict[str, object]:
    """Measure restarts with ``windows`` open windows a model, each saved as often as ``rounds``.

    ``detect`` holds settings of DETECT that differ from the default.
    """
    baselines = [baseline_of(f"model-{i:03}", signals) for i in range(models)]
    settings = WindowSettings(
        seconds=_SECONDS, grace_seconds=_SECONDS * windows, late_seconds=15 * _SECONDS
    )
    result: dict[str, object] = {"models": models, "signals": signals, "windows": windows}
    with site(
        baselines,
        windows=settings,
        detect=detect,
        detect_partitions=DETECT_PARTITIONS,
        workers=WORKERS,
    ) as at:
        fleet = Fleet(at.settings, baselines, WORKERS)
        child = at.start()
        at.installation.wait_ready(child)
        _close_one(fleet, settings)
        at.wait_committed(child, fleet.written)
        starts = [_BEGIN + _SECONDS * i for i in range(windows)]
        done = 0
        for wanted in rounds:
            for _ in range(wanted - done):
                fleet.flush(starts[-1], starts)
                at.wait_committed(child, fleet.written)
            done = wanted
            size, _ = at.changelog_bytes()
            census = at.census()
            figures: dict[str, object] = {
                "changelog_mb_on_disk": round(size / 1e6, 1),
                "changelog_mb_of_values": round(census["bytes"] / 1e6, 1),
                "changelog_records": int(census["records"]),
                "librdkafka_reads_it_in_s": census["librdkafka_read_s"],
            }
            for when in ("at_once", "later"):
                dead = at.members().keys()
                child.kill()
                fleet.flush(starts[-1], starts[-1:])
                if when == "later":
                    at.wait_empty()
                began = time.monotonic()
                child = at.start()
                restart = at.time_restart(child, began, dead, models * EVENTS * WORKERS)
                figures[when] = _judged(restart, census, windows * models)
                at.wait_committed(child, fleet.written)
            result[f"after_{wanted}_rounds"] = figures
            _print(f"each window saved {wanted} times", figures)
        child.stop()
    return result


def _close_one(fleet: Fleet, settings: WindowSettings) -> None:
    """Have every model a closed and forgotten window, so that its baseline is in the state."""
    start = _BEGIN - 100 * _SECONDS
    fleet.flush(start + _SECONDS - 1, [start])
    life = settings.seconds + settings.grace_seconds + settings.late_seconds
    fleet.flush(start + life, [])
    fleet.renew()


def _judged(restart: Restart, census: dict[str, float], windows: int) -> dict[str, float]:
    """Return the figures with their rates; a state that isn't all there is no result."""
    if restart.windows != windows:
        raise RuntimeError(f"{restart.windows} windows were restored, {windows} were saved")
    seconds = restart.restored - restart.assigned
    return restart.row() | {
        "restored_records_per_s": round(census["records"] / seconds),
        "restored_mb_per_s": round(census["bytes"] / 1e6 / seconds, 1),
    }


def _print(title: str, figures: dict[str, object]) -> None:
    print(f"\n{title}")
    for key, value in figures.items():
        if isinstance(value, dict):
            print(f"  restart {key.replace('_', ' ')}")
            for inner, number in value.items():
                print(f"    {inner:32} {number:>12,}")
        else:
            print(f"  {key:34} {value:>12,}")


def main() -> None:
    """Run what was asked for, print the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--models", type=int)
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 12])
    parser.add_argument("--day", action="store_true")
    parser.add_argument("--hours", type=float, default=24.0, help="of the day, for a shorter one")
    parser.add_argument("--minutes", type=float, default=10.0, help="that the day takes")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        result = recovery(4, 10, 2, [1], _IMPATIENT)
        result["day"] = day(models=2, signals=10, hours=0.5, minutes=0.1)
    elif options.day:
        result = day(options.models or 5, options.signals, options.hours, options.minutes)
    else:
        result = recovery(
            options.models or 200, options.signals, options.windows, sorted(options.rounds)
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
