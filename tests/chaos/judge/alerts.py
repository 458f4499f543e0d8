"""Alerts, actions and audit records: what judged_rules.yaml must have led to, no more, no less."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from chaos.judge.findings import Copies, Findings, Kind, OutputRecord, read_output
from chaos.judge.recount import FIXED
from chaos.judge.reports import Closed, window_name
from chaos.judge.windows import Baselines, WindowJudge
from chaos.source import SliceName
from support.alert_oracle import RULES, ExpectedAlert, Judged, WatchedRule, life
from support.oracle import Histogram, current_bins, kl_nats, reference_bins

#: A figure this close to its threshold may hold or not: sums of floats depend on their order.
TOO_CLOSE = 1e-6

#: Facts that follow from no window.
_CONFIGURATION = ("rules.", "receivers.")

_ACTIONS = {rule.name: rule.action for rule in RULES}

Watch = tuple[WatchedRule, str | None]


class Distribution(msgspec.Struct):
    """Both count vectors of a drifted signal."""

    reference: list[int]
    current: list[int]


class Alert(msgspec.Struct):
    """An alert, as far as it is judged."""

    id: str
    state: str
    rule: str
    model: str
    version: str
    variant: str
    signal: str | None
    value: float
    events: int
    starts_at: int
    window_start: int
    report: str
    distribution: Distribution | None
    actions: list[str]
    reminder: int
    revised: bool = False

    @property
    def key(self) -> ExpectedAlert:
        return ExpectedAlert(
            self.rule, self.model, self.version, self.variant, self.signal, self.state,
            self.starts_at, self.window_start, self.reminder, self.revised,
        )  # fmt: skip

    def __str__(self) -> str:
        return alert_name(self.key)


class Action(msgspec.Struct):
    """An action, as far as it is judged."""

    id: str
    kind: str
    alert: str
    rule: str
    model: str
    version: str
    variant: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id} of {self.model}/{self.version} by rule {self.rule}"


class Audit(msgspec.Struct):
    """An audit record, as far as it is judged."""

    id: str
    event: str
    subject: str
    inputs: dict[str, str] = {}

    def __str__(self) -> str:
        return f"{self.event} of {self.subject}"


class Figure(NamedTuple):
    """A value that a rule judges, and how many events it rests on."""

    value: float
    events: int


def alert_name(key: ExpectedAlert) -> str:
    """Name an alert for a person."""
    window = window_name(((key.model, key.version, key.variant), key.window_start))
    of = f" of {key.signal}" if key.signal else ""
    state = f"still {key.state}" if key.reminder else key.state
    late = " (with late events)" if key.revised else ""
    return f"{state} {key.rule}{of} in {window}{late}, since {key.starts_at}"


class AlertJudge:
    """Judges what followed from the windows that a :class:`WindowJudge` has judged."""

    def __init__(self, windows: WindowJudge, baselines: Baselines, findings: Findings) -> None:
        self._windows = windows
        self._baselines = baselines
        self._findings = findings
        #: Firing alerts, by their keys, that must not ask for going back: until then the slice had
        #: been slow in every window.
        self._never_faster: set[ExpectedAlert] = set()
        #: Rules and slices of which nobody can say that.
        self._undecided: set[tuple[str, SliceName]] = set()

    def judge(self, outputs: Mapping[str, list[OutputRecord]]) -> None:
        """Judge the topics of alerts, actions and audit records."""
        alerts = read_output(outputs["alerts_history"], Alert, "alert", self._findings)
        actions = read_output(outputs["actions"], Action, "action", self._findings)
        audit = read_output(
            _of_windows(outputs["audit_facts"]), Audit, "audit record", self._findings
        )
        self._judge_alerts(alerts)
        self._judge_actions(alerts, actions)
        self._judge_audit(alerts, actions, audit)
        self._findings.count("alerts", len(alerts))
        self._findings.count("actions", len(actions))

    # -- alerts ----------------------------------------------------------------------------------

    def _judge_alerts(self, alerts: dict[str, Copies[Alert]]) -> None:
        found: dict[ExpectedAlert, Alert] = {}
        for one in alerts.values():
            alert = one.contents[0]
            if alert.key in found:
                self._say("DUPLICATED", alert.key, f"{alert} under two ids")
            found[alert.key] = alert
        expected: dict[ExpectedAlert, tuple[Figure, str]] = {}
        for where, reported in self._windows.reported.items():
            expected |= self._fold(where, reported, found)
        for key in expected.keys() - found.keys():
            self._say("LOST", key, f"{alert_name(key)} was not raised, though {expected[key][0]}")
        for key in found.keys() - expected.keys():
            self._say("WRONG", key, f"{alert_name(key)} was raised against the rules")
        for key in expected.keys() & found.keys():
            self._judge_figures(found[key], *expected[key])

    def _fold(
        self, where: SliceName, reported: list[Closed], found: Mapping[ExpectedAlert, Alert]
    ) -> dict[ExpectedAlert, tuple[Figure, str]]:
        """Work out the alerts of one slice from its reports, in the order in which they came."""
        judged: dict[Watch, list[Judged]] = defaultdict(list)
        measured: dict[tuple[Watch, int, bool], tuple[Figure, str]] = {}
        unclear: list[tuple[Watch, int]] = []
        through, now = -1, 0
        for one in reported:
            report = one.report
            window, late = report.window_start, report.revision > 0
            if not late and window <= through:
                # It opened after later ones had closed.
                self._findings.count("windows_judged_late")
                late = True
            elif not late:
                through, now = window, report.window_end
            for watch, figures in self._figures(one).items():
                threshold = watch[0].threshold
                worst = max(figures)
                holds = worst.value > threshold
                key = watch, window, late
                if not late or (holds and key not in measured):
                    measured[key] = worst, report.id
                if abs(worst.value - threshold) <= TOO_CLOSE * max(1.0, threshold):
                    self._findings.count("figures_too_close")
                    unclear.append((watch, len(judged[watch])))
                judged[watch].append(Judged(window, report.window_end, holds, late, now))
        told = {watch: self._told(where, watch, windows) for watch, windows in judged.items()}
        said: dict[tuple[str, str | None], set[ExpectedAlert]] = defaultdict(set)
        for key in found:
            if (key.model, key.version, key.variant) == where:
                said[key.rule, key.signal].add(key)
        for watch, windows in judged.items():
            if watch[0].action == "rollback":
                self._never_faster |= self._without_a_better_time(where, watch, windows)
        self._undecided |= {(watch[0].name, where) for watch, _ in unclear}
        for watch, at in unclear:
            # Nobody can say; whatever was said of it is taken as said.
            other = [*judged[watch]]
            other[at] = other[at]._replace(holds=not other[at].holds)
            instead, rule_and_signal = self._told(where, watch, other), (watch[0].name, watch[1])
            if len(instead ^ said[rule_and_signal]) < len(told[watch] ^ said[rule_and_signal]):
                judged[watch], told[watch] = other, instead
        return {
            key: measured[watch, key.window_start, key.revised]
            for watch, keys in told.items()
            for key in keys
            if (watch, key.window_start, key.revised) in measured
        }

    def _without_a_better_time(
        self, where: SliceName, watch: Watch, windows: list[Judged]
    ) -> set[ExpectedAlert]:
        """Return what fires before the rule has not held in any window that was on time."""
        found, known = set[ExpectedAlert](), list[Judged]()
        for one in windows:
            if not one.late and not one.holds:
                break
            known.append(one)
            told = self._told(where, watch, known)
            found |= {it for it in told if it.state == "firing" and not it.reminder}
        return found

    @staticmethod
    def _told(where: SliceName, watch: Watch, windows: list[Judged]) -> set[ExpectedAlert]:
        rule, signal = watch
        return {ExpectedAlert(rule.name, *where, signal, *told) for told in life(rule, windows)}

    def _figures(self, closed: Closed) -> dict[Watch, list[Figure]]:
        """Return what each rule judges of a window: one figure for each part with enough events."""
        figures: dict[Watch, list[Figure]] = defaultdict(list)
        timed = sum(closed.latency.counts)
        for rule in RULES:
            if rule.metric == "latency_mean_ms":
                if timed >= rule.minimum_events:
                    figures[rule, None].append(Figure(closed.latency.mean, timed))
                continue
            for part in closed.parts:
                if part.events < rule.minimum_events:
                    continue
                for signal, value in self._divergences(part.baseline, part.signals):
                    figures[rule, signal].append(Figure(value, part.events))
        return figures

    def _divergences(
        self, baseline: str, signals: Mapping[str, Histogram]
    ) -> list[tuple[str, float]]:
        """Return KL(current || reference) of each signal that has a reference."""
        references: Mapping[str, Any] = self._baselines.get(baseline, {}).get("signals", {})
        found = []
        for name, reference in references.items():
            if name in FIXED or name not in signals:
                continue
            current, against = current_bins(reference, signals[name]), reference_bins(reference)
            if len(current) == len(against) and any(current) and any(against):
                found.append((name, kl_nats(current, against)))
        return found

    def _judge_figures(self, alert: Alert, figure: Figure, report: str) -> None:
        if alert.report != report:
            self._say("WRONG", alert.key, f"{alert} names report {alert.report}")
        if alert.events != figure.events or not _close(alert.value, figure.value):
            said = f"value {alert.value} of {alert.events} events"
            self._say("WRONG", alert.key, f"{alert}: {said} instead of {figure}")
        if alert.signal is None:
            return
        if alert.distribution is None:
            self._say("WRONG", alert.key, f"{alert} has no count vectors")
        elif not _close(
            kl_nats(alert.distribution.current, alert.distribution.reference), alert.value
        ):
            self._say("WRONG", alert.key, f"{alert}: its count vectors give another value")

    # -- what follows from alerts ------------------------------------------------------------------

    def _judge_actions(
        self, alerts: dict[str, Copies[Alert]], actions: dict[str, Copies[Action]]
    ) -> None:
        by_alert: dict[str, list[Action]] = defaultdict(list)
        for action in (one.contents[0] for one in actions.values()):
            asked = alerts.get(action.alert)
            if asked is None:
                at = actions[action.id].first.timestamp_ms / 1000
                self._findings.add("WRONG", f"{action} is for no alert there is", at=at)
                continue
            alert = asked.contents[0]
            same = alert.key[:4] == (action.rule, action.model, action.version, action.variant)
            if not same or not _fires(alert) or _ACTIONS.get(alert.rule) != action.kind:
                self._say("WRONG", alert.key, f"{action} does not follow from {alert}")
            by_alert[action.alert].append(action)
        # Several signals that drift together ask for one action.
        together: dict[tuple[Any, ...], list[Alert]] = defaultdict(list)
        for alert in (one.contents[0] for one in alerts.values()):
            if _fires(alert) and _ACTIONS.get(alert.rule):
                together[(*alert.key[:4], alert.report)].append(alert)
            elif alert.actions:
                self._say("WRONG", alert.key, f"{alert} names actions {alert.actions}")
        for group in together.values():
            asked_for = sorted({a.id for alert in group for a in by_alert[alert.id]})
            first = group[0]
            if (first.rule, first.key[1:4]) in self._undecided:
                continue
            if first.key in self._never_faster:
                if asked_for or any(alert.actions for alert in group):
                    self._say("WRONG", first.key, f"{first} asks for {asked_for}, never faster")
            elif not asked_for:
                self._say("LOST", first.key, f"{first} has no {_ACTIONS[first.rule]}")
            elif len(asked_for) > 1:
                self._say("DUPLICATED", first.key, f"{first} has {len(asked_for)} actions")
            for alert in group:
                if first.key in self._never_faster:
                    continue
                if asked_for and alert.actions != asked_for:
                    said = f"names actions {alert.actions} instead of {asked_for}"
                    self._say("WRONG", alert.key, f"{alert} {said}")

    def _judge_audit(
        self,
        alerts: dict[str, Copies[Alert]],
        actions: dict[str, Copies[Action]],
        audit: dict[str, Copies[Audit]],
    ) -> None:
        events = {
            **{id_: (_audited(it.contents[0]), it.first) for id_, it in alerts.items()},
            **{id_: ("action.requested", it.first) for id_, it in actions.items()},
        }
        audited: set[str] = set()
        for one in audit.values():
            record, at = one.contents[0], one.first.timestamp_ms / 1000
            # Nobody waits for Kafka to promote, so a promotion may be missing, but not made up.
            if record.event == "baseline.promoted" and record.subject in self._baselines:
                continue
            if record.event == "action.withheld":
                withheld = alerts.get(record.inputs.get("alert", ""))
                if withheld is None or not self._may_be_withheld(withheld.contents[0]):
                    self._findings.add("WRONG", f"{record}: it was not to be withheld", at=at)
                continue
            if record.subject not in events:
                self._findings.add("WRONG", f"audit of {record}: there is no such thing", at=at)
            elif record.event != events[record.subject][0]:
                self._findings.add("WRONG", f"audit of {record}: the event is another", at=at)
            elif record.subject in audited:
                self._findings.add("DUPLICATED", f"audit of {record} under two ids", at=at)
            audited.add(record.subject)
        for subject in events.keys() - audited:
            event, first = events[subject]
            at = first.timestamp_ms / 1000
            self._findings.add("LOST", f"{event} of {subject} has no audit record", at=at)

    def _may_be_withheld(self, alert: Alert) -> bool:
        return alert.key in self._never_faster or (alert.rule, alert.key[1:4]) in self._undecided

    def _say(self, kind: Kind, key: ExpectedAlert, what: str) -> None:
        window = (key.model, key.version, key.variant), key.window_start
        self._findings.add(kind, what, at=self._windows.reported_at(window))


def _fires(alert: Alert) -> bool:
    return alert.state == "firing" and not alert.reminder


def _of_windows(facts: list[OutputRecord]) -> list[OutputRecord]:
    """Leave out what says which files came into force: whoever notices says when he did."""
    return [it for it in facts if not json.loads(it.value)["event"].startswith(_CONFIGURATION)]


def _audited(alert: Alert) -> str:
    return "alert.reminder" if alert.reminder else f"alert.{alert.state}"


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= TOO_CLOSE * max(1.0, abs(b))
