"""What makes a baseline usable: checked as it is made, stored, promoted and read back.

A document in Redis may come from another program or from an older version. This module checks what
the types of the document can't express, so that the roles can rely on every baseline that they
hold: a defect is reported for its baseline, before anything is counted by it.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from tidegauge.baseline.daily import DailyCycle, DayCalendar
from tidegauge.baseline.document import (
    Baseline,
    CategoricalSignal,
    NumericSignal,
    Signal,
    features_of,
)
from tidegauge.contract import OUTPUT_SIGNALS, SCHEMA_VERSION, DecodingError, decode, encode

#: Every worker holds each document in memory, and DETECT saves it with the windows counted by it.
#: 8 MiB is the largest that has ever been of use: a larger one was no record of the changelog.
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024

#: A window's report has each signal, and the page of metrics eight series of it: 32,000 of so many.
#: With more, the report of a window in which the baseline changed, twice as long, may be no record.
MAX_SIGNALS = 4_000

#: A signal has 27 bins at most by ``baseline create``; four times that for those made by hand.
MAX_BINS = 110

#: A cell is one record, whatever it counts, and so is its window's report, which says 600 bytes
#: more of each signal: 4,000 times that, and offsets of some hundred partitions, are left of 8 MiB.
MAX_CELL_BYTES = 5_750_000

#: INGEST adds up so many scaled features of each event; ``baseline create`` makes 2,560 at most.
MAX_TERMS = 4_096

#: DETECT holds a number for each signal, kind of day, hour or slot, and bin of the signal with the
#: most, 8 bytes each; ``baseline create`` makes half as many at most. And it looks at all changes
#: of clocks and all slots in each window.
MAX_HOURLY_NUMBERS = 2**25
MAX_CLOCK_CHANGES, MAX_SLOTS, MAX_HOLIDAYS = 1_000, 1_440, 10_000

#: Up to here a float holds every integer, and the counts of a signal add up without overflow.
MAX_COUNT = 2**53

#: As JSON writes it. An alert on many signals lists a thousand of them.
MAX_NAME_BYTES = 500

#: Labels of bins stand in every alert on the signal, up to three times. Four times what ``create``
#: keeps: older versions kept texts of whatever length.
MAX_CATEGORIES_BYTES = 128 * 1024

#: Variances and degrees of freedom are multiplied, and importances added up, without overflow.
_MAX_FIGURE = 1e12
_MAX_IMPORTANCE = 1e300

_INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)

#: What a histogram says beside its counts: six names, four counts and four floats at their longest.
_SIGNAL_BYTES = 270
_COUNT_BYTES = len(str(MAX_COUNT)) + 1

#: Of what is wrong, a message shows so many signals and characters.
_NAMED = 3
_SHOWN = 60

#: Of a message of the decoder, so many characters of its beginning and its end.
_MOST_SHOWN = 250


class UnusableBaseline(ValueError):
    """The document can't be used as a baseline; the message says why."""


def read_baseline(document: bytes) -> Baseline:
    """Decode a document and check it; raises ``UnusableBaseline`` and nothing else.

    >>> read_baseline(b"{}")
    Traceback (most recent call last):
    tidegauge.baseline.validation.UnusableBaseline: Object missing required field `model`
    """
    _check_size(len(document), None)
    try:
        baseline = decode(document, Baseline)
    except DecodingError as error:
        text = str(error)  # it may show a value of whatever length, and ends with where it is
        if len(text) > 2 * _MOST_SHOWN:
            text = f"{text[:_MOST_SHOWN]}…{text[-_MOST_SHOWN:]}"
        raise UnusableBaseline(text) from error
    validate(baseline)
    return baseline


def validate(baseline: Baseline) -> None:
    """Raise ``UnusableBaseline``, which says what is wrong and where, unless it can be used."""
    for problem in _problems(baseline):
        raise UnusableBaseline(problem)
    try:
        size = len(baseline.to_json())
    except UnicodeEncodeError as error:
        raise UnusableBaseline(f"it holds text that is not Unicode: {error.reason}") from error
    _check_size(size, baseline)
    size = largest_cell_bytes(baseline)
    if size > MAX_CELL_BYTES:
        raise UnusableBaseline(
            f"the counts of a window by it could take {size:,} bytes, expected at most "
            f"{MAX_CELL_BYTES:,}: it has {len(baseline.signals):,} signals"
        )


def largest_cell_bytes(baseline: Baseline) -> int:
    """Return how large the counts of a window by a baseline can be as a record, in bytes.

    >>> signal = CategoricalSignal(
    ...     dtype="string", categories=["a"], known=[], known_complete=True, counts=[1, 0, 0],
    ...     missing=0)
    >>> largest_cell_bytes(Baseline(
    ...     model="m", version="1", rows=1, source="x.csv", signals={"x": signal}))
    325
    """
    return sum(
        len(encode(name)) + 1 + _SIGNAL_BYTES + _COUNT_BYTES * len(signal.counts)
        for name, signal in baseline.signals.items()
    )


def _check_size(size: int, baseline: Baseline | None) -> None:
    if size <= MAX_DOCUMENT_BYTES:
        return
    largest = ""
    if baseline is not None:
        sizes = {name: len(encode(signal)) for name, signal in baseline.signals.items()}
        names = sorted(sizes, key=lambda name: (-sizes[name], name))[:_NAMED]
        named = ", ".join(f"{name!r} ({sizes[name]:,} bytes)" for name in names)
        hours = len(encode(baseline.daily)) if baseline.daily else 0
        largest = f"; the largest of its {len(sizes):,} signals are {named}"
        largest += f", and their hours of the day take {hours:,} bytes" if hours else ""
    raise UnusableBaseline(
        f"the document has {size:,} bytes, expected at most {MAX_DOCUMENT_BYTES:,}{largest}"
    )


def _problems(baseline: Baseline) -> Iterator[str]:
    if baseline.schema_version != SCHEMA_VERSION:
        yield f"schema_version is {_short(baseline.schema_version)}, expected {SCHEMA_VERSION}"
    for what, text in (("model", baseline.model), ("version", baseline.version)):
        if not 1 <= len(text) <= 200:
            yield f"{what} has {len(text):,} characters, expected 1 to 200"
    if not 1 <= baseline.rows <= MAX_COUNT:
        yield f"rows is {_short(baseline.rows)}, expected 1 to 2^53"
    if not 1 <= len(baseline.signals) <= MAX_SIGNALS:
        yield f"it has {len(baseline.signals):,} signals, expected 1 to {MAX_SIGNALS:,}"
    yield from _unicode_problems(
        "model, version or source", (baseline.model, baseline.version, baseline.source)
    )
    for name, signal in baseline.signals.items():
        for problem in chain(_name_problems(name, signal), _signal_problems(signal, baseline.rows)):
            yield f"signal {_quoted(name)}: {problem}"
    importances = baseline.importances or {}
    if any(it > _MAX_IMPORTANCE for it in importances.values()):
        yield f"importances holds a number above {_MAX_IMPORTANCE:g}"
    if (terms := sum(map(len, map(features_of, baseline.signals.values())))) > MAX_TERMS:
        yield f"its joint signals are sums of {terms:,} features, expected at most {MAX_TERMS:,}"
    effects = baseline.dependence.design_effects if baseline.dependence else {}
    if any(it > baseline.rows for it in effects.values()):
        yield "dependence holds a design effect of more than there are rows"
    if baseline.daily:
        yield from _daily_problems(baseline.daily)


def _name_problems(name: str, signal: Signal) -> Iterator[str]:
    yield from _unicode_problems("its name", (name,))
    if not 1 <= (size := len(encode(name)) - len('""')) <= MAX_NAME_BYTES:
        yield f"its name has {size:,} bytes, expected 1 to {MAX_NAME_BYTES}"
    expected = {"prediction": NumericSignal, "label": CategoricalSignal}.get(name)
    if expected is not None and not isinstance(signal, expected):
        kind = "numeric" if expected is NumericSignal else "categorical"
        yield f"a signal of this name must be {kind}"
    if expected is None and name in OUTPUT_SIGNALS:
        yield "its name is reserved for what tidegauge derives itself"


def _signal_problems(signal: Signal, rows: int) -> Iterator[str]:
    beside = [signal.missing]
    if len(signal.counts) > MAX_BINS:
        yield f"it has {len(signal.counts):,} bins, expected at most {MAX_BINS}"
    if isinstance(signal, NumericSignal):
        beside.append(signal.nan)
        yield from _moment_problems(signal)
    else:
        yield from _category_problems(signal)
    counts = [*signal.counts, *beside]
    yield from _count_problems("counts, missing or nan", counts)
    if (total := sum(counts)) > rows:
        yield f"its counts add up to {_short(total)}, more than the {_short(rows)} rows"


def _moment_problems(signal: NumericSignal) -> Iterator[str]:
    moments = (signal.mean, signal.std, signal.minimum, signal.maximum)
    if not all(it is None or math.isfinite(it) for it in moments):
        yield "mean, std, minimum or maximum is not finite"
    if signal.std is not None and signal.std < 0:
        yield f"std is {signal.std:g}, expected 0 or more"
    low, high = signal.minimum, signal.maximum
    if low is not None and high is not None and low > high:
        yield f"minimum is {low:g}, more than maximum, {high:g}"


def _category_problems(signal: CategoricalSignal) -> Iterator[str]:
    names = [*signal.categories, *signal.known]
    yield from _unicode_problems("categories or known", names)
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(it for it in names if it in seen or seen.add(it))  # type: ignore[func-returns-value]
        yield f"categories and known have {_quoted(twice)} twice"
    size = sum(map(len, map(_bytes, signal.categories)))
    if size > MAX_CATEGORIES_BYTES:
        yield f"its categories have {size:,} bytes, expected at most {MAX_CATEGORIES_BYTES:,}"
    if signal.counts[-1:] != [0]:
        yield "the last of counts, of values never seen, must be 0"
    if signal.rare and signal.rare.seen_once > sum(signal.counts):
        yield "rare.seen_once is more than there are rows"
    if signal.rare and max(signal.rare.excess) > _MAX_FIGURE:
        yield f"rare.excess holds a number beyond {_MAX_FIGURE:g}"
    for name in names:
        if not _fits(signal.dtype, name):
            yield f"{_quoted(name)} is no {signal.dtype}, which its dtype says it is"
            return


def _fits(dtype: str, name: str) -> bool:
    """Whether a value is spelled as events of this type are."""
    if dtype == "boolean":
        return name in ("true", "false")
    return dtype != "integer" or _INTEGER.fullmatch(name) is not None


def _daily_problems(daily: DailyCycle) -> Iterator[str]:
    if not 1 <= daily.days <= MAX_COUNT or daily.spans_seconds[-1] > MAX_COUNT:
        yield "daily: days and spans_seconds must be from 1 to 2^53"
    yield from _calendar_problems(daily)
    for name, its in daily.signals.items():
        where = f"daily of {_quoted(name)}"
        for hours in (its.counts, *(its.kinds.counts if its.kinds else ())):
            for hour in hours:
                for problem in _count_problems("counts", hour):
                    yield f"{where}: {problem}"
        for what, figures in (
            ("excess", its.excess),
            ("degrees", its.degrees),
            ("skewness", its.skewness),
            ("by_hour", [its.by_hour]),
        ):
            if not all(abs(it) <= _MAX_FIGURE for some in figures for it in some):
                yield f"{where}: {what} holds a number beyond {_MAX_FIGURE:g}"


def _calendar_problems(daily: DailyCycle) -> Iterator[str]:
    calendar = daily.calendar or DayCalendar()
    for what, found, most in (
        ("changes", len(calendar.changes), MAX_CLOCK_CHANGES),
        ("slots", len(calendar.slots), MAX_SLOTS),
        ("holidays", len(calendar.holidays), MAX_HOLIDAYS),
    ):
        if found > most:
            yield f"daily: calendar has {found:,} {what}, expected at most {most:,}"
    moments = [calendar.until or 0, *(it.since for it in calendar.changes)]
    if max(map(abs, moments)) > MAX_COUNT:
        yield "daily: calendar has until, or since of changes, beyond 2^53 seconds"
    if max(calendar.day_kinds, default=0) > MAX_COUNT:
        yield "daily: calendar has day_kinds beyond 2^53"
    widths = [len(its.counts[0]) for its in daily.signals.values()]
    each = calendar.kinds * len(next(iter(daily.signals.values())).counts)
    if (size := len(widths) * each * max(widths)) > MAX_HOURLY_NUMBERS:
        yield (
            f"daily: {len(widths):,} signals of up to {max(widths)} bins by {each:,} hours and "
            f"slots are {size:,} numbers, expected at most {MAX_HOURLY_NUMBERS:,}"
        )


def _count_problems(what: str, counts: Sequence[int]) -> Iterator[str]:
    if counts and not (min(counts) >= 0 and max(counts) <= MAX_COUNT):
        wrong = next(it for it in counts if not 0 <= it <= MAX_COUNT)
        yield f"{what} holds {_short(wrong)}, expected 0 to 2^53"


def _unicode_problems(what: str, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            yield f"{what} holds a lone surrogate, which is no Unicode text: {text[:40]!a}"
            return


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _short(number: int) -> str:
    text = f"{number:,}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
