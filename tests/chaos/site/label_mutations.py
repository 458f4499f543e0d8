"""Mutations of the join of labels; see ``chaos.site.mutations``."""

from collections.abc import Callable
from typing import Any

from chaos.site import replacing


def labels_offsets_apart() -> None:
    """OUTCOMES commits its offsets in a transaction before the one with the cells."""
    from tidegauge.roles.outcomes import session

    replacing.replace(session, "commit", replacing.offsets_first(session.commit))


def labels_counted_again() -> None:
    """OUTCOMES counts a label twice if it comes twice."""
    from tidegauge.outcomes.by_id import IdFold

    take_label = IdFold.take_label

    def take(self: Any, state: Any, label: Any, clock: int) -> None:
        before = state.labels.get(label.scope)
        if before is not None and before.revision == label.revision:
            for one in self._predictions_of(state, label):
                self.add(one, label, 1)
        take_label(self, state, label, clock)

    replacing.replace(IdFold, "take_label", take)


def corrections_without_minus() -> None:
    """OUTCOMES counts a corrected label, and doesn't take back the one before."""
    from tidegauge.outcomes.by_id import IdFold

    add = IdFold.add

    def only_add(self: Any, one: Any, label: Any, sign: int) -> None:
        if sign > 0:
            add(self, one, label, sign)

    replacing.replace(IdFold, "add", only_add)


def latest_label_counts() -> None:
    """OUTCOMES takes the label that it reads last, whatever its revision."""
    from tidegauge.outcomes.by_id import IdFold

    take_label = IdFold.take_label

    def take(self: Any, state: Any, label: Any, clock: int) -> None:
        before = state.labels.get(label.scope)
        label.revision = max(label.revision, before.revision + 1 if before else 0)
        take_label(self, state, label, clock)

    replacing.replace(IdFold, "take_label", take)


def early_labels_refused() -> None:
    """OUTCOMES refuses a label that it reads before its prediction."""
    from tidegauge.outcomes import JoinLimits
    from tidegauge.roles.outcomes import state

    replacing.replace(
        state, "JoinLimits", lambda **limits: JoinLimits(**(limits | {"early_labels": 0}))
    )


LABEL_MUTATIONS: tuple[Callable[[], None], ...] = (
    labels_offsets_apart,
    labels_counted_again,
    corrections_without_minus,
    latest_label_counts,
    early_labels_refused,
)
