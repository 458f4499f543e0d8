"""The short form of the chaos suite: three seeds, judged like the long one's twenty."""

from pathlib import Path

import pytest

from chaos.plan.faults import KINDS, ROLES, draw_plan
from chaos.run import run

SECONDS = 40
#: The long form sends 20,000/s. What is counted here is recounted by the oracle, event by event.
RATE = 12_000

#: Of so few seeds, three that have every kind of fault between them, and hit every role.
SEEDS = [29, 181, 2041]


def test_the_short_form_has_every_kind_of_fault() -> None:
    drawn = {kind for seed in SEEDS for kind in draw_plan(seed, SECONDS).counts()}
    assert drawn == set(KINDS)


def test_the_short_form_hits_every_role() -> None:
    hit = {fault.role for seed in SEEDS for fault in draw_plan(seed, SECONDS).faults}
    assert hit >= set(ROLES)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_every_count_is_exact(seed: int, tmp_path: Path) -> None:
    plan = draw_plan(seed, SECONDS)
    assert len(plan.faults) >= 7
    result = run(plan, tmp_path / "run", rate=RATE)
    assert result.exact, "\n".join([str(plan), *result.log, result.tails, str(result)])
    assert result.events > 0
