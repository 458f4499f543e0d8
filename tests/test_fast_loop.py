"""``make fast``: which tests it takes for a change."""

from pathlib import Path

import pytest

from tools.fast.changed import ALWAYS, nearest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("stats/test_psi.py", "stats/test_psi_of_one.py", "contract/test_alert.py",
                 "alerting/test_ruleset.py", "broker/test_rules.py"):  # fmt: skip
        path = tmp_path / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "app/tidegauge/alerting").mkdir(parents=True)
    (tmp_path / "app/tidegauge/alerting/ruleset.py").touch()
    return tmp_path


def test_tests_of_a_changed_module_come_before_those_of_its_room(root):
    found = nearest(["app/tidegauge/alerting/ruleset.py"], root)
    assert found == [
        "app/tidegauge/alerting/ruleset.py",
        "tests/alerting/test_ruleset.py",
        "tests/alerting",
        *ALWAYS,
    ]


def test_a_changed_test_comes_first(root):
    assert nearest(["tests/alerting/test_ruleset.py"], root)[0] == "tests/alerting/test_ruleset.py"


def test_tests_that_start_clusters_are_left_to_make_test(root):
    assert nearest(["tests/broker/test_rules.py", "tests/chaos/plan/faults.py"], root) == [*ALWAYS]


def test_what_is_gone_is_not_asked_for(root):
    assert nearest(["app/tidegauge/gone/gone.py", "README.md"], root) == [*ALWAYS]
