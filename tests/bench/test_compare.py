"""The pure parts of the benchmark: the stream, numpy's count of it, figures, ratios, document."""

import json
from bisect import bisect_right
from collections import Counter
from itertools import pairwise

import pytest
from _counting import Counter as PeersCounter

from _contestants import TIDEGAUGE_JSON
from _document import (
    BEGIN,
    DOCUMENT,
    END,
    Row,
    Section,
    as_markdown,
    as_text,
    summary,
)
from _fill import _arrow, json_events
from _job import Signal
from _markers import replace_part
from _tally import (
    Figures,
    Mark,
    Sample,
    TooShortError,
    WrongCountsError,
    check_counts,
    figures,
    medians,
    ratios,
)
from _workload import WINDOW_SECONDS, Expected, Workload
from compare import long_enough
from support.counting import LIMITS
from tidegauge.counting.decode.arrow_stream import Streams

START = 1_700_000_040.0  # a multiple of the window
MIXED = Workload(
    "mixed", "", 3_000, numeric=2, categorical=2, missing=0.1, models=3, compression="none"
)


def events_of(workload: Workload) -> list[dict]:
    return [
        json.loads(v) for chunk in workload.chunks(START) for _, v in json_events(workload, chunk)
    ]


def counted(workload: Workload) -> dict[tuple[str, int], list[int]]:
    expected = Expected(workload)
    for chunk in workload.chunks(START):
        expected.add(chunk)
    return expected.counts


def bin_of(signal: Signal, event: dict) -> int:
    """Say by definition where an event belongs in a signal's counts."""
    place = event["features"] if signal.is_feature else event
    if signal.name not in place:
        return signal.bins
    value = place[signal.name]
    if value is None:
        return signal.bins + 1
    if signal.edges is not None:
        return sum(edge <= value for edge in signal.edges)
    names = signal.categories or []
    return names.index(value) if value in names else len(names)


def test_numpys_counts_are_those_of_the_written_events_one_by_one() -> None:
    found: dict[tuple[str, int], list[list[int]]] = {}
    for event in events_of(MIXED):
        key = event["model"], int(event["time"] // WINDOW_SECONDS * WINDOW_SECONDS)
        counts = found.setdefault(key, [[0] * s.width for s in MIXED.signals])
        for signal, of in zip(MIXED.signals, counts, strict=True):
            of[bin_of(signal, event)] += 1
    flat = {key: [n for signal in counts for n in signal] for key, counts in found.items()}
    assert counted(MIXED) == flat
    assert len(flat) == 3 * 5  # models, windows
    widths = [s.width for s in MIXED.signals]
    for i in range(4):  # every kind of hole occurs in every feature
        end = sum(widths[: i + 1])
        assert min(sum(counts[end - 2] for counts in flat.values()), flat[key][end - 1]) > 0


def test_numpys_counts_of_segments_are_those_of_the_written_events() -> None:
    workload = Workload("segments", "", 2_000, numeric=2, models=2, segments=3)
    found: Counter[tuple[str, int]] = Counter()
    for event in events_of(workload):
        start = int(event["time"] // WINDOW_SECONDS * WINDOW_SECONDS)
        (region,) = event["segments"].values()
        found[event["model"], start] += 1
        found[f"{event['model']}, region={region}", start] += 1
    expected = counted(workload)
    signals = len(workload.signals)
    assert {key: sum(counts) for key, counts in expected.items()} == {
        key: n * signals for key, n in found.items()
    }
    assert len(found) == 2 * (1 + 3) * 5


def test_the_peers_counter_counts_what_numpy_counts() -> None:
    counter = PeersCounter(
        [
            {f: getattr(s, f) for f in ("name", "is_feature", "edges", "categories")}
            for s in MIXED.signals
        ]
    )
    found: dict[tuple[str, int], list[list[int]]] = {}
    for event in events_of(MIXED):
        key = event["model"], int(event["time"] // WINDOW_SECONDS * WINDOW_SECONDS)
        counter.add_event(found.setdefault(key, counter.empty()), event)
    check_counts(
        {key: [n for signal in counts for n in signal] for key, counts in found.items()},
        counted(MIXED),
        "the peers' counter",
    )


def test_arrow_batches_hold_the_rows_of_the_stream() -> None:
    workload = Workload("arrow", "", 1_500, numeric=2, batch_rows=500)
    (chunk,) = workload.chunks(START)
    batches = [Streams(LIMITS).read(value) for _, value in _arrow(workload, chunk)]
    times = [time for batch in batches for time in batch.times().tolist()]
    assert times == chunk.times.tolist()
    rows = [row for batch in batches for some in batch.rows(None, ()) for row in some]
    assert [row["features"]["f1"] for row in rows] == chunk.numeric[1].tolist()


def test_a_batch_that_does_not_fill_the_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of the batch"):
        Workload("arrow", "", 1_200, batch_rows=500)


def test_a_shorter_stream_spans_the_same_windows() -> None:
    starts = {start for _, start in counted(Workload("small", "", 200))}
    assert starts == {start for _, start in counted(Workload("small", "", 2_000))}


def test_edges_of_the_bins_rise() -> None:
    for signal in Workload("small", "", 100).signals:
        assert signal.edges is not None
        assert all(a < b for a, b in pairwise(signal.edges))
        assert signal.bins == bisect_right(signal.edges, float("inf")) + 1


@pytest.mark.parametrize(
    "wrong", [{("m", 60): [1, 2]}, {("m", 60): [1, 3], ("m", 0): [1, 1]}, {("m", 60): [4]}, {}]
)
def test_counts_that_differ_are_refused_with_the_place(wrong: dict) -> None:
    with pytest.raises(WrongCountsError, match=r"peer: window .* of m"):
        check_counts(wrong, {("m", 60): [1, 3]}, "peer")


def test_windows_of_the_closing_events_are_not_compared() -> None:
    check_counts({("m", 60): [1, 3], ("m", 300): [4, 0]}, {("m", 60): [1, 3]}, "peer")


def test_a_rate_is_of_the_stretch_between_warm_up_and_the_end() -> None:
    # Slow at first, then 100 a second; the last mark came two seconds late.
    marks = [Mark(10, 5.0), Mark(40, 10.0), Mark(60, 10.2), Mark(90, 10.5), Mark(100, 12.6)]
    samples = [Sample(0.0, 0.0, 7_000_000), Sample(20.0, 10.0, 9_000_000)]
    found = figures(marks, samples, 100)
    assert found.per_second == pytest.approx(100)
    assert found.per_cpu_second == pytest.approx(200)
    assert found.megabytes == 9


@pytest.mark.parametrize("marks", [[], [Mark(50, 1.0)], [Mark(10, 1.0), Mark(100, 2.0)]])
def test_too_few_marks_are_no_rate(marks: list[Mark]) -> None:
    with pytest.raises(ValueError, match="use more events"):
        figures(marks, [Sample(0.0, 0.0, 1), Sample(20.0, 10.0, 1)], 100)


def test_a_stretch_without_samples_is_no_rate() -> None:
    with pytest.raises(ValueError, match="no sample"):
        figures([Mark(40, 1.0), Mark(90, 9.0)], [Sample(0.0, 0.0, 1), Sample(2.0, 1.0, 1)], 100)


class FakeArena:
    """Notes how long the streams were that it was asked for."""

    def __init__(self) -> None:
        self.filled: list[int] = []
        self.deleted: list[int] = []

    def fill(self, workload: Workload) -> int:
        self.filled.append(workload.events)
        return workload.events

    def delete(self, filled: int) -> None:
        self.deleted.append(filled)


@pytest.mark.parametrize(
    ("per_second", "runs", "needed"),
    [(100_000, [2_000_000], 2_000_000), (700_000, [2_000_000], 6_000_000),
     (3_000_000, [2_000_000, 8_000_000], 24_000_000)],
)  # fmt: skip
def test_a_stream_is_long_enough_for_the_machine(
    per_second: int, runs: list[int], needed: int
) -> None:
    def run(_: object, events: int) -> Figures:
        seconds = 0.6 * events / per_second
        if seconds < 1:
            raise TooShortError
        return Figures(per_second, per_second, seconds, 1)

    at, workload = FakeArena(), Workload("small", "", 2_000_000)
    found = long_enough(at, workload, [TIDEGAUGE_JSON], {TIDEGAUGE_JSON.name: run})
    assert found.events == needed
    assert at.filled == at.deleted == runs


def test_medians_are_taken_figure_by_figure() -> None:
    runs = [Figures(1, 30, 5, 9), Figures(3, 10, 4, 8), Figures(2, 20, 6, 7)]
    assert medians(runs) == Figures(2, 20, 5, 8)


def a_section() -> Section:
    rates = {"tidegauge_json": 300.0, "kafka_streams": 100.0, "naive_faust": 3.0}
    return Section(
        "small",
        "300 B",
        287.4,
        "lz4",
        1,
        [
            Row(name, name, 9_000, one, [one])
            for name, one in ((n, Figures(rate, rate, 1, 50)) for n, rate in rates.items())
        ],
    )


def test_ratios_are_ours_over_theirs_and_only_of_who_was_measured() -> None:
    assert ratios(a_section().rates) == {"kafka_streams": 3.0, "naive_faust": 100.0}
    assert ratios({"kafka_streams": 1.0}) == {}


def test_the_last_line_and_the_tables_say_the_same() -> None:
    line = summary([a_section()], {})
    assert line["rates"] == {"tidegauge_json": 300, "kafka_streams": 100, "naive_faust": 3}
    assert line["ratios"]["kafka_streams"] == 3.0
    assert json.loads(json.dumps(line)) == line
    for text in (as_text([a_section()]), as_markdown([a_section()], {}, "about")):
        assert "naive_faust" in text
        assert "3.00" in text  # ours over Kafka Streams


def test_who_could_not_run_is_named() -> None:
    assert "Not run: Bytewax: no wheel" in as_markdown([a_section()], {"Bytewax": "no wheel"}, "")


def test_only_the_part_between_the_markers_is_replaced() -> None:
    before = f"# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    assert replace_part(before, BEGIN, END, "new") == f"# Title\n\n{BEGIN}\nnew\n{END}\n\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_document_without_its_markers_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="bench/compare"):
        replace_part(text, BEGIN, END, "new")


def test_the_document_has_the_markers() -> None:
    assert "new" in replace_part(DOCUMENT.read_text(), BEGIN, END, "new")
