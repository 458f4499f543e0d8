"""What a column of text holds, by what its cells look like. Pure.

Where that is doubtful it is said, with the option that settles it.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tidegauge.baseline.io.table.cells import NUMBERS, Look, form_of
from tidegauge.baseline.io.table.column import Column, NumberForm, Role
from tidegauge.baseline.io.table.options import MISSING, ReadOptions

#: A column is one of numbers if so many of its cells are; the others are missing, and it is said.
MOSTLY = 0.95

#: So few whole numbers with a leading zero are typing errors, and make no codes of the others.
_RARE_ZEROS = 0.005

#: Of one with fewer numbers than this nobody would think that it is one of numbers.
_SOME = 0.5

_COMMA = ("comma", "points", "points_comma", "spaces_comma")
_POINT = ("point", "commas", "commas_point", "spaces_point")

_ABSENT = ("missing", "maybe", "named")

#: What may be either: thousands, or three decimals.
_EITHER = ("comma3",)


@dataclass(frozen=True)
class Settled:
    """What is settled for a whole file: the decimal sign, if one is named or others show it."""

    options: ReadOptions
    delimiter: str
    decimal: str | None


def decimal_of(looks: Mapping[str, Look]) -> str | None:
    """Return the decimal sign that a column shows; None if it shows none, or both.

    >>> decimal_of({"comma": Look(9, "1,5", 1)}), decimal_of({"comma3": Look(9, "1,500", 1)})
    (',', None)
    """
    comma = sum(_cells(looks, name) for name in _COMMA)
    point = sum(_cells(looks, name) for name in _POINT)
    if not comma and not point:
        return None
    if comma and point and min(comma, point) > (1 - MOSTLY) * (comma + point):
        return None
    return "," if comma > point else "."


def judge(
    column: Column, looks: Mapping[str, Look], settled: Settled, override: Role | None
) -> Column:
    """Return the column with its kind, how its numbers are written, and what is doubtful."""
    missing = (*settled.options.missing, *MISSING)
    present = {n: it for n, it in looks.items() if n not in _ABSENT}
    total = sum(it.cells for it in present.values())
    name = shlex.quote(column.name)
    if not total:
        return replace(column, kind="empty", missing_texts=missing)
    if _cells(looks, "truth") == total:
        doubt = _tokens(column.name, looks)
        return replace(column, kind="boolean", missing_texts=missing, doubts=doubt)
    if _cells(looks, "instant") == total:
        return replace(column, kind="instant", missing_texts=missing)
    percents = sum(it.cells for n, it in present.items() if n.endswith("%"))
    is_percent = percents > total - percents
    decimal, doubts = _decimal(column.name, looks, settled)
    share = is_percent and override != "percent"
    form = form_of(decimal, looks, percent=is_percent, share=share)
    numbers = _numbers(present, form, decimal)
    odd = min((it for n, it in present.items() if n not in numbers), key=_row, default=None)
    offender = f"{odd.first[:50]!r} in row {odd.row:,}" if odd else ""
    count = sum(present[n].cells for n in numbers)
    whole = {n.removesuffix("%") for n in numbers} <= {"zeros", "integer"}
    as_text = replace(
        column, kind="string", offender=offender, missing_texts=settled.options.missing
    )
    zeros = _cells(present, "zeros")
    if override is None and whole and zeros > _RARE_ZEROS * total and count >= MOSTLY * total:
        first = present["zeros"]
        said = (
            f"column {column.name!r} has numbers with leading zeros ({first.first[:20]!r} in row "
            f"{first.row:,}) and is read as codes, which are text; --type {name}=numeric reads "
            f"numbers"
        )
        return replace(as_text, doubts=(said,))
    if count < MOSTLY * total:
        if override is not None and count >= _SOME * total:
            return replace(as_text, form=form)
        doubts = [] if override else [*_of_text(column, looks, count, total, offender)]
        return replace(as_text, doubts=tuple(doubts))
    if share:
        said = (
            f"column {column.name!r} has percent signs: {_first(present, numbers)!r} is read as a "
            f"share of 1; --type {name}=percent reads the number before the sign"
        )
        doubts = [*doubts, said]
    if odd is not None and override != "categorical":
        doubts.append(
            f"column {column.name!r}: {count / total:.3%} of its {total:,} cells are numbers, the "
            f"first other is {offender}: {total - count:,} are read as missing; "
            f"--na {shlex.quote(odd.first)} if they are, --type {name}=categorical to read text"
        )
    doubts += _tokens(column.name, looks)
    if override == "categorical":
        doubts = []
    return replace(
        column,
        kind="numeric",
        form=form,
        offender=offender,
        doubts=tuple(doubts),
        missing_texts=missing,
    )


def _decimal(name: str, looks: Mapping[str, Look], settled: Settled) -> tuple[str, list[str]]:
    """Return the decimal sign of a column, and a doubt about it."""
    own = decimal_of(looks)
    if settled.options.decimal is not None:
        return settled.options.decimal, []
    either = [it for it in (looks.get(one) for one in _EITHER) if it is not None]
    if own is not None:
        return own, []
    if not either:
        return ".", []
    if settled.decimal is not None:
        return settled.decimal, []
    found = "," if settled.delimiter in ";\t" else "."
    first = either[0].first
    value = first.replace(",", "." if found == "," else "")
    other, meaning = (".", "thousands") if found == "," else (",", "decimals")
    return found, [
        f"column {name!r}: {first!r} is read as {value}; --decimal '{other}' if the comma is for "
        f"{meaning}"
    ]


def _numbers(present: Mapping[str, Look], form: NumberForm, decimal: str) -> set[str]:
    """Return the looks that are numbers in this form."""
    ours, others = (_COMMA, _POINT) if decimal == "," else (_POINT, _COMMA)
    found = {"zeros", "integer", "infinite", "spaces", *ours, *_EITHER, "point3"}
    if decimal == ".":
        found |= {"point"}
    elif "point" in found:
        found.discard("point")
    suffix = "%" if form.percent else ""
    names = {it + suffix for it in found - set(others)}
    return names & present.keys() & {it + suffix for it in NUMBERS}


def _of_text(
    column: Column, looks: Mapping[str, Look], numbers: int, total: int, offender: str
) -> tuple[str, ...]:
    """Return what is doubtful of a column that is read as text."""
    name, quoted = column.name, shlex.quote(column.name)
    if numbers >= _SOME * total:
        return (
            f"column {name!r} is read as text: {numbers / total:.1%} of its {total:,} cells are "
            f"numbers, the first other is {offender}; if that means missing: --na and the text",
        )
    money = looks.get("money")
    if money is not None and money.cells >= MOSTLY * total:
        return (
            f"column {name!r} is read as text: {money.first!r} has a sign that is no number's; "
            f"write it without, or --exclude {quoted}",
        )
    truth = looks.get("truth_elsewhere")
    if truth is not None and truth.cells >= MOSTLY * total:
        return (
            f"column {name!r} is read as text: {truth.first!r} is how a spreadsheet says true or "
            f"false, which events that carry true and false never match; write those, or "
            f"--type {quoted}=categorical if events carry this text",
        )
    absent = [it for it in (looks.get("missing"), looks.get("maybe")) if it is not None]
    if not absent or column.nature != "text":
        return ()
    missing = min(absent, key=_row)
    return (
        f"column {name!r} is text, so {missing.first!r} (row {missing.row:,}) is a value there; if "
        f"it means missing: --na {shlex.quote(missing.first)}; --type {quoted}=categorical if not",
    )


def _tokens(name: str, looks: Mapping[str, Look]) -> tuple[str, ...]:
    missing = looks.get("maybe")
    if missing is None:
        return ()
    return (
        f"column {name!r}: {missing.cells:,} cells such as {missing.first!r} (row {missing.row:,}) "
        f"are read as missing; --type {shlex.quote(name)}=categorical reads text",
    )


def _cells(looks: Mapping[str, Look], name: str) -> int:
    return sum(looks[it].cells for it in (name, name + "%") if it in looks)


def _row(look: Look) -> int:
    return look.row


def _first(present: Mapping[str, Look], numbers: set[str]) -> str:
    return min((present[it] for it in numbers), key=_row).first
