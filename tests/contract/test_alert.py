"""docs/consuming.md: how an acknowledgement is made without Python, by its very lines."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from support.deployment import ROOT
from tidegauge.contract.alert import Acknowledgement, Action, acknowledge
from tidegauge.contract.record import decode

SECTION = (ROOT / "docs" / "consuming.md").read_text().partition("## Acknowledging")[2]
LINES = SECTION.partition("```sh\n")[2].partition("```")[0]
EXAMPLE = (ROOT / "schemas" / "examples" / "action.retrain.json").read_bytes()


@pytest.mark.parametrize("id", [None, 'ä "quoted" \\ \t'])
@pytest.mark.parametrize("outcome", ["taken", "failed"])
def test_the_lines_make_what_python_makes(tmp_path: Path, id: str | None, outcome: str) -> None:
    sent = json.loads(EXAMPLE)
    sent["id"] = id or sent["id"]
    (tmp_path / "action.json").write_text(json.dumps(sent))
    assert LINES.count("outcome=taken\n") == 1
    lines = LINES.replace("outcome=taken\n", f"outcome={outcome}\n")
    subprocess.run(["sh", "-eu", "-c", lines], cwd=tmp_path, check=True, timeout=20)
    made = decode((tmp_path / "acknowledgement.json").read_bytes(), Acknowledgement)
    action = decode(json.dumps(sent), Action)
    expected = acknowledge(action, made.outcome, actor=made.actor, time=made.time, note=made.note)
    assert (made, made.outcome) == (expected, outcome)


def test_the_worked_example_is_true() -> None:
    array, id = re.findall(r"the array is `(\[.*?\])` and the id `(\w+)`", SECTION)[0]
    action = decode(EXAMPLE, Action)
    action.id = json.loads(array)[1]
    assert acknowledge(action, "taken", actor="", time=0, note="").id == id
