"""Which baseline an event is binned by, when baselines come, go and disagree."""

import msgspec
import pyarrow as pa

from support.counting import (
    NOW,
    a_baseline,
    a_counter,
    a_tenure,
    as_arrow,
    as_json,
    categorical,
    cells_of,
    count,
    event,
    messages,
    numeric,
    promote,
)
from tidegauge.contract.histogram import Cell

A = a_baseline(amount=numeric([0.0]))
B = a_baseline(amount=numeric([0.0, 10.0]), city=categorical("string", ["Paris"]))
VALUE = as_json(event(features={"amount": 5.0, "city": "Paris"}, prediction=0.5))
BATCH = as_arrow(
    {"time": pa.array([NOW - 10]), "features": pa.array([{"amount": 5.0, "city": "Paris"}])}
)


def _by_baseline(cells: dict[tuple[str, str, str, str, int], Cell]) -> dict[str, Cell]:
    return {cell.baseline: cell for cell in cells.values()}


def test_a_promotion_between_batches_gives_two_cells_and_never_a_mixture() -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(A), tenure)
    count(counter, tenure, [VALUE, VALUE, BATCH])
    counter.use(promote(B), tenure)
    count(counter, tenure, [VALUE, BATCH])
    cells = _by_baseline(cells_of(tenure))
    assert {name: cell.events for name, cell in cells.items()} == {A.id: 3, B.id: 2}
    assert cells[A.id].signals["amount"].counts == [0, 3]
    assert "city" not in cells[A.id].signals
    assert cells[B.id].signals["amount"].counts == [0, 2, 0]
    assert cells[B.id].signals["city"].counts == [2, 0, 0]


def test_events_waiting_to_be_counted_are_counted_by_the_baseline_they_came_under() -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(A), tenure)
    count(counter, tenure, [])
    counter.count(messages([VALUE]), tenure)
    counter.use(promote(B), tenure)
    counter.settle(tenure)
    assert {c.baseline: c.events for c in cells_of(tenure).values()} == {A.id: 1}


def test_a_baseline_promoted_again_goes_on_in_its_cell() -> None:
    counter, tenure = a_counter(), a_tenure()
    for baseline in (A, B, A):
        counter.use(promote(baseline), tenure)
        count(counter, tenure, [VALUE])
    cells = _by_baseline(cells_of(tenure))
    assert {name: cell.events for name, cell in cells.items()} == {A.id: 2, B.id: 1}
    assert cells[A.id].signals["amount"].counts == [0, 2]


def test_without_a_baseline_volume_latency_errors_and_missing_are_still_counted(
    decoder: str,
) -> None:
    counter, tenure = a_counter(), a_tenure()
    values = [as_json(event(latency_ms=12.0, status="error")), VALUE]
    count(counter, tenure, values, values)
    by_path = {"native": 2, "tolerant": 2} if decoder == "native" else {"native": 0, "tolerant": 4}
    assert counter.counted == {**by_path, "arrow": 0}
    [cell] = cells_of(tenure).values()
    assert (cell.baseline, cell.events) == ("", 4)
    assert sum(cell.signals["latency_ms"].counts) == 2
    assert cell.signals["status"].counts == [0, 2, 0, 0]
    assert cell.signals["prediction"] == msgspec.structs.replace(
        cell.signals["prediction"], counts=[2], absent=2, sum=1.0
    )


def test_a_baseline_that_comes_later_ends_counting_without_one() -> None:
    counter, tenure = a_counter(), a_tenure()
    count(counter, tenure, [VALUE])
    counter.use(promote(A), tenure)
    count(counter, tenure, [VALUE])
    assert {c.baseline: c.events for c in cells_of(tenure).values()} == {"": 1, A.id: 1}


def test_versions_that_disagree_on_a_features_type_are_both_counted() -> None:
    number = a_baseline(version="1", city=numeric([75.0]))
    text = a_baseline(version="2", city=categorical("string", ["75"]))
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(number, text), tenure)
    count(
        counter,
        tenure,
        [as_json(event(version=version, features={"city": 75})) for version in "121"],
        [as_json(event(version=version, features={"city": "75"})) for version in "12"],
    )
    cells = {cell.version: cell.signals["city"] for cell in cells_of(tenure).values()}
    assert (cells["1"].counts, cells["1"].invalid) == ([0, 2], 1)
    assert (cells["2"].counts, cells["2"].invalid) == ([2, 0, 0], 0)


def test_an_unknown_version_of_a_known_model_is_counted_without_a_baseline() -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(A), tenure)
    new = as_json(event(version="7", features={"amount": 1.0}))
    count(counter, tenure, [new, VALUE], [new, VALUE])
    found = {(c.version, c.baseline): c.events for c in cells_of(tenure).values()}
    assert found == {("7", ""): 2, ("1", A.id): 2}


def test_an_event_that_names_no_model_is_not_taken_for_the_only_model_there_is() -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(A), tenure)
    nameless = {k: v for k, v in event().items() if k != "model"}
    count(counter, tenure, [as_json(nameless)])
    assert cells_of(tenure) == {}
    assert [letter.reason for letter in counter.dead_letters] == ["invalid_record"]
