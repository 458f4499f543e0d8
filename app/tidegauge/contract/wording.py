"""How figures, times and subjects are written for people, and times read: once, for every output.

Pure, and without imports that a command line would have to wait for.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from msgspec import UNSET

from tidegauge.contract.alert import Alert

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


def moment(text: str, now: float) -> float:
    """Return epoch seconds of RFC 3339 text, or of text that says how long before ``now``.

    Raises ``ValueError`` for anything else, and for a time of which nobody knows the zone.

    >>> moment("-6h", 100_000.0), moment("6h", 100_000.0), moment("now", 100_000.0)
    (78400.0, 78400.0, 100000.0)
    >>> moment("1970-01-02T01:00:00+01:00", 0.0)
    86400.0
    """
    if text == "now":
        return now
    if relative := re.fullmatch(r"-?(\d+(?:\.\d+)?)([smhdw])", text):
        return now - float(relative[1]) * _UNITS[relative[2]]
    expected = "expected a time such as 2026-11-21T12:00:00Z, or -30d, -6h, -90m, now"
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"found {text!r}, {expected}") from None
    if found.tzinfo is None:
        raise ValueError(f"found {text!r}, a time without its zone; {expected}")
    return found.timestamp()


def duration(text: str) -> float:
    """Return seconds of a length of time; raises ``ValueError`` for anything else.

    >>> duration("2h"), duration("1.5d")
    (7200.0, 129600.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if found is None or float(found[1]) == 0:
        raise ValueError(f"found {text!r}, expected a length of time such as 30m, 2h, 1d, 2w")
    return float(found[1]) * _UNITS[found[2]]


#: A thousand years.
_LONGEST_SECONDS = 1000 * 366 * 24 * 3600


def duration_text(seconds: float) -> str:
    """Write a length of time by its two largest units, rounded to whole seconds.

    >>> duration_text(59), duration_text(1560), duration_text(3720), duration_text(90000)
    ('59 s', '26 min', '1 h 2 min', '1 d 1 h')
    """
    if not abs(seconds) < _LONGEST_SECONDS:
        return "over 1,000 years"  # nothing lasts so long, whatever a record says
    left = round(seconds)
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        n, left = divmod(left, size)
        if n:
            parts.append(f"{n} {name}")
        elif parts:
            break  # 1 d 3 s says more than anybody asks
    return " ".join(parts[:2]) or "0 s"


def utc_text(seconds: float | str, form: str = "%Y-%m-%d %H:%M:%SZ") -> str:
    """Write epoch seconds of a record; what is no time that anybody can write stays as it is.

    >>> utc_text(1772366460), utc_text("0", "%H:%M"), utc_text(1e300), utc_text("soon")
    ('2026-03-01 12:01:00Z', '00:00', '1e+300', 'soon')
    """
    try:
        return datetime.fromtimestamp(float(seconds), UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def clock(at: int, now: int) -> str:
    """Write a time in UTC, with its day if that is another one than that of ``now``.

    >>> clock(1_700_000_000, 1_700_000_060), clock(1_700_000_000, 1_700_100_000)
    ('22:13 UTC', '2023-11-14 22:13 UTC')
    """
    then, today = (datetime.fromtimestamp(it, UTC) for it in (at, now))
    return f"{then:%H:%M} UTC" if then.date() == today.date() else f"{then:%Y-%m-%d %H:%M} UTC"


def rfc3339(seconds: float) -> str:
    """Write a time: whole seconds without a fraction, others to the millisecond.

    >>> rfc3339(1772366400), rfc3339(1772366400.25)
    ('2026-03-01T12:00:00Z', '2026-03-01T12:00:00.250Z')
    """
    whole = float(seconds).is_integer()
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="seconds" if whole else "milliseconds").replace("+00:00", "Z")


#: The unit of a figure that is a multiple of the threshold of the alarm budget.
OF_THRESHOLD = "of the alarm threshold"


def figure(value: float) -> str:
    """Write a figure with three significant digits, or with all digits before the point.

    >>> figure(0.0743570), figure(13.3456), figure(12345.6), figure(200.0)
    ('0.0744', '13.3', '12,346', '200')
    """
    if abs(value) < 1000:
        text = f"{value:.3g}"
        return "1,000" if text == "1e+03" else text
    return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.3g}"


def exact(value: float) -> str:
    """Write a threshold as somebody wrote it, up to six digits.

    >>> exact(0.05), exact(1200.0), exact(0.123456)
    ('0.05', '1,200', '0.123456')
    """
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"


def figure_beside(value: float, threshold: float) -> str:
    """Write a figure with as many digits as show on which side of a threshold it is.

    >>> figure_beside(0.0743, 0.05), figure_beside(0.050004, 0.05), figure_beside(0.05, 0.05)
    ('0.0743', '0.050004', '0.05')
    """
    written = exact(threshold)
    for digits in range(3, 9):
        text = figure(value) if digits == 3 else f"{value:.{digits}g}"
        if text != written:
            return text
    return figure(value)


def quantity(value: float, unit: str, threshold: float | None = None) -> str:
    """Write a figure with its unit; with more digits if it would read like ``threshold``.

    >>> quantity(0.074357, "nats"), quantity(251.4, "ms"), quantity(660.0, "s")
    ('0.0744 nats', '251 ms', '11 min')
    >>> quantity(0.0123, "share"), quantity(1.0, "signals"), quantity(13.34, OF_THRESHOLD)
    ('1.23%', '1 signal', '13.3 times the alarm threshold')
    """
    if unit == "s":
        return duration_text(value)
    if unit == "share":
        beside = None if threshold is None else threshold * 100
        return f"{_digits(value * 100, beside)}%"
    text = _digits(value, threshold)
    if unit == OF_THRESHOLD:
        return f"{text} times the alarm threshold"
    if unit in ("", "value"):
        return text
    return f"{text} {unit.removesuffix('s') if unit in _COUNTS and value == 1 else unit}".rstrip()


def quantity_text(text: str, unit: str) -> str:
    """Do that with a figure that a record has as text; what is no figure stays as it is.

    >>> quantity_text("0.07436", "nats"), quantity_text("?", "nats")
    ('0.0744 nats', '?')
    """
    try:
        return quantity(float(text), unit)
    except (ValueError, OverflowError):
        return text


def limit_text(threshold: float, unit: str) -> str:
    """Write a threshold that stands beside a quantity, without repeating the unit.

    >>> limit_text(0.05, "nats"), limit_text(600.0, "s"), limit_text(0.05, "share")
    ('0.05', '10 min', '5%')
    """
    return quantity(threshold, unit) if unit in ("s", "share") else exact(threshold)


_COUNTS = frozenset({"signals", "events", "bins"})


def _digits(value: float, threshold: float | None) -> str:
    return figure(value) if threshold is None else figure_beside(value, threshold)


#: What is lost, by the metric of it.
_LOST = {
    "absent_excess": "absent values",
    "missing_excess": "missing values",
    "not_finite_excess": "NaN or infinite values",
    "invalid_excess": "values of another type",
    "unseen_excess": "new values",
    "out_of_range_share": "values far out of range",
    "constant": "constant values",
}


def is_of_lost_values(metric: str) -> bool:
    """Whether a metric is about values that can't be used."""
    return metric in _LOST


def metric_text(metric: str, of: str = "") -> str:
    """Name what a rule watches, and of which signals.

    >>> metric_text("absent_excess", "income"), metric_text("kl", "age"), metric_text("events")
    ('absent values of income', 'kl of age', 'events')
    """
    what = _LOST.get(metric, metric)
    return f"{what} of {of}" if of else what


def counted(n: int, what: str, many: str = "") -> str:
    """Write a number of things.

    >>> counted(1, "window"), counted(3000, "event"), counted(2, "entry", "entries")
    ('1 window', '3,000 events', '2 entries')
    """
    return f"{n:,} {what if n == 1 else many or what + 's'}"


def first_lines(lines: Sequence[str], most: int) -> list[str]:
    """Return the first ``most`` lines, and how many more there are.

    >>> first_lines(["a", "b", "c"], 2), first_lines(["a", "b"], 2)
    (['a', 'b', 'and 1 more'], ['a', 'b'])
    """
    more = len(lines) - most
    return [*lines[:most], f"and {more:,} more"] if more > 0 else list(lines)


def listed(names: Sequence[str], most: int = 3) -> str:
    """Name the first few and say how many more there are.

    >>> listed(["age"]), listed(["age", "income", "region", "tenure", "zip"])
    ('age', 'age, income, region and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def sized(drifts: Sequence[tuple[str, float]], most: int = 3) -> str:
    """Name the first few drifts with their sizes, and say how many more there are.

    >>> sized([("age", 0.314), ("income", 1.22)])
    'age (PSI .31), income (PSI 1.22)'
    """
    return listed([f"{name} (PSI {f'{psi:.2f}'.removeprefix('0')})" for name, psi in drifts], most)


def segment_text(segment: Mapping[str, str], between: str = ", ") -> str:
    """Write a segment; the labels of metrics have no space ``between`` its dimensions.

    >>> segment_text({"region": "EU", "age": "30-40"}), segment_text({})
    ('age=30-40, region=EU', '')
    """
    return between.join(f"{name}={value}" for name, value in sorted(segment.items()))


class OfSlice(Protocol):
    """A record about one slice of the traffic, such as a window report or an alert."""

    model: str
    version: str
    variant: str
    segment: dict[str, str]


def subject(one: OfSlice) -> str:
    """Name the traffic that a record is about: model, version, variant and segment.

    Not yet printable: names come from whoever may write to a topic.
    """
    return " ".join(filter(None, [_version(one), one.variant, segment_text(one.segment)]))


def without_subject(alert: Alert) -> str:
    """Return the summary of an alert for a place that names the traffic already."""
    return _without_segment(alert).removeprefix(f"{_version(alert)}: ")


def with_subject(alert: Alert) -> str:
    """Return the summary of an alert with the traffic in front, named once.

    The text of a rule may begin with model and version, or may not.
    """
    summary, version = _without_segment(alert), _version(alert)
    if summary.startswith((f"{version}:", f"{version} ")):
        return subject(alert) + summary.removeprefix(version)
    return f"{subject(alert)}: {summary}"


def _version(one: OfSlice) -> str:
    return f"{one.model} {one.version}"


def _without_segment(alert: Alert) -> str:
    segment = segment_text(alert.segment)
    return alert.summary.replace(f" ({segment})", "", 1) if segment else alert.summary


def cohort_facts(alert: Alert) -> list[tuple[str, str]]:
    """Name what an alert on a figure of labels rests on; nothing of other alerts."""
    if alert.cohort is UNSET:
        return []
    its, figure_of_it, base = alert.cohort, alert.cohort.figure, alert.cohort.baseline_figure
    found = []
    if figure_of_it.low is not None and figure_of_it.high is not None:
        ends = [quantity(end, alert.unit) for end in (figure_of_it.low, figure_of_it.high)]
        found.append(("interval", f"{ends[0]} to {ends[1]} (95%)"))
    if base is not None and base.value is not None:
        text = f"{quantity(base.value, alert.unit)} in {counted(base.n, 'row')}"
        if its.worsening is not None:
            which = "worse" if its.worsening > 0 else "better"
            text += f"; now {quantity(abs(its.worsening), 'share')} {which}"
        found.append(("of baseline", text))
    labels = f"{its.labelled:,} of {counted(its.predicted, 'prediction')}"
    return [*found, ("labels", labels), ("found", utc_text(its.time))]


def counted_in(alert: Alert) -> str:
    """Name what the value of an alert was counted in."""
    if alert.cohort is UNSET:
        return "event"
    return "prediction" if alert.metric == "label_coverage" else "label"
