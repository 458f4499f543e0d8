"""A command as it is shown on a terminal of some columns."""

import os
import pty
import select
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from fcntl import ioctl
from termios import TIOCSWINSZ

_SECONDS = 60


def on_a_terminal(columns: int, *words: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a command of tidegauge, and return what it shows, without colours."""
    kept = {name: it for name, it in os.environ.items() if not name.startswith("TIDEGAUGE_")}
    kept |= {"TERM": "dumb", "NO_COLOR": "1", **(environment or {})}
    kept.pop("COLUMNS", None)
    mine, its = pty.openpty()
    ioctl(its, TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "tidegauge", *words]
    with subprocess.Popen(command, env=kept, stdin=its, stdout=its, stderr=its) as process:
        os.close(its)
        shown, deadline = b"", time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if not select.select([mine], [], [], 1)[0]:
                continue
            try:
                more = os.read(mine, 65536)
            except OSError:  # Linux says so when nobody has the other side any more
                break
            if not more:
                break
            shown += more
        else:
            process.kill()
    os.close(mine)
    return shown.decode().replace("\r", "").replace("\x1b[31m", "").replace("\x1b[0m", "")
