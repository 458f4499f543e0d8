"""What Prometheus is shown of closed windows, and what is taken back."""

import re

from prometheus_client import CollectorRegistry, generate_latest

from support.counting import NOW, a_baseline, promote
from support.world import World, a_state, advance, join_all, restored, saved
from tidegauge.roles.detect.observe import Observer
from tidegauge.telemetry.metrics import DetectMetrics
from tidegauge.windows.partition import PartitionState

BASELINE = a_baseline()
MINUTE = int(NOW // 60 * 60)
DAY = 24 * 3600


class Page:
    """One worker's page, and the passes that fill it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.observer = Observer(DetectMetrics(self.registry))

    def close(self, state: PartitionState) -> None:
        self.observer.passed(state, advance(state))

    def series(self, name: str) -> list[str]:
        text = generate_latest(self.registry).decode()
        return [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]


def slow_window(world: World, minute: int, latency_ms: float) -> None:
    """Let 100 events of model m come in one minute, and every partition pass its end."""
    for i in range(100):
        world.event(0, time=MINUTE + minute * 60 + i / 10, latency_ms=latency_ms)
    for partition in range(3):
        world.event(partition, time=MINUTE + minute * 60 + 75, model="clockwork")
    world.flush()


def firing_state() -> tuple[World, PartitionState, Page]:
    world, page = World(promote(BASELINE)), Page()
    slow_window(world, 0, latency_ms=500)
    state = a_state()
    state.hold_baseline(BASELINE.id, BASELINE)
    join_all(state, world.log)
    page.close(state)
    return world, state, page


def test_an_alert_is_shown_while_it_is_firing() -> None:
    world, state, page = firing_state()
    # The events have no feature at all, which is shown too.
    firing = page.series("tidegauge_alert_firing")
    (line,) = [it for it in firing if 'rule="latency-rollback"' in it]
    assert line.endswith(" 1.0") and any('rule="missing-values"' in it for it in firing)
    seen = len(world.log)
    slow_window(world, 1, latency_ms=20)
    join_all(state, world.log[seen:])
    page.close(state)
    # By then there are events enough for the detector, and these have no feature at all.
    firing = page.series("tidegauge_alert_firing")
    assert [line for line in firing if 'rule="latency-rollback"' in line] == []
    states = [line for line in page.series("tidegauge_alerts_total") if "latency" in line]
    assert [line.rsplit(" ", 1)[1] for line in states] == ["1.0", "1.0"]


def test_who_takes_a_partition_over_shows_what_is_firing_and_who_gave_it_up_does_not() -> None:
    _, state, page = firing_state()
    shown = page.series("tidegauge_alert_firing"), page.series("tidegauge_window_end_seconds")
    successor = Page()
    successor.observer.restored(restored(saved(state)))
    assert successor.series("tidegauge_alert_firing") == shown[0] != []
    assert successor.series("tidegauge_window_end_seconds") == shown[1] != []
    page.observer.owned({0})
    assert page.series("tidegauge_alert_firing") == shown[0]
    page.observer.owned(set())
    for gauge in (
        "alert_firing",
        "window_end_seconds",
        "drift",
        "missing_share",
        "watermark_seconds",
    ):
        assert page.series(f"tidegauge_{gauge}") == [], gauge
    assert page.series("tidegauge_windows_closed_total") != []


def test_a_signal_that_the_next_window_does_not_have_is_taken_back() -> None:
    world, state, page = firing_state()
    assert page.series("tidegauge_drift") != []
    for name, counter in world.counters.items():  # counted without a baseline from here on
        counter.use({}, world.tenures[name])
    seen = len(world.log)
    slow_window(world, 1, latency_ms=20)
    join_all(state, world.log[seen:])
    page.close(state)
    assert page.series("tidegauge_drift") == []


def test_what_was_taken_back_is_shown_again_when_the_partition_returns() -> None:
    _, state, page = firing_state()
    shown = page.series("tidegauge_alert_firing")
    page.observer.owned(set())
    page.observer.restored(restored(saved(state)))
    assert page.series("tidegauge_alert_firing") == shown != []


def test_of_a_segment_only_what_fires_is_shown_and_its_events_are_in_no_sum_twice() -> None:
    world, page = World(promote(BASELINE), segments=["region"]), Page()
    for i in range(200):
        world.event(
            0,
            time=MINUTE + i / 10,
            latency_ms=500 if i % 2 else 20,
            status="error",
            segments={"region": "EU" if i % 2 else "US"},
        )
    for partition in range(3):
        world.event(partition, time=MINUTE + 75, model="clockwork", segments={"region": "EU"})
    world.flush()
    state = a_state()
    state.hold_baseline(BASELINE.id, BASELINE)
    join_all(state, world.log)
    page.close(state)
    found = {
        where.segment: [episode.rule for episode in value.alerts.firing]
        for where, value in state.slices.items()
        if where.model == "m"
    }
    assert "latency-rollback" in found[("region", "EU"),]
    assert "latency-rollback" not in found[("region", "US"),]
    shown = [
        line for line in page.series("tidegauge_alert_firing") if 'rule="latency-rollback"' in line
    ]
    assert ['segment="region=EU"' in line for line in shown if 'segment=""' not in line] == [True]
    for name, figure in (
        ("windows_closed_total", "1.0"),
        ("errors_total", "200.0"),
        ("latency_ms_count", "200.0"),
        ("window_end_seconds", f"{float(MINUTE + 60)}"),
    ):
        (line,) = [line for line in page.series(f"tidegauge_{name}") if 'model="m"' in line]
        assert float(line.rsplit(" ", 1)[1]) == float(figure), line
    page.observer.owned(set())
    assert page.series("tidegauge_alert_firing") == []


def test_a_silence_is_shown_beside_the_last_figures_until_the_slice_is_forgotten() -> None:
    world, state, page = firing_state()
    before = page.series("tidegauge_missing_share")
    for later in (800, 4 * DAY):
        seen = len(world.log)
        world.now = MINUTE + later
        world.catch_up()
        world.flush()
        for record in world.log[seen:]:
            join_all(state, [record])
            page.close(state)
        firing = page.series("tidegauge_alert_firing")
        if later == 800:
            assert {it.partition('rule="')[2].partition('"')[0] for it in firing} >= {
                "latency-rollback", "no-data",
            }  # fmt: skip
            assert [it for it in before if 'model="m"' in it] == [
                it for it in page.series("tidegauge_missing_share") if 'model="m"' in it
            ]
    assert firing == [] == page.series("tidegauge_missing_share")
    assert page.series("tidegauge_window_end_seconds") == []


# -- names that somebody made up ------------------------------------------------------------------


def flood(world: World, state: PartitionState, page: Page, names: list[str], minute: int) -> None:
    """Let one event of each model come in a minute, and time pass to its end."""
    for number, model in enumerate(names):
        world.event(number % 3, time=MINUTE + 60 * minute + 5, model=model)
    pass_time(world, state, page, 60 * minute + 75)


def pass_time(world: World, state: PartitionState, page: Page, seconds: float) -> None:
    seen = len(world.log)
    world.now = MINUTE + seconds
    world.catch_up()
    world.flush()
    for offset, record in world.log[seen:]:
        page.observer.joined(state, record, state.join(record, offset))
        page.close(state)


def models(page: Page) -> set[str]:
    text = generate_latest(page.registry).decode()
    return set(re.findall(r'model="([^"]*)"', text))


def test_of_a_slice_that_is_forgotten_no_series_is_left() -> None:
    world, state, page = World({}), a_state(late_seconds=60), Page()
    flood(world, state, page, ["made-up", "other"], 0)
    assert models(page) == {"made-up", "other"}
    for minute in range(1, 64):
        flood(world, state, page, ["other"], minute)
    assert models(page) == {"other"}
    assert page.series("tidegauge_slices_left_out") == ["tidegauge_slices_left_out 0.0"]


def test_slices_without_a_baseline_have_series_within_a_bound_and_sums_stay_right() -> None:
    world, state, page = World(promote(BASELINE)), a_state(), Page()
    page.observer._slices._most = 3
    names = [f"req-{number}" for number in range(10)]
    flood(world, state, page, [*names, "m"], 0)
    pass_time(world, state, page, 160)
    shown = models(page)
    assert len(shown - {"m", ""}) == 3 and {"m", ""} <= shown
    assert page.series("tidegauge_slices_left_out") == ["tidegauge_slices_left_out 7.0"]
    for name in ("tidegauge_events_total", "tidegauge_windows_closed_total"):
        assert sum(float(line.rsplit(" ", 1)[1]) for line in page.series(name)) == 11
    assert not [line for line in page.series("tidegauge_window_end_seconds") if 'model=""' in line]


def test_a_model_that_gets_a_baseline_gets_series_of_its_own() -> None:
    world, state, page = World({}), a_state(), Page()
    page.observer._slices._most = 0
    flood(world, state, page, ["m"], 0)
    assert models(page) == {""}
    for name in "ab":
        world.counters[name].use(promote(BASELINE), world.tenures[name])
    state.hold_baseline(BASELINE.id, BASELINE)
    flood(world, state, page, ["m"], 1)
    assert "m" in models(page)
    assert page.series("tidegauge_slices_left_out") == ["tidegauge_slices_left_out 0.0"]


def test_series_of_partitions_that_others_have_make_room_when_there_is_none() -> None:
    world, state, page = World({}), a_state(), Page()
    page.observer._slices._most = 2
    flood(world, state, page, ["a", "b"], 0)
    page.observer.owned(set())
    assert {"a", "b"} & models(page) == set()
