"""Run the tests nearest to what has changed: ``python -m tools.fast``."""

import sys
from pathlib import Path

import pytest

from tools.fast.changed import changed_files, nearest
from tools.fast.plugin import FastLoop


def main() -> int:
    """Run pytest in this process."""
    paths = nearest(changed_files(), Path.cwd())
    options = ["-q", "-p", "no:xdist", "--hypothesis-profile=fast", *sys.argv[1:]]
    return pytest.main([*options, *paths], plugins=[FastLoop()])


if __name__ == "__main__":
    sys.exit(main())
