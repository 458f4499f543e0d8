"""Write the reference pages into a directory: ``python -m tools.reference docs/reference``."""

import argparse
from pathlib import Path

from tools.reference import PAGES


def main() -> None:
    """Write every page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    for name, render in PAGES.items():
        (directory / name).write_text(render(), "utf-8")


if __name__ == "__main__":
    main()
