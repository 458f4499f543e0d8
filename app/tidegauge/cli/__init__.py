"""The ``tidegauge`` command: thin, every subcommand in a module of its own.

Exit codes: 0 well, 1 failed, 2 wrong input or configuration, 3 something needed can't be reached.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the packages of a serving node are not enough for it."""
    try:
        from tidegauge.cli import app
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] == "tidegauge":
            raise
        # The usual printing needs such packages too.
        sys.stderr.write(
            f"tidegauge: {missing} is not installed; the commands need more packages than the "
            'producer does: pip install "tidegauge[processor]"\n'
        )
        sys.exit(2)
    app.main()
