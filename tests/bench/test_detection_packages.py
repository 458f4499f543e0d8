"""The pure parts of measuring other packages: values, calibration, verdicts, comparison."""

import io
import json
import math
import sys

import numpy as np
import pytest
from _answering import answer

import check_peers
from _detection_calibration import (
    NOT_WATCHED,
    Late,
    any_of,
    best,
    loosest,
    of_shares,
    of_streams,
    threshold,
    verdict,
)
from _detection_delay import Delay
from _detection_document import DOCUMENT, MARKER
from _detection_packages import EVERY, HEAD, PEERS, WATCHES, Row
from _detection_parts import PARTS
from _detection_worlds import CATEGORIES, DRIFTS, Drift, Kind, draw, values
from _markers import replace_part
from _peer_process import version
from tidegauge.baseline.binning import numeric_counts


def binned(kind: Kind, drawn: np.ndarray, cuts: list[float]) -> np.ndarray:
    """Count values as the product would, its special bins last."""
    there = drawn[~np.isnan(drawn)]
    missing = len(drawn) - len(there)
    if kind != "categorical":
        return np.array([*numeric_counts(there, cuts), missing, 0])
    known, new = there[there < 200], int((there >= 200).sum())
    counts = np.bincount(np.minimum(known.astype(int), CATEGORIES), minlength=CATEGORIES + 1)
    return np.array([*counts, new, missing])


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda it: it.name)
def test_a_drift_of_the_values_is_the_drift_of_the_shares(drift: Drift) -> None:
    rng = np.random.default_rng(21)
    signals = draw(drift.kind, 1, 10_000, rng)
    cuts = signals.edges[0] if signals.edges else []
    size = 400_000
    changed = drift.change.values(values(drift.kind, (size,), rng), rng)
    expected = drift.shares(signals.shares[0], cuts)
    found = binned(drift.kind, changed, cuts) / size
    # Five standard errors of a share.
    assert np.abs(found - expected).max() < 5 * 0.5 / math.sqrt(size)
    assert np.abs(found - signals.shares[0]).max() > 5 * 0.5 / math.sqrt(size)


def test_heavy_tailed_values_have_the_shares_of_their_world() -> None:
    rng = np.random.default_rng(22)
    signals = draw("heavy-tailed", 1, 10_000, rng)
    found = binned("heavy-tailed", values("heavy-tailed", (400_000,), rng), signals.edges[0])
    assert found / 400_000 == pytest.approx(signals.shares[0], abs=0.004)


def test_just_one_in_so_many_undisturbed_scores_is_above_the_threshold() -> None:
    scores = np.random.default_rng(23).normal(size=6_000)
    assert (scores > threshold(scores, 2_000)).sum() == 3
    assert (scores > threshold(scores, 6_000)).sum() == 1


def test_no_threshold_is_made_of_fewer_scores_than_its_rate_needs() -> None:
    with pytest.raises(ValueError, match="found 1999, expected at least 2000"):
        threshold(np.zeros(1_999), 2_000)


@pytest.mark.parametrize(("strict", "loose"), [(1e-9, 1.0), (1e4, 1e-4)])
def test_a_parameter_is_as_loose_as_the_rate_allows_and_no_looser(
    strict: float, loose: float
) -> None:
    def rate(setting: float) -> float:
        return setting if loose > strict else 1 / (1 + setting)

    found = loosest(rate, strict, loose, 0.01, steps=40)
    assert rate(found) <= 0.01
    assert rate(found) == pytest.approx(0.01)


def test_a_detector_that_is_quiet_at_its_loosest_stays_there() -> None:
    assert loosest(lambda _: 0.0, 1e-9, 0.5, 0.01) == 0.5


def test_a_detector_that_is_never_quiet_is_at_its_strictest() -> None:
    assert loosest(lambda _: 1.0, 1e-9, 0.5, 0.01, steps=60) == pytest.approx(1e-9)


def test_any_of_many_alarms_more_often_than_one() -> None:
    assert any_of(0.0, 20) == 0
    assert any_of(0.05, 20) == pytest.approx(0.6415, abs=1e-4)
    assert any_of(1.0, 20) == 1


def test_a_delay_is_a_bound_where_some_saw_nothing() -> None:
    assert of_shares(0, 600) == Late(600, at_least=True)
    assert of_shares(600, 600) == Late(1.0)
    assert of_streams([2, None], 200) == Late(101.0, at_least=True)
    assert [str(it) for it in (Late(1_234.5), Late(2.0, True), NOT_WATCHED)] == [
        "1,234",
        "> 2.0",
        "",
    ]


def test_a_delay_says_how_many_saw_nothing() -> None:
    assert str(Delay(2.5, 0.125)) == "2.50 ± 0.12"
    assert str(Delay(2.5, 0.125, unseen=3)) == "2.50 ± 0.12, 3 unseen"


def test_the_best_peer_detects_rather_than_alarms_at_random() -> None:
    assert (
        best({"bound": Late(2.0, True), "random": Late(900.0), "none": NOT_WATCHED}, 1_000) is None
    )
    assert best({"slow": Late(400.0), "fast": Late(40.0), "none": NOT_WATCHED}, 1_000) == "fast"


@pytest.mark.parametrize(
    ("ours", "oracle", "peer", "said"),
    [
        (3.0, 2.0, 6.0, "yes"),
        (3.0, 2.0, 5.9, "no"),
        (3.0, 2.0, 4.0, "no"),
        (3.0, 2.0, 3.9, "nobody could be"),
        (3.0, 2.0, 2.9, "nobody could be"),  # as fast, to a tenth
        (3.0, 2.0, 2.8, "slower"),
    ],
)
def test_it_is_said_whether_twice_as_fast_is_possible(
    ours: float, oracle: float, peer: float, said: str
) -> None:
    assert verdict(ours, oracle, peer) == said


def test_a_row_names_the_best_peer_and_has_a_cell_for_every_head() -> None:
    names = ["Evidently", "NannyML", *(str(it) for it in WATCHES)]
    delays = {name: Late(10.0 + i) for i, name in enumerate(names)}
    row = Row("drift", Delay(2.5, 0.1), Delay(2.0, 0.1), delays)
    assert (row.best, row.ratio) == ("Evidently", 4.0)
    assert row.cells()[-3:] == ["Evidently", "4.0", "yes"]
    nobody = Row("drift", Delay(2.5, 0.1), Delay(2.0, 0.1), dict.fromkeys(names, Late(EVERY * 1.0)))
    assert nobody.ratio is None
    assert nobody.cells()[-3:] == ["none", "", "no peer detects"]
    assert len(row.cells()) == len(nobody.cells()) == len(HEAD)


def test_every_peer_has_its_version_pinned() -> None:
    for peer in PEERS:
        package = peer.removeprefix("detection_")
        assert version(package, peer).startswith(f"{package} ")
    with pytest.raises(ValueError, match="no version of unheard-of"):
        version("unheard-of", PEERS[0])


def test_a_peer_answers_line_by_line_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [{"ask": "double", "number": 2}, {"ask": "double", "number": 5}]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(map(json.dumps, questions))))
    monkeypatch.setattr(sys, "stdout", answers := io.StringIO())

    def double(number: int) -> int:
        print("a package says hello")
        return 2 * number

    answer({"double": double})
    assert answers.getvalue() == "4\n10\n"


def some_counts() -> tuple[np.ndarray, np.ndarray]:
    first, second = np.random.default_rng(24).integers(1, 200, size=(2, 5, 12))
    return first, second


@pytest.mark.parametrize("package", check_peers.COMPARISONS)
def test_a_figure_that_a_package_has_otherwise_is_found(package: str) -> None:
    comparisons = check_peers.COMPARISONS[package]
    sides = some_counts()
    same = {it.theirs: it.ours(*sides).tolist() for it in comparisons}
    assert [apart for _, apart in check_peers.differences(comparisons, same, *sides)] == [0] * 5
    for comparison in comparisons:
        for wrong in (0.001, math.nan):
            off = [same[comparison.theirs][0] + wrong, *same[comparison.theirs][1:]]
            found = check_peers.differences(comparisons, same | {comparison.theirs: off}, *sides)
            differing = [it.theirs for it, apart in found if apart > check_peers.TOLERANCE]
            assert differing == [comparison.theirs]


def test_a_package_that_left_figures_out_is_refused() -> None:
    comparisons = check_peers.COMPARISONS["nannyml"]
    sides = some_counts()
    same = {it.theirs: it.ours(*sides).tolist() for it in comparisons}
    with pytest.raises(ValueError, match="expected those compared"):
        list(check_peers.differences(comparisons[1:], same, *sides))
    short = {name: its[1:] for name, its in same.items()}
    with pytest.raises(ValueError, match=r"found \(4,\) figures, not \(5,\)"):
        list(check_peers.differences(comparisons, short, *sides))


@pytest.mark.parametrize("part", PARTS)
def test_the_document_has_the_markers_of_each_part(part: str) -> None:
    begin, end = (MARKER.format(part, it) for it in ("begin", "end"))
    assert "new" in replace_part(DOCUMENT.read_text(), begin, end, "new")
