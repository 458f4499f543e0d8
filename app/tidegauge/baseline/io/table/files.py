"""Which files a path, a pattern or a folder names, and in which format they are."""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tidegauge.baseline import BaselineError

Format = Literal["csv", "parquet", "json", "arrow"]

_COMPRESSED = ("", ".gz", ".zst")

_SUFFIXES: Mapping[str, Format] = {
    **{f".{name}{end}": "csv" for name in ("csv", "tsv", "txt") for end in _COMPRESSED},
    ".parquet": "parquet",
    ".pq": "parquet",
    **{f".{name}{end}": "json" for name in ("ndjson", "jsonl", "json") for end in _COMPRESSED},
    ".arrow": "arrow",
    ".feather": "arrow",
}

_OTHERS = {
    (".xlsx", ".xls", ".ods"): "save the sheet as CSV",
    (".zip",): "unpack it",
    (".pkl", ".pickle"): "write the frame by to_parquet()",
}


class Files(NamedTuple):
    """Files of one format, in the order of their names; ``root`` is the folder that they share."""

    paths: list[Path]
    format: Format
    root: Path


def find_files(path: Path) -> Files:
    """Return the files that a path names; raises ``BaselineError`` if there is none to read.

    A folder stands for the files in it, however deep, whose names begin with neither ``_`` nor a
    dot; a name with ``*``, ``?`` or ``[…]`` in it, if there is no such file, for those it matches.
    """
    if path.is_file():
        return Files([path], _format(path), path.parent)
    if path.is_dir():
        found = [it for it in path.rglob("*") if it.is_file() and not _is_hidden(it, path)]
        known = [it for it in found if _suffix(it)]
        if not known:
            raise BaselineError(f"{path} is a folder without a file to read: known are {_known()}")
        return _of_one_format(path, sorted(known), path)
    if glob.has_magic(str(path)):
        matched = [Path(it) for it in glob.glob(str(path), recursive=True)]
        if not matched:
            raise BaselineError(f"{path} matches no file")
        return _of_one_format(path, sorted(it for it in matched if it.is_file()), _root(path))
    _format(path)
    raise BaselineError(f"{path} does not exist")


def _root(pattern: Path) -> Path:
    """Return the folder that a pattern begins with."""
    return next(it for it in pattern.parents if not glob.has_magic(str(it)))


def _of_one_format(path: Path, paths: Sequence[Path], root: Path) -> Files:
    if not paths:
        raise BaselineError(f"{path} matches no file")
    formats = {_format(it) for it in paths}
    if len(formats) > 1:
        raise BaselineError(
            f"{path} has files of {' and '.join(sorted(formats))}: name those of one format, "
            f"such as '{path}/*.parquet'"
        )
    return Files(list(paths), formats.pop(), root)


def _format(path: Path) -> Format:
    suffix = _suffix(path)
    if suffix:
        return _SUFFIXES[suffix]
    for others, hint in _OTHERS.items():
        if path.name.lower().endswith(others):
            raise BaselineError(
                f"{path} has a suffix that is not known: {hint}; known are {_known()}"
            )
    raise BaselineError(f"{path} has a suffix that is not known; known are {_known()}")


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return max((it for it in _SUFFIXES if name.endswith(it)), key=len, default="")


def _known() -> str:
    return ", ".join(_SUFFIXES)


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in path.relative_to(root).parts)
