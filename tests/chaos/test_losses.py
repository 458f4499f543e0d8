"""Which counters of the product a run holds against nothing: all that count what is lost."""

from pathlib import Path

from chaos.site.losses import EXEMPT, SERIES, SOURCE_LOST, Losses
from chaos.site.supervisor import Slot
from support.metric_names import METRICS


def test_every_counter_of_the_product_must_stay_at_nothing_or_is_exempt_for_a_reason() -> None:
    counters = {name for name, metric in METRICS.items() if metric.kind == "counter"}
    assert set(SERIES) | EXEMPT.keys() == counters
    assert not set(SERIES) & EXEMPT.keys()
    assert all(EXEMPT.values())


def test_a_worker_that_says_it_lost_something_is_found_unless_somebody_else_judges_that(
    tmp_path: Path,
) -> None:
    losses = Losses([Slot("ingest", 0, [], {}, 1, tmp_path)])
    assert losses.findings() == ["no worker's metrics could be read: nobody knows what was lost"]
    losses.looks = 1
    losses.note("ingest-0", {SOURCE_LOST: 3.0, "tidegauge_late_events_total": 1.0})
    losses.note("ingest-0", {SOURCE_LOST: 2.0})  # of a process that was started later
    losses.note("ingest-1", {SOURCE_LOST: 4.0})
    assert losses.said(SOURCE_LOST) == 7
    assert len(losses.findings()) == 3
    assert losses.findings(allowed=[SOURCE_LOST]) == [
        "LOST: tidegauge_late_events_total of ingest-0 says 1"
    ]
