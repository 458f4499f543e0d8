import threading

from tidegauge.producer.counters import Counters, DropReport, Tally


def test_a_tally_is_exact_from_many_threads_while_it_is_read() -> None:
    tally = Tally()
    seen: list[int] = []

    def count() -> None:
        for _ in range(20_000):
            tally.increment()
        tally.add(5)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.append(tally.value)
    for thread in threads:
        thread.join()
    assert tally.value == 8 * 20_005
    assert tally.value == 8 * 20_005  # reading changes nothing
    assert seen == sorted(seen)


def test_a_snapshot_adds_up() -> None:
    counters = Counters()
    counters.logged.add(10)
    counters.delivered.add(6)
    counters.drop("queue_full", "full")
    counters.drop("unencodable", "a list", 2)
    stats = counters.snapshot()
    assert (stats.logged, stats.delivered, stats.dropped_total, stats.in_flight) == (10, 6, 3, 1)
    assert stats.dropped["queue_full"] == 1
    assert stats.dropped["unencodable"] == 2
    assert stats.dropped["closed"] == 0


def test_drops_are_told_at_most_once_a_minute_for_each_reason() -> None:
    counters = Counters()
    report = DropReport(counters, "prediction")
    assert report.lines(0.0) == []
    counters.drop("queue_full", "first")
    assert report.lines(1.0) == ["dropped 1 prediction event(s), 1 in all: queue_full (first)"]
    counters.drop("queue_full", "second")
    counters.drop("unencodable", "a list")
    assert report.lines(2.0) == ["dropped 1 prediction event(s), 1 in all: unencodable (a list)"]
    counters.drop("queue_full", "third")
    assert report.lines(60.9) == []
    assert report.lines(61.0) == ["dropped 2 prediction event(s), 3 in all: queue_full (third)"]
    assert report.lines(500.0) == []
