"""What all records have in common: base class, ids, JSON; and how text in them may be shown.

Names of models, versions, variants, segments, features and rules come from whoever may write to a
topic. Among their characters may be escape sequences that move the cursor or rename the window,
ones that write from right to left, ones of no width that make two names look alike, and line breaks
that begin a new header. Here is the one place that decides what such characters become. Markup is
not text's business: whoever writes HTML, Markdown or Slack's form escapes that too.
"""

import hashlib
import json
import re
from functools import lru_cache
from typing import Annotated, Any, Protocol, TypeVar, overload

import msgspec

#: Of these a reader only has to know that there is something between two words.
_SPACES = re.compile(r"\s")

#: Characters that need a look; the rest, in most texts all of it, is printable ASCII.
_SUSPECT = re.compile(r"[^\x20-\x7e]")


def printable(text: str) -> str:
    r"""Return a text in one line of characters that can be seen, others written as escapes.

    >>> printable("credit\n3"), printable("\x1b[31mred \u202e\u200b"), printable("Zürich 東京 🙂")
    ('credit 3', '\\x1b[31mred \\u202e\\u200b', 'Zürich 東京 🙂')
    """
    return text if text.isprintable() else _SUSPECT.sub(_shown, text)


def shortened(text: str, beginning: int = 400, end: int = 100) -> str:
    """Return the beginning and the end of a text that is longer than both.

    >>> shortened("to be or not to be", 5, 2), shortened("to be", 5, 2)
    ('to be…be', 'to be')
    """
    return text if len(text) <= beginning + end else f"{text[:beginning]}…{text[-end:]}"


def cut(text: str, characters: int) -> str:
    """Return a text of at most so many characters.

    >>> cut("to be or not to be", 6), cut("to be", 6)
    ('to be…', 'to be')
    """
    return text if len(text) <= characters else text[: characters - 1] + "…"


def printable_lines(text: str) -> str:
    r"""Do that with each line of a text that has lines of its own.

    >>> printable_lines("two\nlines\x07")
    'two\nlines\\x07'
    """
    return "\n".join(map(printable, text.split("\n")))


def spreadsheet_text(text: str) -> str:
    r"""Return a text as a cell of a CSV file that a spreadsheet shows and does not compute.

    A cell that begins like a formula gets an apostrophe in front (OWASP, "CSV injection").

    >>> spreadsheet_text('=HYPERLINK("http://x")'), spreadsheet_text("credit")
    ('\'=HYPERLINK("http://x")', 'credit')
    """
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def printable_json(text: str) -> str:
    r"""Return the same JSON in characters that can be seen.

    JSON has control characters of ASCII as escapes already; a terminal obeys others as well.

    >>> print(printable_json('{"model":"\x9b31m\u202e"}'))
    {"model":"\u009b31m\u202e"}
    """
    return _SUSPECT.sub(_in_json, text)


def _shown(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    if _SPACES.match(character):
        return " "
    return character.encode("unicode_escape").decode()


def _in_json(found: re.Match[str]) -> str:
    character = found[0]
    if character == "\n" or character.isprintable():  # the one between values, of an indented one
        return character
    return json.dumps(character)[1:-1]


SCHEMA_VERSION = 1


def doc(text: str) -> msgspec.Meta:
    """Describe a field of a record; JSON Schema and AsyncAPI have the description."""
    return msgspec.Meta(description=text)


SchemaVersion = Annotated[int, doc("Version of this contract.")]


class Record(msgspec.Struct, kw_only=True):
    """A record on a topic: JSON-encoded; unknown fields are ignored on reading."""


def encode(record: object) -> bytes:
    """Encode a record as JSON with a field order that never changes.

    NaN and infinity have no JSON form; both become ``null``. Raises ``TypeError`` for a histogram
    record: its integer keys have no order that msgspec would keep, and INGEST writes it by itself.
    """
    return msgspec.json.encode(record, order="deterministic")


def deterministic_id(*parts: str | int | float) -> str:
    """Name a fact by what it is about, so that a re-run after a crash gives it the same name.

    >>> deterministic_id("alert", "credit", 3) == deterministic_id("alert", "credit", 3)
    True
    >>> deterministic_id("a", "bc") == deterministic_id("ab", "c")
    False
    """
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


T = TypeVar("T")


#: What a message has at most of its beginning, and of its end, which says where in the record.
_BEGINNING, _END = 400, 100


class DecodingError(ValueError):
    """These bytes are not a record of the expected kind; the message says why.

    A message may quote the record, which may be a megabyte. It goes to logs, pages and terminals.
    """

    def __init__(self, why: str) -> None:
        super().__init__(shortened(why, _BEGINNING, _END))


@overload
def decode(value: bytes | str | msgspec.Raw | None, kind: type[T]) -> T: ...


@overload
def decode(value: bytes | str | msgspec.Raw | None, kind: Any) -> Any: ...


def decode(value: bytes | str | msgspec.Raw | None, kind: Any) -> Any:
    """Decode JSON from a topic, from Redis or from HTTP as ``kind``.

    Whatever is wrong with one value raises :class:`DecodingError` and nothing else, so that a
    caller who handles that error can't be ended by a record: msgspec raises ``RecursionError`` for
    deep nesting and what a ``__post_init__`` or a hook raises, beside its own errors.

    >>> decode(b'{"a": 1}', dict)
    {'a': 1}
    >>> decode(b'{"a":' * 6_000, dict)
    Traceback (most recent call last):
    tidegauge.contract.record.DecodingError: nested too deeply
    >>> decode(None, dict)
    Traceback (most recent call last):
    tidegauge.contract.record.DecodingError: there is no value
    """
    if not value:
        raise DecodingError("there is no value")
    try:
        return _decoder(kind).decode(value)
    except RecursionError as error:
        raise DecodingError("nested too deeply") from error
    except Exception as error:
        raise DecodingError(str(error) or type(error).__name__) from error


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind)


class RawMessage(Protocol):
    """What is used of a ``confluent_kafka.Message``, for code that needs no client."""

    def value(self) -> bytes | None: ...  # noqa: D102
    def partition(self) -> int: ...  # noqa: D102
    def offset(self) -> int: ...  # noqa: D102
    def error(self) -> object | None: ...  # noqa: D102
