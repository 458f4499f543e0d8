"""``tidegauge labels check``: every record of a file is read as INGEST would read it."""

import gzip
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import UNSET
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from support.deployment import ROOT
from tidegauge.baseline import Baseline
from tidegauge.baseline.io import BaselineStore
from tidegauge.baseline.outcomes import BaselineOutcomes
from tidegauge.baseline.validation import read_baseline
from tidegauge.cli.app import app
from tidegauge.config import load_settings
from tidegauge.contract import (
    BinaryCounts,
    BinaryTarget,
    MulticlassCounts,
    MulticlassTarget,
    OutcomeTally,
    OutcomeTarget,
    RegressionCounts,
    RegressionTarget,
    receipt_writer,
)

KEY = "0123456789abcdef"
RECEIPT = receipt_writer(KEY.encode())("credit", "3", "", 1772366413.75, 0.25, None, None, "r")


def check(file: Path | str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["labels", "check", str(file)], input=stdin)


def ndjson(*labels: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(label).encode() + b"\n" for label in labels)


GOOD = ndjson(
    {"id": "a", "actual": 1},
    {"receipt": RECEIPT, "actual": 0},
    {"model": "m", "version": "1", "time": 7, "prediction": 0.5, "actual": 1},
    {"id": "a", "actual": 0, "revision": 1},
    {"id": "b", "retracted": True, "revision": 1},
)


@pytest.mark.parametrize("suffix", ["ndjson", "jsonl", "json"])
def test_labels_are_counted_by_how_they_name_their_prediction(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"labels.{suffix}"
    file.write_bytes(GOOD)
    result = check(file)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "5 labels: 3 by id, 1 with a receipt, 1 with their prediction, 1 correction, "
        "1 retraction\nactual: 1 (2), 0 (2)\n"
    )


def test_standard_input_and_a_mark_at_the_beginning_and_empty_lines_will_do() -> None:
    result = check("-", b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n\r\n"))
    assert result.exit_code == 0
    assert result.stdout.startswith("5 labels")


def test_an_array_is_taken_too(tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text(json.dumps([{"id": "a", "actual": 1}, {"id": "b"}], indent=2))
    result = check(file)
    assert result.exit_code == 2
    assert f"{file}, element 2: actual: invalid_record: actual is missing" in result.stderr


def test_what_is_wrong_is_shown_with_line_field_and_value(tmp_path: Path) -> None:
    file = tmp_path / "labels.ndjson"
    file.write_bytes(
        ndjson(
            {"id": "a", "actual": "NaN"},
            {"id": 17, "actual": 1},
            {"receipt": "x" * 500, "actual": 1},
        )
        + b'{"id": "a", "actual": \n'
        + ndjson({"id": "\x1b[31mred", "actual": []})
    )
    result = check(file)
    assert result.exit_code == 2
    first, second, third, fourth, fifth, last = result.stderr.splitlines()
    assert first.startswith(f"{file}:1: actual: invalid_record: actual is NaN")
    assert first.endswith('(found "NaN")')
    assert second.startswith(f"{file}:2: id: invalid_record: ") and second.endswith("(found 17)")
    assert third.startswith(f"{file}:3: receipt: invalid_receipt: ") and len(third) < 300
    assert fourth.startswith(f"{file}:4: invalid_json: ")
    assert fifth.startswith(f"{file}:5: actual: ") and "\x1b" not in fifth
    assert last == "5 records can't be a label"
    assert result.stdout == "0 labels\n"


def test_of_many_problems_the_first_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "labels.ndjson"
    file.write_bytes(ndjson(*({"id": str(i)} for i in range(30))))
    result = check(file)
    assert len(result.stderr.splitlines()) == 22
    assert "and 10 other problems" in result.stderr


def test_of_many_actuals_the_commonest_are_shown() -> None:
    result = check(
        "-", ndjson(*({"id": f"{n}-{i}", "actual": n} for n in range(7) for i in range(n)))
    )
    assert "actual: 6 (6), 5 (5), 4 (4), 3 (3), 2 (2) and 1 other value\n" in result.stdout


def test_labels_that_are_there_twice_and_unknown_fields_are_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "labels.ndjson"
    file.write_bytes(
        ndjson(
            {"id": "a", "actual": 1, "prediction_id": 7},
            {"id": "a", "actual": 0},
            {"id": "a", "actual": 0, "model": "m"},
        )
    )
    result = check(file)
    assert result.exit_code == 0
    assert "1 label with the id and the revision of an earlier one" in result.stderr
    assert "prediction_id (1); known are actual, id, receipt, model" in result.stderr


COLUMNS = "id,actual,revision,retracted,segments.region,time,model,version,prediction\n"


def test_rows_of_a_csv_are_labels_of_their_columns(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(
        COLUMNS + '001,1.0,,,,,,,\n"a,b",True,,,,,,,\nc,,1,true,,,,,\n'
        "d,0,,,EU,1772366413.5,credit,3,0.25\ne,0,,,EU,2026-03-01T12:00:00Z,credit,3,1\n"
    )
    result = check(file)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "5 labels: 3 by id, 2 with their prediction, 1 retraction\n"
        "actual: 0 (2), 1.0 (1), True (1)\n"
    )


def test_wrong_rows_of_a_csv_are_named_by_number(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("id,actual,revision\na,1,0\nb,,0\nc,1,first\n,1,0\n")
    result = check(file)
    assert result.exit_code == 2
    second, third, fourth, _ = result.stderr.splitlines()
    assert second.startswith(f"{file}, row 2: actual: invalid_record: actual is missing")
    assert third.startswith(f"{file}, row 3: revision: ") and third.endswith('(found "first")')
    assert fourth.startswith(f"{file}, row 4: invalid_record: it names no prediction")


def test_a_parquet_file_and_a_compressed_one_are_read(tmp_path: Path) -> None:
    rows = {"id": ["a", "b"], "actual": pa.array([True, None]), "retracted": [False, True]}
    pq.write_table(pa.table({**rows, "revision": [0, 1]}), tmp_path / "labels.parquet")
    assert check(tmp_path / "labels.parquet").stdout == (
        "2 labels: 2 by id, 1 retraction\nactual: true (1)\n"
    )
    (tmp_path / "labels.ndjson.gz").write_bytes(gzip.compress(GOOD[: GOOD.index(b"\n") + 1]))
    assert check(tmp_path / "labels.ndjson.gz").stdout.startswith("1 label: 1 by id")


@pytest.mark.parametrize(("key", "code"), [(KEY, 0), ("fedcba9876543210", 2), ("", 0)])
def test_receipts_are_checked_with_the_key_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, code: int
) -> None:
    if key:
        monkeypatch.setenv("TIDEGAUGE_OUTCOMES__RECEIPT_KEY", key)
    file = tmp_path / "labels.ndjson"
    file.write_bytes(ndjson({"receipt": RECEIPT, "actual": 1}))
    result = check(file)
    assert result.exit_code == code
    assert ("another key" in result.stderr) is (code == 2)


@pytest.mark.parametrize("name", ["nowhere.ndjson", "nowhere.csv", "labels.xlsx"])
def test_a_file_that_cannot_be_read_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    result = check(tmp_path / name)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1 and name in result.stderr


def test_actuals_are_compared_with_the_target_of_the_promoted_baseline(
    tmp_path: Path, empty_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", empty_redis_url)
    sound = read_baseline((ROOT / "schemas" / "examples" / "baseline.credit-3.json").read_bytes())
    targets: dict[str, tuple[OutcomeTarget, OutcomeTally]] = {
        "1": (BinaryTarget(positive="1", negative="0", threshold=0.5), BinaryCounts()),
        "2": (MulticlassTarget(classes=("cat", "dog")), MulticlassCounts()),
        "3": (RegressionTarget(residual_edges=()), RegressionCounts()),
    }
    with closing(BaselineStore.of(load_settings())) as store:

        def promote(made: Baseline) -> None:
            store.promote("m", made.version, store.put(made), now=1.0)

        for version, (target, tally) in targets.items():
            outcomes = BaselineOutcomes(target=target, predicted=0, labelled=0, performance=tally)
            promote(replace(sound, model="m", version=version, outcomes=outcomes))
        promote(replace(sound, model="m", version="4", outcomes=UNSET))
    labels = ndjson(
        *({"id": str(n), "actual": it} for n, it in enumerate([1, "0", True, "cat", "1.5"])),
        {"id": "a", "model": "another", "actual": "bird"},
        {"id": "b", "retracted": True},
    )

    def wrong(version: str) -> list[str]:
        result = CliRunner().invoke(
            app, ["labels", "check", "-", "--model", "m", "--version", version], input=labels
        )
        assert result.exit_code in (0, 2), result.output
        return result.stderr.splitlines()

    assert wrong("1") == [
        '-:4: actual: invalid_class: expected 0 or 1 (found "cat")',
        '-:5: actual: invalid_class: expected 0 or 1 (found "1.5")',
        "2 records can't be a label",
    ]
    [warning] = wrong("2")
    assert "4 labels with a class that the baseline doesn't name" in warning
    assert [line[:9] for line in wrong("3")[:-1]] == ["-:3: actu", "-:4: actu"]
    assert "create it with --label" in wrong("4")[0]
    assert "m 5 has no baseline" in wrong("5")[0]
