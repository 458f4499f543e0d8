"""One record that fails is found by halving; an outage, which is of no record, is not."""

from collections.abc import Iterator

from confluent_kafka import KafkaError, KafkaException
from hypothesis import given, strategies as st

from tidegauge.kafka.group_session import Quarantine
from tidegauge.kafka.transaction import is_of_a_record


class Log:
    """Records 0 to ``end`` of one partition, of which some end the session that takes them."""

    def __init__(self, end: int, poison: set[int]) -> None:
        self.end = end
        self.poison = poison
        self.done: list[int] = []
        self.set_aside: list[int] = []
        self.sessions = 0

    def work_off(self, quarantine: Quarantine, batch: int) -> None:
        reached = 0
        while reached < self.end:
            size = min(batch, quarantine.limit or batch)
            taken = range(reached, min(reached + size, self.end))
            if not self.poison & set(taken):
                quarantine.passed(len(taken))
                self.done += taken
            else:
                self.sessions += 1
                if not quarantine.failed({0: reached}, len(taken)):
                    continue
                self.set_aside += taken
            reached = taken.stop


@given(st.integers(1, 200), st.sets(st.integers(0, 199), max_size=5), st.integers(1, 64))
def test_exactly_the_records_that_fail_are_set_aside(
    end: int, poison: set[int], batch: int
) -> None:
    log = Log(end, poison & set(range(end)))
    quarantine = Quarantine()
    log.work_off(quarantine, batch)
    assert set(log.set_aside) == log.poison
    assert log.done == [offset for offset in range(end) if offset not in log.poison]
    # Twice at the first place, then once for each halving of what is left.
    assert log.sessions <= len(log.poison) * 4 * (batch.bit_length() + 1)


def test_one_failure_alone_limits_nothing() -> None:
    quarantine = Quarantine()
    assert not quarantine.failed({0: 5}, 1)
    quarantine.passed(1)
    assert not quarantine.failed({0: 6}, 1)
    assert quarantine.limit is None


def test_the_limit_holds_until_all_that_was_suspected_has_passed() -> None:
    quarantine = Quarantine()
    quarantine.failed({0: 0}, 8)
    quarantine.failed({0: 0}, 8)
    limits = []
    for _ in range(2):
        limits.append(quarantine.limit)
        quarantine.passed(4)
    assert limits == [4, 4] and quarantine.limit is None


def test_a_batch_that_begins_at_other_partitions_too_is_the_same_place() -> None:
    quarantine = Quarantine()
    quarantine.failed({0: 5, 1: 9}, 8)
    quarantine.failed({1: 9}, 6)
    assert quarantine.limit == 3


def errors() -> Iterator[tuple[BaseException, bool]]:
    yield KeyError("status"), True
    yield RecursionError(), True
    yield KafkaException(KafkaError(KafkaError.INVALID_RECORD)), True
    yield KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN)), False
    yield KafkaException(), False
    yield TimeoutError(), False
    yield KeyboardInterrupt(), False


def test_an_outage_is_of_no_record() -> None:
    for error, expected in errors():
        assert is_of_a_record(error) is expected, error


def test_other_partitions_that_go_on_meanwhile_hide_nothing() -> None:
    quarantine, passed, failures = Quarantine(), 100, 0
    while True:
        size = quarantine.limit or 500
        for _ in range(3):  # of another partition, before the record that fails is read again
            passed += size
            quarantine.passed(size)
        size, failures = quarantine.limit or 500, failures + 1
        if quarantine.failed({0: 5, 1: passed}, size):
            break
        assert failures < 40
    assert size == 1
