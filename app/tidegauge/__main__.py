"""``python -m tidegauge``."""

from tidegauge.cli import main

main()
