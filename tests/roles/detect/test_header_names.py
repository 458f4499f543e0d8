"""aiokafka reads batches with header names that are no text, as DETECT has it."""

from typing import Any

import pytest
from aiokafka.consumer import fetcher

from support.wild_headers import WildName, wild_batch
from tidegauge.roles.detect import workarounds

assert workarounds  # which installs it


def _read(batch: bytes) -> list[Any]:
    records, found = fetcher.MemoryRecords(batch), []
    while records.has_next():
        next_batch = records.next_batch()
        assert next_batch.validate_crc() and not next_batch.is_control_batch
        found += list(next_batch)
        assert next_batch.next_offset == len(found)
    return found


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("at", [0, 3, 5, None])
def test_every_record_is_read_with_its_value_and_its_sound_headers(
    codec: int, at: int | None
) -> None:
    sound: list[tuple[str, bytes | None]] = [("at", b"17"), ("log", None)]
    values = [(b"%d" % n, [*sound, (WildName("x"), b"1")] if n == at else sound) for n in range(6)]
    found = _read(wild_batch(values, codec))
    assert [(it.offset, it.key, it.value) for it in found] == [
        (n, b"k", b"%d" % n) for n in range(6)
    ]
    for n, record in enumerate(found):
        assert list(record.headers[:2]) == sound
        assert len(record.headers) == (3 if n == at else 2)
        assert all(isinstance(name, str) for name, _ in record.headers)
