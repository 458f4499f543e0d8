"""Templates with named places: of texts, and of the links in alerts. Pure."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from string import Formatter
from typing import Any
from urllib.parse import quote, urlsplit

from tidegauge.contract.alert import Alert, AlertLinks
from tidegauge.contract.wording import exact, figure, segment_text


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


#: The annotation of a rule that is its own runbook.
RUNBOOK = "runbook_url"

#: A dashboard opens on this long before the alert began, seconds.
_BEFORE_SECONDS = 3600


def places(alert: Alert) -> dict[str, str | int | float]:
    """Return what a template may name; text is quoted for an address."""
    texts = {
        "rule": alert.rule,
        "severity": alert.severity,
        "model": alert.model,
        "version": alert.version,
        "variant": alert.variant,
        "segment": segment_text(alert.segment, ","),
        "signal": alert.signal or (alert.signals[0].signal if alert.signals else ""),
        "metric": alert.metric,
        "id": alert.id,
        "fingerprint": alert.fingerprint,
    }
    return {name: quote(text, safe="") for name, text in texts.items()} | {
        "starts_at": alert.starts_at,
        "window_start": alert.window_start,
        "window_end": alert.window_end,
        "from_ms": (alert.starts_at - _BEFORE_SECONDS) * 1000,
        "to_ms": alert.window_end * 1000,
    }


#: To try templates on; the names are those of :func:`places`.
_SAMPLE: dict[str, str | int | float] = {
    **dict.fromkeys(("rule", "severity", "model", "version", "variant", "segment"), "x"),
    **dict.fromkeys(("signal", "metric", "id", "fingerprint"), "x"),
    **dict.fromkeys(("starts_at", "window_start", "window_end", "from_ms", "to_ms"), 0),
}


def check_template(template: str) -> str:
    """Return a template that makes a web address; raises ``ValueError`` that says what is wrong."""
    try:
        made = urlsplit(render(template, _SAMPLE))
    except (KeyError, IndexError) as error:
        raise ValueError(f"{error} can't be filled in") from error
    if made.scheme not in ("http", "https") or not made.hostname:
        raise ValueError("expected an address such as https://example.com/{model}")
    return template


def links_of(alert: Alert, *, dashboard: str | None, runbook: str | None) -> AlertLinks:
    """Fill in the templates; the runbook of the rule takes precedence."""
    known = places(alert)
    own = alert.annotations.get(RUNBOOK)
    return AlertLinks(
        dashboard=None if dashboard is None else render(dashboard, known),
        runbook=own or (None if runbook is None else render(runbook, known)),
    )
