"""``tidegauge`` whose counting stands still while a file is there: ``FILE arguments …``."""

import sys
import threading
from pathlib import Path
from typing import Any

from tidegauge.cli import main
from tidegauge.ingest.counter import Counter

_count = Counter.count


def _count_when_free(self: Counter, *arguments: Any) -> None:
    while blocked.exists():
        threading.Event().wait(0.05)
    _count(self, *arguments)


if __name__ == "__main__":
    blocked = Path(sys.argv.pop(1))
    Counter.count = _count_when_free  # type: ignore[method-assign]
    main()
