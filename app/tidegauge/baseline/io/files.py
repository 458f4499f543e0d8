"""Which files a path, a pattern or a folder names, their format, and text converted to UTF-8."""

import codecs
import glob
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa

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


_BLOCK = 4 * 1024 * 1024

#: Enough for a header of some thousand names and the rows after it.
_SAMPLE_CHARACTERS = 4 * 1024 * 1024

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

#: What text that is no UTF-8 most likely is: the encoding of Windows in the west. It has all the
#: letters of latin-1 at the same places.
FALLBACK = "cp1252"


@dataclass(frozen=True)
class TextFile:
    """A file that is UTF-8: the one that was named, or a copy.

    ``sample`` is how its text begins; ``doubt`` is what to warn of.
    """

    path: Path
    sample: str
    doubt: str = ""


def as_utf8(
    path: Path,
    encoding: str | None,
    scratch: Path,
    number: int,
    *,
    fallback: str | None = FALLBACK,
) -> TextFile:
    """Return a file in UTF-8: itself if it is, or else a copy in the folder ``scratch``.

    Without ``encoding``, what is neither UTF-8 nor UTF-16 is of the encoding ``fallback``. Raises
    ``BaselineError`` if the file is empty, can't be read, or isn't of the encoding named.
    """
    if encoding is not None:
        try:
            named = codecs.lookup(encoding).name
        except LookupError as error:
            raise BaselineError(
                f"--encoding {encoding}: no such encoding; expected utf-8, utf-16, cp1252 …"
            ) from error
        return _recoded(path, "utf-8-sig" if named == "utf-8" else named, scratch, number)
    beginning = next(_blocks(path), b"")
    if not beginning:
        raise BaselineError(f"{path} is empty")
    marked = next((name for mark, name in _MARKS if beginning.startswith(mark)), None)
    if marked is None:
        marked = _without_mark(beginning)
    if marked is not None:
        return _recoded(path, marked, scratch, number)
    row, is_even = _scan(path)
    if row is None and not is_even:
        return _recoded(path, "utf-8", scratch, number)
    if row is None:
        sample = beginning.decode("utf-8", errors="ignore")
        if "\0" in sample:
            raise BaselineError(f"{path} holds zero bytes: it is no text, or of another encoding")
        return TextFile(path, sample)
    if fallback is None:
        raise BaselineError(
            f"{path}, line {row:,}: no UTF-8; --encoding names what it is written in"
        )
    found = _recoded(path, fallback, scratch, number)
    doubt = f"{path} is no UTF-8 (line {row:,}) and is read as {fallback}; --encoding names another"
    return TextFile(found.path, found.sample, doubt)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say which file it was that can't be read."""
    try:
        yield
    except (OSError, EOFError, pa.ArrowException) as error:
        detail = getattr(error, "strerror", None) or " ".join(str(error).split())[:300]
        raise BaselineError(f"{path} can't be read: {detail}") from error


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the file, unpacked, block by block."""
    with readable(path), pa.input_stream(str(path), compression="detect") as file:
        while block := file.read(_BLOCK):
            yield block


def _without_mark(beginning: bytes) -> str | None:
    """Return the encoding of two-byte text that begins with no mark: every other byte is 0."""
    even, odd = beginning[:4000:2], beginning[1:4000:2]
    if odd and odd.count(0) > len(odd) * 0.4 and even.count(0) < len(even) * 0.1:
        return "utf-16-le"
    if even and even.count(0) > len(even) * 0.4 and odd.count(0) < len(odd) * 0.1:
        return "utf-16-be"
    return None


class _Scanned(NamedTuple):
    """The line of the first byte that is no UTF-8, if there is one; and whether lines end alike."""

    wrong_line: int | None
    is_even: bool


def _scan(path: Path) -> _Scanned:
    decoder = codecs.getincrementaldecoder("utf-8")()
    both = feeds = returns = 0
    last = b""
    for block in _blocks(path):
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            return _Scanned(feeds + 1 + error.object.count(b"\n", 0, error.start), True)
        both += block.count(b"\r\n") + (last == b"\r" and block.startswith(b"\n"))
        feeds += block.count(b"\n")
        returns += block.count(b"\r")
        last = block[-1:]
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return _Scanned(feeds + 1, True)
    kinds = (both > 0) + (feeds > both) + (returns > both)
    return _Scanned(None, kinds < 2)


def _recoded(path: Path, encoding: str, scratch: Path, number: int) -> TextFile:
    """Copy a file in UTF-8, with lines that end alike: files are joined of two systems'."""
    # Five bytes are undefined in cp1252; a file with them has another one-byte encoding.
    errors = "replace" if encoding == FALLBACK else "strict"
    decoder = codecs.getincrementaldecoder(encoding)(errors=errors)
    lines = io.IncrementalNewlineDecoder(decoder, translate=True)
    target = scratch / f"{number}.txt"
    sample = ""
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            for block in _blocks(path):
                text = lines.decode(block)
                if len(sample) < _SAMPLE_CHARACTERS:
                    sample += text
                file.write(text)
            file.write(lines.decode(b"", final=True))
    except UnicodeError as error:
        raise BaselineError(
            f"{path} is not {encoding}: {error}; --encoding names what it is written in"
        ) from error
    if not sample:
        raise BaselineError(f"{path} is empty")
    return TextFile(target, sample)
