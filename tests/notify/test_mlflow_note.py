"""The note in the description: bounded, each entry once, and people's text as it was."""

from itertools import permutations

import pytest
from hypothesis import given, strategies as st

from support.audited import audited
from tidegauge.contract.audit import AuditRecord
from tidegauge.notify.mlflow_record import DESCRIPTION_CHARACTERS, noted


def written(description: str, *records: AuditRecord, entries: int = 20, state: str = "low") -> str:
    for record in records:
        description = noted(description, record, state, entries=entries)
    return description


def rows(description: str) -> list[str]:
    return [line for line in description.splitlines() if line.startswith("| 20")]


def numbers(description: str) -> list[int]:
    return [int(row.rsplit("#", 1)[1].split()[0]) for row in rows(description)]


def test_the_note_of_an_empty_description() -> None:
    assert written("", audited("alert.firing", seq=4, subject="a1"), state="medium") == (
        "<!-- tidegauge:begin, rewritten with each alert -->\n"
        "\n"
        "**tidegauge: firing, medium**\n"
        "\n"
        "| time | what | why | audit |\n"
        "|---|---|---|---|\n"
        "| 2026-03-01T12:01:00Z | &ensp;**firing**, medium | &ensp;income has drifted"
        " | &ensp;#4 `a1` |\n"
        "\n"
        "<!-- tidegauge:end -->"
    )


def test_the_newest_is_on_top_and_no_more_are_kept_than_asked_for() -> None:
    records = [audited("alert.firing", seq=n) for n in range(1, 9)]
    assert numbers(written("", *records, entries=3)) == [8, 7, 6]


def test_every_order_and_any_repetition_ends_in_the_same_entries() -> None:
    records = [audited("alert.firing", seq=n, time=60 * n) for n in range(1, 5)]
    for order in permutations(records):
        assert numbers(written("", *order, *order, entries=3)) == [4, 3, 2]


def test_a_second_time_changes_nothing() -> None:
    record = audited("action.requested", seq=2, reason="a | b\nc `d` \\ <e> [f](g) & h")
    once = written("Ours.", audited("alert.firing", seq=1), record)
    assert written(once, record) == once and numbers(once) == [2, 1]


def test_what_happened_is_said_in_words() -> None:
    description = written(
        "",
        audited("action.requested", seq=1, dry_run="true"),
        audited("action.withheld", seq=2, withheld="asked for 60 s before"),
        audited("action.taken", seq=3, actor="retrainer"),
        audited("alert.resolved", seq=4, severity="high"),
        state="ok",
    )
    assert "**tidegauge: nothing fires**" in description
    assert [row.split(" | &ensp;")[1] for row in rows(description)] == [
        "**resolved**, high",
        "retrain **taken** by retrainer",
        "retrain **withheld**",
        "retrain **requested**, dry run",
    ]
    assert "asked for 60 s before; income has drifted" in description


def test_a_text_is_no_markup_and_no_second_row() -> None:
    text = "<script>x</script> | `a` *b* _c_ [d](e)\n| row |"
    (row,) = rows(written("", audited("alert.firing", seq=1, reason=text)))
    assert row.count("|") == 5
    assert "&lt;script&gt;" in row and r"\*b\*" in row and r"\[d\]" in row


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_what_people_wrote_stays_as_it_was(text: str) -> None:
    first = written(text, audited("alert.firing", seq=1))
    assert first.startswith(text)
    more = written(first + text, audited("alert.firing", seq=2))
    assert more.startswith(text) and more.endswith(text) and numbers(more)[:2] == [2, 1]


def test_a_note_that_people_moved_stays_where_they_put_it() -> None:
    note = written("", audited("alert.firing", seq=1))
    moved = written(f"{note}\n\n# Ours\n", audited("alert.firing", seq=2))
    assert moved.startswith("<!-- tidegauge:begin") and moved.endswith("end -->\n\n# Ours\n")


@pytest.mark.parametrize("kept", ["<!-- tidegauge:end -->", "<!-- tidegauge:begin, rewritten"])
def test_half_a_note_is_taken_for_peoples_own_text(kept: str) -> None:
    damaged = f"Ours {kept}"
    assert written(damaged, audited("alert.firing", seq=1)).startswith(f"{damaged}\n\n<!--")


def test_it_is_never_longer_than_mlflow_takes() -> None:
    ours = "x" * 3000
    records = [audited("alert.firing", seq=n, reason="y" * 900) for n in range(1, 40)]
    description = written(ours, *records, entries=30)
    assert len(description) <= DESCRIPTION_CHARACTERS
    assert description.startswith(ours) and numbers(description)[:2] == [39, 38]


def test_where_there_is_no_room_there_is_no_note() -> None:
    ours = "x" * DESCRIPTION_CHARACTERS
    assert written(ours, audited("alert.firing", seq=1)) == ours
    grown = written("", audited("alert.firing", seq=1)) + ours
    assert written(grown, audited("alert.firing", seq=2)) == ours
