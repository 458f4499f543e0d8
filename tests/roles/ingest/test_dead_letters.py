"""The fallback levels: how much of a dead letter is sent while its topic refuses them."""

from support.counting import a_counter, a_tenure, count
from tidegauge.contract.dead_letter import DeadLetter
from tidegauge.roles.ingest.recovery import RETRY_SECONDS, DeadLetterFallback, to_send


class Climber:
    def __init__(self) -> None:
        self.now = 50.0
        self.fallback = DeadLetterFallback(topic="dead", clock=lambda: self.now)


def letters(n: int = 1) -> list[DeadLetter]:
    counter = a_counter()
    count(counter, a_tenure(), [b"bad"] * n)
    return counter.dead_letters


def test_every_refusal_is_one_step_down_and_the_last_rung_is_the_last() -> None:
    one = Climber()
    seen = [one.fallback.level]
    for _ in range(3):
        one.fallback.refused("too large")
        seen.append(one.fallback.level)
    assert seen == ["full", "bare", "counted", "counted"]


def test_after_its_time_whole_letters_are_tried_again() -> None:
    one = Climber()
    one.fallback.refused("too large")
    one.now += RETRY_SECONDS - 1
    one.fallback.refused("too large")
    one.now += RETRY_SECONDS - 1
    assert one.fallback.level == "counted"
    one.now += 1
    assert one.fallback.level == "full"
    assert one.fallback.condition() == ("ok", "")
    one.fallback.refused("too large")
    assert one.fallback.level == "bare", "from the top again, one step at a time"


def test_letters_that_alone_came_to_nothing_are_a_refusal_the_second_time_in_a_row() -> None:
    one = Climber()
    one.fallback.undelivered("timed out")
    assert one.fallback.level == "full"
    one.fallback.committed([], "full")
    assert one.fallback.level == "full"
    one.fallback.undelivered("timed out")
    assert one.fallback.level == "bare"
    one.fallback.undelivered("timed out")
    assert one.fallback.level == "bare", "each rung gets the same patience"


def test_letters_that_arrive_in_between_clear_the_suspicion_and_so_does_time() -> None:
    one = Climber()
    one.fallback.undelivered("timed out")
    one.fallback.committed(letters(), "full")
    one.fallback.undelivered("timed out")
    assert one.fallback.level == "full"
    one.now += RETRY_SECONDS
    one.fallback.undelivered("timed out")
    assert one.fallback.level == "full"


def test_a_flush_sends_what_its_rung_allows() -> None:
    waiting = letters(2)
    assert to_send(waiting, "full") == waiting
    bare = to_send(waiting, "bare")
    assert [(one.payload, one.payload_truncated) for one in bare] == [(None, True)] * 2
    assert [one.payload_bytes for one in bare] == [3, 3]
    assert to_send(waiting, "counted") == []
    assert waiting[0].payload == "bad", "what waits stays whole"


def test_a_redacted_letter_stays_one() -> None:
    counter = a_counter(redact_dead_letters=True)
    count(counter, a_tenure(), [b"bad"])
    [bare] = to_send(counter.dead_letters, "bare")
    assert (bare.payload, bare.payload_truncated) == (None, False)


def test_readiness_says_why_how_many_and_until_when() -> None:
    one = Climber()
    one.fallback.refused("MSG_SIZE_TOO_LARGE")
    assert one.fallback.condition() == (
        "degraded",
        "topic dead refuses dead letters (MSG_SIZE_TOO_LARGE): they go without payload; "
        "whole ones are tried again in 10 min",
    )
    one.fallback.refused("MSG_SIZE_TOO_LARGE")
    one.fallback.committed(letters(12), "counted")
    one.now += RETRY_SECONDS / 2
    assert one.fallback.condition() == (
        "degraded",
        "topic dead refuses dead letters (MSG_SIZE_TOO_LARGE): they are only counted; "
        "12 were not sent since the process began; whole ones are tried again in 5 min",
    )
    one.now += RETRY_SECONDS / 2
    assert one.fallback.condition() == ("ok", "12 were not sent since the process began")
