"""The help pages of commands, as they are shown at 80 columns."""

from typing import Any


def readable(command: Any) -> Any:
    """Return a command whose help page shows what it means; its types are private to typer.

    An option that takes no value has none beside it: typer writes ``--json <bool>``. A paragraph
    breaks where the terminal ends, and not also where the lines of its source do.
    """
    if command.help:
        paragraphs = command.help.split("\n\n")
        command.help = "\n\n".join(" ".join(one.split()) for one in paragraphs)
    for option in [*command.params, _help_option(command)]:
        if getattr(option, "is_flag", False):
            option.metavar = ""
    return command


def _help_option(command: Any) -> Any:
    # Made once for each command, and kept by it.
    return command.get_help_option(command.context_class(command))
