"""What has come of everything between a window's end and what is done about it."""

import json
from dataclasses import dataclass
from typing import Any

from support.http_sink import HttpSink


@dataclass
class Way:
    """What came of it all."""

    #: By step, the model whose worker died there.
    models: dict[str, str]
    #: By kind, every value of the undisturbed run and of the others.
    calm: dict[str, list[bytes]]
    found: dict[str, list[bytes]]
    acknowledged: list[Any]
    trail: list[Any]
    verdict: str
    hook: HttpSink
    #: That of the receiver whose courier commits first.
    other_hook: HttpSink
    #: By action, what its training left.
    results: dict[str, str]

    def of(self, model: str, kind: str, *, calm: bool = False) -> list[bytes]:
        """Return what a model's worker published."""
        every = self.calm[kind] if calm else self.found[kind]
        return [value for value in every if json.loads(value)["model"] == model]
