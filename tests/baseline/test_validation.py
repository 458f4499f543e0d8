"""Whatever stands in the store as a document is a baseline that can be used, or says why not."""

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from support.counting import a_baseline, categorical, numeric
from tidegauge.baseline.daily import DailyCycle, SignalHours
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.validation import (
    MAX_BINS,
    MAX_CELL_BYTES,
    MAX_DOCUMENT_BYTES,
    MAX_NAME_BYTES,
    MAX_SIGNALS,
    UnusableBaseline,
    largest_cell_bytes,
    read_baseline,
    validate,
)

Document = dict[str, Any]
Change = Callable[[Document], None]


def _hours(bins: int) -> SignalHours:
    width = bins + 3
    return SignalHours(
        counts=[[1] * width for _ in range(24)],
        excess=[[0.1] * (3 + width)],
        degrees=[[5.0] * (3 + width)],
        skewness=[[0.0, 0.0]],
        by_hour=[1.0] * 24,
    )


def _whole() -> Document:
    baseline = a_baseline(
        x=numeric([-1.0, 1.0]),
        prediction=numeric([0.5]),
        c=categorical("string", ["a", "b"], ["k"]),
        n=categorical("integer", ["1", "2"], ["3"]),
        b=categorical("boolean", ["true", "false"]),
        label=categorical("string", ["yes", "no"]),
    )
    baseline.importances = {"x": 1.0}
    baseline.daily = DailyCycle(
        days=14,
        spans_seconds=[60],
        signals={name: _hours(len(its.counts)) for name, its in baseline.signals.items()},
    )
    found: Document = msgspec.json.decode(baseline.to_json())
    return found


def test_a_whole_document_is_a_baseline() -> None:
    document = msgspec.json.encode(_whole())
    assert msgspec.json.decode(read_baseline(document).to_json()) == _whole()


def _set(*path: Any) -> Callable[[Document], None]:
    """Return a change that sets what the path leads to, but for its last part, to that."""

    def change(document: Document) -> None:
        *way, last, value = path
        at: Any = document
        for step in way:
            at = at[step]
        at[last] = value

    return change


WRONG: list[tuple[Callable[[Document], None], str]] = [
    (lambda it: it.update(signals={}, importances={}, daily=None) or it.pop("daily"), "it has 0"),
    (_set("rows", 0), "rows is 0"),
    (_set("rows", 2**62), "rows is 4,611"),
    (_set("model", ""), "model has 0 characters"),
    (_set("version", "v" * 201), "version has 201 characters"),
    (_set("schema_version", 2), "schema_version is 2, expected 1"),
    (_set("signals", "x", "counts", 0, -1), "counts holds a negative number"),
    (_set("signals", "x", "counts", 0, 2**63 - 1), "'x': counts.* 9,223,372,036,854,775,807"),
    (_set("signals", "x", "missing", -5), "'x': counts, missing or nan holds -5"),
    (_set("signals", "x", "nan", 2**53 + 1), "'x': counts, missing or nan holds 9,007"),
    (_set("signals", "x", "counts", 0, 0.5), "Expected `int`"),
    (_set("signals", "x", "counts", 0, 101), "'x': its counts add up to 121, more than the 100"),
    (_set("signals", "x", "edges", [-1.0]), "counts has 3 entries, expected 2"),
    (_set("signals", "x", "edges", [1.0, -1.0]), "strictly increasing"),
    (_set("signals", "x", "edges", [1.0, 1.0]), "strictly increasing"),
    (_set("signals", "x", "std", -1.0), "'x': std is -1"),
    (_set("signals", "x", "minimum", 2.0), "'x': minimum is 2, more than maximum, 1"),
    (_set("signals", "c", "counts", 0, -1), "negative"),
    (_set("signals", "c", "counts", -1, 3), "'c': the last of counts.* must be 0"),
    (_set("signals", "c", "categories", ["a", "a"]), "'c': categories and known have 'a' twice"),
    (_set("signals", "c", "known", ["b"]), "'c': categories and known have 'b' twice"),
    (_set("signals", "c", "categories", 0, "a" * 140_000), "its categories have 140,001 bytes"),
    (_set("signals", "c", "dtype", "float"), "Invalid enum value"),
    (_set("signals", "n", "known", ["3.5"]), "'n': '3.5' is no integer"),
    (_set("signals", "n", "known", ["٣"]), "'n': '٣' is no integer"),
    (_set("signals", "b", "categories", ["yes", "no"]), "'b': 'yes' is no boolean"),
    (lambda it: it["signals"].update(latency_ms=it["signals"]["x"]), "every signal"),
    (_set("importances", "x", -1.0), "importances has -1"),
    (_set("importances", "x", 1e301), "importances holds a number above"),
    (_set("daily", "days", 0), "days and spans_seconds"),
    (_set("daily", "spans_seconds", [2**60]), "days and spans_seconds"),
    (_set("daily", "spans_seconds", []), "spans_seconds must be"),
    (_set("daily", "signals", "x", "counts", 3, 0, 2**53 + 1), "daily of 'x': counts holds"),
    (_set("daily", "signals", "x", "counts", [[]] * 24), "empty|bins"),
    (_set("daily", "signals", "x", "counts", 5, []), "empty|bins"),
    (_set("daily", "signals", "x", "excess", 0, 0, 1e300), "daily of 'x': excess holds"),
    (_set("daily", "signals", "x", "degrees", 0, 0, 1e13), "daily of 'x': degrees holds"),
    (_set("daily", "signals", "x", "by_hour", 0, 1e300), "daily of 'x': by_hour holds"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_document_that_makes_no_sense_is_refused_and_says_where(
    change: Callable[[Document], None], message: str
) -> None:
    document = _whole()
    change(document)
    with pytest.raises(UnusableBaseline, match=message):
        read_baseline(msgspec.json.encode(document))


def test_an_integer_of_thousands_of_digits_is_shown_in_part() -> None:
    document = _whole()
    document["signals"]["x"]["counts"][0] = 77777
    text = msgspec.json.encode(document).replace(b"77777", b"1" + b"0" * 4000)
    with pytest.raises(UnusableBaseline, match=r"holds 10,000.*…, expected") as refused:
        read_baseline(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("name", "signal", "message"),
    [
        ("prediction", categorical("string", ["a"]), "a signal of this name must be numeric"),
        ("label", numeric([1.0]), "a signal of this name must be categorical"),
        ("latency_ms", numeric([1.0]), "its name is reserved"),
        ("status", categorical("string", ["ok"]), "its name is reserved"),
        ("", numeric([1.0]), "its name has 0 bytes"),
        ("f" * (MAX_NAME_BYTES + 1), numeric([1.0]), "its name has 501 bytes"),
        ("\x01" * 100, numeric([1.0]), "its name has 600 bytes"),
        ("x", numeric([float(i) for i in range(MAX_BINS)], [0] * (MAX_BINS + 1)), "111 bins"),
    ],
)
def test_signals_that_the_roles_have_no_use_for_are_refused(
    name: str, signal: Any, message: str
) -> None:
    baseline = a_baseline(**{name: signal})
    with pytest.raises(UnusableBaseline, match=message):
        validate(baseline)
    with pytest.raises(UnusableBaseline, match=message):
        read_baseline(baseline.to_json())


def test_a_baseline_of_fifteen_thousand_signals_is_refused() -> None:
    with pytest.raises(UnusableBaseline, match=f"15,000 signals, expected 1 to {MAX_SIGNALS:,}"):
        validate(a_baseline(**{f"f{i}": numeric([0.0]) for i in range(15_000)}))


def test_a_document_that_is_too_large_names_its_largest_signals() -> None:
    texts = [f"{i:05}" + "x" * 995 for i in range(10_000)]
    baseline = a_baseline(amount=numeric([0.0]), review=categorical("string", ["a"], texts))
    with pytest.raises(
        UnusableBaseline,
        match=r"10,0.* bytes, expected at most 8,388,608; the .*"
        r"largest of its 2 signals are 'review' \(10,0.* bytes\), 'amount'",
    ):
        validate(baseline)
    with pytest.raises(UnusableBaseline, match="expected at most 8,388,608"):
        read_baseline(baseline.to_json())
    assert len(baseline.to_json()) > MAX_DOCUMENT_BYTES


def test_a_baseline_whose_cells_could_be_no_record_is_refused() -> None:
    edges = [float(i) for i in range(MAX_BINS - 1)]
    wide = {f"{i:05}" + "n" * 400: numeric(edges, [0] * MAX_BINS) for i in range(3_000)}
    assert largest_cell_bytes(a_baseline(**wide)) > MAX_CELL_BYTES
    with pytest.raises(UnusableBaseline, match="the counts of a window by it could take 7,"):
        validate(a_baseline(**wide))


@pytest.mark.parametrize(
    "change",
    [
        _set("source", "\ud800"),
        _set("signals", "c", "known", ["\udfff"]),
        _set("signals", "c", "categories", ["\ud83d", "b"]),
    ],
)
def test_half_a_surrogate_pair_is_no_text(change: Callable[[Document], None]) -> None:
    document = _whole()
    change(document)
    text = msgspec.json.encode(_escaped(document)).replace(b"\\\\ud", b"\\ud")
    with pytest.raises(UnusableBaseline, match="surrogate"):
        read_baseline(text)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("ascii", "backslashreplace").decode()
    if isinstance(value, list):
        return list(map(_escaped, value))
    return {k: _escaped(v) for k, v in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"model":' * 100_000,
        b'{"unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[" * 9_000_000,
        b'{"model": "m"',
    ],
    ids=["nothing", "no UTF-8", "null", "a list", "deep", "deep inside", "large", "torn"],
)
def test_what_is_no_document_at_all_is_refused_in_one_way(document: bytes) -> None:
    with pytest.raises(UnusableBaseline):
        read_baseline(document)


#: Every place of a document at which something else can stand.
def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key, its in value.items() if isinstance(value, dict) else enumerate(value):
            found += _places(its, (*path, key))
    return found


ODD = st.sampled_from(
    [
        *(None, True, 0, -1, 2**53 + 1, 2**63, 2**64 - 1, 0.5, -0.5, 1e308, -1e308, 5e-324),
        *("", "a", "1", "x" * 600, [], {}, [[]], [0], [1e308], {"a": 1}, ["a", "a"]),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_stands_anywhere_in_a_document_it_is_used_or_refused(data: st.DataObject) -> None:
    document = copy.deepcopy(_whole())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(_places(document)))
        _set(*place, data.draw(ODD))(document)
    try:
        baseline = read_baseline(msgspec.json.encode(document))
    except UnusableBaseline as error:
        assert str(error)
    else:
        assert isinstance(baseline, Baseline)
        validate(read_baseline(baseline.to_json()))


def _calendar(**fields: Any) -> Change:
    def change(document: Document) -> None:
        document["daily"]["calendar"] = fields

    return change


def _slots(number: int) -> Change:
    """Slots of a second, counted nowhere."""

    def change(document: Document) -> None:
        slots = [{"begin_seconds": 2 * it, "end_seconds": 2 * it + 1} for it in range(number)]
        document["daily"]["calendar"] = {"slots": slots}
        for its in document["daily"]["signals"].values():
            its["counts"] += [[0] * len(its["counts"][0])] * number

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_calendar(holidays=["2026-13-01"]), "holidays has '2026-13-01', expected YYYY-MM-DD"),
        (_calendar(holidays=["x" * 100_000]), "holidays has 'xxx"),
        (_calendar(holidays=["2026-01-01"] * 10_001), "calendar has 10,001 holidays"),
        (_calendar(until=10**30), "calendar has until, or since of changes, beyond 2"),
        (_calendar(changes=[{"since": 10**30, "ahead_seconds": 0}]), "beyond 2"),
        (_calendar(day_kinds=[10**30] * 7), "day_kinds beyond 2"),
        (
            _calendar(changes=[{"since": it, "ahead_seconds": 0} for it in range(1_001)]),
            "calendar has 1,001 changes, expected at most 1,000",
        ),
        (_slots(1_441), "calendar has 1,441 slots, expected at most 1,440"),
        (lambda it: it["daily"]["signals"]["x"].update(counts=[[]] * 24), "an hour without bins"),
        (lambda it: it["dependence"].update(found_by="x" * 100_000), r"dependence.found_by"),
    ],
)
def test_what_a_calendar_cannot_be_is_named_in_few_words(change: Change, message: str) -> None:
    document = _whole()
    document["dependence"] = {"found_by": "rows"}
    change(document)
    with pytest.raises(UnusableBaseline, match=message) as error:
        read_baseline(msgspec.json.encode(document))
    assert len(str(error.value)) < 600


def test_hours_that_a_worker_has_no_memory_for_are_refused() -> None:
    """A document of 4 MB: one signal of many bins sets the width of a thousand that have one."""
    baseline = a_baseline(
        wide=numeric([float(it) for it in range(MAX_BINS - 1)], [0] * MAX_BINS),
        **{f"s{it}": numeric([]) for it in range(1_000)},
    )
    baseline.daily = DailyCycle(
        days=14,
        spans_seconds=[60],
        signals={name: _hours(len(its.counts)) for name, its in baseline.signals.items()},
    )
    validate(baseline)
    slots = [{"begin_seconds": it * 60, "end_seconds": it * 60 + 60} for it in range(20)]
    document: Document = msgspec.json.decode(baseline.to_json())
    document["daily"]["calendar"] = {"slots": slots, "day_kinds": [2] * 7}
    for its in document["daily"]["signals"].values():
        its["counts"] += [[0] * len(its["counts"][0])] * 20
    with pytest.raises(UnusableBaseline, match="1,001 signals of up to 113 bins by 308 hours and"):
        read_baseline(msgspec.json.encode(document))
