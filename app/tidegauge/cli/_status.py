"""The rows of ``tidegauge status``: what is known of each model version. Pure."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from tidegauge.baseline.io import Key, Pointer, name_of, nearest_baseline
from tidegauge.cli._recent import RecentReport
from tidegauge.contract import Alert

#: Rows of versions without a baseline that have the nearest one: to find it takes milliseconds.
_MOST_NEAREST = 20

_WORST = {"critical": 0, "high": 1, "medium": 2, "low": 3}

Name = tuple[str, str, str]


class Firing(msgspec.Struct):
    """An alert that fires, by the signal that is worst, with its newest figure.

    ``since`` is the start of its first window, epoch seconds. ``more`` are further signals of it.
    """

    id: str
    rule: str
    severity: str
    signal: str
    metric: str
    value: float
    unit: str
    since: int
    segment: dict[str, str]
    more: int
    no_data: bool


class Row(msgspec.Struct):
    """One model version and variant.

    ``events_per_second`` are of the last window, which ended at ``window_end``, epoch seconds; null
    if none was reported. ``alarms`` are the drift alarms of the model in the last 30 days,
    ``alarms_allowed`` the false ones that its budget allows in a month.
    """

    model: str
    version: str
    variant: str
    events_per_second: float | None
    window_end: int | None
    firing: list[Firing]
    baseline: str
    baseline_promoted_at: float | None
    nearest_baseline: str
    alarms: int
    alarms_allowed: float


def status_rows(
    newest: Mapping[Name, RecentReport],
    firing: Iterable[Alert],
    pointers: Mapping[Key, Pointer],
    *,
    alarms: Mapping[str, int],
    allowed: Callable[[str], float],
) -> list[Row]:
    """Return a row for each version that is counted or fires.

    What fires worst comes first, then what has a baseline, then the rest by its traffic.
    Of a model of which nothing is counted, the version whose baseline was promoted last.
    """
    by_name: dict[Name, list[Firing]] = {}
    for alert in firing:
        name = alert.model, alert.version, alert.variant
        by_name.setdefault(name, []).append(_firing(alert, newest.get(name)))
    names = newest.keys() | by_name.keys()
    counted = {model for model, _, _ in names}
    names |= {(*key, "") for key in _last_promoted(pointers) if key[0] not in counted}
    rows = [
        _row(name, newest.get(name), by_name.get(name, []), pointers, alarms, allowed)
        for name in names
    ]
    rows.sort(key=_order)
    for row in [row for row in rows if not row.baseline][:_MOST_NEAREST]:
        nearest = nearest_baseline(pointers, row.model, row.version)
        row.nearest_baseline = name_of(nearest) if nearest else ""
    return rows


def _last_promoted(pointers: Mapping[Key, Pointer]) -> Iterable[Key]:
    """Return of each model the version whose baseline was promoted last."""
    last: dict[str, tuple[float, Key]] = {}
    for key, pointer in pointers.items():
        last[key[0]] = max(last.get(key[0], (0.0, key)), (pointer.promoted_at, key))
    return [key for _, key in last.values()]


def _row(
    name: Name,
    report: RecentReport | None,
    firing: list[Firing],
    pointers: Mapping[Key, Pointer],
    alarms: Mapping[str, int],
    allowed: Callable[[str], float],
) -> Row:
    model, version, variant = name
    pointer = pointers.get((model, version))
    firing.sort(key=lambda one: (bool(one.segment), _WORST.get(one.severity, 9), one.since))
    seconds = report.window_end - report.window_start if report else 0
    return Row(
        model=model,
        version=version,
        variant=variant,
        events_per_second=report.events / seconds if report and seconds > 0 else None,
        window_end=report.window_end if report else None,
        firing=firing,
        baseline=pointer.id if pointer else "",
        baseline_promoted_at=pointer.promoted_at if pointer else None,
        nearest_baseline="",
        alarms=alarms.get(model, 0),
        alarms_allowed=allowed(model),
    )


def _order(row: Row) -> tuple[object, ...]:
    worst = min((_WORST.get(one.severity, 9) for one in row.firing), default=9)
    # Among those without a baseline may be made-up names, which have little traffic.
    traffic = 0.0 if row.baseline else -(row.events_per_second or 0.0)
    return worst, not row.baseline, traffic, row.model, row.version, row.variant


def _firing(alert: Alert, report: RecentReport | None) -> Firing:
    open_signals = [one for one in alert.signals if one.ends_at is None]
    signal, value, metric = alert.signal or "", alert.value, alert.metric
    unit = alert.unit
    if open_signals:
        signal, value = open_signals[0].signal, open_signals[0].value
    if metric == "surprise":
        # The size of a drift is more useful than its certainty.
        psi = _psi(alert, signal, report)
        if psi is not None:
            metric, value, unit = "psi", psi, "nats"
    return Firing(
        id=alert.id,
        rule=alert.rule,
        severity=alert.severity,
        signal=signal,
        metric=metric,
        value=value,
        unit=unit,
        since=alert.starts_at,
        segment=alert.segment,
        more=max(0, len(open_signals) - 1),
        no_data=alert.state == "no_data",
    )


def _psi(alert: Alert, signal: str, report: RecentReport | None) -> float | None:
    """Return the corrected PSI of the last window, or if it has none that of the alert."""
    if report is not None and not alert.segment:
        for part in sorted(report.parts, key=lambda part: -part.events):
            found = part.signals.get(signal)
            if found is not None and found.evidence is not None:
                return found.evidence.psi_corrected
    return None if alert.evidence is None else alert.evidence.psi_corrected


def drift_alarms(alerts: Iterable[Alert], since: float) -> dict[str, int]:
    """Return by model how many alerts by the alarm budget began to fire since, each once."""
    episodes: dict[str, set[str]] = {}
    for alert in alerts:
        if (
            alert.threshold_by == "alarm_budget"
            and alert.event == "firing"
            and alert.window_end >= since
        ):
            episodes.setdefault(alert.model, set()).add(alert.episode or alert.id)
    return {model: len(found) for model, found in episodes.items()}
