"""One model in a thousand drifts: it is told of, and all others keep the budget for a month."""

from _quiet_month import quiet_month


def test_the_others_are_quiet_at_the_promised_budget_and_the_one_that_drifts_is_told_once() -> None:
    found = quiet_month(1000, signals=1, events=500, drift=0.3)
    assert found.promised == 999
    assert found.ratio < 1.0 + 2 * found.standard_error, found
    # Nobody who never alarms: at least a fifth of what is allowed is used.
    assert found.ratio > 0.2 - 2 * found.standard_error, found
    assert len(found.fired) == 1 and found.fired[0] <= 3, found
