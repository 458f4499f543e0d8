"""A changed rule file takes force, a wrong one doesn't, and a half one waits for its other half."""

import logging
from pathlib import Path

import pytest

from tidegauge.alerting.ruleset import DEFAULT_RULES
from tidegauge.config.files import LOOK_SECONDS, FileError
from tidegauge.roles.active_config import ActiveRules

FIRST = "rules: [{name: first, metric: kl, above: 0.05, severity: low}]\n"
SECOND = "rules: [{name: second, metric: kl, above: 0.07, severity: high}]\n"
WRONG = "rules: [{name: second, metric: kll, above: 0.07, severity: high}]\n"


class World:
    """A rule file and the time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_text(FIRST)
        self.now = 100.0
        self.file = ActiveRules(path, lambda: self.now)

    def look(self, times: int = 1) -> list[str]:
        """Look so many times, each when it is time to; return the names of the rules in force."""
        for _ in range(times):
            self.now += LOOK_SECONDS
            self.file.look()
        return [rule.name for rule in self.file.rules.rules]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "rules.yaml")


def test_a_changed_file_takes_force_when_it_is_found_the_same_twice(world: World) -> None:
    assert world.look(3) == ["first"]
    world.path.write_text(SECOND)
    assert world.look() == ["first"]
    assert world.look() == ["second"]
    assert world.file.problems == []


def test_between_two_looks_nothing_is_read(world: World) -> None:
    world.path.write_text(SECOND)
    world.look()
    world.now += LOOK_SECONDS - 0.01
    world.file.look()
    assert [rule.name for rule in world.file.rules.rules] == ["first"]


def test_half_of_a_file_is_not_taken_for_the_whole(world: World) -> None:
    two = "rules:\n- {name: a, metric: kl, above: 1, severity: low}\n"
    world.path.write_text(two)
    world.look()
    world.path.write_text(two + "- {name: b, metric: kl, above: 1, severity: low}\n")
    assert world.look() == ["first"]
    assert world.look() == ["a", "b"]


def test_a_wrong_file_keeps_the_old_rules_and_says_so_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.path.write_text(WRONG)
    with caplog.at_level(logging.ERROR):
        assert world.look(5) == ["first"]
    [problem] = world.file.problems
    assert f"{world.path}:1:32: rules[0].metric: found 'kll', expected one of" in problem
    assert [record.getMessage() for record in caplog.records] == [
        f"invalid rules; the previous ones stay active: {problem}"
    ]
    world.path.write_text(SECOND)
    assert world.look(2) == ["second"]
    assert world.file.problems == []


def test_a_mistake_that_is_taken_back_is_forgotten(world: World) -> None:
    world.path.write_text(WRONG)
    world.look(2)
    assert world.file.problems
    world.path.write_text(FIRST)
    assert world.look(2) == ["first"]
    assert world.file.problems == []


def test_a_file_that_is_gone_keeps_its_rules_and_is_missed(world: World) -> None:
    world.path.unlink()
    assert world.look(2) == ["first"]
    assert "the rule file can't be read" in world.file.problems[0]
    world.path.write_text(FIRST)
    world.look(2)
    assert world.file.problems == []


def test_a_swap_of_symbolic_links_is_a_change_like_any_other(tmp_path: Path) -> None:
    """As Kubernetes does it: rules.yaml -> ..data/rules.yaml, ..data -> a directory by date."""
    for name, text in (("one", FIRST), ("two", SECOND)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.yaml").write_text(text)
    data, now = tmp_path / "..data", 0.0
    data.symlink_to("one")
    (tmp_path / "rules.yaml").symlink_to("..data/rules.yaml")
    file = ActiveRules(tmp_path / "rules.yaml", lambda: now)
    (tmp_path / "..tmp").symlink_to("two")
    (tmp_path / "..tmp").rename(data)
    for _ in range(2):
        now += LOOK_SECONDS
        file.look()
    assert [rule.name for rule in file.rules.rules] == ["second"]


def test_without_a_file_the_default_rules_are_in_force() -> None:
    now = 0.0
    file = ActiveRules(None, lambda: now)
    now = 10 * LOOK_SECONDS
    file.look()
    assert file.rules is DEFAULT_RULES and file.problems == []


def test_a_wrong_file_at_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(WRONG)
    with pytest.raises(FileError, match="found 'kll'"):
        ActiveRules(tmp_path / "rules.yaml", lambda: 0.0)


def test_in_a_dry_run_no_rule_asks_in_earnest_and_the_rules_are_otherwise_the_same(
    tmp_path: Path,
) -> None:
    live, dry = (ActiveRules(None, lambda: 0.0, dry_run=it).rules for it in (False, True))
    assert live is DEFAULT_RULES and dry.sha256 == live.sha256
    assert [it.dry_run for it in dry.rules] == [it.action is not None for it in live.rules]
    assert [it.name for it in dry.rules] == [it.name for it in live.rules]
    path = tmp_path / "rules.yaml"
    path.write_text(FIRST.replace("low}", "low, action: page}"))
    file = ActiveRules(path, lambda: 0.0, dry_run=True)
    assert file.rules is file.rules and file.rules.rules[0].dry_run
