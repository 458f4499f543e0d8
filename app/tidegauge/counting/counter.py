"""From raw records to counts: everything INGEST does between reading and writing, without Kafka."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import numpy as np

from tidegauge.baseline import Baseline
from tidegauge.config import IngestSettings, WindowSettings
from tidegauge.contract import RawMessage
from tidegauge.counting.admission import Admission, Overflow
from tidegauge.counting.batches import BatchPath
from tidegauge.counting.decode import native
from tidegauge.counting.decode.arrow_size import Limits
from tidegauge.counting.decode.reference import LooseEvent, event_or_stream
from tidegauge.counting.message_counter import MessageCounter
from tidegauge.counting.plan import Plan, make_plan
from tidegauge.counting.prediction_router import PredictionRouter
from tidegauge.counting.refusals import IgnoredFeatures
from tidegauge.counting.router import CellRouter
from tidegauge.counting.tenure import Partitions, Tenure, partitions_of

#: Rows of column batches are kept until this many are there, so that those of many models are
#: still counted by column; this bounds what is held at a few tens of MB.
PENDING_ROWS = 16_384

#: The native decoder keeps rows until they take this much memory. The more rows of a model are
#: counted at once, the less a model costs: of 100 models with 12 signals these are 1,350 rows each.
PENDING_BYTES = 16 * 1024 * 1024

#: Models without a baseline that the native decoder knows; the rest are read by the reference.
MAX_MODELS_WITHOUT_BASELINE = 1_000

#: The native decoder is made anew for new plans at once while these are few. Beyond that, so many
#: messages are counted in between for each: names that come and go must not cost more than the
#: counting.
FEW_PLANS = 50
MESSAGES_A_PLAN = 20

log = logging.getLogger(__name__)

Promoted = Mapping[tuple[str, str], tuple[str, Baseline]]


class Counter(MessageCounter):
    """Counts messages into the cells of a tenure; what it can't count becomes dead letters."""

    def __init__(
        self,
        *,
        source: str,
        settings: IngestSettings,
        window_of: Callable[[str], WindowSettings],
        clock: Callable[[], float],
        admission: Admission | None = None,
        predictions: PredictionRouter | None = None,
    ) -> None:
        """``admission`` outlives the counter; by default it is one of its own, by ``clock``.

        ``predictions`` routes those that labels may come for, by default by the segments.
        """
        super().__init__(source, settings, clock)
        self._admission = Admission(settings, clock) if admission is None else admission
        self.predictions = predictions or PredictionRouter(settings.segments)
        others = [name for name in self.predictions.groups if name not in settings.segments]
        self._dimensions = [*settings.segments, *others]
        self.placer = CellRouter(settings, window_of)
        #: Messages so far, which are numbered as they come.
        self._messages = 0
        self._promoted: Promoted = {}
        self._plans: dict[tuple[str, str], Plan] = {}
        self._native: native.NativePath | None = None
        #: Whether it goes by other baselines, or knows other models, than there are by now.
        self._native_is_stale = self._native_lags = False
        self._since_native_made = 0
        #: Event times that are not noted yet, by partition.
        self._times: defaultdict[int, list[float]] = defaultdict(list)
        #: Events that there was no slot for, since they were last taken.
        self.overflow = Overflow()
        #: Features of events that no baseline knows.
        self.ignored = IgnoredFeatures(lambda key: self._plans.get(key))
        #: Events counted since the start, by the path they took: "tolerant" is the reference's.
        self.counted = {"native": 0, "tolerant": 0, "arrow": 0}
        self._batches = BatchPath(
            self._dimensions,
            limits=Limits.of(settings),
            placer=self.placer,
            predictions=self.predictions,
            refusals=self._refusals,
            counted=self.counted,
            plan_of=self._plan,
            count_event=self._count_event,
            ignored=self.ignored,
        )

    def use(self, promoted: Promoted, tenure: Tenure) -> None:
        """Count by these baselines from here on."""
        if promoted is self._promoted:
            return
        self.settle(tenure)
        self._promoted = promoted
        self._admission.use(promoted)
        before, self._plans = self._plans, {}
        for (model, version), (baseline_id, baseline) in promoted.items():
            plan = before.get((model, version))
            if plan is None or plan.baseline != baseline_id:
                plan = make_plan(model, version, baseline_id, baseline)
            self._plans[model, version] = plan
        for key, plan in before.items():
            if not plan.baseline:
                self._plans.setdefault(key, plan)
        self._native_is_stale = True
        self.predictions.keep(self._plans.values())
        self.ignored.keep(key for key, plan in before.items() if self._plans.get(key) is plan)

    def _plan(self, model: str, version: str, variant: str, events: int) -> Plan | None:
        """Return how to count events; None if there is no slot for them, and they are noted so."""
        level = self._admission.refuse(model, version, variant)
        if level is not None:
            known = model if self._admission.knows(model) else ""
            self.overflow.add(level, known, events, (model, version, variant))
            return None
        key = (model, version)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = make_plan(model, version, "", None)
            self._native_lags = self._native_lags or len(self._plans) <= self._native_models()
        return plan

    def _drop_gone(self) -> None:
        for key in self._admission.take_gone():
            if key not in self._promoted and self._plans.pop(key, None) is not None:
                self._native_lags = True

    def _native_models(self) -> int:
        return len(self._promoted) + MAX_MODELS_WITHOUT_BASELINE

    def _make_native(self) -> None:
        """Make the native decoder of the plans there are."""
        # Plans of promoted baselines were made first, so they are always among these.
        plans = list(islice(self._plans.values(), self._native_models()))
        self._native = _native_path(plans, self._dimensions)
        self._native_is_stale = self._native_lags = False
        self._since_native_made = 0

    def count(
        self, messages: Sequence[RawMessage], tenure: Tenure, partitions: Partitions | None = None
    ) -> None:
        """Take messages in; call :meth:`settle` before the tenure's records are made.

        ``partitions`` are those of the messages, if the caller knows them already.
        """
        self._since_native_made += len(messages)
        plans = min(len(self._plans), self._native_models())
        enough = MESSAGES_A_PLAN * max(0, plans - FEW_PLANS)
        if self._native_is_stale or (self._native_lags and self._since_native_made >= enough):
            self.settle(tenure)
            self._make_native()
        values: list[bytes | None] = [message.value() for message in messages]
        self.ignored.sample(values)
        first, self._messages = self._messages, self._messages + len(messages)
        left: Sequence[int] = range(len(messages))
        if self._native is not None:
            if partitions is None:
                partitions = partitions_of(messages)
            left = self._count_native(self._native, first, partitions, values, tenure)
        for place in left:
            self._count_one(messages[place], first + place, tenure)
            if self._batches.pending_rows >= PENDING_ROWS:
                self.settle(tenure)
        self._end_batch(tenure)
        kept = self._native.kept_bytes if self._native is not None else 0
        if self._batches.pending_rows >= PENDING_ROWS or kept >= PENDING_BYTES:
            self.settle(tenure)

    def _count_native(
        self,
        path: native.NativePath,
        first: int,
        partitions: Partitions,
        values: list[bytes | None],
        tenure: Tenure,
    ) -> Sequence[int]:
        """Count what fits; return the places of the messages that don't."""
        latest = self._refusals.latest_time()
        times = path.decode(values, self._settings.max_event_bytes, latest, first)
        fits = ~np.isnan(times)
        if fits.all():
            tenure.note_times_from(partitions, times)
            self.counted["native"] += len(times)
            return []
        tenure.note_times_from(partitions[fits], times[fits])
        self.counted["native"] += int(np.count_nonzero(fits))
        left: list[int] = np.flatnonzero(~fits).tolist()
        return left

    def settle(self, tenure: Tenure) -> None:
        """Count everything put aside into the tenure's cells."""
        for rows in self._native.take(self._has_slot) if self._native is not None else ():
            self.predictions.add(rows, tenure.pending)
            self.placer.add(rows, tenure)
        self._batches.settle(tenure)
        self.predictions.settle(tenure.pending)
        self._end_batch(tenure)
        self._drop_gone()

    def _end_batch(self, tenure: Tenure) -> None:
        for partition, times in self._times.items():
            tenure.note_times(partition, np.array(times))
        self._times.clear()
        tenure.end_batch(self._clock())

    def _has_slot(self, plan: Plan, variant: str, events: int) -> bool:
        if self._plan(plan.model, plan.version, variant, events) is not None:
            return True
        self.counted["native"] -= events
        return False

    def _count_one(self, message: RawMessage, number: int, tenure: Tenure) -> None:
        if message.error() is not None:
            self._errors.append(message)
            return
        try:
            latest = self._refusals.latest_time()
            found = event_or_stream(message.value(), self._settings, latest, LooseEvent)
        except Exception as error:  # of this record alone: whatever is wrong with it, one letter
            self._refusals.failed(message, error)
            return
        if isinstance(found, bytes):
            self._batches.take(message, found, number, tenure)
        else:
            self._count_event(found, message.partition(), number, tenure)

    def _count_event(self, event: LooseEvent, partition: int, number: int, tenure: Tenure) -> None:
        self._times[partition].append(event.epoch)
        plan = self._plan(event.model, event.version, event.variant or "", 1)
        if plan is None:
            return
        self.predictions.add_event(plan, event, number, tenure.pending)
        self.placer.add_event(plan, event, tenure)
        self.counted["tolerant"] += 1


def _native_path(plans: Sequence[Plan], dimensions: Sequence[str]) -> native.NativePath | None:
    if native.MODULE is None:
        return None
    try:
        return native.NativePath(plans, dimensions)
    except Exception:  # of a baseline that the extension has no room for; it is no record's fault
        log.exception(
            "the extension refuses a baseline; events are counted by Python alone, more slowly"
        )
        return None
