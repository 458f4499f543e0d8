"""What DETECT keeps of outcomes in its table, and how two values of one key join.

The cells of one tenure have keys of their own: a cohort stays open for as long as its labels may
come, a month by default, and of all its tenures only the last one changes.
"""

from typing import Any, Literal, NamedTuple

import msgspec

from tidegauge.alerting import AlertState
from tidegauge.contract import OutcomeCell, OutcomeTarget, StratumCounts, decode

CellKind = Literal["cohort", "arrival"]


class OutcomeWindow(NamedTuple):
    """One window of the outcomes of a model: by time of prediction, or by arrival of the label."""

    model: str
    kind: CellKind
    start: int
    seconds: int

    @property
    def end(self) -> int:
        """Exclusive end, epoch seconds."""
        return self.start + self.seconds


class OutcomeKey(msgspec.Struct, frozen=True, array_like=True, tag="outcome"):
    """Key of what one tenure of OUTCOMES has counted in one window."""

    model: str
    kind: CellKind
    window_start: int
    window_seconds: int
    tenure: str

    @property
    def window(self) -> OutcomeWindow:
        """The window."""
        return OutcomeWindow(self.model, self.kind, self.window_start, self.window_seconds)


class CohortKey(msgspec.Struct, frozen=True, array_like=True, tag="cohort"):
    """Key of what was reported of a cohort."""

    model: str
    window_start: int
    window_seconds: int

    @property
    def window(self) -> OutcomeWindow:
        """The window."""
        return OutcomeWindow(self.model, "cohort", self.window_start, self.window_seconds)


class TenureOutcomes(msgspec.Struct, kw_only=True):
    """The largest ``seq`` of a tenure for a window, and what its cell says.

    ``delays`` are its labels in the bins of ``LAG_EDGES``, and ``baselines`` name its targets: both
    are needed at every tick. The rest is decoded for a report alone.
    """

    seq: int
    delays: list[int]
    baselines: list[str]
    targets: msgspec.Raw
    strata: msgspec.Raw

    def cell(self, window: OutcomeWindow) -> OutcomeCell:
        """Return the cell; raises ``DecodingError`` or ``ValueError`` if it is none."""
        return OutcomeCell(
            model=window.model,
            kind=window.kind,
            window_start=window.start,
            window_seconds=window.seconds,
            targets=decode(self.targets, list[OutcomeTarget]),
            strata=decode(self.strata, list[StratumCounts]),
        )


class Published(msgspec.Struct, array_like=True):
    """The last report of a part of a cohort: its revision, and the digest of what it said."""

    revision: int
    digest: str
    #: Fingerprints of what rules have held on in it; None while no rule has judged it.
    held: list[str] | None = None


class CohortState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A fold over the reports of a cohort.

    ``step`` counts the changes. ``changed`` says whether counts have changed since the last tick,
    ``due`` is the tick at which the cohort is to be reported, 0 if it isn't, ``matured`` that at
    which it became mature. ``held`` says, by version and variant and by figure, whether the
    interval that was estimated without labels held what they showed then. ``published`` is by
    version, variant and group.
    """

    step: int = 0
    changed: bool = False
    due: int = 0
    matured: int = 0
    held: dict[str, dict[str, bool]] = {}
    published: dict[str, Published] = {}

    @property
    def mature(self) -> bool:
        """Whether 0.95 of its labels have come, by the delays of other cohorts."""
        return self.matured > 0


class CohortAlertsKey(msgspec.Struct, frozen=True, array_like=True, tag="cohort_alerts"):
    """Key of the alerts of a version and variant, or a group of it, by its labels."""

    model: str
    version: str
    variant: str
    group: tuple[tuple[str, str], ...]


class CohortAlerts(msgspec.Struct, kw_only=True):
    """The alerts of mature cohorts that were judged in the order of their ends: ``step`` so often.

    ``end`` is that of the last of them, ``seconds`` how long it lasted, and ``age`` how long after
    its end it was judged.
    """

    step: int = 0
    end: int = 0
    seconds: int = 0
    age: int = 0
    alerts: AlertState = msgspec.field(default_factory=AlertState)


def join_cohort_alerts(a: CohortAlerts, b: CohortAlerts) -> CohortAlerts:
    """Take the value that has seen more changes."""
    return max(a, b, key=lambda it: (it.step, msgspec.json.encode(it)))


def join_tenures(a: TenureOutcomes, b: TenureOutcomes) -> TenureOutcomes:
    """Take the value with the larger ``seq``."""
    return max(a, b, key=lambda it: (it.seq, bytes(it.strata)))


def join_cohorts(a: CohortState, b: CohortState) -> CohortState:
    """Take the value that has seen more changes."""
    return max(a, b, key=lambda it: (it.step, msgspec.json.encode(it)))


def replaced(state: CohortState, **changes: Any) -> CohortState:
    """Return the next step of a cohort."""
    return msgspec.structs.replace(state, step=state.step + 1, **changes)
