"""Dead letters of OUTCOMES whose topic refuses them."""

from support.counting import NOW
from tidegauge.roles.outcomes.letters import LetterBatches


def test_refused_letters_go_one_by_one_before_they_are_only_counted() -> None:
    now = NOW
    letters = LetterBatches(lambda: now)
    assert letters.are_sent and not letters.alone
    assert letters.refused(alone=False) == "go one by one now"
    assert letters.are_sent and letters.alone
    assert letters.refused(alone=True) == "are only counted now"
    assert not letters.are_sent
    now += 600
    assert letters.are_sent and not letters.alone
