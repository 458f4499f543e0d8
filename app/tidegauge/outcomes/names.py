"""Names that rows in memory have as numbers: strata, targets, texts; and what follows from them."""

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tidegauge.contract import (
    OutcomeTarget,
    RegressionTarget,
    Stratum,
    actual_number,
    class_code,
)
from tidegauge.outcomes.packed import Indices
from tidegauge.outcomes.sorted_rows import Seconds
from tidegauge.stats import Bools, Floats

Scopes = npt.NDArray[np.uint64]

#: In memory, the text of a label that has a number.
NO_TEXT = 2**32 - 1

#: The scope of a label that is of all predictions with its id.
ANY_SCOPE = 0

#: Texts before the ones that no label has any more are forgotten.
_TEXTS = 65_536


class StratumName(NamedTuple):
    """What a stratum is of; ``target`` is an index."""

    model: str
    version: str
    variant: str
    groups: tuple[tuple[str, str], ...]
    baseline: str
    target: int


class Strata:
    """Numbers of the strata that predictions have had, with a column for what each decides.

    ``retention`` returns for a model how long its predictions wait for labels, seconds.
    """

    def __init__(self, retention: Callable[[str], int]) -> None:
        self._retention_of = retention
        self.names: list[StratumName] = []
        self.targets: list[OutcomeTarget] = []
        self._numbers: dict[StratumName, int] = {}
        self._target_numbers: dict[bytes, int] = {}
        self._rows: list[tuple[int, int, int, int]] = []
        self._columns = _columns([])

    def numbers(self, strata: Sequence[Stratum], targets: Sequence[OutcomeTarget]) -> Indices:
        """Return the number of each stratum of a record."""
        at = [self._target(target) for target in targets]
        return np.array([self._number(one, at[one.target]) for one in strata], np.intp)

    def _target(self, target: OutcomeTarget) -> int:
        key = msgspec.json.encode(target)
        number = self._target_numbers.setdefault(key, len(self.targets))
        if number == len(self.targets):
            self.targets.append(target)
        return number

    def _number(self, one: Stratum, target: int) -> int:
        name = StratumName(
            one.model,
            one.version,
            one.variant,
            tuple(sorted(one.groups.items())),
            one.baseline,
            target,
        )
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
            own = scope_of(one.model, one.version, one.variant)
            retention = self._retention_of(one.model)
            self._rows.append((target, retention, scope_of(one.model), own))
        return number

    @property
    def columns(self) -> "StratumColumns":
        """What each stratum decides, by its number."""
        if len(self._rows) != len(self._columns.target):
            self._columns = _columns(self._rows)
        return self._columns


class StratumColumns(NamedTuple):
    """Of each stratum its target, how long its predictions wait for labels in seconds, and scopes.

    The scopes are those of labels that name its model, or its model, version and variant.
    """

    target: Seconds
    retention: Seconds
    model_scope: Scopes
    own_scope: Scopes

    def in_scope(self, stratum: Indices, scope: Scopes) -> Bools:
        """Whether labels of ``scope`` are of predictions of ``stratum``, one each."""
        found: Bools = (
            (scope == ANY_SCOPE)
            | (scope == self.model_scope[stratum])
            | (scope == self.own_scope[stratum])
        )
        return found


def _columns(rows: list[tuple[int, int, int, int]]) -> StratumColumns:
    target, retention, of_model, own = zip(*rows, strict=True) if rows else ((), (), (), ())
    return StratumColumns(
        np.array(target, np.int64),
        np.array(retention, np.int64),
        np.array(of_model, np.uint64),
        np.array(own, np.uint64),
    )


@lru_cache(maxsize=10_000)
def scope_of(*names: str) -> int:
    """Return the number of what labels are of: a model, or a model, version and variant."""
    digest = hashlib.blake2b(msgspec.json.encode(names), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


class Actuals:
    """Texts of labels by number, and the codes that actuals have of targets."""

    def __init__(self, strata: Strata) -> None:
        self._strata = strata
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}
        self._codes: dict[tuple[int, str | float], float] = {}
        self._most = _TEXTS

    def numbers(self, texts: Sequence[str]) -> npt.NDArray[np.uint32]:
        """Return the number of each text of a record."""
        found = [self._numbers.setdefault(text, len(self._numbers)) for text in texts]
        self._texts.extend(list(self._numbers)[len(self._texts) :])
        return np.array(found, np.uint32)

    def text(self, number: int) -> str:
        """Return a text by its number."""
        return self._texts[number]

    def codes(self, targets: Seconds, actual: Floats, text: npt.NDArray[np.uint32]) -> Floats:
        """Return the class code, or the number, of actuals by targets; NaN where it has none."""
        codes = np.full(len(targets), np.nan)
        is_text = text != NO_TEXT
        # A client that sends numbers as texts has another one in every label.
        names = targets[is_text].astype(np.uint64) << np.uint64(32) | text[is_text]
        pairs, places = np.unique(names, return_inverse=True)
        of_pairs = [self.code(one >> 32, math.nan, one & NO_TEXT) for one in pairs.tolist()]
        codes[is_text] = np.array(of_pairs, np.float64)[places]
        for target in np.unique(targets[~is_text]).tolist():
            is_number = (targets == target) & ~is_text
            if isinstance(self._strata.targets[target], RegressionTarget):
                codes[is_number] = actual[is_number]
            else:
                values, places = np.unique(actual[is_number], return_inverse=True)
                of_values = [self.code(target, value, NO_TEXT) for value in values.tolist()]
                codes[is_number] = np.array(of_values, np.float64)[places]
        return codes

    def code(self, target: int, actual: float, text: int) -> float:
        """Return the code, or the number, of one actual by one target; NaN where it has none."""
        if text == NO_TEXT and (
            math.isnan(actual) or isinstance(self._strata.targets[target], RegressionTarget)
        ):
            return actual
        key = (target, actual if text == NO_TEXT else self._texts[text])
        code = self._codes.get(key)
        if code is None:
            if len(self._codes) > _TEXTS:  # somebody sends other texts all the time
                self._codes.clear()
            code = self._codes[key] = _code_of(self._strata.targets[target], key[1])
        return code

    def forget_unused(self, columns: Sequence[npt.NDArray[np.generic]]) -> None:
        """Forget texts that no label has any more, if there are many; ``columns`` has them all."""
        if len(self._texts) <= self._most:
            return
        used = np.unique(np.concatenate([np.zeros(0, np.uint32), *columns]))
        used = used[used != NO_TEXT]
        self._texts = [self._texts[number] for number in used.tolist()]
        self._numbers = {text: number for number, text in enumerate(self._texts)}
        for column in columns:
            texts = column != NO_TEXT
            column[texts] = np.searchsorted(used, column[texts])
        self._most = 2 * len(self._texts) + _TEXTS


def _code_of(target: OutcomeTarget, actual: str | float) -> float:
    if isinstance(target, RegressionTarget):
        number = actual_number(actual)
        return math.nan if number is None else number
    code = class_code(target, actual)
    return math.nan if code is None else float(code)
