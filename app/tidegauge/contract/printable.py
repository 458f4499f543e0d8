"""Text that others have written, as it may be shown: on a terminal, in a title, in a log.

Names of models, versions, variants, segments, features and rules come from whoever may write to a
topic. Among their characters may be escape sequences that move the cursor or rename the window,
ones that write from right to left, ones of no width that make two names look alike, and line breaks
that begin a new header. Here is the one place that decides what such characters become. Markup is
not text's business: whoever writes HTML, Markdown or Slack's form escapes that too.
"""

import json
import re

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
