"""The rows of a baseline, sent back: whatever reads the file and however they come, nothing shows.

Every way of writing a training file by every way of sending its rows, for pandas 2, pandas 3 and
polars, through INGEST's counting, native and in Python, to the figures of a report.
"""

from pathlib import Path

import pytest

from support.counting import counted, promote
from support.frames import LIBRARIES, Written, write_frames
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.io.builder import build
from tidegauge.contract.report import SignalReport
from tidegauge.counting.decode import native
from tidegauge.windows.merging import merge
from tidegauge.windows.report import signal_reports

SIGNALS = {"amount", "full", "whole", "count", "flag", "sure", "region", "code", "tier"}


@pytest.fixture(scope="module", params=LIBRARIES)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_frames(request.param, tmp_path_factory.mktemp(request.param))


def _baseline(path: Path) -> Baseline:
    return build(
        path, model="m", version="1", exclude=["at", "day"], warn=lambda message: None
    ).baseline


def _reports(baseline: Baseline, payloads: list[bytes]) -> dict[str, SignalReport]:
    cells = counted(payloads, promote(baseline)).values()
    names = {name for cell in cells for name in cell.signals}
    merged = {name: merge(cell.signals[name] for cell in cells) for name in names}
    return signal_reports(merged, baseline)


@pytest.mark.parametrize("with_native", [True, False], ids=["native", "python"])
def test_the_rows_of_the_baseline_show_no_drift_whichever_way_they_come(
    written: Written, with_native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(written.files) >= 5 and len(written.ways) >= 7
    if not with_native:
        monkeypatch.setattr(native, "MODULE", None)
    for path in written.files:
        baseline = _baseline(path)
        assert set(baseline.signals) == SIGNALS, path
        for way, payloads in written.ways.items():
            where = f"{path.name}, {way}"
            found = _reports(baseline, payloads)
            for name in SIGNALS:
                report = found[name]
                assert report.drift is not None, (where, name)
                assert report.drift.kl_current_reference_nats < 1e-12, (where, name, report)
                assert report.drift.psi < 1e-12, (where, name)
                missing = baseline.signals[name].missing
                nan = getattr(baseline.signals[name], "nan", 0)
                assert report.missing_share == (missing + nan) / baseline.rows, (where, name)
