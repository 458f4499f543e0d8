"""Labels from raw records to what OUTCOMES joins; what is no label becomes a dead letter."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Literal, Protocol, get_args

import numpy as np

from tidegauge.baseline import Baseline
from tidegauge.config import IngestSettings, ModelOutcomeSettings
from tidegauge.contract import (
    Label,
    LabelError,
    LabelledPrediction,
    OutcomeTarget,
    RawMessage,
    RegressionTarget,
    class_code,
    read_label,
)
from tidegauge.counting.admission import Admission
from tidegauge.counting.awaited import id_hash
from tidegauge.counting.decode.reference import RefusedError, check_size
from tidegauge.counting.message_counter import MessageCounter
from tidegauge.counting.pending_labels import LabelStratum, PendingLabels, RoutedLabel
from tidegauge.counting.plan import target_of
from tidegauge.counting.prediction_router import is_sampled
from tidegauge.counting.rows import code
from tidegauge.counting.tenure import Partitions, Tenure
from tidegauge.outcomes import CARRIED, NONE, OF_MODEL, RETRACTED, WITHOUT_ID

#: Whether a label has the id of its prediction or the prediction itself, by a receipt or without;
#: ``not_sampled``: an id that no model keeps; ``without_groups``: those with their prediction whose
#: groups there was no room for.
Named = Literal["id", "prediction", "not_sampled", "without_groups"]
NAMED: tuple[Named, ...] = get_args(Named)

#: Strata that are remembered.
_MOST_RESOLVED = 10_000

Promoted = Mapping[tuple[str, str], tuple[str, Baseline]]


class LabelMessage(RawMessage, Protocol):
    """A message with the time at which it was written."""

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of the time, and milliseconds."""
        ...


class LabelRouter(MessageCounter):
    """Routes labels into the pending ones of a tenure; has the methods of ``counting.Counter``.

    ``keys`` are those that receipts must be signed by, ``groups`` and ``settings_of`` as of
    ``PredictionRouter``.
    """

    def __init__(
        self,
        *,
        source: str,
        settings: IngestSettings,
        clock: Callable[[], float],
        groups: Sequence[str] = (),
        settings_of: Callable[[str], ModelOutcomeSettings] = lambda model: ModelOutcomeSettings(),
        keys: Sequence[bytes] = (),
        admission: Admission | None = None,
    ) -> None:
        """``admission`` outlives the router, as that of ``counting.Counter``."""
        super().__init__(source, settings, clock)
        self._groups = tuple(sorted(groups))
        self._rate_of = cache(lambda model: settings_of(model).rate)
        self._keys = keys
        self._admission = Admission(settings, clock) if admission is None else admission
        #: Labels since the start.
        self.routed = Counter[Named](dict.fromkeys(NAMED, 0))
        self._promoted: Promoted | None = None
        #: Baseline and target by model and version, of those that have a target.
        self._targets: dict[tuple[str, str], tuple[str, OutcomeTarget]] = {}
        #: The largest rate of a model, and of all of them.
        self._rates: dict[str, float] = {}
        self._largest_rate = 1.0
        #: Places of strata among the pending labels, and whether groups are left out, by what
        #: predictions name.
        self._resolved: dict[tuple[str | None, ...], tuple[int, bool]] = {}
        self._pending: PendingLabels | None = None

    def use(self, promoted: Promoted, tenure: Tenure) -> None:
        """Resolve labels by these baselines from here on."""
        if promoted is self._promoted:
            return
        self._promoted = promoted
        self._admission.use(promoted)
        self._resolved.clear()
        self._targets = {
            key: (baseline_id, target)
            for key, (baseline_id, baseline) in promoted.items()
            if (target := target_of(baseline)) is not None
        }
        self._rates = {model: self._rate_of(model) for model, _ in self._targets}
        # Without a model that awaits labels, OUTCOMES reports those that come.
        self._largest_rate = max(self._rates.values(), default=1.0)

    def count(
        self,
        messages: Sequence[LabelMessage],
        tenure: Tenure,
        partitions: Partitions | None = None,
    ) -> None:
        """Take messages in."""
        if tenure.labels is not self._pending:
            self._pending = tenure.labels
            self._resolved.clear()
        now, latest = self._clock(), self._refusals.latest_time()
        found: list[RoutedLabel] = []
        for message in messages:
            if message.error() is not None:
                self._errors.append(message)
                continue
            value = message.value()
            try:
                check_size(value or b"", self._settings.max_event_bytes)
                label = read_label(value, self._keys, latest=latest)
                routed = self._route(label, message, now, tenure.labels)
            except LabelError as error:
                refused = RefusedError(error.reason, str(error))
                self._refusals.record(message, refused, value or b"")
            except Exception as error:  # of this record alone: whatever is wrong with it
                self._refusals.failed(message, error)
            else:
                if routed is not None:
                    found.append(routed)
        tenure.labels.add(found)

    def _route(
        self, label: Label, message: LabelMessage, now: float, pending: PendingLabels
    ) -> RoutedLabel | None:
        """Return a label with the places of what it names; None if nobody can have a use for it."""
        id = id_hash(label.id)
        flags = RETRACTED if label.retracted else 0
        stratum, value, time, predicted, model = -1, math.nan, 0.0, NONE, -1
        if label.prediction is not None:
            its = label.prediction
            flags |= CARRIED if label.id else CARRIED | WITHOUT_ID
            stratum, target = self._stratum(its, pending)
            value = math.nan if its.prediction is None else its.prediction
            time = its.time
            if its.label is not None and not isinstance(target, RegressionTarget):
                found = class_code(target, its.label)
                predicted = NONE if found is None else found
        else:
            rate = self._largest_rate
            if label.model is not None:
                if label.model not in self._rates:
                    raise _no_target(f"model {label.model!a}")
                flags |= OF_MODEL
                model, rate = pending.model(label.model), self._rates[label.model]
            if rate < 1 and not is_sampled(np.array([id], np.uint64), rate)[0]:
                self.routed["not_sampled"] += 1
                return None
        actual, text = math.nan, -1
        if isinstance(label.actual, str):
            text = pending.text(label.actual)
        elif label.actual is not None:
            actual = label.actual
        _, stamp = message.timestamp()
        arrived = min(stamp / 1000, now) if stamp > 0 else now
        self.routed["id" if label.prediction is None else "prediction"] += 1
        return (
            id, actual, arrived, message.offset(), label.revision, message.partition(), text, flags,
            stratum, value, time, predicted, model,
        )  # fmt: skip

    def _stratum(
        self, its: LabelledPrediction, pending: PendingLabels
    ) -> tuple[int, OutcomeTarget]:
        found = self._targets.get((its.model, its.version))
        if found is None:
            raise _no_target(f"version {its.version!a} of model {its.model!a}")
        if self._admission.refuse(its.model, its.version, its.variant) is not None:
            raise LabelError(
                "too_many_variants",
                f"variant {its.variant!a} is one too many of version {its.version!a} of model "
                f"{its.model!a} (ingest.max_variants)",
            )
        baseline, target = found
        key = (its.model, its.version, its.variant, *map(its.segments.get, self._groups))
        known = self._resolved.get(key)
        if known is None:
            # As of predictions: with a longer name OUTCOMES could read none of the labels.
            groups = tuple(
                (name, its.segments[name])
                for name in self._groups
                if code(its.segments.get(name)) == 0
            )
            stratum = LabelStratum(its.model, its.version, its.variant, groups, baseline)
            has_room = pending.has_room(stratum)
            if not has_room:
                stratum = stratum._replace(groups=())
            if len(self._resolved) >= _MOST_RESOLVED:
                self._resolved.clear()
            known = self._resolved[key] = pending.stratum(stratum, target), not has_room
        place, is_left_out = known
        self.routed["without_groups"] += is_left_out
        return place, target

    def settle(self, tenure: Tenure) -> None:
        """Do nothing: labels don't wait."""


def _no_target(what: str) -> LabelError:
    return LabelError("no_target", f"{what} has no promoted baseline that says what its labels are")
