"""A source that is deleted and made again: what must be accounted for, and what may be lost."""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from chaos.judge.findings import OutputRecord
from chaos.judge.made_outputs import World
from chaos.judge.recreation import Counted, Deleted, judge_recreation
from chaos.site.hold import Hold
from chaos.site.poison import Place, Poison, judge_poison
from chaos.site.topics import numbered
from support.kafka_broker import KafkaBroker
from support.processes import wait_until
from support.product import Installation

#: Offsets of the world's partitions from which on the topic is another one.
CUT = {0: 1_000, 1: 1_200}


def made_again() -> World:
    """Return a world whose source was made again in the midst of it, and all was counted."""
    world = World()

    def moved(partition: int, offset: int) -> tuple[int, int]:
        if offset < CUT[partition]:
            return partition, offset
        return numbered(partition, 1), offset - CUT[partition]

    world.source = [(*moved(p, offset), *rest) for p, offset, *rest in world.source]
    for report in world.outputs["windows"]:
        report["counted"] = [
            its
            for one in report["counted"]
            for its in (
                one | {"to": min(one["to"], CUT[one["partition"]]), "topic_id": "a"},
                one | {"to": max(one["to"] - CUT[one["partition"]], 0), "topic_id": "b"},
            )
        ]
    for letter in world.outputs["dead_letters"]:
        number, offset = moved(letter["partition"], letter["offset"])
        letter |= {"offset": offset, "topic_id": "a" if number < numbered(0, 1) else "b"}
    return world


def test_offsets_of_a_topic_that_was_made_again_are_told_apart_by_its_id() -> None:
    assert made_again().judge(topic_ids=["a", "b"]).exact
    assert not made_again().judge(topic_ids=["b", "a"]).exact


def test_what_is_said_of_another_topic_than_there_was_is_found() -> None:
    world = made_again()
    world.outputs["dead_letters"][0]["topic_id"] = "c"
    world.outputs["windows"][0]["counted"][0]["topic_id"] = ""
    found = world.judge(topic_ids=["a", "b"]).findings
    assert any("a dead letter is of topic 'c'" in said for said in found)
    assert any("counted in topics ['', 'a', 'b'], and there are ['a', 'b']" in s for s in found)


def test_an_event_of_the_new_topic_that_is_counted_by_the_old_ones_offset_is_found() -> None:
    world = made_again()
    for report in world.outputs["windows"]:
        # As who doesn't see that it is another topic: it begins where the old one ended.
        for its in report["counted"]:
            if its["topic_id"] == "b" and its["to"] > 40:
                its["start"] = 40
    verdict = world.judge(topic_ids=["a", "b"])
    assert verdict.summary["duplicated"] > 0 and verdict.summary["lost"] > 0


@pytest.fixture
def gone(tmp_path: Path) -> Deleted:
    """Return a topic of two partitions, of which the last records were not counted."""
    one = Deleted(0, "a", tmp_path / "copy", ends={0: 4, 1: 3}, committed={0: 2, 1: 3})
    one.counted = {0: Counted(2, 3), 1: Counted(3, 3)}
    with one.copy.open("wb") as file:
        for batch in ([(0, 0, 5, b"x"), (1, 0, 5, None)], [(0, 1, 6, b"y"), (0, 2, 6, b"z")]):
            packed = msgspec.msgpack.encode(batch)
            file.write(len(packed).to_bytes(4) + packed)
    return one


def test_what_was_counted_must_be_accounted_for_and_the_rest_is_lost(gone: Deleted) -> None:
    assert list(gone.to_judge()) == [(0, 0, 5, b"x"), (1, 0, 5, None), (0, 1, 6, b"y")]
    assert list(gone.uncounted()) == [(0, 2, 6, b"z")]
    assert gone.unread == 2
    assert gone.has_lost(0, 2) and not gone.has_lost(0, 1) and not gone.has_lost(1000, 2)


SAID = "chaos.predictions/{}: is another topic of the same name; it is counted from its beginning"
LOST = "; {} records of the one before were never counted"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "ingest-0.log"
    path.write_text("\n".join([SAID.format(0) + LOST.format(1), SAID.format(1)]))
    return path


def judged(gone: Deleted, log: Path, *, partitions: int = 2, lost: float = 1) -> list[str]:
    return judge_recreation(gone, "chaos.predictions", partitions, [log], lost)


def test_a_loss_that_was_known_and_said_is_well(gone: Deleted, log: Path) -> None:
    assert judged(gone, log) == []
    log.write_text(log.read_text().replace("1 records", "2 records"))
    assert judged(gone, log, lost=2) == [], "somebody may have known more"


def commit_more(gone: Deleted, log: Path) -> None:
    gone.committed[0] = 3


def count_beyond_the_end(gone: Deleted, log: Path) -> None:
    gone.counted[1] = Counted(4, 4)


def say_nothing(gone: Deleted, log: Path) -> None:
    log.write_text(SAID.format(1))


def say_it_twice(gone: Deleted, log: Path) -> None:
    log.write_text(f"{log.read_text()}\n{SAID.format(1)}")


def say_too_little(gone: Deleted, log: Path) -> None:
    log.write_text(log.read_text().replace(LOST.format(1), ""))


def say_too_much(gone: Deleted, log: Path) -> None:
    log.write_text(log.read_text().replace("1 records", "3 records"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (commit_more, "LOST: chaos.predictions/0 that was deleted was committed to 3, but counted"),
        (count_beyond_the_end, "WRONG: chaos.predictions/1 that was deleted ended at 3, and was"),
        (say_nothing, "LOST: nobody says that chaos.predictions/0 that was deleted was made again"),
        (say_it_twice, "DUPLICATED: chaos.predictions/1 that was deleted is said to be made again"),
        (say_too_little, "known to end at 3, and 0 records are said to be lost"),
        (say_too_much, "known to end at 3, and 3 records are said to be lost"),
    ],
)
def test_a_loss_that_need_not_be_or_is_not_said_is_found(
    gone: Deleted, log: Path, spoil: Callable[[Deleted, Path], None], said: str
) -> None:
    spoil(gone, log)
    [found] = judged(gone, log)
    assert said in found


def test_more_than_was_unread_can_not_be_lost(gone: Deleted, log: Path) -> None:
    assert judged(gone, log, lost=3) == [
        "LOST: 3 events are said to be lost, and 2 were unread when the topic was deleted"
    ]


def test_of_partitions_that_the_new_topic_lacks_nothing_is_said(gone: Deleted, log: Path) -> None:
    log.write_text(SAID.format(0) + LOST.format(1))
    assert judged(gone, log, partitions=1) == []


def test_poison_that_went_with_its_topic_need_not_be_a_dead_letter(
    gone: Deleted, tmp_path: Path
) -> None:
    installation = Installation(tmp_path, "chaos", "nowhere:1", "redis://nowhere")
    poison = Poison(KafkaBroker(tmp_path / "kafka"), installation)
    places = Place(0, 1), Place(0, 2), Place(numbered(0, 1), 2)
    poison.places["predictions"] = dict.fromkeys(places, b"{}")
    poison.forget_uncounted(gone)
    letters = [
        OutputRecord(
            0, 0, 0,
            msgspec.json.encode(
                {"topic": "chaos.predictions", "partition": 0, "offset": at, "topic_id": of}
            ),
        )
        for at, of in ((1, "a"), (2, "b"))
    ]  # fmt: skip
    assert judge_poison(poison, installation, letters, [], [], ["a", "b"]) == []
    [said] = judge_poison(poison, installation, letters[:1], [], [], ["a", "b"])
    assert "LOST: there is no dead letter of predictions 1000@2" in said
    assert all(poison.has("predictions", *place) for place in places), "it was sent nevertheless"


def test_the_traffic_is_held_until_it_may_go_on_or_is_over(tmp_path: Path) -> None:
    hold = Hold(tmp_path)
    assert not hold.is_asked()
    with hold.traffic(lambda: True):
        assert hold.is_asked()

    def send() -> None:
        wait_until(hold.is_asked, seconds=30, what="the traffic is asked to wait")
        hold.wait()
        went_on.append(hold.is_asked())

    went_on: list[bool] = []
    sender = threading.Thread(target=send)
    sender.start()
    with hold.traffic(lambda: False):
        assert went_on == []
    sender.join(30)
    assert went_on == [False]
