"""Whether two runs put out the same: the same ids in the same order, each with the same bytes."""

import json
from collections.abc import Sequence


def by_id(values: Sequence[bytes]) -> dict[str, list[bytes]]:
    """Return every different value of each id, ids in the order of their first appearance."""
    found: dict[str, list[bytes]] = {}
    for value in values:
        known = found.setdefault(json.loads(value)["id"], [])
        if value not in known:
            known.append(value)
    return found


def differences(undisturbed: Sequence[bytes], disturbed: Sequence[bytes]) -> list[str]:
    """Say what a disturbed run put out too little, too much, otherwise, or in another order.

    Sending a value again is no difference.

    >>> differences([b'{"id":"a","n":1}'], [b'{"id":"a","n":1}', b'{"id":"a","n":1}'])
    []
    >>> differences([b'{"id":"a","n":1}'], [b'{"id":"a","n":2}', b'{"id":"b"}'])
    ['a: its bytes are others', 'b: nobody else has it']
    >>> differences([b'{"id":"a"}', b'{"id":"b"}'], [b'{"id":"b"}'])
    ['a: missing']
    >>> differences([b'{"id":"a"}', b'{"id":"b"}'], [b'{"id":"b"}', b'{"id":"a"}'])
    ["the order is ['b', 'a'] instead of ['a', 'b']"]
    """
    expected, found = by_id(undisturbed), by_id(disturbed)
    said = [f"{id}: missing" for id in expected if id not in found]
    for id, values in found.items():
        if id not in expected:
            said.append(f"{id}: nobody else has it")
        elif values != expected[id]:
            said.append(f"{id}: its bytes are others")
    if not said and list(found) != list(expected):
        said.append(f"the order is {list(found)} instead of {list(expected)}")
    return said
