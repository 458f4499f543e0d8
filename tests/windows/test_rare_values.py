"""Categories that a baseline met by luck, or missed by bad luck, are no drift; new ones are."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.feeds import Row, baseline, run
from tidegauge.audit import verify
from tidegauge.baseline import (
    Baseline,
    CategoricalSignal,
    current_counts,
    rare_values_unknown,
    reference_counts,
    reference_excess,
)
from tidegauge.baseline.io import build
from tidegauge.baseline.io.signals import categorical_signal
from tidegauge.contract import SignalHistogram
from tidegauge.sequential import Budget, Memory, WindowBatch
from tidegauge.windows.evidence import BaselineLayout
from tidegauge.windows.hours import _of_new_rows
from tidegauge.windows.quality import quality_of

WINDOWS = 150


def zipf(levels: int, power: float) -> np.ndarray:
    """Shares of categories, the commonest first."""
    shares = 1 / np.arange(1, levels + 1) ** power
    return shares / shares.sum()


def name_of(level: int) -> str:
    return f"v{level:05d}"


def signal_of(shares: np.ndarray, rows: int, seed: int) -> CategoricalSignal:
    counts = np.random.default_rng(seed).multinomial(rows, shares)
    there = Counter({name_of(at): int(count) for at, count in enumerate(counts) if count})
    return categorical_signal(there, kind="string", are_text=False, missing=0)


def based_on(signal: CategoricalSignal) -> Baseline:
    return Baseline(
        model="m", version="1", rows=sum(signal.counts), source="x", signals={"x": signal}
    )


def bins_of(signal: CategoricalSignal, shares: np.ndarray) -> np.ndarray:
    """Shares of the signal's bins, by the shares of its categories."""
    own = {name: at for at, name in enumerate(signal.categories)}
    other, known = len(own), set(signal.known)
    new = other + 1 if signal.known_complete else other
    place = [
        own.get(name, other if name in known else new) for name in map(name_of, range(len(shares)))
    ]
    return np.bincount(place, shares, minlength=other + 2)


def drawn(signal: CategoricalSignal, shares: np.ndarray, events: int, seed: int) -> np.ndarray:
    """Draw the counts of windows, (windows, bins of values)."""
    return np.random.default_rng(seed).multinomial(events, bins_of(signal, shares), size=WINDOWS)


def in_alarm(signal: CategoricalSignal, windows: np.ndarray) -> np.ndarray:
    """Which windows are in alarm."""
    return alarms_of(based_on(signal), windows)


def alarms_of(baseline: Baseline, windows: np.ndarray) -> np.ndarray:
    """Do that for the one signal of a baseline."""
    reference = BaselineLayout.of(baseline).reference
    table = np.zeros((len(windows), 1, reference.counts.shape[-1]))
    table[:, 0, : windows.shape[1]] = windows / baseline.design_effect(*baseline.signals)
    budget = Budget(1.0, 43_200.0)
    batch = WindowBatch(reference, Memory.empty(*reference.counts.shape), table, [budget])
    return batch.beyond(1.0)[:, 0]


RARE = [
    pytest.param(200, 1.5, 2_000, id="unseen 2.4 %"),
    pytest.param(1_000, 1.0, 10_000, id="unseen 1.7 %"),
    pytest.param(1_000, 0.0, 3_000, id="unseen 5 %, all alike"),
    pytest.param(8_000, 1.0, 100_000, id="more than are kept"),
    pytest.param(8_000, 0.0, 100_000, id="twenty by luck of 8,000 alike"),
    pytest.param(30, 0.0, 10_000, id="twenty by luck of 30 alike"),
    pytest.param(100, 0.0, 10_000, id="twenty by luck of 100 alike"),
]


@pytest.mark.parametrize(("levels", "power", "rows"), RARE)
@pytest.mark.parametrize("events", [200, 5_000])
def test_a_baseline_that_missed_values_by_chance_raises_no_alarm(
    levels: int, power: float, rows: int, events: int
) -> None:
    shares = zipf(levels, power)
    for seed in range(3):
        signal = signal_of(shares, rows, seed)
        windows = drawn(signal, shares, events, seed + 100)
        assert not in_alarm(signal, windows).any()
        for window in windows[:20].tolist():
            found = quality_of(SignalHistogram(counts=window), signal)
            assert found is None or found.unseen_excess == 0.0


def test_what_is_new_is_expected_as_often_as_the_baseline_saw_values_once() -> None:
    counts = Counter({"a": 60, "b": 30, "c": 5, **{f"r{at}": 1 for at in range(25)}})
    signal = categorical_signal(counts, kind="string", are_text=False, missing=0)
    assert signal.rare
    assert signal.rare.seen_once == 25
    assert reference_counts(signal)[-4] == 25
    assert sum(reference_counts(signal)) == 120
    twice = categorical_signal(
        counts | Counter({"r1": 2, "r2": 2}), kind="string", are_text=False, missing=0
    )
    assert reference_excess(twice)[-4] == pytest.approx(2 * 2 / 23, rel=1e-3)


def test_a_baseline_that_knows_every_value_well_is_compared_by_its_counts() -> None:
    """So what is new is found as soon as it ever was."""
    signal = signal_of(zipf(15, 1.0), 10_000, 1)
    assert reference_counts(signal)[:-3] == signal.counts
    assert reference_excess(signal) == []
    assert not rare_values_unknown(signal)


@pytest.mark.parametrize(
    ("levels", "power", "rows", "share", "within"),
    [(15, 1.0, 10_000, 0.02, 3), (200, 1.5, 2_000, 0.1, 3), (1_000, 1.0, 10_000, 0.1, 3)],
)
def test_a_new_value_beyond_what_is_expected_is_found_at_once(
    levels: int, power: float, rows: int, share: float, within: int
) -> None:
    shares = zipf(levels, power)
    for seed in range(3):
        signal = signal_of(shares, rows, seed)
        drifted = np.append(shares * (1 - share), share)  # of a value with a name of its own
        assert in_alarm(signal, drawn(signal, drifted, 200, seed))[:within].any()


@pytest.mark.parametrize("rows", [5, 500])
def test_fewer_new_values_than_expected_are_no_drift(rows: int) -> None:
    counts = Counter({"a": rows - 4, "b": 1, "c": 1, "d": 1, "e": 1})  # and there are no others
    signal = categorical_signal(counts, kind="string", are_text=False, missing=0)
    shares = np.array([rows - 4, 1, 1, 1, 1, 0, 0]) / rows
    windows = np.random.default_rng(1).multinomial(5_000, shares, size=WINDOWS)
    assert not in_alarm(signal, windows).any()


class Users:
    """Users with a city each, which ``stay`` of their rows have, and their windows."""

    def __init__(self, sizes: np.ndarray, shares: np.ndarray, seed: int, stay: float = 1.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.sizes, self.shares, self.stay = sizes, shares, stay
        self.home = self._home(len(sizes))

    def _home(self, users: int) -> np.ndarray:
        return self.rng.choice(len(self.shares), size=users, p=self.shares)

    def _cities(self, home: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        found = np.repeat(home, sizes)
        return np.where(self.rng.random(len(found)) < self.stay, found, self._home(len(found)))

    def baseline(self, path: Path, *, entity: bool = True, time: bool = False) -> Baseline:
        """Build that of their rows, one user after the other."""
        columns = {"city": [name_of(it) for it in self._cities(self.home, self.sizes)]}
        if entity:
            columns["user"] = np.repeat(np.arange(len(self.sizes)), self.sizes).astype(str).tolist()
        table = pa.table(columns)
        if time:
            table = table.append_column("at", [np.arange(table.num_rows) * 60.0])
        pq.write_table(table, path / "rows.parquet")
        options = {"entity": "user" if entity else None, "time": "at" if time else None}
        return build(
            path / "rows.parquet", model="m", version="1", warn=lambda message: None, **options
        ).baseline

    def windows(self, signal: CategoricalSignal, *, again: bool, new: float = 0.0) -> np.ndarray:
        """Draw windows of 1,000 events of new users, or of the same ones ``again``.

        ``new`` is the share of users in a city that there was not before.
        """
        own = {name: at for at, name in enumerate(signal.categories)}
        other, known = len(own), set(signal.known)
        found = []
        for _ in range(WINDOWS):
            users = self.rng.permutation(len(self.sizes))
            users = users[: np.searchsorted(np.cumsum(self.sizes[users]), 1_000) + 1]
            home = self.home[users] if again else self._home(len(users))
            home = np.where(self.rng.random(len(users)) < new, 99_999, home)
            names = map(name_of, self._cities(home, self.sizes[users]).tolist())
            unseen = other + signal.known_complete
            places = [own.get(it, other if it in known else unseen) for it in names]
            found.append(np.bincount(places, minlength=other + 2))
        return np.array(found)


FIVE = np.full(2_000, 5)
SIZES = np.random.default_rng(9).geometric(0.2, size=2_000)
HEAVY = np.ceil(np.random.default_rng(9).lognormal(1, 1.2, size=2_000)).astype(int)


def _city(baseline: Baseline) -> CategoricalSignal:
    signal = baseline.signals["city"]
    assert isinstance(signal, CategoricalSignal)
    return signal


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("sizes", "shares", "stay"),
    [
        pytest.param(FIVE, zipf(300, 1.2), 1.0, id="five rows each"),
        pytest.param(FIVE, zipf(1_000, 0.0), 1.0, id="all cities alike"),
        pytest.param(FIVE, zipf(100, 0.0), 1.0, id="twenty by luck"),
        pytest.param(FIVE, zipf(300, 1.2), 0.7, id="some rows elsewhere"),
        pytest.param(np.full(300, 30), zipf(300, 1.2), 1.0, id="few users"),
        pytest.param(SIZES, zipf(300, 1.2), 1.0, id="users of different sizes"),
        pytest.param(HEAVY, zipf(300, 1.2), 1.0, id="users of very different sizes"),
        pytest.param(np.append(FIVE, 2_500), zipf(300, 1.2), 1.0, id="a bot with a fifth"),
        pytest.param(FIVE, zipf(12_000, 0.0), 1.0, id="more than are kept, all alike"),
    ],
)
def test_values_that_no_entity_of_the_baseline_had_raise_no_alarm(
    tmp_path: Path, sizes: np.ndarray, shares: np.ndarray, stay: float, again: bool
) -> None:
    """Nor do the same entities with the values that they had."""
    users = Users(sizes, shares, 1, stay)
    baseline = users.baseline(tmp_path)
    assert not alarms_of(baseline, users.windows(_city(baseline), again=again)).any()


@pytest.mark.parametrize(("entity", "time"), [(False, False), (True, True)])
def test_so_it_is_by_the_order_of_rows_and_with_times(
    tmp_path: Path, entity: bool, time: bool
) -> None:
    users = Users(FIVE, zipf(300, 1.2), 1)
    baseline = users.baseline(tmp_path, entity=entity, time=time)
    for again in (False, True):
        assert not alarms_of(baseline, users.windows(_city(baseline), again=again)).any()


def test_as_many_rows_are_expected_to_be_new_as_are_of_one_entity_alone(tmp_path: Path) -> None:
    users = Users(FIVE, zipf(300, 1.2), 1)
    found = _city(users.baseline(tmp_path)).rare
    entities = np.bincount(users.home)
    once, twice = (entities == 1).sum(), (entities == 2).sum()
    assert found and found.expected[-1] == 5 * once
    assert found.excess[-1] == pytest.approx(2 * twice / once, rel=1e-3)
    assert sum(found.expected) == 10_000


def test_entities_of_one_row_each_are_rows(tmp_path: Path) -> None:
    users = Users(np.full(2_000, 1), zipf(300, 1.2), 1)
    found = [_city(users.baseline(tmp_path, entity=it)) for it in (True, False)]
    assert found[0] == found[1]


def test_a_city_that_is_new_to_a_tenth_of_the_users_is_found(tmp_path: Path) -> None:
    users = Users(FIVE, zipf(300, 1.2), 1)
    baseline = users.baseline(tmp_path)
    windows = users.windows(_city(baseline), again=False, new=0.1)
    assert alarms_of(baseline, windows)[:5].any()


def test_hours_expect_new_values_too() -> None:
    signal = signal_of(zipf(200, 1.5), 2_000, 1)
    hours = np.tile([*signal.counts, 0, 0, 0], (24, 1))
    found = _of_new_rows(signal, hours)
    assert found == pytest.approx(np.tile(reference_counts(signal), (24, 1)))


def old(signal: CategoricalSignal) -> CategoricalSignal:
    """Return the same as release 0.1.0 wrote it."""
    return msgspec.structs.replace(signal, rare=msgspec.UNSET)


def test_of_an_old_baseline_new_values_count_as_other_and_its_budget_says_so() -> None:
    signal = old(signal_of(zipf(200, 1.5), 2_000, 1))
    window = SignalHistogram(counts=[10] * (len(signal.counts) - 2) + [20, 7])
    assert rare_values_unknown(signal)
    assert current_counts(signal, window)[-5:] == [27, 0, 0, 0, 0]
    assert "rare_values_unknown" in BaselineLayout.of(based_on(signal)).reasons
    known = old(signal_of(zipf(15, 1.0), 10_000, 1))
    assert not rare_values_unknown(known)
    assert current_counts(known, SignalHistogram(counts=[9] * 15 + [0, 7]))[-4] == 7
    assert "rare_values_unknown" not in BaselineLayout.of(based_on(known)).reasons


def _regions(share_of_new: float) -> tuple[Baseline, Callable[[Row, int, int], None]]:
    shares = zipf(200, 1.5)
    known = baseline()
    known.signals["region"] = signal_of(shares, 2_000, 3)
    rng = np.random.default_rng(4)

    def change(row: Row, window: int, at: int) -> None:
        new = window >= 2 and rng.random() < share_of_new
        row["features"]["region"] = "new" if new else name_of(int(rng.choice(200, p=shares)))
        row["segments"] = {}

    return known, change


def test_no_rule_says_anything_of_values_that_the_baseline_missed_by_chance() -> None:
    known, change = _regions(0.0)
    found = run(change, known=known, windows=5, events=1_300)
    assert found.fired == []
    assert found.reports[0].parts[0].signals["region"].unseen_share > 0.01


def test_an_alert_on_values_beyond_those_can_be_computed_again() -> None:
    known, change = _regions(0.06)
    found = run(change, known=known, windows=5, events=1_300)
    alerts = [it for it in found.alerts if it.metric == "surprise" and it.evidence]
    assert alerts[0].evidence is not None and alerts[0].distribution is not None
    assert alerts[0].distribution.excess is not None
    assert [it for it in verify(alerts[0]) if not it.holds] == []
