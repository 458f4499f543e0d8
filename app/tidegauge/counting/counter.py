"""From raw records to counts: everything INGEST does between reading and writing, without Kafka."""

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from tidegauge.baseline import Baseline
from tidegauge.config import IngestSettings, WindowSettings
from tidegauge.contract import RawMessage
from tidegauge.counting.admission import Admission
from tidegauge.counting.batches import BatchPath
from tidegauge.counting.decode import extension
from tidegauge.counting.decode.arrow_size import Limits
from tidegauge.counting.decode.fast import FastPath, event_times, group_key, is_one_group
from tidegauge.counting.decode.native import NativePath
from tidegauge.counting.decode.payload import event_or_stream
from tidegauge.counting.decode.tolerant import EARLIEST_TIME, LooseEvent, RefusedError
from tidegauge.counting.ignored import IgnoredFeatures
from tidegauge.counting.overflow import Overflow
from tidegauge.counting.partitions import Partitions, are_one, partitions_of
from tidegauge.counting.plan import Floats, Plan, make_plan
from tidegauge.counting.refusals import Refusals
from tidegauge.counting.router import CellRouter, Rows
from tidegauge.counting.tenure import Tenure

#: Rows are kept until this many are there, so that a batch of many models is still counted by
#: column; at some 2 kB an event this bounds what is held at a few tens of MB.
PENDING_ROWS = 16_384

#: The native path keeps rows until they take this much memory. The more rows of a model are counted
#: at once, the less a model costs: of 100 models with 12 signals these are 1,350 rows each.
PENDING_BYTES = 16 * 1024 * 1024

#: Models without a baseline that get a decoder of their own; the rest take the tolerant path.
MAX_MODELS_WITHOUT_BASELINE = 1_000

#: Decoders are made anew for new plans at once while these are few. Beyond that, so many messages
#: are counted in between for each: names that come and go must not cost more than the counting.
FEW_PLANS = 50
MESSAGES_A_PLAN = 20
log = logging.getLogger(__name__)

Promoted = Mapping[tuple[str, str], tuple[str, Baseline]]


class Counter:
    """Counts messages into the cells of a tenure; what it can't count becomes dead letters."""

    def __init__(
        self,
        *,
        source: str,
        settings: IngestSettings,
        window_of: Callable[[str], WindowSettings],
        clock: Callable[[], float],
        admission: Admission | None = None,
    ) -> None:
        """``admission`` outlives the counter; by default it is one of its own, by ``clock``."""
        self._settings = settings
        self._clock = clock
        self._admission = Admission(settings, clock) if admission is None else admission
        self._dimensions = settings.segments
        self._refusals = Refusals(source, settings, clock)
        self.placer = CellRouter(settings, window_of)
        self._promoted: Promoted = {}
        self._plans: dict[tuple[str, str], Plan] = {}
        self._fast = FastPath((), self._dimensions)
        self._native: NativePath | None = None
        #: Whether decoders go by other baselines, or know other models, than there are by now.
        self._paths_are_stale = self._paths_lag = False
        self._since_paths_made = 0
        self._pending: dict[tuple[type, str, str], tuple[list[Any], list[Floats]]] = {}
        self._pending_rows = 0
        self._errors: list[Any] = []
        self.dead_letters = self._refusals.letters
        #: Events that there was no slot for, since they were last taken.
        self.overflow = Overflow()
        #: Features of events that no baseline knows.
        self.ignored = IgnoredFeatures(lambda key: self._plans.get(key))
        #: Events counted since the start, by the path they took.
        self.counted = {"native": 0, "fast": 0, "tolerant": 0, "arrow": 0}
        self._batches = BatchPath(
            self._dimensions,
            limits=Limits.of(settings),
            placer=self.placer,
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
        self._paths_are_stale = True
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
            self._paths_lag = self._paths_lag or len(self._plans) <= self._fast_models()
        return plan

    def _plan_of_counted(
        self, path: str, model: str, version: str, variant: str, events: int
    ) -> Plan | None:
        """Return the plan of events that are counted under a path, unless there is no slot."""
        plan = self._plan(model, version, variant, events)
        if plan is None:
            self.counted[path] -= events
        return plan

    def _drop_gone(self) -> None:
        for key in self._admission.take_gone():
            if key not in self._promoted and self._plans.pop(key, None) is not None:
                self._paths_lag = True

    def _fast_models(self) -> int:
        return len(self._promoted) + MAX_MODELS_WITHOUT_BASELINE

    def _make_paths(self) -> None:
        """Make the decoders of the plans there are."""
        # Plans of promoted baselines were made first, so they are always among these.
        plans = list(islice(self._plans.values(), self._fast_models()))
        self._fast = FastPath(plans, self._dimensions)
        self._native = _native_path(plans, self._dimensions)
        self._paths_are_stale = self._paths_lag = False
        self._since_paths_made = 0

    def count(
        self, messages: Sequence[RawMessage], tenure: Tenure, partitions: Partitions | None = None
    ) -> None:
        """Take messages in; call :meth:`settle` before the tenure's records are made.

        ``partitions`` are those of the messages, if the caller has asked each of them already.
        """
        self._since_paths_made += len(messages)
        plans = min(len(self._plans), self._fast_models())
        enough = MESSAGES_A_PLAN * max(0, plans - FEW_PLANS)
        if self._paths_are_stale or (self._paths_lag and self._since_paths_made >= enough):
            self.settle(tenure)
            self._make_paths()
        values: list[bytes | None] = [message.value() for message in messages]
        self.ignored.look(values)
        if self._native is not None:
            if partitions is None:
                partitions = partitions_of(messages)
            messages, values = self._count_native(
                self._native, messages, partitions, values, tenure
            )
        if messages:
            self._count_python(messages, values, tenure)
        tenure.end_batch(self._clock())
        kept = self._native.kept_bytes if self._native is not None else 0
        rows = self._pending_rows + self._batches.pending_rows
        if rows >= PENDING_ROWS or kept >= PENDING_BYTES:
            self.settle(tenure)

    def _count_native(
        self,
        path: NativePath,
        messages: Sequence[RawMessage],
        partitions: Partitions,
        values: list[bytes | None],
        tenure: Tenure,
    ) -> tuple[Sequence[RawMessage], list[bytes | None]]:
        """Count what fits; return the messages that don't, and their values."""
        times = path.decode(values, self._settings.max_event_bytes, self._refusals.latest_time())
        fits = ~np.isnan(times)
        if fits.all():
            _note_times(partitions, times, tenure)
            self.counted["native"] += len(times)
            return [], []
        _note_times(partitions[fits], times[fits], tenure)
        self.counted["native"] += int(np.count_nonzero(fits))
        left = np.flatnonzero(~fits).tolist()
        return [messages[row] for row in left], [values[row] for row in left]

    def _count_python(
        self, messages: Sequence[RawMessage], values: list[bytes | None], tenure: Tenure
    ) -> None:
        events, odd_rows = self._fast.decode_all(values, self._settings.max_event_bytes)
        origins, odd = messages, []
        if odd_rows:
            odd = [messages[row] for row in odd_rows]
            left_out = set(odd_rows)
            origins = [m for row, m in enumerate(messages) if row not in left_out]
        if events:
            self._take(events, origins, tenure)
        for message in odd:
            self._count_odd(message, tenure)
            if self._pending_rows + self._batches.pending_rows >= PENDING_ROWS:
                self.settle(tenure)

    def _take(self, events: list[Any], origins: Sequence[RawMessage], tenure: Tenure) -> None:
        """Put decoded events aside by group, after a look at their times."""
        times = event_times(events)
        latest = self._refusals.latest_time()
        sound = (times >= EARLIEST_TIME) & (times <= latest)
        if not sound.all():
            for wrong in np.flatnonzero(~sound).tolist():
                self._refusals.time(origins[wrong], float(times[wrong]), latest)
            keep = np.flatnonzero(sound).tolist()
            events = [events[i] for i in keep]
            origins = [origins[i] for i in keep]
            times = times[keep]
            if not events:
                return
        _note_times(partitions_of(origins), times, tenure)
        self._pending_rows += len(events)
        self.counted["fast"] += len(events)
        if is_one_group(events):
            self._append(group_key(events[0]), events, times)
            return
        groups: dict[tuple[type, str, str], list[int]] = {}
        for i, key in enumerate(map(group_key, events)):
            groups.setdefault(key, []).append(i)
        for key, rows in groups.items():
            self._append(key, [events[i] for i in rows], times[rows])

    def _append(self, key: tuple[type, str, str], events: list[Any], times: Floats) -> None:
        pending = self._pending.setdefault(key, ([], []))
        pending[0].extend(events)
        pending[1].append(times)

    def settle(self, tenure: Tenure) -> None:
        """Count everything put aside into the tenure's cells."""
        for (struct, version, variant), (events, times) in self._pending.items():
            model = self._fast.model_of(struct)
            plan = self._plan_of_counted("fast", model, version, variant, len(events))
            if plan is None:
                continue
            columns = self._fast.extract(struct, plan, events)
            segments = self._fast.segments(events)
            rows = Rows(plan, variant, np.concatenate(times), *columns, segments)
            self.placer.add(rows, tenure)
        for rows in self._native.take(self._has_slot) if self._native is not None else ():
            self.placer.add(rows, tenure)
        self._batches.settle(tenure)
        tenure.end_batch(self._clock())
        self._pending.clear()
        self._pending_rows = 0
        self._drop_gone()

    def _has_slot(self, plan: Plan, variant: str, events: int) -> bool:
        found = self._plan_of_counted("native", plan.model, plan.version, variant, events)
        return found is not None

    def refuse(self, message: RawMessage, refused: RefusedError) -> None:
        """Make a dead letter of a message without a look at it."""
        self._refusals.record(message, refused, message.value() or b"")

    def refuse_range(self, partition: int, first: int, end: int, why: str) -> None:
        """Make a dead letter of offsets that can't be read, ``first`` to before ``end``."""
        self._refusals.unreadable(partition, first, end, why)

    def take_errors(self) -> list[Any]:
        """Return the messages so far that were no records but news of the consumer's."""
        errors, self._errors = self._errors, []
        return errors

    def _count_odd(self, message: RawMessage, tenure: Tenure) -> None:
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
            self._batches.take(message, found, tenure)
        else:
            self._count_event(found, message.partition(), tenure)

    def _count_event(self, event: LooseEvent, partition: int, tenure: Tenure) -> None:
        tenure.note_times(partition, np.array([event.epoch]))
        plan = self._plan(event.model, event.version, event.variant or "", 1)
        if plan is None:
            return
        self.placer.add_event(plan, event, tenure)
        self.counted["tolerant"] += 1


def _native_path(plans: Sequence[Plan], dimensions: Sequence[str]) -> NativePath | None:
    if extension.MODULE is None:
        return None
    try:
        return NativePath(plans, dimensions)
    except Exception:  # of a baseline that the extension has no room for; it is no record's fault
        log.exception(
            "the extension refuses a baseline; events are counted by Python alone, more slowly"
        )
        return None


def _note_times(partitions: Partitions, times: Floats, tenure: Tenure) -> None:
    """Note the times of events that came from these partitions, one each."""
    if are_one(partitions):
        tenure.note_times(int(partitions[0]), times)
        return
    for partition in np.flatnonzero(np.bincount(partitions)).tolist():
        tenure.note_times(partition, times[partitions == partition])
