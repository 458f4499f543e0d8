"""Files that describe columns: the importance of features, and how each column is to be read.

Importances are JSON ``{"age": 0.4, …}`` or CSV ``feature,importance``; types are YAML or JSON,
``column: kind``.
"""

import csv
import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, cast, get_args

from tidegauge.baseline import BaselineError
from tidegauge.baseline.io.column import Role
from tidegauge.config import parse_document

_HEADER = ["feature", "importance"]


def read_importances(path: str | Path, features: Collection[str]) -> dict[str, float]:
    """Return the importance of each feature that the file names, in the order of ``features``.

    Any unit will do, since only shares of their sum are used: permutation importance, gain, mean
    absolute SHAP value. A feature that is not named has none, which counts as 0.

    Raises ``BaselineError`` that names the file and the place: a name that is not in ``features``
    or there twice, an importance that is no number, negative or not finite, none above 0.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path} can't be read: {error}") from error
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise BaselineError(
            f"{path} has a suffix that is not known; importances are in {' or '.join(_READERS)}"
        )
    found: dict[str, float] = {}
    for place, name, value in _READERS[suffix](path, text):
        if name not in features:
            known = ", ".join(map(repr, features))
            raise BaselineError(f"{place}: {name!r} is no feature of the baseline; it has {known}")
        if name in found:
            raise BaselineError(f"{place}: {name!r} is there twice; keep one")
        found[name] = _importance(place, name, value)
    if not any(found.values()):
        raise BaselineError(f"{path}: no feature has an importance above 0")
    return {name: found[name] for name in features if name in found}


def _importance(place: str, name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise BaselineError(
            f"{place}: found {value!r} for {name!r}, expected a finite number of 0 or more"
        )
    return number


_Entries = Iterator[tuple[str, str, object]]


def _of_json(path: Path, text: str) -> _Entries:
    try:
        # Pairs, not a dict: of a name that is there twice, that would keep the last.
        pairs = json.loads(text, object_pairs_hook=list)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BaselineError(f"{path} is no JSON: {error}") from error
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise BaselineError(f'{path}: expected an object such as {{"age": 0.4, "income": 0.6}}')
    for name, value in pairs:
        yield f"{path}", name, value


def _of_csv(path: Path, text: str) -> _Entries:
    rows = csv.reader(text.splitlines())
    header = [cell.strip() for cell in next(rows, [])]
    if header != _HEADER:
        raise BaselineError(f"{path}:1: found {','.join(header)!r}, expected {','.join(_HEADER)!r}")
    for row in rows:
        if not row:
            continue
        if len(row) != len(_HEADER):
            raise BaselineError(f"{path}:{rows.line_num}: found {len(row)} values, expected 2")
        yield f"{path}:{rows.line_num}", row[0].strip(), row[1].strip()


_READERS = {".json": _of_json, ".csv": _of_csv}


#: What may stand for a kind beside the roles: those that ``create`` prints, and to leave out.
_KINDS: Mapping[str, Role] = {
    **{role: cast(Role, role) for role in get_args(Role)},
    "string": "categorical",
    "integer": "categorical",
    "boolean": "categorical",
}
_LEFT_OUT = ("exclude", "left out")


class ColumnTypes(NamedTuple):
    """Roles by column, and the columns to leave out."""

    roles: dict[str, Role]
    exclude: list[str]


def read_types(path: Path) -> ColumnTypes:
    """Read the types of columns; raises ``BaselineError``, which names the place."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path} can't be read: {error}") from error
    _, document, problems = parse_document(text, expected="types such as 'zip: categorical'")
    if problems:
        raise BaselineError(problems[0].text(str(path)))
    if not isinstance(document, dict):
        raise BaselineError(f"{path}: expected a mapping such as 'zip: categorical'")
    roles: dict[str, Role] = {}
    exclude: list[str] = []
    for column, kind in document.items():
        if not isinstance(kind, str):
            raise BaselineError(f"{path}: {column!r} is no word, expected one such as categorical")
        if kind in _LEFT_OUT:
            exclude.append(str(column))
        elif kind in _KINDS:
            roles[str(column)] = _KINDS[kind]
        else:
            expected = ", ".join([*get_args(Role), _LEFT_OUT[0]])
            raise BaselineError(f"{path}: {column!r} is {kind!r}, expected {expected}")
    return ColumnTypes(roles, exclude)
