"""The sentence an alert says: templates with named places, checked when the rules are read."""

from collections.abc import Sequence
from datetime import UTC, datetime

#: What a template may name, each with a value to try the template on.
SAMPLE: dict[str, str | int | float] = {
    "rule": "input-drift",
    "severity": "medium",
    "model": "credit",
    "version": "3",
    "variant": "champion",
    "segment": "region=eu",
    "signal": "age",
    "signals": 1,
    "metric": "kl",
    "value": 0.0625,
    "unit": "nats",
    "amount": "0.0625 nats",
    "limit": "0.05",
    "comparison": "above",
    "threshold": 0.05,
    "events": 12_000,
    "minimum_events": 1000,
    "window_start": 1_700_000_000,
    "window_end": 1_700_000_060,
    "since": "22:13 UTC",
    "are": "is",
    "drifted": "age (PSI .31), income (PSI .22)",
    "asks": "; asks for a retrain",
}


def listed(names: Sequence[str], most: int = 3) -> str:
    """Name the first few and say how many more there are.

    >>> listed(["age"]), listed(["age", "income", "region", "tenure", "zip"])
    ('age', 'age, income, region and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def clock(at: int, now: int) -> str:
    """Write a time in UTC, with its day if that is another one than that of ``now``.

    >>> clock(1_700_000_000, 1_700_000_060), clock(1_700_000_000, 1_700_100_000)
    ('22:13 UTC', '2023-11-14 22:13 UTC')
    """
    then, today = (datetime.fromtimestamp(it, UTC) for it in (at, now))
    return f"{then:%H:%M} UTC" if then.date() == today.date() else f"{then:%Y-%m-%d %H:%M} UTC"


def sized(drifts: Sequence[tuple[str, float]], most: int = 3) -> str:
    """Name the first few drifts with their sizes, and say how many more there are.

    >>> sized([("age", 0.314), ("income", 1.22)])
    'age (PSI .31), income (PSI 1.22)'
    """
    return listed([f"{name} (PSI {f'{psi:.2f}'.removeprefix('0')})" for name, psi in drifts], most)
