"""Markdown of the reference pages: tables, and links from the text of the code to the pages."""

import re
from collections.abc import Iterable, Sequence

#: Says where a page comes from; an HTML comment isn't shown.
GENERATED = "<!-- Generated from the code by `make reference`; do not edit. -->"

#: ``docs/alerting.md#links`` in the text of the code, alone or as the target of a link.
_PAGE = re.compile(r"(\]\()?\bdocs/([\w-]+)\.md(#[\w-]+)?")


def page(title: str, introduction: str, *parts: str) -> str:
    """Return a page of the reference."""
    return "\n\n".join([f"# {title}", GENERATED, introduction.strip(), *parts]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. Cells are Markdown; their line breaks and bars are escaped.

    >>> print(table(["a", "b"], [["1", "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x&#124;y |
    """
    lines = [head, *rows]
    shown = ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]
    return "\n".join([shown[0], "|" + "---|" * len(head), *shown[1:]])


def text(written: str) -> str:
    """Return text of the code as Markdown for a page in ``docs/reference``.

    >>> text("Read by receivers (docs/consuming.md), [links](docs/alerting.md#links).")
    'Read by receivers ([consuming](../consuming.md)), [links](../alerting.md#links).'
    """
    joined = " ".join(written.split())
    return _PAGE.sub(_link, joined.replace("``", "`"))


def _link(found: re.Match[str]) -> str:
    target = f"../{found[2]}.md{found[3] or ''}"
    return f"]({target}" if found[1] else f"[{found[2]}]({target})"


def code(value: object) -> str:
    """Return a value as code."""
    return f"`{value}`"


def _cell(cell: str) -> str:
    return " ".join(cell.replace("|", "&#124;").split())
