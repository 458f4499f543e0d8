"""A day of windows in some minutes: how the changelog grows, and what a restart reads of it."""

import time

from _recovery_load import EVENTS, Fleet, baseline_of
from _recovery_site import Site, site
from tidegauge.config import Settings, WindowSettings
from tidegauge.config.sections import DetectSettings
from tidegauge.kafka import topic_specs
from tidegauge.roles.ingest.session import TENURE_SECONDS

WORKERS = 3
PARTITIONS = 2

_BEGIN = 1_750_000_020
_HOUR = 3600

#: The brokers' defaults, seconds.
_CLEANER_BACKOFF = 15.0
_DELETE_DELAY = 60.0

#: Intervals of the changelog's configuration that are shortened with the day.
_SCALED = ("min.compaction.lag.ms", "max.compaction.lag.ms", "delete.retention.ms", "segment.ms")


def day(models: int, signals: int, hours: float, minutes: float) -> dict[str, object]:
    """Write ``hours`` of windows in ``minutes``; return sizes by the hour, and the restart."""
    factor = hours * 60 / minutes
    windows, detect = WindowSettings(), DetectSettings()
    spec = next(spec for spec in topic_specs(Settings(windows=windows)) if "changelog" in spec.name)
    changelog = {
        name: round(int(spec.config[name]) / factor) for name in _SCALED if name in spec.config
    }
    baselines = [baseline_of(f"model-{i:03}", signals) for i in range(models)]
    # What is only passed on must not fill the disk.
    passing = {"retention.ms": 60_000, "segment.bytes": 32 * 1024 * 1024}
    with site(
        baselines,
        windows=windows,
        detect={
            "checkpoint_seconds": detect.checkpoint_seconds / factor,
            "publish_seconds": max(0.001, detect.publish_seconds / factor),
        },
        detect_partitions=PARTITIONS,
        workers=WORKERS,
        broker_properties={
            "log.cleaner.backoff.ms": max(1, round(_CLEANER_BACKOFF / factor * 1000)),
            "log.segment.delete.delay.ms": max(1, round(_DELETE_DELAY / factor * 1000)),
            "log.retention.check.interval.ms": 5_000,
        },
        topic_config={"changelog": changelog, "histograms": passing, "windows": passing},
    ) as at:
        fleet = Fleet(at.settings, baselines, WORKERS, transactions=False)
        child = at.start()
        at.installation.wait_ready(child)
        print(f"\n1 s stands for {factor:g} s; changelog: {changelog}")
        sizes, wall = _fill(at, fleet, hours, factor, detect.checkpoint_seconds)
        fleet.settle()
        at.wait_committed(child, fleet.written)
        left, written = at.changelog_bytes()
        dead = at.members().keys()
        child.kill()
        census = at.census()
        fleet.flush(_BEGIN + hours * _HOUR, [_BEGIN + int(hours * _HOUR)])
        fleet.settle()
        at.wait_empty()
        began = time.monotonic()
        child = at.start()
        restart = at.time_restart(child, began, dead, models * EVENTS * WORKERS)
        child.stop()
    seconds = restart.restored - restart.assigned
    result: dict[str, object] = {
        "models": models,
        "signals": signals,
        "hours": hours,
        "factor": round(factor, 1),
        "minutes": round(wall / 60, 1),
        "mb_by_hour": sizes,
        "mb_written": round(written / 1e6, 1),
        "mb_left": round(left / 1e6, 1),
        "mb_of_values_left": round(census["bytes"] / 1e6, 1),
        "records_written": int(census["ever_written"]),
        "records_left": int(census["records"]),
        "tombstones_left": int(census["tombstones"]),
        "cells_alive": int(census["cells"]),
        "restored_mb_per_s": round(census["bytes"] / 1e6 / seconds, 1),
        "restored_records_per_s": round(census["records"] / seconds),
        **restart.row(),
    }
    for key, value in result.items():
        print(f"  {key:30} {value!s:>12}")
    return result


def _fill(
    at: Site, fleet: Fleet, hours: float, factor: float, step: float
) -> tuple[list[float], float]:
    """Write the windows; return the changelog's size in MB at the end of each hour, and seconds."""
    seconds = at.settings.windows.seconds
    sizes: list[float] = []
    began, renewed = time.monotonic(), 0.0
    for number in range(round(hours * _HOUR / step)):
        passed = number * step
        time.sleep(max(0.0, began + passed / factor - time.monotonic()))
        if passed - renewed >= TENURE_SECONDS:
            fleet.renew()
            renewed = passed
        start = _BEGIN + int(passed // seconds) * seconds
        fleet.flush(_BEGIN + passed, [start])
        size, _ = at.changelog_bytes()
        if (number + 1) * step >= (len(sizes) + 1) * _HOUR:
            sizes.append(round(size / 1e6, 2))
            print(f"  hour {len(sizes):2}: {sizes[-1]:>10,.2f} MB on disk")
    return sizes, time.monotonic() - began
