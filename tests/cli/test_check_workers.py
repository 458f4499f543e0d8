"""What ``tidegauge check`` makes of the consumer groups: who is there, how far, since when."""

import pytest

from tidegauge.cli.check import describe_group, idle_worker, missing_worker
from tidegauge.config.settings import Settings
from tidegauge.kafka.admin import GroupState, role_groups

NOW = 1_000_000.0
GROUPS = {one.name: one for one in role_groups(Settings(), [("chat", "tidegauge.alerts.history")])}


def state(
    name: str, *, members: int = 1, started: bool = True, ago: float | None = 1
) -> GroupState:
    return GroupState(GROUPS[name], members, started, 12, None if ago is None else NOW - ago)


def test_each_role_and_each_receiver_has_a_group() -> None:
    assert {name: one.group for name, one in GROUPS.items()} == {
        "ingest": "tidegauge-ingest",
        "ingest labels": "tidegauge-ingest-labels",
        "outcomes": "tidegauge-outcomes",
        "detect": "tidegauge-detect",
        "ledger": "tidegauge-ledger",
        "receiver chat": "tidegauge-notify-chat",
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ingest", "1 member, 12 offsets behind, last flush 1 s ago"),
        ("ingest labels", "1 member, 12 offsets behind"),
        ("outcomes", "1 member, 12 offsets behind"),
        ("detect", "1 member, 12 offsets behind, last window 1 s ago"),
        ("ledger", "1 member, 12 offsets behind, last record of the audit trail 1 s ago"),
        ("receiver chat", "1 member, 12 offsets behind"),
    ],
)
def test_a_group_is_described_by_what_its_role_writes(name: str, said: str) -> None:
    assert describe_group(state(name), NOW) == said
    assert missing_worker(state(name)) == idle_worker(state(name), NOW) == ""


def test_where_nothing_was_written_that_is_said() -> None:
    assert describe_group(state("detect", ago=None), NOW).endswith("no window yet")


def test_a_group_that_has_lost_its_members_names_the_command_that_starts_one() -> None:
    said = missing_worker(state("receiver chat", members=0))
    assert "no worker of receiver chat runs (group tidegauge-notify-chat)" in said
    assert said.endswith("start one: tidegauge run --role notify")


def test_labels_that_nobody_reads_need_a_worker_of_ingest() -> None:
    said = missing_worker(state("ingest labels", members=0))
    assert "(group tidegauge-ingest-labels), so nothing of labels is read" in said
    assert said.endswith("start one: tidegauge run --role ingest")


def test_on_a_fresh_installation_it_is_said_how_to_begin() -> None:
    said = missing_worker(state("ingest", members=0, started=False))
    assert said == (
        "no worker of ingest has run yet; start one: tidegauge run --role ingest, "
        "or all: tidegauge run"
    )


def test_an_ingest_worker_that_flushes_nothing_is_pointed_at() -> None:
    assert "the last flush was 5 min ago" in idle_worker(state("ingest", ago=300), NOW)
    assert idle_worker(state("detect", ago=300), NOW) == ""
