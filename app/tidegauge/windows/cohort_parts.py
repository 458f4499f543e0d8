"""What the reports on a cohort are about: its versions, variants and groups. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from tidegauge.contract import StratumCounts, encode
from tidegauge.outcomes import OutcomeCounts, merged

#: Groups of a version and variant that are reported, those with the most labels; more of them are
#: in the figures of all traffic only.
MOST_GROUPS = 50


class CohortPart(NamedTuple):
    """What a report is about: a version and variant, or a group of it, ``()`` for all traffic."""

    version: str
    variant: str
    group: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """A text for it that no other part of a cohort has."""
        return msgspec.json.encode(self).decode()


class CountedPart(NamedTuple):
    """Counts of a part by one target, the baseline of the most labels, and what others counted."""

    counts: OutcomeCounts
    baseline: str
    other_labelled: int


def parts_of(
    strata: Sequence[tuple[StratumCounts, OutcomeCounts]],
) -> dict[CohortPart, CountedPart]:
    """Add up what tenures have counted of a cohort, for all traffic and for each group.

    Counts of different targets can't be added up: those of the target with the most labels are
    taken.
    """
    totals = merged((part, counts) for stratum, counts in strata for part in _parts(stratum))
    baselines: dict[CohortPart, Counter[tuple[bytes, str]]] = {}
    for stratum, counts in strata:
        for part in _parts(stratum):
            by = encode(counts.target), stratum.baseline
            baselines.setdefault(part, Counter())[by] += _labelled(counts)
    found = {}
    for part, by_target in totals.items():
        counts = max(by_target, key=lambda it: (_size(it), encode(it.target)))
        mine = {name: n for (of, name), n in baselines[part].items() if of == encode(counts.target)}
        others = sum(map(_labelled, by_target)) - _labelled(counts)
        found[part] = CountedPart(counts, max(mine, key=lambda name: (mine[name], name)), others)
    return _with_few_groups(found)


def _parts(stratum: StratumCounts) -> Iterator[CohortPart]:
    yield CohortPart(stratum.version, stratum.variant, ())
    for one in stratum.groups.items():
        yield CohortPart(stratum.version, stratum.variant, (one,))


def _labelled(counts: OutcomeCounts) -> int:
    return int(counts.lags.sum())


def _size(counts: OutcomeCounts) -> tuple[int, int]:
    return _labelled(counts), int(counts.predicted.sum())


def _with_few_groups(found: dict[CohortPart, CountedPart]) -> dict[CohortPart, CountedPart]:
    ordered = sorted(found, key=lambda part: (*(-n for n in _size(found[part].counts)), part))
    taken: Counter[tuple[str, str]] = Counter()
    kept = set()
    for part in ordered:
        taken[part.version, part.variant] += bool(part.group)
        if not part.group or taken[part.version, part.variant] <= MOST_GROUPS:
            kept.add(part)
    return {part: found[part] for part in sorted(kept)}
