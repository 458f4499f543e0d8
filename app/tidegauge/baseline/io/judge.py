"""What each column of a table holds, decided by all of its cells.

A doubtful decision comes with a message that names the option which settles it.
"""

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from tidegauge.baseline.io.column import (
    MISSING,
    NUMBERS,
    Column,
    Kind,
    Loaded,
    Look,
    NumberForm,
    ReadOptions,
    Role,
    form_of,
    looks_of,
    text_of,
)
from tidegauge.baseline.io.database import Database

#: A column is one of numbers if so many of its cells are; the others are missing, and it is said.
MOSTLY = 0.95

#: So few whole numbers with a leading zero are typing errors, and make no codes of the others.
_RARE_ZEROS = 0.005

#: A column with a smaller share of numbers is clearly not one of numbers.
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
        text = (
            f"column {column.name!r} has numbers with leading zeros ({first.first[:20]!r} in row "
            f"{first.row:,}) and is read as codes, which are text; --type {name}=numeric reads "
            f"numbers"
        )
        return replace(as_text, doubts=(text,))
    if count < MOSTLY * total:
        if override is not None and count >= _SOME * total:
            return replace(as_text, form=form)
        doubts = [] if override else [*_of_text(column, looks, count, total, offender)]
        return replace(as_text, doubts=tuple(doubts))
    if share:
        text = (
            f"column {column.name!r} has percent signs: {_first(present, numbers)!r} is read as a "
            f"share of 1; --type {name}=percent reads the number before the sign"
        )
        doubts = [*doubts, text]
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


#: Columns that one statement looks at.
COLUMNS_AT_ONCE = 50


_EXAMPLES = 3


_EXAMPLE_ROWS = 50


def judge_columns(
    database: Database,
    loaded: Loaded,
    options: ReadOptions,
    types: Mapping[str, Role],
    exclude: Collection[str],
    progress: Callable[[str, float], None],
) -> dict[str, Column]:
    """Return the columns by name, with what they hold."""
    found: dict[str, Column] = {}
    odd: dict[str, dict[str, Look]] = {}
    for first in range(0, len(loaded.columns), COLUMNS_AT_ONCE):
        some = loaded.columns[first : first + COLUMNS_AT_ONCE]
        facts = iter(database.rows("SELECT " + ", ".join(map(_facts, some)) + " FROM t")[0])
        for column in some:
            present, numbers, zeros, others = (next(facts) for _ in range(4))
            kind = _plain_kind(column, present, numbers, zeros, others)
            if column.type == "VARCHAR" and types.get(column.name) in ("numeric", "percent"):
                kind = None if present else "empty"
            found[column.name] = replace(column, kind=kind or "string")
            if kind is None and column.name not in exclude:
                odd[column.name] = looks_of(database, column, _lowered(options))
        progress("Reading types", len(found) / len(loaded.columns))
    shown = {decimal_of(looks) for looks in odd.values()} - {None}
    settled = Settled(
        replace(options, missing=_lowered(options)),
        loaded.delimiter,
        shown.pop() if len(shown) == 1 else None,
    )
    for name, looks in odd.items():
        found[name] = judge(found[name], looks, settled, types.get(name))
    _add_examples(database, found)
    return found


def _lowered(options: ReadOptions) -> tuple[str, ...]:
    return tuple(it.strip().lower() for it in options.missing)


def _facts(column: Column) -> str:
    """Return the SQL of four counts: values, numbers, numbers with a leading zero, and others.

    Most columns of text are all numbers, which is quicker to see than what each cell looks like.
    """
    place = column.place
    if column.nature == "json":
        type_ = f"json_type({place}::JSON)"
        return (
            f"count({place}), "
            f"count(*) FILTER ({type_} IN ('UBIGINT', 'BIGINT', 'DOUBLE', 'HUGEINT') "
            f"OR {text_of(column)} IN ('NaN', 'Infinity', '-Infinity')), "
            f"count(*) FILTER ({type_} = 'BOOLEAN'), "
            f"count(*) FILTER ({type_} IN ('ARRAY', 'OBJECT'))"
        )
    if column.nature == "typed":
        return f"count({place}), 0, 0, 0"
    return (
        f"count(*) FILTER ({text_of(column)} <> ''), count(TRY_CAST({place} AS DOUBLE)), "
        f"count(*) FILTER (ltrim({place})[1] IN ('0', '+', '-') AND "
        f"regexp_full_match({text_of(column)}, '[-+]?0[0-9]+')), "
        f"count(*) FILTER (lower({text_of(column)}) IN ('nan', '-nan', '+nan'))"
    )


def _plain_kind(column: Column, present: int, numbers: int, zeros: int, others: int) -> Kind | None:
    """Return the kind of a column if that is plain; None if its cells must be looked at."""
    if present == 0:
        return "empty"
    if column.nature == "typed":
        return _kind_of_type(column.type)
    if column.nature == "json":
        booleans, nested = zeros, others
        if nested:
            return "nested"
        if booleans == present:
            return "boolean"
        return "numeric" if numbers == present else None
    return "numeric" if numbers == present and not zeros and not others else None


_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(
        (
            "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
            "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BIGNUM", "VARINT",
        ),
        "numeric",
    ),
    "BOOLEAN": "boolean",
    **dict.fromkeys(("VARCHAR", "ENUM", "UUID"), "string"),
    **dict.fromkeys(("DATE", "TIME", "INTERVAL"), "instant"),
    **dict.fromkeys(("STRUCT", "MAP", "UNION", "LIST"), "nested"),
}  # fmt: skip


def _kind_of_type(type_: str) -> Kind:
    if type_.endswith("]"):
        return "nested"
    name = type_.partition("(")[0].partition(" ")[0]
    if name.startswith("TIME"):
        return "instant"
    return _KINDS.get(name, "binary")


def _add_examples(database: Database, columns: dict[str, Column]) -> None:
    shown = database.rows(
        "SELECT " + ", ".join(f"left({it.place}::VARCHAR, 60)" for it in columns.values())
        + f" FROM t LIMIT {_EXAMPLE_ROWS}"
    ) if columns else []  # fmt: skip
    for i, (name, column) in enumerate(list(columns.items())):
        cells = [str(row[i]) for row in shown if row[i] not in (None, "")]
        if column.nature == "json":
            cells = [it.removeprefix('"').removesuffix('"') for it in cells]
        values = dict.fromkeys(it for it in cells if it.strip().lower() not in column.missing_texts)
        columns[name] = replace(column, examples=tuple(list(values)[:_EXAMPLES]))
