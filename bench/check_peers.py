"""Our figures against those of Evidently and NannyML, by the packages themselves, on random counts.

    python bench/check_peers.py [--seed 1] [--pairs 200]

Each package runs in an environment of its own, gets values that make the counts, and answers with
its figures; ours are converted to its direction and unit. It also gets a table of days with a drift
of two columns, as real_data.py gives it, and must name these from that day on. Ends with 1 if
anything differs.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from _peer_process import Peer, version
from tidegauge.stats import (
    chi2_two_sample,
    hellinger,
    js_distance,
    kl,
    ks_bins,
    psi,
    wasserstein_bins,
)

Counts = npt.NDArray[np.int64]

#: Roots are taken of what is 0 but for rounding, so that an error of 1e-16 becomes one of 1e-8.
TOLERANCE = 5e-8

BINS = 12
#: Every bin is hit on both sides: what is put into empty ones is where the packages part from us.
_FEWEST, _MOST = 1, 200


class Comparison(NamedTuple):
    """What a package calls a figure, what is the same here, and in words."""

    theirs: str
    ours: Callable[[Counts, Counts], npt.NDArray[np.float64]]
    conversion: str


def _deviations(reference: Counts) -> npt.NDArray[np.float64]:
    """Return the standard deviation of the reference's values, a bin's value being its number."""
    bins, total = np.arange(reference.shape[1]), reference.sum(axis=1)
    mean = reference @ bins / total
    return np.asarray(np.sqrt(reference @ bins**2 / total - mean**2))


COMPARISONS = {
    "evidently": [
        Comparison("psi", lambda c, r: psi(c, r, pseudocount=0), "psi"),
        Comparison("kl_div", lambda c, r: kl(r, c, pseudocount=0), "kl, reference from current"),
        Comparison(
            "jensenshannon",
            lambda c, r: js_distance(c, r, unit="nats", pseudocount=0),
            "js_distance in nats",
        ),
        Comparison("hellinger", hellinger, "hellinger"),
        Comparison(
            "wasserstein",
            lambda c, r: wasserstein_bins(c, r, pseudocount=0) / _deviations(r),
            "wasserstein_bins ÷ the reference's standard deviation",
        ),
    ],
    "nannyml": [
        Comparison(
            "jensen_shannon",
            lambda c, r: js_distance(c, r, unit="bits", pseudocount=0),
            "js_distance in bits",
        ),
        Comparison("hellinger", hellinger, "hellinger"),
        Comparison("chi2", chi2_two_sample, "chi2_two_sample"),
        Comparison("kolmogorov_smirnov", ks_bins, "ks_bins"),
        Comparison(
            "wasserstein",
            lambda c, r: wasserstein_bins(c, r, pseudocount=0),
            "wasserstein_bins",
        ),
    ],
}


def main() -> int:
    """Compare, and say what was and by how much it differs at most."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=200)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    sides = rng.integers(_FEWEST, _MOST, size=(2, options.pairs, BINS), endpoint=True)
    print(
        f"{options.pairs} pairs of random counts, {BINS} bins, {_FEWEST} to {_MOST} events in each"
    )
    good = True
    for package, comparisons in COMPARISONS.items():
        name = f"detection_{package}"
        with Peer(name) as peer:
            theirs = peer.ask("figures", current=sides[0].tolist(), reference=sides[1].tolist())
            named = ask_days(peer, "days", options.seed)
            if package == "evidently" and ask_days(peer, "preset_days", options.seed) != named:
                good = False
                print(f"{version(package, name)} days: not those of the preset, WRONG")
        for comparison, found in differences(comparisons, theirs, *sides):
            good = good and found <= TOLERANCE
            print(
                f"{version(package, name)} {comparison.theirs} = {comparison.conversion}: "
                f"largest difference {found:.1e}{'' if found <= TOLERANCE else ', WRONG'}"
            )
        wrong = wrong_days(named)
        good = good and not wrong
        print(f"{version(package, name)} days: {'; '.join(wrong) or 'as expected'}")
    return 0 if good else 1


#: Of the table of days: those of the reference, those after it, and the first with a drift.
_DAYS, _LATER, _DRIFT_AT = 20, 6, 3
_ROWS_A_DAY = 1_000
_DRIFTED = ["amount", "region"]


def ask_days(peer: Peer, what: str, seed: int) -> dict[str, list[str]]:
    """Return which columns a package names on each day of a table with a drift."""
    rng = np.random.default_rng(seed)
    with TemporaryDirectory() as directory:
        files = {}
        for side, days in (("reference", range(_DAYS)), ("current", range(_DAYS, _DAYS + _LATER))):
            files[side] = str(Path(directory) / f"{side}.csv")
            Path(files[side]).write_text("\n".join(_table(days, rng)))
        found: dict[str, list[str]] = peer.ask(what, categorical=["region", "kind"], **files)
    return found


def planted_day(number: int) -> str:
    """Name a day of the rows that are made, by its number from 0."""
    return f"{date(2024, 1, 1) + timedelta(days=number)}"


def _table(days: range, rng: np.random.Generator) -> Iterator[str]:
    """Yield the lines of a CSV; "NA" is a category, and a cell may be empty."""
    yield "day,amount,region,kind,other"
    for day in days:
        drifts = day >= _DAYS + _DRIFT_AT
        amount = rng.normal(loc=float(drifts), size=_ROWS_A_DAY)
        region = rng.choice(["eu", "NA"], size=_ROWS_A_DAY, p=[0.5, 0.5] if drifts else [0.9, 0.1])
        kind = rng.choice(["1", "2", "3"], size=_ROWS_A_DAY)
        other = ["" if it < -2 else f"{it:.4f}" for it in rng.normal(size=_ROWS_A_DAY)]
        for row in zip(amount, region, kind, other, strict=True):
            yield ",".join([planted_day(day), f"{row[0]:.4f}", *row[1:]])


def wrong_days(named: Mapping[str, list[str]]) -> list[str]:
    """Return what a package should have named otherwise.

    It has false alarms, so a column without a drift may be named on up to a third of the days.
    """
    days = [planted_day(_DAYS + at) for at in range(_LATER)]
    if sorted(named) != days:
        return [f"found the days {sorted(named)}, WRONG"]
    found = [
        f"{day} found {sorted(named[day])} and not {name}, WRONG"
        for day in days[_DRIFT_AT:]
        for name in _DRIFTED
        if name not in named[day]
    ]
    without = [(day, name) for day in days for name in named[day]
               if name not in _DRIFTED or day < days[_DRIFT_AT]]  # fmt: skip
    for name in sorted({name for _, name in without}):
        its = [day for day, other in without if other == name]
        if len(its) > _LATER / 3:
            found.append(f"found {name} on {', '.join(its)}, WRONG")
    return found


def differences(
    comparisons: list[Comparison],
    theirs: dict[str, list[float]],
    current: Counts,
    reference: Counts,
) -> Iterator[tuple[Comparison, float]]:
    """Yield the largest difference of each figure, relative where the figure is above 1.

    Raises ``ValueError`` unless the package answered with just these figures, of every pair.
    """
    if {c.theirs for c in comparisons} != set(theirs):
        raise ValueError(f"figures: found {sorted(theirs)}, expected those compared")
    for comparison in comparisons:
        ours, its = comparison.ours(current, reference), np.array(theirs[comparison.theirs])
        if its.shape != ours.shape:
            raise ValueError(f"{comparison.theirs}: found {its.shape} figures, not {ours.shape}")
        apart = np.abs(its - ours) / np.maximum(np.abs(ours), 1.0)
        # NaN would be smaller than any tolerance.
        yield comparison, float(np.where(np.isfinite(apart), apart, np.inf).max())


if __name__ == "__main__":
    sys.exit(main())
