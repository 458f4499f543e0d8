"""What commands print: nothing of what others have written does anything to a terminal."""

from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from tidegauge.printable import printable, printable_json, printable_lines


def echo(text: str = "", *, err: bool = False) -> None:
    """Print lines."""
    typer.echo(printable_lines(text), err=err)


def echo_json(raw: bytes | str) -> None:
    """Print JSON."""
    typer.echo(printable_json(raw if isinstance(raw, str) else raw.decode(errors="replace")))


def plain(text: object, style: str = "") -> Text:
    """Return a text of others as rich shows it: in one line, and no markup in it."""
    return Text(printable(str(text)), style)


class PlainConsole(Console):
    """A console on which strings have no markup; what is to have a style is a :class:`Text`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as it is shown, such as that of a table's cell."""
        return super().render_str(printable_lines(text), **options)
