"""A small source made up by hand, and the outputs that are right for it.

Slow and row by row, by ``support.oracle``; what the quick oracle of the suite is held against.
"""

import json
import random
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from chaos.judge.oracle import OutputRecord, Verdict, judge_run
from chaos.judge.recount import baseline_id
from support.oracle import count_signals, kl_nats, reference_bins

START = 1_750_000_000
SECONDS = 5
PARTITIONS = 2

Json = dict[str, Any]
Event = tuple[int, int, Json]  # partition, offset, event

#: Enough for the rules about drift, and for the rule about latency alone.
MANY, FEW = 1_050, 120


def _baseline(rows: int, edges: list[float]) -> Json:
    def numeric(counts: list[int]) -> Json:
        return {
            "kind": "numeric", "edges": edges, "counts": counts, "missing": 0, "nan": 0,
            "mean": 0.0, "std": 1.0, "minimum": -3.0, "maximum": 3.0,
        }  # fmt: skip

    quarter = rows // 4
    return {
        "model": "m1",
        "version": "1",
        "rows": rows,
        "source": "rows.csv",
        "signals": {
            "x": numeric([quarter] * 4),
            "colour": {
                "kind": "categorical", "dtype": "string", "categories": ["red", "blue"],
                "known": ["red", "blue", "green"], "known_complete": True,
                "counts": [rows // 2, rows // 4, rows // 4, 0], "missing": 0,
            },
            "prediction": numeric([quarter] * 4),
        },
        "schema_version": 1,
    }  # fmt: skip


FIRST = _baseline(4_000, [-0.6745, 0.0, 0.6745])
SECOND = _baseline(8_000, [-0.7, 0.0, 0.7])

BAD: list[tuple[bytes | None, str]] = [
    (b"not JSON", "invalid_json"),
    (None, "empty"),
    (b"\xff\xfe", "invalid_utf8"),
    (b'{"time":%d,"version":"1"}' % START, "invalid_record"),
    (b'{"time":%d,"model":"m1","version":"1"}' % (START + 86_400), "time_too_late"),
    (b'{"time":915148800,"model":"m1","version":"1"}', "time_too_early"),
]


class World:
    """The source, and right outputs as JSON objects, free to be spoilt."""

    def __init__(self, seed: int = 5) -> None:
        self._rng = random.Random(seed)
        self.source: list[tuple[int, int, int, bytes | None]] = []
        self.events: list[Event] = []
        self._ends = dict.fromkeys(range(PARTITIONS), 0)
        self.outputs: dict[str, list[Json]] = {
            kind: []
            for kind in ("windows", "alerts_history", "actions", "audit_facts", "dead_letters")
        }
        self.faults = [(START + 1.0, "kill ingest-0"), (START + 12.0, "restart of the broker")]
        self._fill()

    def _fill(self) -> None:
        for number in range(4):
            start = START + number * SECONDS
            for sent in range(MANY):
                if sent == MANY // 2:
                    change = dict(self._ends)  # of window 3: a new baseline is promoted
                self._send(start, "m1", shift=1.0 if number == 1 else 0.0)
            for _ in range(FEW):
                self._send(start, "m2", variant="canary", latency=300 if number == 1 else 20)
            if number == 0:
                for value, _ in BAD:
                    self._put(value, START + 1)
            if number == 2:
                self._fill_odd(start)
            if number == 3:
                self.add_report("m1", number, [(FIRST, {}, change), (SECOND, change, self._ends)])
            else:
                self.add_report("m1", number, [(FIRST, {}, self._ends)])
            self.add_report("m2", number, [(None, {}, self._ends)], variant="canary")
        self._send(START, "m2", variant="canary")
        self.add_report("m2", 0, [(None, {}, self._ends)], variant="canary", revision=1)
        # The window opened only after a later one had closed.
        self._send(START + SECONDS, "m3")
        self.add_report("m3", 1, [(None, {}, self._ends)])
        for _ in range(FEW):
            self._send(START, "m3", latency=400)
        self.add_report("m3", 0, [(None, {}, self._ends)])
        for (value, reason), (partition, offset, _, _) in zip(BAD, self._bad(), strict=True):
            self._dead_letter(partition, offset, value or b"", reason)
        self._follow_rules()

    def _fill_odd(self, start: int) -> None:
        """Send events whose values are none; all of them in one part."""
        features: list[Any] = [None, "NaN", "oops", [1], True]
        for feature in features:
            self._send(start, "m1", x=feature)
        colours: list[Any] = [None, 7, 7.5, "mauve", [], float("nan")]
        for colour in colours:
            self._send(start, "m1", colour=colour)
        event = self._event(start, "m1")
        del event["features"], event["prediction"], event["status"]
        self._send_event(event)
        self._send_event(self._event(start, "m1") | {"features": None, "latency_ms": None})
        self._send_event(self._event(start, "m1") | {"time": "2025-06-15T15:06:50.5Z"})

    # -- source ----------------------------------------------------------------------------------

    def _event(
        self, start: int, model: str, variant: str = "", shift: float = 0.0, latency: float = 20.0
    ) -> Json:
        rng = self._rng
        return {
            "time": round(start + rng.random() * (SECONDS - 0.01), 3),
            "model": model,
            "version": "1",
            "variant": variant,
            "prediction": round(rng.gauss(0, 1), 3),
            "latency_ms": round(latency * rng.uniform(0.8, 1.2), 2),
            "status": "error" if rng.random() < 0.02 else "ok",
            "features": {
                "x": round(rng.gauss(shift, 1), 3),
                "colour": rng.choice(["red", "red", "blue", "green"]),
            },
        }

    def _send(self, start: int, model: str, *, variant: str = "", shift: float = 0.0,
              latency: float = 20.0, **features: Any) -> None:  # fmt: skip
        event = self._event(start, model, variant, shift, latency)
        event["features"] |= features
        self._send_event(event)

    def _send_event(self, event: Json) -> None:
        at = event["time"] if isinstance(event["time"], float) else START + 11
        partition, offset = self._put(json.dumps(event).encode(), at)
        self.events.append((partition, offset, event))

    def _put(self, value: bytes | None, at: float) -> tuple[int, int]:
        partition = self._rng.randrange(PARTITIONS)
        offset = self._ends[partition]
        self._ends[partition] += 1
        self.source.append((partition, offset, int(at * 1000) + 500, value))
        return partition, offset

    def _bad(self) -> list[tuple[int, int, int, bytes | None]]:
        sound = {(partition, offset) for partition, offset, _ in self.events}
        return [record for record in self.source if record[:2] not in sound]

    # -- outputs ---------------------------------------------------------------------------------

    def add_report(
        self,
        model: str,
        number: int,
        parts: list[tuple[Json | None, dict[int, int], dict[int, int]]],
        *,
        variant: str = "",
        revision: int = 0,
    ) -> None:
        """Report what each part's baseline has counted between two places in the source."""
        start = START + number * SECONDS
        counted: list[tuple[str, list[Json], Json]] = []
        for baseline, since, to in parts:
            rows = [
                event
                for partition, offset, event in self.events
                if (event["model"], event["variant"]) == (model, variant)
                and _second(event) // SECONDS * SECONDS == start
                and since.get(partition, 0) <= offset < to[partition]
            ]
            signals = {
                name: {"kind": "numeric", "histogram": _histogram(asdict(histogram))}
                for name, histogram in count_signals(rows, baseline).items()
            }
            counted.append((baseline_id(baseline) if baseline else "", rows, signals))
        self.outputs["windows"].append(
            {
                "id": f"{model} {variant} {start} {revision}",
                "model": model,
                "version": "1",
                "variant": variant,
                "segment": {},
                "window_start": start,
                "window_end": start + SECONDS,
                "revision": revision,
                "events": sum(len(rows) for _, rows, _ in counted),
                "errors": sum(e.get("status") == "error" for _, rows, _ in counted for e in rows),
                "counted": [
                    {"topic": "predictions", "partition": p, "start": 0, "to": to}
                    for p, to in parts[-1][2].items()
                ],
                "parts": [
                    {"baseline": name, "events": len(rows), "signals": signals}
                    for name, rows, signals in counted
                ],
                "schema_version": 1,
            }
        )

    def _dead_letter(self, partition: int, offset: int, value: bytes, reason: str) -> None:
        text = reason != "invalid_utf8"
        self.outputs["dead_letters"].append(
            {
                "topic": "predictions", "partition": partition, "offset": offset, "row": None,
                "time": START + 2.0, "reason": reason, "detail": "",
                "payload": value.decode() if text else "//4=",
                "payload_encoding": "utf-8" if text else "base64",
                "payload_bytes": len(value), "payload_truncated": False,
            }
        )  # fmt: skip

    def _follow_rules(self) -> None:
        """Raise what must follow: m1's x drifts and m2 is slow in window 1, and no longer in 2.

        For the rules on what lasts that is too short to fire.
        """
        for number, state, lasting in ((1, "firing", "pending"), (2, "resolved", "inactive")):
            report = self.report("m1", number)
            signal = report["parts"][0]["signals"]["x"]["histogram"]
            reference = reference_bins(FIRST["signals"]["x"])
            current = [
                *signal["counts"], signal["absent"] + signal["null"], signal["nan"],
                signal["invalid"],
            ]  # fmt: skip
            self.add_alert("drift", report, state, "x", kl_nats(current, reference),
                        report["events"], current, reference)  # fmt: skip
            self.add_alert("drift-retrain", report, state, "x", kl_nats(current, reference),
                        report["events"], current, reference)  # fmt: skip
            self.add_alert("drift-lasting", report, lasting, "x", kl_nats(current, reference),
                        report["events"], current, reference)  # fmt: skip
            report = self.report("m2", number)
            latency = report["parts"][0]["signals"]["latency_ms"]["histogram"]
            n = sum(latency["counts"])
            self.add_alert("slow-lasting", report, lasting, None, latency["sum"] / n, n)
            self.add_alert("latency-rollback", report, state, None, latency["sum"] / n, n)
            if number == 1:
                self._follow_late_window()

    def _follow_late_window(self) -> None:
        """Raise what m3 must: its slow window opened after a later one had closed.

        The later one had too few events to be judged, so m3 has never been faster.
        """
        report = self.report("m3", 0)
        latency = report["parts"][0]["signals"]["latency_ms"]["histogram"]
        n = sum(latency["counts"])
        for rule, state in (("latency-rollback", "firing"), ("slow-lasting", "pending")):
            self.add_alert(rule, report, state, None, latency["sum"] / n, n, withheld=True)
            self.outputs["alerts_history"][-1] |= {"starts_at": START, "revised": True}

    def add_alert(self, rule: str, report: Json, state: str, signal: str | None, value: float,
               events: int, current: Iterable[int] = (), reference: Iterable[int] = (),
               withheld: bool = False) -> None:  # fmt: skip
        kind = {"drift-retrain": "retrain", "latency-rollback": "rollback"}.get(rule)
        name = {key: report[key] for key in ("model", "version", "variant")}
        id_ = f"{rule} {report['model']} {signal} {state}"
        asks = kind is not None and state == "firing" and not withheld
        self.outputs["alerts_history"].append(
            {
                "id": id_, "state": state, "rule": rule, **name, "signal": signal, "value": value,
                "events": events, "starts_at": START + SECONDS,
                "window_start": report["window_start"], "report": report["id"],
                "distribution": {"current": [*current], "reference": [*reference]}
                if signal else None,
                "actions": [f"{kind} for {id_}"] if asks else [], "reminder": 0, "revised": False,
            }
        )  # fmt: skip
        self._audit(id_, f"alert.{state}")
        if asks:
            action = {"id": f"{kind} for {id_}", "kind": kind, "alert": id_, "rule": rule, **name}
            self.outputs["actions"].append(action)
            self._audit(str(action["id"]), "action.requested")
        elif kind is not None and state == "firing":
            self._audit(f"{kind} for {id_}", "action.withheld", alert=id_)

    def _audit(self, subject: str, event: str, **inputs: str) -> None:
        fact = {"id": f"audit {subject}", "event": event, "subject": subject, "inputs": inputs}
        self.outputs["audit_facts"].append(fact)

    # -- judging ---------------------------------------------------------------------------------

    def report(self, model: str, number: int, revision: int = 0) -> Json:
        """Return one report."""
        start = START + number * SECONDS
        [found] = [
            report
            for report in self.outputs["windows"]
            if (report["model"], report["window_start"], report["revision"])
            == (model, start, revision)
        ]
        return found

    def alert(self, rule: str, state: str) -> Json:
        """Return one alert, of a window that was on time."""
        [found] = [
            a for a in self.outputs["alerts_history"]
            if (a["rule"], a["state"], a["revised"]) == (rule, state, False)
        ]  # fmt: skip
        return found

    def judge(self, **how: Any) -> Verdict:
        """Let the oracle judge the world as it stands; outputs are 1 s apart."""
        outputs = {
            kind: [
                OutputRecord(0, i, (START + 8 + i) * 1000, json.dumps(record).encode())
                for i, record in enumerate(records)
            ]
            for kind, records in self.outputs.items()
        }
        baselines = {("m1", "1"): [FIRST, SECOND]}
        return judge_run(self.source, outputs, baselines, self.faults, SECONDS, **how)


def _second(event: Json) -> float:
    return event["time"] if isinstance(event["time"], float) else START + 10.5


def _histogram(counted: Json) -> Json:
    del counted["sum_of_magnitudes"]
    return counted
