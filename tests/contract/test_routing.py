"""Routing: the windows and alert state of a variant and its segments live in one partition."""

from hypothesis import given, strategies as st

from tidegauge.contract.histogram import cell_partition

_names = st.text(max_size=8)


@given(_names, _names, _names, st.integers(1, 50))
def test_every_variant_has_one_partition_that_exists(
    model: str, version: str, variant: str, partitions: int
) -> None:
    assert 0 <= cell_partition(model, version, variant, partitions) < partitions


def test_the_map_is_the_same_in_every_release() -> None:
    # These never change: a running installation keeps its state where they point.
    assert [
        cell_partition("credit", "3", "", 8),
        cell_partition("credit", "3", "canary", 8),
        cell_partition("credit", "4", "", 8),
    ] == [7, 3, 6]


def test_names_that_only_run_together_are_told_apart() -> None:
    many = 1 << 30
    found = {
        cell_partition("ab", "c", "", many),
        cell_partition("a", "bc", "", many),
        cell_partition("abc", "", "", many),
        cell_partition("a", "b", "c", many),
    }
    assert len(found) == 4


def test_a_thousand_models_are_spread_over_all_partitions() -> None:
    counts = [0] * 8
    for i in range(1000):
        counts[cell_partition(f"model-{i}", "1", "", 8)] += 1
    assert min(counts) > 60 and max(counts) < 200
