"""The ``tidegauge`` command: thin, every subcommand in a module of its own.

Exit codes: 0 well, 1 failed, 2 wrong input or configuration, 3 something needed can't be reached.
"""

from tidegauge.cli.app import main

__all__ = ["main"]
