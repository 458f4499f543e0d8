"""More names than there are slots: each event is counted once, or once as overflow."""

import json
import random
from collections import Counter as Tally

import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from support.counting import (
    NOW,
    FakeMessage,
    a_baseline,
    a_counter,
    a_tenure,
    as_arrow,
    as_json,
    count,
    event,
    promote,
)
from support.ingest_sessions import Clocks, Committed
from tidegauge.config.sections import IngestSettings
from tidegauge.counting.admission import Admission
from tidegauge.counting.counter import Counter
from tidegauge.counting.tenure import Tenure
from tidegauge.kafka.group_session import SessionError
from tidegauge.roles.ingest.conditions import LOG_SECONDS, MOST_MODELS, OVERFLOW_SECONDS
from tidegauge.roles.ingest.session import Session
from tidegauge.telemetry.health import Health

SMALL = {"max_models": 3, "max_versions": 2, "max_variants": 2, "max_slices": 5}


def batch(rows: int, model: str, version: str, variant: str) -> bytes:
    columns = {"time": pa.array([NOW - 10.0] * rows), "prediction": pa.array([0.5] * rows)}
    return as_arrow(columns, {"model": model, "version": version, "variant": variant})


def found(counter: Counter, tenure: Tenure) -> int:
    """Events in cells, which must be those that the counter says it counted."""
    events = sum(cell.events for cell in tenure.cells.values())
    assert events == sum(counter.counted.values())
    assert all(n >= 0 for n in counter.counted.values())
    return events


@pytest.mark.parametrize("seed", range(4))
def test_every_event_is_counted_or_is_an_overflow_whatever_it_names(seed: int) -> None:
    draw = random.Random(seed)
    counter, tenure = a_counter(**SMALL), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    sent = 0
    for _ in range(30):
        values: list[bytes | None] = []
        for _ in range(draw.randrange(40)):
            name = {
                "model": draw.choice(("m", "n", f"req-{draw.randrange(6)}")),
                "version": draw.choice(("1", "2", f"req-{draw.randrange(6)}")),
                "variant": draw.choice(("", "canary", f"req-{draw.randrange(6)}")),
            }
            if draw.random() < 0.2:
                rows = draw.randrange(1, 5)
                values.append(batch(rows, **name))
                sent += rows
            else:
                odd = {"features": {"amount": "odd"}} if draw.random() < 0.2 else {}
                values.append(as_json(event(**name, **odd)))
                sent += 1
        count(counter, tenure, values)
    overflow = counter.overflow.events.total()
    assert overflow and not counter.dead_letters
    assert found(counter, tenure) + overflow == sent
    versions = {(c.plan.model, c.plan.version) for c in tenure.cells.values()}
    assert len(versions) <= 1 + 5 and len(counter._plans) <= 1 + 5


def test_a_version_with_a_baseline_loses_no_event_to_a_flood_of_any_name() -> None:
    counter, tenure = a_counter(**SMALL), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    for number in range(50):
        flood = [event(**{field: f"req-{number}"}) for field in ("model", "version", "variant")]
        count(counter, tenure, [as_json(event()), *map(as_json, flood)])
    cells = Tally[tuple[str, str, str]]()
    for cell in tenure.cells.values():
        cells[cell.plan.model, cell.plan.version, cell.variant] += cell.events
    assert cells["m", "1", ""] == 50
    assert {level for level, _ in counter.overflow.events} == {"model", "version", "variant"}


def test_an_overflow_names_the_model_if_it_has_a_slot_or_a_baseline() -> None:
    counter, tenure = a_counter(max_models=1, max_versions=1), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    values = [as_json(event(version=f"req-{number}")) for number in range(4)]
    values += [as_json(event(model=f"req-{number}")) for number in range(4)]
    count(counter, tenure, values)
    assert counter.overflow.events == {("version", "m"): 3, ("model", ""): 3}


def test_a_flood_of_names_costs_plans_and_decoders_within_the_bound_only() -> None:
    counter, tenure = a_counter(max_models=100), a_tenure()
    for start in range(0, 5_000, 250):
        count(counter, tenure, [as_json(event(model=f"r{start + i}")) for i in range(250)])
    assert len(counter._plans) == 100 and len(tenure.cells) == 100
    assert counter.overflow.events.total() == 4_900


# -- said -----------------------------------------------------------------------------------------


@pytest.fixture
def flooded(session: Session) -> Session:
    session.reader.counter._admission = Admission(IngestSettings(**SMALL), session.state.monotonic)
    return session


def flood(session: Session, names: int, first: int = 0) -> None:
    values = [as_json(event(model=f"req-{first + number}")) for number in range(names)]
    session.reader.take([FakeMessage(value, 0, first + at) for at, value in enumerate(values)])


def value(registry: CollectorRegistry, level: str, model: str = "") -> float | None:
    labels = {"level": level, "model": model}
    return registry.get_sample_value("tidegauge_ingest_overflow_total", labels)


def test_an_overflow_is_counted_with_the_flush_that_commits_it_and_not_before(
    flooded: Session, committed: Committed, registry: CollectorRegistry
) -> None:
    assert value(registry, "model") == 0
    flood(flooded, 10)
    assert value(registry, "model") == 0
    flooded.flush()
    assert value(registry, "model") == 7
    committed.fails.append(TimeoutError("no answer"))
    flood(flooded, 10, first=10)
    with pytest.raises(SessionError):
        flooded.flush()
    assert value(registry, "model") == 7


def test_an_overflow_degrades_readyz_until_it_is_over(
    flooded: Session, committed: Committed, health: Health, clocks: Clocks
) -> None:
    flood(flooded, 10)
    flooded.flush()
    said = health.ready()[1]
    assert said["status"] == "degraded"
    detail = said["conditions"]["names"]["detail"]  # type: ignore[index]
    assert "ingest.max_models" in detail and "7 events" in detail and "'req-9'" in detail
    clocks.monotonic += OVERFLOW_SECONDS - 1
    flooded.flush()
    assert health.ready()[1]["status"] == "degraded"
    clocks.monotonic += 1
    flooded.flush()
    assert health.ready()[1]["conditions"]["names"]["state"] == "ok"  # type: ignore[index]


def test_the_log_says_so_once_a_minute(
    flooded: Session,
    committed: Committed,
    clocks: Clocks,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for second in range(int(LOG_SECONDS) + 1):
        flood(flooded, 10, first=10 * second)
        flooded.flush()
        clocks.monotonic += 1
    lines = [record.message for record in caplog.records if "more names" in record.message]
    assert [line.split(": ")[1].split(" ")[0] for line in lines] == ["7", str(10 * 60)]


def test_a_hostile_name_reaches_the_log_in_escapes(
    flooded: Session, committed: Committed, caplog: pytest.LogCaptureFixture
) -> None:
    values = [as_json(event(model=f"\x1b[31m\u202e{number}\n")) for number in range(9)]
    flooded.reader.take([FakeMessage(value, 0, at) for at, value in enumerate(values)])
    flooded.flush()
    (line,) = [record.message for record in caplog.records if "more names" in record.message]
    assert line.isascii() and line.isprintable() and json.dumps(line)


def test_the_counter_names_a_bounded_number_of_models(
    session: Session, committed: Committed, registry: CollectorRegistry
) -> None:
    for number in range(MOST_MODELS + 50):
        session.reader.counter.overflow.add("version", f"m{number}", 1, ("m", "1", ""))
    session.flush()
    family = next(one for one in registry.collect() if one.name == "tidegauge_ingest_overflow")
    assert len([it for it in family.samples if it.labels["model"]]) == MOST_MODELS
    assert value(registry, "version") == 50
