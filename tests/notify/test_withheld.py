"""What a receiver is told of alerts that are silenced for some of their life."""

from hypothesis import given, strategies as st

from support.alerts import example_alert
from tidegauge.contract.alert import Alert
from tidegauge.contract.silence import Matchers, Silence, Withheld
from tidegauge.notify.withholding import is_waiting, step, was_notified


def silence(*, reminders_only: bool = False) -> Silence:
    return Silence(
        id="s", who="ann", why="", since=0.0, until=None, matchers=Matchers(),
        reminders_only=reminders_only,
    )  # fmt: skip


class Receiver:
    """A receiver's courier without Kafka: what is told, and what waits."""

    def __init__(self) -> None:
        self.kept: Withheld | None = None
        self.told: list[tuple[int, str]] = []

    def take(self, alert: Alert, silence: Silence | None = None) -> None:
        todo = step(self.kept, alert, silence)
        if todo.deliver:
            self._tell(alert)
        if todo.keep in ("this", "over"):
            self.kept = Withheld(
                receiver="r", partition=0, offset=0, alert=alert, silence="s",
                told=was_notified(self.kept, alert),
            )  # fmt: skip
        if todo.keep in ("nothing", "over"):
            self.kept = None

    def release(self) -> None:
        if self.kept is not None and is_waiting(self.kept):
            self._tell(self.kept.alert)
        self.kept = None

    def _tell(self, alert: Alert) -> None:
        what = f"reminder {alert.reminder}" if alert.reminder else alert.state
        self.told.append((alert.starts_at, what))


def alert(episode: int, state: str = "firing", reminder: int = 0) -> Alert:
    return example_alert(state, starts_at=episode, reminder=reminder)


def told(*steps: tuple[Alert, bool] | None) -> list[str]:
    """Return what a receiver is told of alerts, each silenced or not; None: the silence ends."""
    receiver = Receiver()
    for one in steps:
        if one is None:
            receiver.release()
        else:
            receiver.take(one[0], silence() if one[1] else None)
    return [what for _, what in receiver.told]


def test_what_fires_still_is_told_when_the_silence_ends() -> None:
    assert told((alert(1), True)) == []
    assert told((alert(1), True), None) == ["firing"]
    assert told((alert(1), True), None, (alert(1, "resolved"), False)) == ["firing", "resolved"]


def test_of_what_begins_and_ends_in_silence_nothing_is_told() -> None:
    assert told((alert(1), True), (alert(1, "resolved"), True), None) == []
    # The silence may end between the two, before anybody could tell.
    assert told((alert(1), True), (alert(1, "resolved"), False), None) == []


def test_the_end_of_what_was_told_is_told_at_once() -> None:
    assert told((alert(1), False), (alert(1, "resolved"), True)) == ["firing", "resolved"]
    reminded = [(alert(1), False), (alert(1, reminder=1), True), (alert(1, "resolved"), True), None]
    assert told(*reminded) == ["firing", "resolved"]


def test_of_reminders_the_last_is_told_and_none_before_the_beginning() -> None:
    one, two = (alert(1, reminder=1), True), (alert(1, reminder=2), True)
    assert told((alert(1), False), one, two, None) == ["firing", "reminder 2"]
    assert told((alert(1), True), one, two, None) == ["firing"]


def test_reminders_of_what_somebody_has_seen_are_told_never() -> None:
    receiver = Receiver()
    receiver.take(alert(1))
    receiver.take(alert(1, reminder=1), silence(reminders_only=True))
    receiver.release()
    receiver.take(alert(1, "resolved"))
    assert [what for _, what in receiver.told] == ["firing", "resolved"]


def test_a_state_between_keeps_that_the_receiver_was_never_told() -> None:
    between = alert(1)
    between.state = "pending"  # any that is neither the beginning nor the end
    assert told((alert(1), True), (between, True), (alert(1, "resolved"), True), None) == []
    assert told((alert(1), False), (between, True), (alert(1, "resolved"), True)) == [
        "firing",
        "resolved",
    ]


def test_a_rise_in_severity_is_no_beginning_and_neither_is_data_that_comes_again() -> None:
    for change in ({"raised": 1}, {"was": "firing"}):
        again = example_alert(starts_at=1, **change)
        end = alert(1, "resolved")
        assert told((alert(1), False), (again, True), (end, True)) == ["firing", "resolved"]
        assert told((alert(1), True), (again, True), (end, True), None) == []
        assert told((alert(1), True), (again, True), None) == ["firing"]


def test_an_end_that_comes_again_after_a_crash_is_told_no_more_than_before() -> None:
    receiver = Receiver()
    receiver.take(alert(1), silence())
    receiver.kept = Withheld(  # written, and then the process died before it committed
        receiver="r", partition=0, offset=1, alert=alert(1, "resolved"), silence="s"
    )
    assert not is_waiting(receiver.kept)
    receiver.take(alert(1, "resolved"), silence())
    assert receiver.told == [] and receiver.kept is None


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans(), st.booleans()), max_size=8)
)
def test_each_episode_is_told_from_its_beginning_to_its_end_or_not_at_all(
    lives: list[tuple[int, bool, bool, bool]],
) -> None:
    """Each life: how many reminders, and what of it is silenced."""
    receiver = Receiver()
    for episode, (reminders, first, later, last) in enumerate(lives):
        receiver.take(alert(episode), silence() if first else None)
        for n in range(1, reminders + 1):
            if not later:  # whatever silenced it before is over
                receiver.release()
            receiver.take(alert(episode, reminder=n), silence() if later else None)
        if not last:
            receiver.release()
        receiver.take(alert(episode, "resolved"), silence() if last else None)
        assert receiver.kept is None
    by_episode: dict[int, list[str]] = {}
    for episode, what in receiver.told:
        by_episode.setdefault(episode, []).append(what)
    assert list(by_episode) == sorted(by_episode)
    for episode, (_, first, _, _) in enumerate(lives):
        said = by_episode.get(episode, [])
        assert said == [] or (said[0], said[-1]) == ("firing", "resolved"), said
        assert said.count("firing") <= 1 and said.count("resolved") <= 1
        assert first or said, "what nobody silenced at its beginning is told"
