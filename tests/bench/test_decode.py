"""The bench of the decoders counts every event by both, and ends with its figures as JSON."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench" / "decode.py"


def test_its_last_line_has_a_figure_of_each_decoder() -> None:
    command = [sys.executable, str(BENCH), "--events", "400", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    decoders = ("native", "arrow", "reference")
    measured = {f"{name}{joint}_us" for name in decoders for joint in ("", "_with_joint")}
    assert found.keys() == measured | {"ratio", "joint_ratio"}
    assert all(value > 0 for value in found.values())
