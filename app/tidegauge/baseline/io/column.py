"""A column of a table: what is known of it, what its cells look like, and the SQL that reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tidegauge.baseline.io.database import Database, literal

#: Texts, in any case, that are missing values in a column of numbers or of true and false: they
#: have no other use. In a column of text only the empty cell is missing: "NA" may be
#: Namibia.
PLAINLY_MISSING = (
    "na", "n/a", "n.a.", "#n/a", "#na", "null", "(null)", "none", "nil", "nan", "-nan", "nat",
    "<na>", r"\n", "__hive_default_partition__",
)  # fmt: skip

#: What is read so too, and said: it may be a slip.
MAYBE_MISSING = (
    "?", "-", "--", ".", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!",
    "1.#qnan", "1.#ind", "-1.#ind",
)  # fmt: skip

MISSING = PLAINLY_MISSING + MAYBE_MISSING


@dataclass(frozen=True)
class ReadOptions:
    """Options of ``tidegauge baseline create``; None: the reader finds out.

    ``missing`` are texts that are missing in every column, beside :data:`MISSING`.
    """

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = ()


#: What the values of a column are, judged by all of them.
Kind = Literal["numeric", "boolean", "string", "instant", "nested", "binary", "empty"]

#: What a column is read as; percent: numbers of which the sign is left out.
Role = Literal["numeric", "categorical", "percent"]

#: Where a column comes from: cells of text, JSON, or a file that has types.
Nature = Literal["text", "json", "typed"]


@dataclass(frozen=True)
class NumberForm:
    """How a column of text writes numbers.

    ``decimal`` is the decimal sign; ``groups`` are the signs between thousands, which are left out;
    ``percent``: each has a percent sign; ``share``: it means hundredths.
    """

    decimal: str = "."
    groups: str = ""
    percent: bool = False
    share: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the numbers are written as in every programming language."""
        return self == NumberForm()


@dataclass(frozen=True)
class Column:
    """A column, by its name and its ``place`` in the SQL of the reader.

    ``offender`` is the first value that is no number, and its row, where most or none are.
    ``missing_texts`` are those that are missing in this column, in lower case.
    """

    name: str
    place: str
    nature: Nature
    type: str
    kind: Kind = "empty"
    form: NumberForm = field(default_factory=NumberForm)
    offender: str = ""
    doubts: tuple[str, ...] = ()
    missing_texts: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def spelled_as(self) -> Kind:
        """The kind by which its categories are spelled in events; of typed files, as they are."""
        return self.kind if self.nature == "text" else "string"


class Loaded(NamedTuple):
    """The columns of ``t``; ``indexes`` are those that a frame's index was written as.

    ``beside`` are fields of recorded events that are no signals unless an option names them.
    """

    columns: list[Column]
    doubts: list[str]
    indexes: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    delimiter: str = ","


def columns_of(names: Sequence[str], types: Sequence[str], nature: Nature) -> list[Column]:
    """Return columns that nothing is known of but their names and types."""
    return [
        Column(name, f"c{i}", nature, type_)
        for i, (name, type_) in enumerate(zip(names, types, strict=True))
    ]


#: Signs that stand between thousands beside comma and point: spaces of all kinds and apostrophes.
SPACES = " '\u2019\u00a0\u2009\u202f"

#: The minus sign of typesetting, which spreadsheets and web pages write.
_MINUS = "\u2212"

_CLOCK = r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?(\s?[AaPp][Mm])?"
_ZONE = r"\s*(Z|[-+][0-9]{2}:?([0-9]{2})?)?"

#: The names of the months in English, as SAS, Oracle and spreadsheets write them.
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"

#: Cells by how they look, the first that fits: RE2 patterns. The percent sign is taken off before.
_LOOKS: Mapping[str, str] = {
    "zeros": r"[-+]?0[0-9]+",
    "integer": r"[-+]?[0-9]+",
    "point3": r"[-+]?[0-9]{1,3}\.[0-9]{3}",
    "point": r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?",
    "points": r"[-+]?[0-9]{1,3}(\.[0-9]{3}){2,}",
    "infinite": r"(?i)[-+]?inf(inity)?",
    "comma3": r"[-+]?[0-9]{1,3},[0-9]{3}",
    "commas": r"[-+]?[0-9]{1,3}(,[0-9]{3}){2,}",
    "commas_point": r"[-+]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]*",
    "comma": r"[-+]?([0-9]+,[0-9]*|,[0-9]+)([eE][-+]?[0-9]+)?",
    "points_comma": r"[-+]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]*",
    "spaces": rf"[-+]?[0-9]{{1,3}}([{SPACES}][0-9]{{3}})+",
    "spaces_point": rf"[-+]?[0-9]{{1,3}}([{SPACES}][0-9]{{3}})+\.[0-9]*",
    "spaces_comma": rf"[-+]?[0-9]{{1,3}}([{SPACES}][0-9]{{3}})+,[0-9]*",
    "truth": r"(?i)true|false",
    "truth_elsewhere": r"(?i)wahr|falsch|vrai|faux|verdadero|falso|vero|verdadeiro|waar|onwaar"
    r"|prawda|fałsz|sann?t|falskt|tosi|epätosi|истина|ложь|igaz|hamis",
    "money": r"[-+]?[$€£¥]\s?[-+]?[0-9][0-9.,]*|[-+]?[0-9][0-9.,]*\s?[$€£¥]|\([0-9][0-9.,]*\)",
    "instant": rf"[0-9]{{4}}[-/][0-9]{{1,2}}[-/][0-9]{{1,2}}([T ]{_CLOCK}{_ZONE})?"
    rf"|[0-9]{{1,2}}[./][0-9]{{1,2}}[./]([0-9]{{4}}|[0-9]{{2}})(,? {_CLOCK})?"
    rf"|[0-9]{{1,2}}[- ]?(?i:{_MONTH})[- ]?([0-9]{{4}}|[0-9]{{2}})([: ]{_CLOCK})?"
    rf"|(?i:{_MONTH}) [0-9]{{1,2}},? [0-9]{{4}}(,? {_CLOCK})?"
    rf"|{_CLOCK}",
}

#: Those that are a number, be it what it may.
NUMBERS = frozenset(_LOOKS) - {"truth", "truth_elsewhere", "money", "instant"}

#: What a number may look like in each form, as RE2 has it; anything else is none.
_WHOLE = {
    ".": r"[-+]?([0-9][0-9{groups}]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?",
    ",": r"[-+]?([0-9][0-9{groups}]*,?[0-9]*|,[0-9]+)([eE][-+]?[0-9]+)?",
}


class Look(NamedTuple):
    """Cells that look alike: how many, and the first of them, with its row."""

    cells: int
    first: str
    row: int


def looks_of(database: Database, column: Column, missing: Sequence[str]) -> dict[str, Look]:
    """Count the cells of a column by what they look like.

    Beside the names above: ``missing``, ``maybe`` (missing, as it seems), ``named`` (missing, as an
    option says), ``other``; a percent sign after a number adds ``%`` to its name.
    """
    cell = text_of(column)
    if column.nature == "json":
        return _json_looks(database, column, missing)
    bare = r"regexp_replace(cell, '\s*%$', '')"
    cases = " ".join(
        f"WHEN regexp_full_match(bare, {literal(pattern)}) THEN '{name}'"
        for name, pattern in _LOOKS.items()
    )
    sql = (
        f"SELECT look, sum(n)::BIGINT, arg_min(cell, line), min(line) FROM ("
        f"SELECT cell, n, line, CASE WHEN lower(cell) IN ({_listed(missing)}) THEN 'named' "
        f"WHEN lower(cell) IN ({_listed(PLAINLY_MISSING)}) THEN 'missing' "
        f"WHEN lower(cell) IN ({_listed(MAYBE_MISSING)}) THEN 'maybe' "
        f"ELSE (CASE {cases} ELSE 'other' END) || if(bare = cell, '', '%') END AS look FROM ("
        f"SELECT cell, {bare} AS bare, count(*) AS n, min(at_row) + 1 AS line FROM ("
        f"SELECT {cell} AS cell, at_row FROM t) WHERE cell IS NOT NULL AND cell <> '' GROUP BY cell"
        f")) GROUP BY look"
    )
    return {name: Look(cells, first, row) for name, cells, first, row in database.rows(sql)}


def _json_looks(database: Database, column: Column, missing: Sequence[str]) -> dict[str, Look]:
    """Count JSON values by what they are: text stays text, whatever it looks like."""
    place, cell = column.place, text_of(column)
    sql = (
        f"SELECT CASE WHEN json_type({place}::JSON) = 'BOOLEAN' THEN 'truth' "
        f"WHEN json_type({place}::JSON) <> 'VARCHAR' OR {cell} IN {_NON_FINITE} THEN 'point' "
        f"WHEN lower({cell}) IN ({_listed(missing)}) THEN 'named' "
        f"WHEN lower({cell}) IN ({_listed(PLAINLY_MISSING)}) THEN 'missing' "
        f"WHEN lower({cell}) IN ({_listed(MAYBE_MISSING)}) THEN 'maybe' "
        f"WHEN regexp_full_match({cell}, {literal(_LOOKS['instant'])}) THEN 'instant' "
        f"ELSE 'other' END AS look, count(*), arg_min({cell}, at_row), min(at_row) + 1 "
        f"FROM t WHERE {place} IS NOT NULL GROUP BY look"
    )
    return {name: Look(cells, first, row) for name, cells, first, row in database.rows(sql)}


def text_of(column: Column) -> str:
    """Return the SQL of a column's text without space around it; in cells, a minus is a hyphen."""
    if column.nature == "json":
        return f"trim(json_extract_string({column.place}::JSON, '$'))"
    if column.nature == "text":
        return f"regexp_replace(trim({column.place}::VARCHAR), '^{_MINUS}([0-9.,])', '-\\1')"
    return f"trim({column.place}::VARCHAR)"


def number_of(column: Column) -> str:
    """Return the SQL of a column's numbers: NULL where there is none."""
    place = column.place
    if column.nature == "typed" and column.type != "VARCHAR":
        return f"CAST({place} AS DOUBLE)"
    cell = text_of(column)
    if column.nature == "json":
        # Text that looks like a number is text; the names of what is not finite are numbers.
        is_text = f"json_type({place}::JSON) = 'VARCHAR' AND {cell} NOT IN {_NON_FINITE}"
        number = f"if({is_text}, NULL, {cell})"
        return f"TRY_CAST({number} AS DOUBLE)"
    cell = _present(cell, column)
    form = column.form
    if form.is_plain:
        return f"TRY_CAST({cell} AS DOUBLE)"
    if form.percent:
        cell = rf"regexp_extract({cell}, '^(.*?)\s*%$', 1)"
    pattern = _WHOLE[form.decimal].format(groups=form.groups)
    bare = cell
    for sign in form.groups:
        bare = f"replace({bare}, {literal(sign)}, '')"
    bare = f"replace({bare}, ',', '.')" if form.decimal == "," else bare
    number = f"TRY_CAST({bare} AS DOUBLE)" + (" / 100" if form.share else "")
    return f"if(regexp_full_match({cell}, {literal(pattern)}), {number}, NULL)"


_NON_FINITE = "('NaN', 'Infinity', '-Infinity')"


def category_of(column: Column) -> str:
    """Return the SQL of a column's categories: NULL where there is none."""
    if column.nature == "json":
        cell = text_of(column)
        missing = f"lower({cell}) IN ({_listed(column.missing_texts)}) OR {cell} IN {_NON_FINITE}"
        return f"if({missing}, NULL, {column.place})"
    if column.nature == "typed" and column.type in ("FLOAT", "DOUBLE"):
        # The statistics of a Parquet file leave NaN out, so DuckDB may take isnan, and a comparison
        # of its text, to be false. It can't know what a text contains.
        is_nan = f"contains({column.place}::VARCHAR, 'nan')"
        return f"if({is_nan}, NULL, CAST({column.place} AS DOUBLE))"
    if column.nature == "typed" and column.type.startswith("DECIMAL"):
        return f"CAST({column.place} AS DOUBLE)"
    cell = f"{column.place}::VARCHAR"
    if not column.missing_texts and column.nature == "typed":
        return cell
    empty = "" if column.nature == "typed" else "''"
    texts = ", ".join(filter(None, [empty, _listed(column.missing_texts)]))
    return f"if(lower(trim({cell})) IN ({texts}), NULL, {cell})"


def time_of(column: Column) -> str:
    """Return the SQL of a column's times: seconds since 1970 where it has a type, or else text."""
    if column.nature != "typed" or column.type == "VARCHAR":
        return text_of(column)
    if column.type == "DATE" or column.type.startswith("TIMESTAMP"):
        as_time = column.place if "TIME ZONE" in column.type else f"{column.place}::TIMESTAMP"
        return f"epoch_us({as_time}) / 1e6"
    if column.kind == "numeric":
        return f"CAST({column.place} AS DOUBLE)"
    return f"{column.place}::VARCHAR"


def _present(cell: str, column: Column) -> str:
    """Return the SQL of a cell, NULL where its text is missing: "nan" would be a number."""
    texts = _listed((*column.missing_texts, "nan", "-nan", "+nan"))
    return f"if(lower({cell}) IN ({texts}), NULL, {cell})"


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(literal(it) for it in texts) or "NULL"


def form_of(decimal: str, looks: Mapping[str, Look], *, percent: bool, share: bool) -> NumberForm:
    """Return a form with this decimal sign that takes the groups there are."""
    names = {name.removesuffix("%") for name in looks}
    groups = ""
    if decimal == "," and names & {"points", "point3", "points_comma"}:
        groups = "."
    if decimal == "." and names & {"comma3", "commas", "commas_point"}:
        groups = ","
    if names & {"spaces", "spaces_point", "spaces_comma"}:
        groups += SPACES
    return NumberForm(decimal, groups, percent, share)
