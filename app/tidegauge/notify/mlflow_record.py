"""What an audit record changes on a model version in MLflow: its tags and its note. Pure.

Tags:

- ``tidegauge.alert.<rule>[.<signal>]``: an alert, firing or resolved;
- ``tidegauge.action.<kind>``: the latest action of a kind;
- ``tidegauge.state``: the worst severity that fires, or ``ok``.

The note is a table of the latest alerts and actions in the description. Text that people wrote
before and after it stays.
"""

import datetime
import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple, get_args

from tidegauge.contract import AuditRecord, Severity, cut, printable, rfc3339

#: An actor that is a rule.
BY_RULE = "rule:"

STATE = "tidegauge.state"
_ALERT = "tidegauge.alert."
_ACTION = "tidegauge.action."

#: What fires, from good to bad; ``unknown``: the record didn't say.
_WORSE = ("ok", "unknown", *get_args(Severity))

#: MLflow takes these in a key, and a slash where it looks like a path's.
_NOT_IN_KEYS = re.compile(r"[^\w.\- ]")
#: MLflow's limit is 250.
_KEY_CHARACTERS = 200

_FIRING = re.compile(r"state=firing severity=(\w+) ")
_ORDER = re.compile(r" at=(\S+) seq=(\d+) ")


def changed(tags: Mapping[str, str], record: AuditRecord) -> dict[str, str]:
    """Return the tags that ``record`` changes; none if they say what is newer, or this already."""
    key, value = tag_of(record)
    after = dict(tags)
    if not _is_older(record, tags.get(key, "")):
        after[key] = value
    after[STATE] = state_of(after)
    return {name: text for name, text in after.items() if tags.get(name) != text}


def state_of(tags: Mapping[str, str]) -> str:
    """Return the worst severity of the alerts that fire by their tags, or ``ok``.

    >>> state_of({"tidegauge.alert.a": "state=firing severity=low since=…"})
    'low'
    >>> state_of({"tidegauge.alert.a": "state=resolved severity=low since=…"})
    'ok'
    """
    firing = [
        match[1] if match[1] in _WORSE else "unknown"
        for key, value in tags.items()
        if key.startswith(_ALERT) and (match := _FIRING.match(value))
    ]
    return max(firing, key=_WORSE.index, default="ok")


def tag_of(record: AuditRecord) -> tuple[str, str]:
    """Return key and value of the tag that a record sets."""
    kind, step = record.event.split(".", 1)
    given = record.inputs.get
    order = {"at": rfc3339(record.time), "seq": str(record.seq), "id": record.subject}
    if kind == "action":
        said = {"state": step, "dry_run": given("dry_run"), **order}
        return _ACTION + _key(given("action", "unknown")), _line(said)
    since = given("starts_at")
    said = {
        "state": "firing" if step == "raised" else step,
        "severity": given("severity", "unknown"),
        "since": None if since is None else rfc3339(int(since)),
        "metric": given("metric"),
        "value": given("value"),
        "comparison": given("comparison"),
        "threshold": given("threshold"),
        **order,
    }
    rule = record.actor.removeprefix(BY_RULE)
    return _ALERT + _key(rule, *map(given, ("signal", "variant", "segment"))), _line(said)


def _key(first: str, signal: str | None = "", *others: str | None) -> str:
    """Name what an alert is about; a hash at the end keeps apart what would read the same.

    >>> _key("drift", "income")
    'drift.income'
    >>> _key("drift", "income", "canary", "")
    'drift.income.canary.e118a91b'
    """
    parts = [first, signal or "", *(part or "" for part in others)]
    name = ".".join(filter(None, parts))
    clean = _NOT_IN_KEYS.sub("_", name)[:_KEY_CHARACTERS]
    # Where only the last part may have dots, there is one way to read it.
    if clean == name and "." not in first and not any(parts[2:]):
        return name
    return f"{clean}.{hashlib.sha256(repr(parts).encode()).hexdigest()[:8]}"


def _line(said: Mapping[str, str | None]) -> str:
    return " ".join(
        f"{name}={printable(value)}" for name, value in said.items() if value is not None
    )


def _is_older(record: AuditRecord, value: str) -> bool:
    found = _ORDER.search(value)
    return found is not None and comes_before(record, epoch(found[1]), int(found[2]))


def comes_before(record: AuditRecord, time: int, seq: int) -> bool:
    """Whether ``record`` is older than the one of ``time`` and ``seq``, or the same.

    The number alone is not enough: a chain that was begun anew counts from 1 again.
    """
    return record.seq <= seq and record.time <= time


def epoch(text: str) -> int:
    """Read a time as :func:`rfc3339` writes it; 0 if it is none."""
    try:
        return int(datetime.datetime.fromisoformat(text).timestamp())
    except ValueError:
        return 0


_BEGIN = "<!-- tidegauge:begin, rewritten with each alert -->"
_END = "<!-- tidegauge:end -->"

#: MLflow's column of descriptions, in every database that keeps to it.
DESCRIPTION_CHARACTERS = 5000
_REASON_CHARACTERS = 200

_TABLE = "| time | what | why | audit |\n|---|---|---|---|"
#: MLflow's page leaves no room between columns.
_CELL = " | &ensp;"
_ROW = re.compile(rf"\| (\S+){re.escape(_CELL)}.*{re.escape(_CELL)}#(\d+) `([^`]*)` \|")

#: What Markdown would make something of; of HTML and tables it must not even see the characters.
_MARKUP = re.compile(r"([\\`*_{}\[\]~#!])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})


class _Row(NamedTuple):
    time: int
    seq: int
    subject: str
    text: str


def noted(description: str, record: AuditRecord, state: str, *, entries: int) -> str:
    """Return the description with an entry for ``record`` among its ``entries`` latest, once.

    ``state`` goes into the title. There are fewer entries if the description would be longer than
    MLflow takes, and no note at all if people's own text leaves no room for one.
    """
    before, note, after = _split(description)
    rows = _rows(note)
    new = _row(record)
    if not any((row.seq, row.subject) == (new.seq, new.subject) for row in rows):
        # The newest is on top; one that comes late goes to its place.
        later = [comes_before(record, row.time, row.seq) for row in rows]
        rows.insert(later.index(False) if False in later else len(rows), new)
    for kept in range(min(entries, len(rows)), 0, -1):
        whole = before + _note(rows[:kept], state) + after
        if len(whole) <= DESCRIPTION_CHARACTERS:
            return whole
    return before + after if note else description


def _split(description: str) -> tuple[str, str, str]:
    """Return what is before the note, the note, and what is after it."""
    end = description.rfind(_END)
    begin = description.rfind(_BEGIN, 0, max(end, 0))
    if begin < 0:
        return description + "\n\n" if description else "", "", ""
    end += len(_END)
    return description[:begin], description[begin:end], description[end:]


def _rows(note: str) -> list[_Row]:
    found = ((line, _ROW.fullmatch(line)) for line in note.splitlines())
    return [_Row(epoch(match[1]), int(match[2]), match[3], line) for line, match in found if match]


def _note(rows: list[_Row], state: str) -> str:
    title = f"**tidegauge: {_TITLES.get(state, f'firing, {state}')}**"
    return "\n\n".join((_BEGIN, title, "\n".join((_TABLE, *(row.text for row in rows))), _END))


_TITLES = {"ok": "nothing fires", "unknown": "firing"}


def _row(record: AuditRecord) -> _Row:
    subject = printable(record.subject).replace("`", "'").translate(_ENTITIES)
    reason = printable(record.reason)
    if "withheld" in record.inputs:
        reason = f"{printable(record.inputs['withheld'])}; {reason}"
    reason = _plain(cut(reason, _REASON_CHARACTERS))
    cells = (rfc3339(record.time), _what(record), reason, f"#{record.seq} `{subject}`")
    return _Row(record.time, record.seq, subject, f"| {_CELL.join(cells)} |")


def _what(record: AuditRecord) -> str:
    """Say what happened: ``**firing**, high`` or ``retrain **requested**, dry run``."""
    kind, step = record.event.split(".", 1)
    given = record.inputs.get
    if kind == "alert":
        return f"**{step}**, {_plain(given('severity', 'unknown'))}"
    words = f"{_plain(given('action', kind))} **{step}**"
    if given("dry_run") == "true":
        words += ", dry run"
    by_rule = record.actor.startswith(BY_RULE)
    return words if by_rule else f"{words} by {_plain(printable(record.actor))}"


def _plain(text: str) -> str:
    r"""Take from a text what Markdown or HTML would read in it.

    >>> _plain("<b>a_b|c</b>")
    '&lt;b&gt;a\\_b&#124;c&lt;/b&gt;'
    """
    return _MARKUP.sub(r"\\\1", text).translate(_ENTITIES)
