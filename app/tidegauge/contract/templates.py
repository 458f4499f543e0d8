"""Templates with named places, and figures shortened in them. Pure."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from string import Formatter
from typing import Any

from tidegauge.contract.wording import exact, figure


class _Places(Formatter):
    """``str.format`` with bare names only, and figures shortened where no format is given."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, str]:
        # Attributes and items are refused: a template is text, not a way into objects.
        if field_name not in kwargs:
            near = get_close_matches(field_name, kwargs, n=1)
            hint = f"; did you mean {{{near[0]}}}?" if near else ""
            raise ValueError(
                f"found {{{field_name}}}, expected one of "
                f"{', '.join(f'{{{name}}}' for name in kwargs)}{hint}"
            )
        return kwargs[field_name], field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, float) and not isinstance(value, Exact) and not format_spec:
            return figure(value)
        return str(super().format_field(value, format_spec))


class Exact(float):
    """A figure that is written as somebody wrote it."""

    def __format__(self, spec: str) -> str:
        return super().__format__(spec) if spec else exact(self)


def render(template: str, places: Mapping[str, str | int | float]) -> str:
    """Fill ``template`` in; raises ``ValueError`` that says what is wrong with it.

    >>> places = {"model": "credit", "value": 0.0625, "threshold": 0.05}
    >>> render("{model}: {value} > {threshold:.3f}", places)
    'credit: 0.0625 > 0.050'
    """
    return _Places().vformat(template, (), places)
