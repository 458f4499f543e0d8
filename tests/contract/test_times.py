"""Moments and lengths of time, as people write them."""

import pytest

from tidegauge.contract.wording import duration, moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-30d", 1e7 - 30 * 86_400),
        ("30d", 1e7 - 30 * 86_400),
        ("-90m", 1e7 - 5_400),
        ("-1.5h", 1e7 - 5_400),
        ("-2w", 1e7 - 14 * 86_400),
        ("now", 1e7),
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T02:00:10+02:00", 10.0),
    ],
)
def test_moments_are_read(text: str, expected: float) -> None:
    assert moment(text, 1e7) == expected


@pytest.mark.parametrize("text", ["", "30", "-30", "yesterday", "2026-01-01", "2026-01-01T00:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time such as"):
        moment(text, 0.0)


@pytest.mark.parametrize("text", ["", "2", "-2h", "0h", "2 hours"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a length of time such as"):
        duration(text)
