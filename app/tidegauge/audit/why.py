"""Why an action was requested, from the audit trail alone. Pure.

From the action to the alert that requested it, the rule and its file, the figures of the window,
the baseline that they were compared with, and what people did about it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tidegauge.contract import AuditRecord, Record, quantity_text, utc_text

_REQUESTED = ("action.requested", "action.withheld")
_OUTCOMES = ("action.taken", "action.failed")

#: What an explanation is made of; a trail holds much else.
EVENTS = frozenset(
    {
        *_REQUESTED,
        *_OUTCOMES,
        "alert.firing",
        "alert.resolved",
        "alert.acknowledged",
        "baseline.promoted",
        "rules.changed",
        "silence.created",
    }
)

#: Characters shown of an id or a hash.
_SHORT = 12


class Explanation(Record):
    """Why one action was requested: the facts about it, each None or empty if unknown.

    ``began`` and ``ended`` are of the alert's episode, ``promoted`` is how the baseline came to be
    in force, ``rules`` how the rule file did. ``outcomes`` are the acknowledgements of the action.
    """

    asked: AuditRecord
    began: AuditRecord | None
    ended: AuditRecord | None
    rules: AuditRecord | None
    promoted: AuditRecord | None
    acknowledged: AuditRecord | None
    silences: list[AuditRecord]
    outcomes: list[AuditRecord]


def asked_for(records: Iterable[AuditRecord]) -> list[AuditRecord]:
    """Return the facts that actions were requested, or withheld, the oldest first."""
    found = (record for record in records if record.event in _REQUESTED)
    return sorted(found, key=lambda record: record.time)


def explain(asked: AuditRecord, records: Sequence[AuditRecord]) -> Explanation:
    """Gather what the trail has on one action; ``records`` is the trail, in any order."""
    ordered = sorted(records, key=lambda record: record.time)
    inputs = asked.inputs
    episode, baseline = inputs.get("episode", ""), inputs.get("baseline", "")

    own = [record for record in ordered if record.inputs.get("episode") == episode and episode]
    alert = [record for record in ordered if record.subject == inputs.get("alert")]
    fired = [record for record in alert if record.event == "alert.firing"]
    ends = [record for record in own if record.event == "alert.resolved"]
    seen = [record for record in own if record.event == "alert.acknowledged"]
    files = [
        record
        for record in ordered
        if record.event == "rules.changed" and record.subject == inputs.get("rules_sha256")
    ]
    promotions = [
        record
        for record in ordered
        if record.event == "baseline.promoted"
        and record.subject == baseline
        and (record.model, record.version) == (asked.model, asked.version)
    ]
    return Explanation(
        asked=asked,
        began=fired[0] if fired else None,
        ended=ends[-1] if ends else None,
        rules=_then(files, asked.time),
        promoted=_then(promotions, asked.time),
        acknowledged=seen[-1] if seen else None,
        silences=[record for record in own if record.event == "silence.created"],
        outcomes=[
            record
            for record in ordered
            if record.event in _OUTCOMES and record.subject == asked.subject
        ],
    )


def _then(facts: Sequence[AuditRecord], time: float) -> AuditRecord | None:
    """Return the last fact at ``time``, or the first after it: old events may be judged late."""
    before = [fact for fact in facts if fact.time <= time]
    return before[-1] if before else next(iter(facts), None)


def as_text(found: Explanation) -> Iterator[str]:
    """Yield the lines of an answer for a person."""
    asked, inputs = found.asked, found.asked.inputs
    kind, of = inputs.get("action", "action"), f"{asked.model} {asked.version}"
    verb = "was requested" if asked.event == "action.requested" else "was NOT requested"
    rule = asked.actor.removeprefix("rule:")
    yield f"{utc_text(asked.time)}  {kind} of {of} {verb} by rule {rule}"
    lines = [("action", asked.subject), ("because", asked.reason)]
    if "withheld" in inputs:
        lines.append(("withheld", inputs["withheld"]))
    lines += [("alert", inputs.get("alert", "unknown")), ("firing", _firing(found))]
    if "metric" in inputs:
        lines.append(("figure", _figure(inputs)))
        window = f"{_at(inputs, 'window_start')} to {_at(inputs, 'window_end')}"
        lines += [("window", window), ("report", inputs.get("report", ""))]
    lines.append(("baseline", _baseline(found)))
    lines.append(("rules", _rules(found)))
    if "data_since" in inputs:
        span = f"{_at(inputs, 'data_since')} to {_at(inputs, 'data_until')}"
        lines += [("data", span), ("offsets", f"up to {inputs.get('data_offsets', '')}")]
    if (seen := found.acknowledged) is not None:
        lines.append(("seen", _by_whom(seen)))
    lines += [("silenced", _by_whom(one)) for one in found.silences]
    lines += [("outcome", _outcome(one)) for one in found.outcomes]
    if not found.outcomes and asked.event == "action.requested":
        lines.append(("outcome", "not acknowledged"))
    for name, text in lines:
        yield f"  {name:<9} {text}"


def _firing(found: Explanation) -> str:
    if found.began is None:
        return "its beginning is not in the trail"
    ended = "still firing" if found.ended is None else f"resolved {utc_text(found.ended.time)}"
    return f"since {utc_text(found.began.time)}, {ended}"


def _figure(inputs: dict[str, str]) -> str:
    several = inputs.get("signals", "").split()
    signal = inputs.get("signal") or next(iter(several), "")
    of = f" of {signal}" if signal else ""
    if len(several) > 1:
        of += f" (and {len(several) - 1} more: {' '.join(several[1:])})"
    known = defaultdict(lambda: "?", inputs)  # a fact may lack some of them
    unit = inputs.get("unit", "")
    return (
        f"{known['metric']}{of} is {quantity_text(known['value'], unit)}, {known['comparison']} "
        f"{quantity_text(known['threshold'], '')}, in {quantity_text(known['events'], '')} events "
        f"(at least {quantity_text(known['minimum_events'], '')})"
    )


def _baseline(found: Explanation) -> str:
    id = found.asked.inputs.get("baseline", "")
    if not id:
        return "none"
    if found.promoted is None:
        return f"{id[:_SHORT]}; its promotion is not in the trail"
    one = found.promoted
    return f"{id[:_SHORT]}, promoted {utc_text(one.time)} by {one.actor.removeprefix('user:')}"


def _rules(found: Explanation) -> str:
    sha256 = found.asked.inputs.get("rules_sha256", "")
    if found.rules is None:
        return f"file {sha256[:_SHORT]}; since when is not in the trail"
    one = found.rules
    source = one.inputs.get("source", "")
    return f"{source} {sha256[:_SHORT]}, noticed {utc_text(one.time)} by {one.actor} ({one.reason})"


def _by_whom(one: AuditRecord) -> str:
    why = f": {one.reason}" if one.reason else ""
    return f"by {one.actor.removeprefix('user:')} at {utc_text(one.time)}{why}"


def _outcome(one: AuditRecord) -> str:
    prefix = "result "
    results = [
        f"{name.removeprefix(prefix)} {value}"
        for name, value in sorted(one.inputs.items())
        if name.startswith(prefix)
    ]
    came = f" ({', '.join(results)})" if results else ""
    return f"{one.event.removeprefix('action.')} {_by_whom(one)}{came}"


def _at(inputs: dict[str, str], name: str) -> str:
    return utc_text(inputs.get(name, "?"))
