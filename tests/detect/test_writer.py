"""What the offsets of the writes to the changelog tell."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from support.counting import NOW
from support.world import World, a_state, join_all
from tidegauge.detect.changelog import Changelog
from tidegauge.detect.offsets import Offsets
from tidegauge.detect.writer import Writer


class _Producer:
    """Gives out offsets one by one, as a broker does."""

    def __init__(self) -> None:
        self.end = 0
        self.keys: list[bytes] = []

    async def send(self, topic: str, key: bytes, *rest: object) -> Any:
        self.keys.append(key)
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


def _save(producer: _Producer, changelog: Changelog) -> bool:
    writer = Writer(SimpleNamespace(producer=producer), "changelog", cast(Offsets, None))
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
