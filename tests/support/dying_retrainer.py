"""``examples/retrainer.py`` that is gone, as by SIGKILL, when it comes to a step: ``STEP …``."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "retrainer.py"

#: Exit code of the one that died.
GONE = 9


def _die(*_: Any, **__: Any) -> None:
    os._exit(GONE)


if __name__ == "__main__":
    step = sys.argv.pop(1)
    spec = importlib.util.spec_from_file_location("retrainer", EXAMPLE)
    assert spec is not None and spec.loader is not None
    retrainer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(retrainer)
    assert callable(getattr(retrainer, step))
    setattr(retrainer, step, _die)
    retrainer.main()
