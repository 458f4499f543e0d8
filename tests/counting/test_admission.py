"""Which names get slots: sound ones, however many fresh ones a producer makes up."""

import random
from collections.abc import Iterator

import pytest

from tidegauge.config.sections import IngestSettings, WindowSettings
from tidegauge.counting.admission import GENERATION_SECONDS, IDLE_GENERATIONS, Admission
from tidegauge.windows.slices import SHORTEST_SECONDS


class Gate:
    """An admission with small bounds and a clock of its own."""

    def __init__(self, **settings: int) -> None:
        self.now = 1_000_000.0
        small = {"max_models": 20, "max_versions": 5, "max_variants": 3, "max_slices": 40}
        self.settings = IngestSettings(**{**small, **settings})
        self.admission = Admission(self.settings, lambda: self.now)
        self._fresh = iter(range(10**9))

    def counts(self, model: str, version: str = "1", variant: str = "") -> bool:
        return self.admission.refuse(model, version, variant) is None

    def flood(self, names: int = 500) -> None:
        for _ in range(names):
            self.counts(f"req-{next(self._fresh)}")

    def seconds(self, seconds: float, *, names_a_second: int = 50) -> Iterator[float]:
        """Let time pass in steps of a second, each with its part of a flood."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1.0
            self.flood(names_a_second)
            yield self.now


def test_while_there_is_room_every_name_is_counted() -> None:
    gate = Gate()
    assert all(gate.counts(f"model-{number}") for number in range(20))
    assert not gate.counts("one-more")
    assert all(gate.counts(f"model-{number}") for number in range(20))


def test_what_has_a_baseline_is_counted_however_many_names_there_are() -> None:
    gate = Gate()
    gate.flood()
    gate.admission.use({(f"sound-{number}", "3"): object() for number in range(100)})
    assert all(gate.counts(f"sound-{number}", "3") for number in range(100))


def test_a_model_with_a_baseline_keeps_its_other_versions_within_their_bound() -> None:
    gate = Gate()
    gate.admission.use({("credit", "3"): object()})
    for number in range(1_000):
        gate.counts("credit", f"req-{number}")
    assert gate.admission.refuse("credit", "req-1000", "") == "version"
    assert gate.counts("credit", "3") and gate.counts("credit", "3", "canary")
    for number in range(1_000):
        gate.counts("credit", "3", f"req-{number}")
    assert gate.admission.refuse("credit", "3", "req-1000") == "variant"
    assert gate.counts("credit", "3")


def test_sound_models_that_were_there_before_a_flood_lose_no_event() -> None:
    gate = Gate()
    sound = [f"sound-{number}" for number in range(20)]
    for _ in range(3):
        assert all(map(gate.counts, sound))
        gate.now += GENERATION_SECONDS
    for _ in gate.seconds(2 * 3600):
        assert all(map(gate.counts, sound))


def test_sound_models_that_come_after_a_flood_are_counted_within_a_minute() -> None:
    gate = Gate()
    sound = [f"sound-{number}" for number in range(15)]
    for _ in gate.seconds(300):
        pass
    began, counted = gate.now, dict.fromkeys(sound, 0.0)
    for now in gate.seconds(600):
        if int(now) % 10 == 0:  # an event every ten seconds
            for model in sound:
                if gate.counts(model):
                    counted[model] = counted[model] or now - began
                else:
                    assert not counted[model], "it had its slot, and lost it"
    assert all(0 < seconds <= 2 * GENERATION_SECONDS for seconds in counted.values()), counted


def test_a_slot_that_nothing_has_come_of_for_an_hour_is_anybodys() -> None:
    gate = Gate(max_models=1)
    assert gate.counts("old")
    gate.now += GENERATION_SECONDS
    assert gate.counts("old")
    gate.now += (IDLE_GENERATIONS - 1) * GENERATION_SECONDS
    assert not gate.counts("new")
    gate.now += GENERATION_SECONDS
    assert gate.counts("new")
    assert not gate.counts("old")


def test_a_slot_is_not_given_to_a_flood_before_detect_has_forgotten_who_had_it() -> None:
    silence = (IDLE_GENERATIONS - 1) * GENERATION_SECONDS
    assert silence > SHORTEST_SECONDS + WindowSettings().grace_seconds


@pytest.mark.parametrize("names", [1, 3, 50], ids=["alike", "few", "many"])
def test_nothing_grows_whatever_is_named(names: int) -> None:
    gate, draw = Gate(), random.Random(names)
    for _ in range(20_000):
        gate.now += draw.choice((0.0, 0.1, 5.0))
        model, version, variant = (
            f"{draw.choice('ab')}{draw.randrange(names)}{draw.choice(('', draw.random()))}"
            for _ in range(3)
        )
        gate.counts(model, version, draw.choice(("", variant)))
        gate.admission.take_gone()
    held = gate.admission
    assert len(held._models) <= 20 and len(held._slices) <= 40
    assert all(len(slots) <= 5 for slots in held._versions.values())
    assert all(len(slots) <= 3 for slots in held._variants.values())
    assert held._versions.keys() <= set(held._models)
    versions = {(model, version) for model, slots in held._versions.items() for version in slots}
    assert held._variants.keys() <= versions
    assert {(model, version) for model, version, _ in held._slices} <= versions


def test_a_model_version_whose_slot_is_taken_is_said_to_be_gone() -> None:
    gate = Gate(max_models=1)
    assert gate.counts("old", "1") and gate.counts("old", "2", "canary")
    assert gate.admission.take_gone() == []
    gate.now += IDLE_GENERATIONS * GENERATION_SECONDS
    assert gate.counts("new")
    assert sorted(gate.admission.take_gone()) == [("old", "1"), ("old", "2")]
    assert gate.admission.take_gone() == []


def test_a_baseline_frees_the_slots_that_its_version_had() -> None:
    gate = Gate(max_models=1)
    assert gate.counts("first") and not gate.counts("second")
    gate.admission.use({("first", "1"): object()})
    assert gate.counts("first") and gate.counts("second")
