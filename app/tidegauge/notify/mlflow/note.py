"""The note: a table of the latest alerts and actions in the description of a model version.

What people wrote before and after it stays as it is.
"""

import re
from typing import NamedTuple

from tidegauge.contract import AuditRecord, printable
from tidegauge.notify.mlflow.tags import BY_RULE, comes_before, epoch, iso

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
    if len(reason) > _REASON_CHARACTERS:
        reason = reason[: _REASON_CHARACTERS - 1] + "…"
    cells = (iso(record.time), _what(record), _plain(reason), f"#{record.seq} `{subject}`")
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
