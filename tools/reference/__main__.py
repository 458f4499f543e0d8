"""Write the reference pages into a directory: ``python -m tools.reference docs/reference``.

The manual beside that directory, ``operations.md``, gets its table of metrics.
"""

import argparse
from pathlib import Path

from tools.reference import PAGES
from tools.reference.metrics import with_metrics


def main() -> None:
    """Write every page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    for name, render in PAGES.items():
        (directory / name).write_text(render(), "utf-8")
    manual = directory.parent / "operations.md"
    if manual.exists():
        manual.write_text(with_metrics(manual.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
