"""The extension fails, where it fails, as Python does: by an exception that can be caught."""

import numpy as np
import pytest
import tidegauge_native

from support.counting import a_baseline, as_json, counted, event, promote
from tidegauge.counting.decode import native


def test_a_place_outside_the_counts_is_an_error_that_is_no_end_of_the_process() -> None:
    one = np.zeros(1)
    with pytest.raises(RuntimeError, match="the extension failed"):
        tidegauge_native.add_columns(
            [one], [one], [7], [], [], np.zeros(3, np.int64), one, one, one, one
        )
    with pytest.raises(RuntimeError, match="the extension failed"):
        tidegauge_native.add_columns(
            [], [], [], [np.array([9])], [0], np.zeros(3, np.int64), one, one, one, one
        )


def test_a_baseline_that_the_extension_refuses_is_counted_by_python(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OverflowError("a bin of 2^64")

    monkeypatch.setattr("tidegauge.counting.decode.native.NativePath", refuse)
    cells = counted([as_json(event())], promote(a_baseline()))
    assert [cell.events for cell in cells.values()] == [1]
    assert ("refuses a baseline" in caplog.text) is (native.MODULE is not None)
