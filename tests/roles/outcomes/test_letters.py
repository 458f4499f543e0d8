"""Dead letters of OUTCOMES whose topic refuses them."""

from support.counting import NOW
from tidegauge.roles.outcomes.letters import LetterBatches


def test_refused_letters_go_one_by_one_before_they_are_only_counted() -> None:
    now = NOW
    letters = LetterBatches(lambda: now)
    assert letters.are_sent and not letters.alone
    assert letters.failed(alone=False, refused=True) == "go one by one now"
    assert letters.are_sent and letters.alone
    assert letters.failed(alone=True, refused=True) == "are only counted now"
    assert not letters.are_sent
    now += 600
    assert letters.are_sent and not letters.alone


def test_an_outage_of_their_brokers_costs_no_letters_before_it_has_lasted() -> None:
    letters = LetterBatches(lambda: NOW)
    for _ in range(3):
        assert letters.failed(alone=False, refused=False) == "are sent again"
        assert letters.are_sent and not letters.alone
        letters.delivered()
    found = [letters.failed(alone=at > 1, refused=False) for at in range(4)]
    again = "are sent again"
    assert found == [again, "go one by one now", again, "are only counted now"]
