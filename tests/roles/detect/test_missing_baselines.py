"""A version without a baseline is reported with the nearest one, and made-up names as a count."""

from types import SimpleNamespace
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from tidegauge.baseline.io.pointers import Key, Pointer
from tidegauge.roles.detect.status import FORGOTTEN_SECONDS, MOST_NAMED, MissingBaselines
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import DetectMetrics
from tidegauge.windows.records import RawCell

CREDIT_3 = ("credit", "3")


def cell(model: str, version: str, window: int, **other: Any) -> RawCell:
    values: dict[str, Any] = {"variant": "", "segment": {}, "baseline": "", "events": 10}
    return RawCell(
        model=model,
        version=version,
        window_start=60 * window,
        window_seconds=60,
        signals=msgspec.Raw(b"{}"),
        **(values | other),
    )


class Watched:
    def __init__(self, promoted: tuple[Key, ...] = (CREDIT_3,)) -> None:
        self.now = 0.0
        pointers = {
            key: Pointer(id="f7e6", promoted_at=1_793_577_600.0, previous=None) for key in promoted
        }
        self.store: Any = SimpleNamespace(pointers=pointers, up=True)
        self.registry = CollectorRegistry()
        self.health = Health(clock=lambda: self.now)
        self.missing = MissingBaselines(
            DetectMetrics(self.registry), self.health, self.store, lambda: self.now
        )

    def count(self, *cells: RawCell, partition: int = 0) -> None:
        self.missing.counted(partition, cells)
        self.look()

    def look(self, *partitions: int) -> None:
        self.now += 5
        self.missing.check(set(partitions or (0, 1)))

    @property
    def condition(self) -> tuple[str, str]:
        return self.health.conditions().get("missing_baselines", ("ok", ""))

    @property
    def named(self) -> list[dict[str, str]]:
        return [
            one.labels
            for family in self.registry.collect()
            if family.name == "tidegauge_without_baseline"
            for one in family.samples
        ]

    @property
    def number(self) -> float | None:
        return self.registry.get_sample_value("tidegauge_versions_without_baseline")


def test_a_version_without_a_baseline_degrades_and_names_the_nearest_and_the_command() -> None:
    one = Watched()
    one.count(cell("credit", "4", 1), cell("credit", "3", 1, baseline="f7e6"))
    assert one.condition == ("ok", "") and one.number == 0, "one window may be a stray event"
    one.count(cell("credit", "4", 2))
    state, detail = one.condition
    assert state == "degraded"
    assert "credit 4 has no baseline (nearest: credit 3, promoted 2026-11-02)" in detail
    assert "tidegauge baseline create --model credit --version 4 --from FILE --promote" in detail
    assert one.number == 1
    assert one.named == [{"model": "credit", "version": "4", "nearest": "credit 3"}]


def test_a_misspelt_model_is_told_which_one_is_meant() -> None:
    one = Watched()
    one.count(cell("Credits", "3", 1), cell("Credits", "3", 2))
    assert "Credits 3 has no baseline (nearest: credit 3," in one.condition[1]


def test_it_is_well_again_once_a_baseline_is_promoted() -> None:
    one = Watched()
    one.count(cell("credit", "4", 1), cell("credit", "4", 2))
    assert one.condition[0] == "degraded"
    one.store.pointers["credit", "4"] = one.store.pointers[CREDIT_3]
    one.look()
    assert one.condition == ("ok", "") and one.number == 0 and one.named == []


def test_a_flood_of_names_is_one_line_with_a_count_and_ten_series() -> None:
    one = Watched()
    names = [f"request-{n:05d}" for n in range(500)]
    one.count(*(cell(name, "1", n) for name in names for n in (1, 2)), cell("credit", "4", 1))
    one.count(cell("credit", "4", 2, events=1000))
    detail = one.condition[1]
    assert detail.startswith("501 versions have no baseline")
    assert detail.index("credit 4 (nearest: credit 3") < detail.index("and 498 more")
    assert len(detail) < 500
    assert one.number == 501
    assert len(one.named) == MOST_NAMED


def test_segments_and_versions_of_other_workers_and_of_long_ago_are_left_out() -> None:
    one = Watched()
    one.count(cell("credit", "5", 1, segment={"region": "EU"}))
    one.count(cell("credit", "5", 2, segment={"region": "EU"}))
    assert one.condition == ("ok", "")
    one.count(cell("credit", "4", 1), cell("credit", "4", 2), partition=1)
    assert one.number == 1
    one.look(0)
    assert one.number == 0, "another worker has the partition"
    one.count(cell("credit", "4", 1), cell("credit", "4", 2))
    one.now += FORGOTTEN_SECONDS
    one.look()
    assert one.number == 0


def test_nothing_is_reported_while_the_store_is_down() -> None:
    one = Watched(promoted=())
    one.store.up = False
    one.count(cell("credit", "3", 1), cell("credit", "3", 2))
    assert one.condition == ("ok", "")
    one.store.up = True
    one.look()
    assert "credit 3 has no baseline (no other version of it has one)" in one.condition[1]
