"""Sound traffic in which no alert of the shipped rules may fire: ``python -m chaos.quiet --help``.

A process for each role, a real Prometheus with the rules as they are shipped and the intervals of
Compose. Half-way each worker is restarted, one after the other, as a release does it. The last line
of the output is JSON; the exit code is 1 if any alert has fired.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.processes import wait_until
from support.watched_site import ROLES, WatchedSite, shipped_rules

_SETTINGS = {"TOPICS__PREDICTIONS_PARTITIONS": "2", "TOPICS__DETECT_PARTITIONS": "2"}

#: Those of deploy/prometheus/prometheus.yml.
_SCRAPE_SECONDS = 5
_EVALUATION_SECONDS = 15


def run(minutes: float) -> dict[str, Any]:
    """Return what has fired, or only waited to, and how much was counted meanwhile."""
    with tempfile.TemporaryDirectory(prefix="tidegauge-quiet-", ignore_cleanup_errors=True) as made:
        directory = Path(made)
        site = WatchedSite(
            directory,
            _SETTINGS,
            rules=shipped_rules(directory),
            scrape_seconds=_SCRAPE_SECONDS,
            evaluation_seconds=_EVALUATION_SECONDS,
        )
        with site:
            site.send_events("1")
            began = time.monotonic()
            _watch(site, began + minutes * 30)
            for role in ROLES:
                site.stop(role)
                site.start(role)
                site.installations[role].wait_ready(site.children[role])
            _watch(site, began + minutes * 60)
            return _found(site, minutes)


def _watch(site: WatchedSite, until: float) -> None:
    """Wait, and report at once what fires; fail if a worker ends by itself."""
    seen: set[str] = set()

    def over() -> bool:
        for child in site.children.values():
            child.check_alive()
        for one in site.prometheus.firing():
            if one["alertname"] not in seen:
                seen.add(one["alertname"])
                print(f"fires: {one}", flush=True)
        return time.monotonic() >= until

    wait_until(over, seconds=max(1.0, until - time.monotonic()) + 60, what="the time is over")


def _found(site: WatchedSite, minutes: float) -> dict[str, Any]:
    # Further than the run: of before there is nothing.
    span = f"[{int(minutes * 60) + 300}s]"

    def alerts(state: str) -> list[str]:
        series = f'max_over_time(ALERTS{{alertstate="{state}"}}{span})'
        return sorted({labels["alertname"] for labels, _ in site.prometheus.query(series)})

    def total(counter: str) -> int:
        # A worker that is restarted begins at 0, which an increase takes into account.
        query = f"sum(increase({counter}{span}))"
        return round(sum(value for _, value in site.prometheus.query(query)))

    return {
        "minutes": minutes,
        "fired": alerts("firing"),
        "pending": alerts("pending"),
        "events": total("tidegauge_events_total"),
        "windows": total("tidegauge_windows_closed_total"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    found = run(parser.parse_args(arguments).minutes)
    print(json.dumps(found), flush=True)
    return 1 if found["fired"] or not found["windows"] else 0


if __name__ == "__main__":
    sys.exit(main())
