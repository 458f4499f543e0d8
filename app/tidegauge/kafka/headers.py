"""Reading the headers of a Kafka record that anybody may have written.

``confluent_kafka.Message.headers`` (2.15, ``c_headers_to_py``) doesn't look whether a name is
UTF-8. Of one that isn't it leaves an error behind, which comes up at any later place, and a tuple
with a hole in it, which ends the process when it is touched. So :func:`headers_of` alone calls it.
"""

import ctypes
import gc

from confluent_kafka import Message

# Bound once: looking it up while an error is pending could raise that.
_clear_error = ctypes.pythonapi.PyErr_Clear
_clear_error.argtypes = []
_clear_error.restype = None


def headers_of(message: Message) -> dict[str, bytes]:
    """Return the headers whose name is text and which have a value; the last of each name."""
    try:
        found = message.headers()
        _clear_error()
    except (SystemError, UnicodeDecodeError):
        return {}
    headers: dict[str, bytes] = {}
    for header in found or ():
        # Unpacking would touch the hole; the collector leaves it out, and goes from last to first.
        match gc.get_referents(header):
            case [bytes(value), str(name)]:
                headers[name] = value
    return headers
