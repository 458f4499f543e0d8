"""What is wrong between the fields of a rule, and between rules."""

import math
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeGuard

from tidegauge.alerting.metrics import METRICS, OF_COHORTS, SILENCE, Metric
from tidegauge.contract import render

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
    "baseline_value": "0.9",
    "worse": "10%",
    "interval": "0.78 to 0.84",
}

#: The fields of which a rule has one.
THRESHOLDS = ("above", "below", "drop_from_baseline")

#: The fields of a rule that name others that inhibit it.
INHIBITORS = ("inhibited_by", "signal_inhibited_by")


#: Fields for metrics that are measured on each signal, and what to do with them for others.
_ONLY_OF_SIGNALS = {
    "signal": "take 'signal' away",
    "group": "take 'group' away",
    "signal_inhibited_by": "'inhibited_by' may be meant",
}


def inconsistencies(rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Find what is wrong between the fields of a rule: pairs of the dotted field and the message.

    Takes fields of any type and passes over those that are wrong in themselves, so that one reading
    of a file can show everything.
    """
    found: list[tuple[str, str]] = []
    above, below = rule.get("above"), rule.get("below")
    given = [it for it in THRESHOLDS if rule.get(it) is not None]
    if not given:
        found.append(("", "found no threshold, expected 'above' or 'below'"))
    elif len(given) > 1:
        found.append(
            (given[1], f"found {given[0]!r} as well; expected one of the two, so make two rules")
        )
    name = rule.get("metric")
    metric = METRICS.get(name) if isinstance(name, str) else None  # type: ignore[call-overload]
    if metric is not None:
        if not metric.of_signal:
            found += [
                (field, f"{name} is measured once for the whole window; {hint}")
                for field, hint in _ONLY_OF_SIGNALS.items()
                if rule.get(field) is not None
            ]
        if _is_number(above) and not metric.lowest <= above < metric.highest:
            found.append(("above", _out_of_range(name, above, metric)))
        if _is_number(below) and not metric.lowest < below <= metric.highest:
            found.append(("below", _out_of_range(name, below, metric)))
        if name != "surprise" and isinstance(rule.get("severity"), Mapping):
            found.append(
                ("severity", f"found sizes, but {name} has none, only surprise; expected one word")
            )
        if name == SILENCE:
            found += _of_silence(rule)
        found += _of_drop(str(name), metric, rule.get("drop_from_baseline"))
        if rule.get("minimum_psi") is not None and (name != "surprise" or below is not None):
            message = "only for 'metric: surprise' with 'above'; take it away"
            found.append(("minimum_psi", message))
        minimum = rule.get("minimum_events")
        if name == "events" and _is_number(below) and _is_number(minimum) and minimum >= below:
            found.append(
                (
                    "minimum_events",
                    f"found {minimum}, so no window with fewer than {below:g} events is judged and "
                    "the rule can never hold; expected less than 'below'",
                )
            )
    annotations = rule.get("annotations")
    templates = {"summary": rule.get("summary")} | (
        {f"annotations.{name}": text for name, text in annotations.items()}
        if isinstance(annotations, Mapping)
        else {}
    )
    for field, template in templates.items():
        if isinstance(template, str):
            try:
                render(template, SAMPLE)
            except (ValueError, KeyError, IndexError) as error:
                found.append((field, f"not a template: {error}"))
    if rule.get("flapping_after") == 0 and rule.get("flapping_windows") is not None:
        found.append(
            ("flapping_windows", "nothing is damped with 'flapping_after: 0'; take it away")
        )
    if rule.get("action") is None:
        found += [
            (field, "only with 'action'; take it away")
            for field in ("cooldown", "max_per_day", "expires_after", "dry_run")
            if rule.get(field) is not None
        ]
    for field in ("receivers", *INHIBITORS):
        names = rule.get(field)
        if isinstance(names, list):
            twice = sorted({str(name) for name in names if names.count(name) > 1})
            if twice:
                found.append((field, f"found {', '.join(twice)} twice; name each once"))
    return found


def _of_drop(name: str, metric: Metric, drop: object) -> Iterator[tuple[str, str]]:
    """Find what makes no sense of a drop from the baseline's figure."""
    if drop is None:
        return
    if not metric.in_baseline:
        yield "drop_from_baseline", f"a baseline has no {name}; expected 'above' or 'below'"
    elif _is_number(drop) and drop >= 1 and not metric.less_is_better and metric.lowest >= 0:
        yield (
            "drop_from_baseline",
            f"found {drop:g}, but {name} can't fall by all of the baseline's figure, or more, so "
            "that it would never hold; expected a share below 1, such as 0.05 for 5 %",
        )


def _of_silence(rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Find what makes no sense where no window is judged."""
    found = []
    if rule.get("below") is not None:
        found.append(("below", f"{SILENCE} is 0 while there are events; expected 'above'"))
    counts = ("for", "keep_firing_for", "minimum_events", "no_data_after", "flapping_windows")
    found += [
        (
            field,
            f"counts judged windows, and {SILENCE} is judged where there are none; take it away",
        )
        for field in counts
        if rule.get(field) is not None
    ]
    if rule.get("action") is not None:
        message = "nothing was measured that an action could rest on; take it away"
        found.append(("action", message))
    return found


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _out_of_range(name: object, found: float, metric: Metric) -> str:
    reach = f"is {metric.lowest:g} or more"
    if math.isfinite(metric.highest):
        reach = f"lies between {metric.lowest:g} and {metric.highest:.4g}"
    return (
        f"found {found:g}, but {name} ({metric.unit}) {reach}, so that it would hold always or "
        "never; expected a threshold inside that range"
    )


def wrong_inhibitors(rules: Sequence[object]) -> Iterator[tuple[int, str, int, str]]:
    """Find names of inhibitors that no rule should wait for: rule, field, place in it, message.

    Rules that inhibit each other in a circle would all go unreported while all of them fire. Rules
    on windows and on cohorts are judged apart, so that neither can inhibit the other. Takes
    rules of any type, as :func:`inconsistencies` does.
    """
    inhibitors: dict[str, list[str]] = {}
    for rule in rules:
        if isinstance(rule, Mapping) and isinstance(rule.get("name"), str):
            named = [name for field in INHIBITORS for name in _names(rule, field)]
            inhibitors.setdefault(rule["name"], named)
    of_window = {
        rule["name"]
        for rule in rules
        if isinstance(rule, Mapping)
        and isinstance(rule.get("name"), str)
        and isinstance(rule.get("metric"), str)
        and rule["metric"] in METRICS
        and not METRICS[rule["metric"]].of_signal
    }
    of_cohorts = {
        rule["name"]: str(rule.get("metric")) in OF_COHORTS
        for rule in rules
        if isinstance(rule, Mapping) and isinstance(rule.get("name"), str)
    }
    for index, rule in enumerate(rules):
        if not isinstance(rule, Mapping) or not isinstance(rule.get("name"), str):
            continue
        for field in INHIBITORS:
            for place, other in enumerate(_names(rule, field)):
                message = _wrong_inhibitor(rule["name"], other, inhibitors)
                if message is None and of_cohorts[other] != of_cohorts[rule["name"]]:
                    judged = "cohorts" if of_cohorts[other] else "windows"
                    message = f"found {other!r}, which is judged on {judged}, and this rule isn't"
                if message is None and field != "inhibited_by" and other in of_window:
                    message = f"found {other!r}, which is about no signal; expected one that is"
                if message is not None:
                    yield index, field, place, message


def _wrong_inhibitor(rule: str, other: str, inhibitors: Mapping[str, Sequence[str]]) -> str | None:
    if other not in inhibitors:
        near = get_close_matches(other, inhibitors, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"found {other!r}, expected the name of a rule here{hint}"
    way = _way(inhibitors, other, rule)
    if way is None:
        return None
    circle = " waits for ".join([rule, *way])
    return f"{circle}: none would be reported; take one of these away"


def _names(rule: Mapping[Any, Any], field: str) -> list[str]:
    names = rule.get(field)
    return [str(name) for name in names] if isinstance(names, list) else []


def _way(inhibitors: Mapping[str, Sequence[str]], start: str, end: str) -> list[str] | None:
    """Return a way from one rule to another, by what each is inhibited by."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop(0)
        if way[-1] == end:
            return way
        for other in inhibitors.get(way[-1], ()):
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return None
