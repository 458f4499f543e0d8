"""One value that can't be decoded raises one kind of error, whatever is wrong with it."""

import json
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, strategies as st

from tidegauge.contract.alert import Alert
from tidegauge.contract.audit import AuditRecord
from tidegauge.contract.record import DecodingError, decode
from tidegauge.contract.silence import Silence


class _Named(msgspec.Struct):
    name: str

    def __post_init__(self) -> None:
        raise KeyError(self.name)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\x00",
        b"\xef\xbb\xbf{}",
        b'{"id": ',
        b'{"\\ud800": 1}',
        b'{"x": "\xff"}',
        b'{"x": ' + b"[" * 6_000 + b"]" * 6_000 + b"}",
        b'{"x": ' + b'{"y": ' * 6_000 + b"1" + b"}" * 6_001,
        b'{"time": ' + b"9" * 5_000 + b"}",
        b"[]",
        b"null",
    ],
)
@pytest.mark.parametrize("kind", [Alert, AuditRecord, Silence])
def test_any_fault_is_a_decoding_error(value: bytes | None, kind: Any) -> None:
    with pytest.raises(DecodingError):
        decode(value, kind)


def test_an_error_of_the_kind_itself_is_a_decoding_error() -> None:
    with pytest.raises(DecodingError, match="surprise"):
        decode(b'{"name": "surprise"}', _Named)


@given(st.binary(max_size=60))
def test_random_bytes_raise_nothing_else(value: bytes) -> None:
    try:
        decode(value, dict[str, Any])
    except DecodingError:
        pass
    else:
        assert isinstance(json.loads(value), dict)


def test_a_message_says_what_is_wrong_and_where_however_long_the_value_is() -> None:
    with pytest.raises(DecodingError) as found:
        decode(b'{"kind":"%s"}' % (b"x" * 900_000), dict[str, Literal["retrain"]])
    message = str(found.value)
    assert message.startswith("Invalid enum value 'xx") and message.endswith("at `$[...]`")
    assert len(message) < 1_000
