"""Frame libraries in folders of their own: two pandas can't be installed side by side.

What they write is made by a child process, which imports one of them from its folder.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).resolve().parents[2]
_FRAMES = _ROOT / ".cache" / "frames"

#: What is installed, without what the test's own Python has: numpy and pyarrow.
_LIBRARIES = {
    "pandas2": ["pandas==2.3.3", "python-dateutil==2.9.0.post0", "pytz", "six", "tzdata"],
    "pandas3": ["pandas==3.1.1", "python-dateutil==2.9.0.post0", "six", "tzdata"],
    "polars": ["polars==2.1.0", "polars-runtime-32==2.1.0"],
}
LIBRARIES = tuple(_LIBRARIES)


class Written(NamedTuple):
    """The same rows as training files, and as messages by each way of sending them."""

    files: list[Path]
    ways: dict[str, list[bytes]]


def write_frames(library: str, folder: Path) -> Written:
    """Have a library write its rows into a folder, in every format and by every way of sending."""
    paths = [str(_folder(library)), str(_ROOT / "app"), *sys.path]
    child = Path(__file__).with_name("frame_child.py")
    done = subprocess.run(
        [sys.executable, str(child), library.rstrip("23"), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((folder / "ways.json").read_text())
    ways = {way: [bytes.fromhex(it) for it in payloads] for way, payloads in told.items()}
    return Written(sorted(folder.glob("rows.*")), ways)


def _folder(library: str) -> Path:
    """Return where a library is; installs it if need be, one process at a time."""
    _FRAMES.mkdir(parents=True, exist_ok=True)
    target, needs = _FRAMES / library, _LIBRARIES[library]
    stamp = target / ".complete"
    with (_FRAMES / f"{library}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != repr(needs):
            shutil.rmtree(target, ignore_errors=True)
            subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
                    *("--disable-pip-version-check", "--target", str(target), *needs),
                ],
                check=True,
                timeout=240,
            )
            stamp.write_text(repr(needs))
    return target
