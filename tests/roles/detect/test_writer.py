"""What DETECT writes: outputs as events, and what the offsets of its changelog tell."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from aiokafka.errors import MessageSizeTooLargeError
from msgspec.structs import replace

from support.counting import NOW, a_baseline, categorical
from support.window_reports import latency, part_of, window_report
from support.world import World, a_state, join_all
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.model import Rule
from tidegauge.alerting.ruleset import RuleSet
from tidegauge.alerting.state import AlertState
from tidegauge.baseline.io.pointers import Key, Pointer
from tidegauge.contract import encode
from tidegauge.contract.alert import Action, DataRange
from tidegauge.contract.audit import AuditFact
from tidegauge.contract.cloudevents import Mode, Sent, unwrap
from tidegauge.kafka.backfill import Offsets
from tidegauge.roles.detect.writer import Writer, unsound_versions
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.outputs import DataWanted, Output
from tidegauge.windows.values import Slice


class _Producer:
    """Gives out offsets one by one, as a broker does."""

    def __init__(self) -> None:
        self.end = 0
        self.keys: list[bytes] = []
        self.sent: list[Sent] = []

    async def send(self, topic: str, key: bytes, value: bytes, *rest: Any) -> Any:
        self.keys.append(key)
        self.sent.append(Sent(value, rest[-1]))
        answer = asyncio.get_running_loop().create_future()
        answer.set_result(SimpleNamespace(offset=self.end))
        self.end += 1
        return answer


def _changelog() -> Changelog:
    world, changelog = World(), Changelog(a_state())
    changelog.restored()
    world.event(0, time=NOW)
    world.flush()
    join_all(changelog.state, world.log)
    return changelog


def _writer(
    producer: _Producer,
    mode: Mode = "binary",
    pointers: Mapping[Key, Pointer] = MappingProxyType({}),
    unsound: Mapping[str, str] = MappingProxyType({}),
) -> Writer:
    offsets = SimpleNamespace(
        data=lambda *_, since, until: DataRange(since=since, until=until, offsets=[])
    )
    app = SimpleNamespace(producer=producer)
    return Writer(
        app,
        "changelog",
        cast(Offsets, offsets),
        baselines=cast(Any, SimpleNamespace(pointers=pointers)),
        source="/d",
        mode=mode,
        unsound=lambda _: unsound,
        on_refused=lambda _: None,
    )


def _save(producer: _Producer, changelog: Changelog) -> bool:
    writer = _writer(producer)
    return asyncio.run(writer.save(changelog, changelog.checkpoint()))


def test_who_writes_alone_writes_only_what_changed() -> None:
    producer, changelog = _Producer(), _changelog()
    assert _save(producer, changelog)
    assert changelog.reached == producer.end == len(producer.keys) > 2
    assert changelog.state.unsaved == set()


@pytest.mark.parametrize("when", ["before its first write", "between two of its checkpoints"])
def test_who_sees_that_others_wrote_writes_all_there_is_after_it(when: str) -> None:
    producer, changelog = _Producer(), _changelog()
    if when == "between two of its checkpoints":
        assert _save(producer, changelog)
        changelog.state.unsaved = {next(iter(changelog.state.cells))}
    producer.end += 1
    assert _save(producer, changelog)
    saved = set(producer.keys)
    producer.keys.clear()
    assert _save(producer, changelog)
    assert set(producer.keys) == saved - {b'["log"]'}
    assert changelog.state.unsaved == set()


def test_a_changelog_that_was_made_anew_is_told_from_one_that_others_wrote_to() -> None:
    producer, changelog = _Producer(), _changelog()
    assert _save(producer, changelog)
    producer.end = 0
    changelog.state.unsaved = {next(iter(changelog.state.cells))}
    assert not _save(producer, changelog)


def _action(**changes: Any) -> Action:
    path = Path(__file__).resolve().parents[3] / "schemas" / "examples" / "action.rollback.json"
    made = msgspec.json.decode(path.read_bytes(), type=Action)
    return msgspec.structs.replace(made, **{"to_version": None, "reason": "slow", **changes})


def _published(
    action: Action,
    mode: Mode = "binary",
    wanted: DataWanted | None = None,
    promoted: tuple[str, ...] = (),
    unsound: Mapping[str, str] = MappingProxyType({}),
) -> Action:
    producer = _Producer()
    pointers = {
        ("credit", version): Pointer(id=version, promoted_at=float(at), previous=None)
        for at, version in enumerate(promoted)
    }
    writer = _writer(producer, mode, pointers, unsound)
    for _ in range(2):  # as after a crash
        asyncio.run(writer.publish([Output("actions", action.id, action, wanted)]))
    first, again = producer.sent
    assert first == again
    return msgspec.json.decode(unwrap(*first), type=Action)


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_a_rollback_names_the_version_that_was_promoted_before_it(mode: Mode) -> None:
    found = _published(_action(version="3"), mode, promoted=("1", "2", "3", "4"))
    assert (found.version, found.to_version, found.reason) == ("3", "2", "slow")


def test_a_rollback_without_a_version_to_go_back_to_says_so() -> None:
    found = _published(_action(version="3"), promoted=("3", "4"))
    assert found.to_version is None
    assert found.reason == ("slow; no version of credit is known to have been promoted before it")


def test_a_rollback_passes_over_versions_that_are_to_be_left_themselves() -> None:
    unsound = {"2": "latency-rollback", "3": "latency-rollback", "9": "latency-rollback"}
    found = _published(_action(version="3"), promoted=("1", "2", "3"), unsound=unsound)
    assert found.to_version == "1"
    assert found.reason == "slow; not to 2, on which latency-rollback fires"
    found = _published(_action(version="3"), promoted=("2", "3"), unsound=unsound)
    assert found.to_version is None
    assert found.reason == (
        "slow; not to 2, on which latency-rollback fires; "
        "no other version of credit is known to have been promoted before it"
    )


def test_a_version_is_to_be_left_while_a_rule_fires_on_it_that_asks_to_go_back() -> None:
    rules = RuleSet(
        [
            Rule(name=name, metric="latency_mean_ms", above=200.0, severity="low", action=action)
            for name, action in (("slow", "rollback"), ("slower", "rollback"), ("told", None))
        ]
    )

    def slices(*its: tuple[str, dict[str, str], str, str]) -> list[tuple[Slice, AlertState]]:
        return [
            (Slice.of(replace(report, version=version, segment=segment)), firing(rule, phase))
            for version, segment, rule, phase in its
        ]

    report = window_report(0, part_of(1000), latency=latency(300.0))

    def firing(rule: str, phase: str) -> AlertState:
        watched = RuleSet([Rule(name=rule, metric="events", above=1.0, severity="low")])
        state = evaluate(watched, report, AlertState(), distribution=lambda *_: None).state
        [series] = state.series.values()
        [(key, episode)] = series.episodes.items()
        return AlertState(
            series={"s": replace(series, episodes={key: replace(episode, phase=phase)})}
        )

    action = _action(model=report.model, version="9", segment={"region": "EU"})
    found = slices(
        ("1", {}, "slower", "firing"), ("1", {}, "slow", "firing"),
        ("2", {"region": "EU"}, "slow", "firing"), ("3", {"region": "US"}, "slow", "firing"),
        ("4", {}, "slow", "pending"), ("5", {}, "told", "firing"),
    )  # fmt: skip
    assert unsound_versions(found, action, rules) == {"1": "slow", "2": "slow"}
    assert unsound_versions(found, replace(action, model="other"), rules) == {}


def test_a_retraining_names_its_data_and_a_page_nothing() -> None:
    wanted = DataWanted("predictions", {0: 5}, 1_000_000)
    retrain = _published(_action(kind="retrain"), wanted=wanted, promoted=("1", "2"))
    assert retrain.data is not None and retrain.data.until == 1_000_000
    page = _published(_action(kind="page"), promoted=("1", "2"))
    assert page == _action(kind="page")


def test_a_fact_for_the_audit_trail_has_no_envelope() -> None:
    path = Path(__file__).resolve().parents[3] / "schemas" / "examples"
    fact = msgspec.json.decode((path / "audit-fact.alert-firing.json").read_bytes(), type=AuditFact)
    producer = _Producer()
    asyncio.run(_writer(producer, "structured").publish([Output("facts", "m", fact)]))
    assert producer.sent == [Sent(encode(fact), [])]


class _Topic(_Producer):
    """Takes no record above ``most`` bytes."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    async def send(self, topic: str, key: bytes, value: bytes, *rest: Any) -> Any:
        if value is not None and len(value) > self.most:
            answer = asyncio.get_running_loop().create_future()
            answer.set_exception(MessageSizeTooLargeError("no"))
            return answer
        return await super().send(topic, key, value, *rest)


def test_a_changelog_that_refuses_large_records_gets_smaller_ones_before_any_progress() -> None:
    producer, changelog = _Topic(most=120_000), _changelog()
    known = [f"{i:04}" + "x" * 96 for i in range(6_000)]
    baseline = a_baseline(c=categorical("string", ["a"], known))
    changelog.state.hold_baseline(baseline.id, baseline)
    writer, progress = _writer(producer), b'["progress",0]'
    for parts_of in ("900,000", "450,000", "225,000"):
        assert asyncio.run(writer.save(changelog, changelog.checkpoint())), parts_of
        assert progress not in producer.keys
        [problem] = writer.unsaved.values()
        assert "raise max.message.bytes" in problem
    assert "parts of 112,500 bytes" in problem
    assert asyncio.run(writer.save(changelog, changelog.checkpoint()))
    assert writer.unsaved == {}
    assert producer.keys[-1] == progress
    assert sum(key.startswith(b'["part",["baseline"') for key in producer.keys) >= 6
