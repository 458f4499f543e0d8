"""However an event is written down in JSON, it is counted the same, or refused the same."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st

from support.counting import (
    NOW,
    CellName,
    a_baseline,
    a_counter,
    a_tenure,
    as_json,
    assert_same_cells,
    cells_of,
    count,
    counted,
    event,
    numeric,
    promote,
)
from tidegauge.contract.histogram import Cell
from tidegauge.counting.decode import native

PROMOTED = promote(a_baseline())
EVENT = event(
    id="0123456789abcdef0123456789abcdef",
    prediction=0.25,
    latency_ms=12.5,
    features={"amount": -0.5, "size": 3, "country": "FR", "rooms": 12, "member": True, "new": "x"},
)
PLAIN = msgspec.json.encode(EVENT)


def _outcome(value: bytes) -> tuple[dict[CellName, Cell], list[str]]:
    """Count one value; return its cells and the reason why it was refused."""
    counter, tenure = a_counter(), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [value])
    return cells_of(tenure), [letter.reason for letter in counter.dead_letters]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(as_json(EVENT), id="spaces"),
        pytest.param(json.dumps(EVENT, indent=2).encode(), id="lines"),
        pytest.param(b"\t\r\n " + PLAIN + b" \n", id="around"),
        pytest.param(as_json(dict(reversed(EVENT.items()))), id="features first"),
        pytest.param(PLAIN.replace(b'"FR"', b'"\\u0046R"'), id="escape in a value"),
        pytest.param(PLAIN.replace(b'"amount"', b'"\\u0061mount"'), id="escape in a name"),
        pytest.param(as_json(EVENT | {"note": 'a "quote" \\ and a ü'}), id="escapes ignored"),
        pytest.param(as_json(EVENT | {"note": [1, {"deep": [None]}]}), id="nested"),
        pytest.param(as_json(EVENT | {"note": ""}), id="empty text"),
    ],
)
def test_the_same_event_in_another_form_is_the_same_event(value: bytes) -> None:
    assert_same_cells(counted([value], PROMOTED), counted([PLAIN], PROMOTED))


def test_a_plain_event_takes_the_fastest_path(decoder: str) -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [PLAIN])
    assert counter.counted["native" if decoder == "native" else "tolerant"] == 1


@pytest.mark.parametrize("name", ['a "quoted" one', "back\\slash", "tab\t", "ü", "", "a" * 300])
def test_a_feature_may_have_any_name(name: str) -> None:
    promoted = promote(a_baseline(**{"before": numeric([0.5]), name: numeric([0.5])}))
    value = as_json(event(features={"before": 0.0, name: 1.0}))
    [cell] = counted([value] * 3, promoted).values()
    assert cell.signals[name].counts == [0, 3] and cell.signals["before"].counts == [3, 0]


def test_features_may_come_in_another_order_in_every_event() -> None:
    features = {"amount": 0.25, "size": 3.0, "country": "DE", "rooms": 3, "member": False}
    names = list(features)
    values = [
        as_json(event(features={name: features[name] for name in names[k:] + names[:k]}))
        for k in (0, 3, 1, 0, 4, 4, 2)
    ]
    [cell] = counted(values, PROMOTED).values()
    assert cell.signals["amount"].counts == [0, 0, 7, 0, 0]
    assert cell.signals["country"].counts[1] == 7


_digits = st.text("0123456789", min_size=1, max_size=30)
_numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    _digits,
    st.just("") | st.builds(".{}".format, _digits),
    st.just("") | st.builds("{}{}".format, st.sampled_from(["e", "E+", "e-"]), st.integers(0, 330)),
)


@settings(max_examples=300, deadline=None)
@given(_numbers)
@example("9007199254740993")
@example("-0")
@example("0.1e-7")
@example("1e309")
@example("123456789012345678.9")
@example("8.41e21")
@example("0." + "0" * 25 + "1")
def test_a_number_is_the_nearest_double_or_no_number(text: str) -> None:
    value = as_json(event(features={"size": 7.25})).replace(b"7.25", text.encode())
    cells, refused = _outcome(value)
    try:
        expected = float(json.loads(text, parse_int=float))
    except ValueError:  # such as 007
        assert refused == ["invalid_json"] and not cells
        return
    [cell] = cells.values()
    size = cell.signals["size"]
    if math.isfinite(expected):
        assert (size.counts, size.minimum) == ([1], expected)
    else:
        assert (size.counts, size.nan + size.invalid) == ([0], 1)


@settings(max_examples=500, deadline=None)
@given(
    st.integers(0, len(PLAIN) - 1),
    st.sampled_from(["replaced", "put in", "taken out", "cut off"]),
    st.sampled_from([bytes([n]) for n in range(256)])
    | st.sampled_from([b",", b'"', b"\\", b"}", b"{", b"-", b".", b"0", b"e", b" ", b"null"]),
)
def test_a_damaged_event_is_what_python_says_it_is(place: int, how: str, by: bytes) -> None:
    value = {
        "replaced": PLAIN[:place] + by + PLAIN[place + 1 :],
        "put in": PLAIN[:place] + by + PLAIN[place:],
        "taken out": PLAIN[:place] + PLAIN[place + 1 :],
        "cut off": PLAIN[:place],
    }[how]
    cells, refused = _outcome(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "MODULE", None)
        expected_cells, expected_refused = _outcome(value)
    assert refused == expected_refused
    assert_same_cells(cells, expected_cells)


_zones = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(
    lambda ahead: timezone(timedelta(minutes=ahead // timedelta(minutes=1)))
)


@settings(max_examples=300, deadline=None)
@given(st.integers(946_800_000 * 10**6, 1_749_000_000 * 10**6), _zones, st.booleans())
@example(1_709_251_199_999_999, UTC, True)  # the end of a leap day
@example(951_868_800_000_000, UTC, False)
def test_a_time_as_text_is_the_same_instant_whatever_its_zone(
    micros: int, zone: timezone, by_z: bool
) -> None:
    at = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).astimezone(zone)
    text = at.astimezone(UTC).isoformat().replace("+00:00", "Z") if by_z else at.isoformat()
    value = as_json(EVENT | {"time": text})
    counter, tenure = a_counter(), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [value])
    assert counter.counted["native" if native.MODULE is not None else "tolerant"] == 1
    assert tenure.positions[0].event_clock.latest == at.timestamp()
    as_number = as_json(EVENT | {"time": at.timestamp()})
    assert_same_cells(cells_of(tenure), counted([as_number], PROMOTED))


@settings(max_examples=500, deadline=None)
@given(
    st.from_regex(
        r"(19|20)[0-9]{2}-[0-3][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{0,9})?([Zz]|[-+][0-2][0-9]:?[0-6][0-9])?",
        fullmatch=True,
    )
)
@example("2023-02-29T00:00:00Z")
@example("2100-02-29T00:00:00Z")
@example("2016-12-31T23:59:60Z")
@example("2025-06-15T15:06:43.1234567Z")
@example("2025-06-15T15:06:43.Z")
@example("2025-06-15T15:06:43-00:00")
def test_a_time_as_any_text_is_what_python_says_it_is(text: str) -> None:
    value = as_json(EVENT | {"time": text})
    cells, refused = _outcome(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "MODULE", None)
        expected_cells, expected_refused = _outcome(value)
    assert refused == expected_refused
    assert_same_cells(cells, expected_cells)


@pytest.mark.parametrize("rooms", ["3.0", "-7.0", "-0", "0.0", "3e0", "3.5", "9007199254740994.0"])
def test_a_whole_number_may_be_written_as_a_float(rooms: str, decoder: str) -> None:
    value = PLAIN.replace(b'"rooms":12', b'"rooms":' + rooms.encode())
    assert value != PLAIN
    counter, tenure = a_counter(), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [value])
    is_native = decoder == "native" and rooms not in ("3.5", "9007199254740994.0")
    assert counter.counted["native"] == is_native
    [cell] = cells_of(tenure).values()
    expected = {"3.0": 0, "3e0": 0, "-7.0": 1}.get(rooms, 3)
    assert cell.signals["rooms"].counts[expected] == 1


def test_a_time_far_away_is_refused_whatever_the_form() -> None:
    for value in (PLAIN, as_json(EVENT)):
        late = value.replace(str(NOW - 10).encode(), b"9" * 12)
        assert _outcome(late)[1] == ["time_too_late"], late
