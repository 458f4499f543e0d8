"""How columns are to be read, from a file: YAML or JSON, ``column: kind``."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast, get_args

import yaml

from tidegauge.baseline import BaselineError
from tidegauge.baseline.io.table import Role

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
    """Return what a file says of columns; raises ``BaselineError`` that names the line at fault."""
    try:
        told = yaml.safe_load(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path} can't be read: {error}") from error
    except yaml.YAMLError as error:
        raise BaselineError(
            f"{path} is neither YAML nor JSON: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(told, dict):
        raise BaselineError(f"{path}: expected a mapping such as 'zip: categorical'")
    roles: dict[str, Role] = {}
    exclude: list[str] = []
    for column, kind in told.items():
        if kind in _LEFT_OUT:
            exclude.append(str(column))
        elif kind in _KINDS:
            roles[str(column)] = _KINDS[kind]
        else:
            expected = ", ".join([*get_args(Role), _LEFT_OUT[0]])
            raise BaselineError(f"{path}: {column!r} is {kind!r}, expected {expected}")
    return ColumnTypes(roles, exclude)
