"""Sessions follow each other until the stop, and none begins after it."""

import threading

from tidegauge.kafka.group_session import SessionError, retry, run_sessions


def test_nothing_is_begun_once_the_worker_is_to_stop() -> None:
    """With brokers that don't answer, a session would wait for them before it notices the stop."""
    stop, begun = threading.Event(), list[str]()
    stop.set()
    retry(lambda: begun.append("work"), stop, errors=(OSError,), failed=print, wait=0)

    def begin() -> "Failing":
        begun.append("session")
        return Failing(stop)

    run_sessions(begin, stop, failed=print)
    assert begun == []


class Failing:
    """A session that is told to stop while it works, and then fails."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.closed = 0

    def run(self, stop: threading.Event) -> None:
        self._stop.set()
        raise SessionError("no answer")

    def close(self) -> None:
        self.closed += 1


def test_a_session_that_fails_while_the_worker_stops_is_the_last_one() -> None:
    stop, said = threading.Event(), list[str]()
    session = Failing(stop)
    run_sessions(lambda: session, stop, failed=lambda error: said.append(str(error)))
    assert (session.closed, said) == (1, ["no answer"])
