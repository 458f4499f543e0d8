"""The records of one flush of a tenure: what has changed, to every partition of the histograms."""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from tidegauge.contract import HistogramRecord

#: Records are made about as large as this; one cell alone may make one of several MB.
RECORD_BYTES = 500_000


def flush_records(
    record: HistogramRecord,
    changed: Mapping[int, list[bytes]],
    seqs: dict[int, int],
    *,
    kind: Literal["cells", "outcomes"] = "cells",
) -> Iterator[tuple[int, bytes]]:
    """Yield (destination partition, record) with the cells that have changed, encoded, of each.

    ``record`` has the final ranges and clocks, and what else the records share. Every destination
    gets at least one, so that each can see that the ranges tile; if its cells don't fit one, only
    its last one moves the ranges on. ``seqs`` are the numbers of the last records, by destination;
    they are counted on.
    """
    before = {p: msgspec.structs.replace(at, to=at.since) for p, at in record.ranges.items()}
    for partition, cells in changed.items():
        *early, last = _split(cells)
        for some, final in [(group, False) for group in early] + [(last, True)]:
            seqs[partition] = seqs.get(partition, 0) + 1
            fields = {name: getattr(record, name) for name in record.__struct_fields__}
            fields["seq"] = seqs[partition]
            fields["ranges"] = record.ranges if final else before
            fields["clocks"] = record.clocks if final else {}
            if kind == "cells":
                del fields["outcomes"]  # only OUTCOMES has any
            fields[kind] = [msgspec.Raw(cell) for cell in some]
            yield partition, msgspec.json.encode(fields)


def _split(cells: list[bytes]) -> list[list[bytes]]:
    groups: list[list[bytes]] = [[]]
    size = 0
    for cell in cells:
        if groups[-1] and size + len(cell) > RECORD_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(cell)
        size += len(cell)
    return groups
