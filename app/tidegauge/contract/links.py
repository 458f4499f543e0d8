"""Links in alerts: templates of addresses, filled in with what an alert is about."""

from urllib.parse import quote, urlsplit

from tidegauge.contract.alert import Alert, AlertLinks
from tidegauge.contract.templates import render
from tidegauge.contract.wording import segment_text

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
    """Fill the templates in that there are; a rule's own runbook comes first."""
    known = places(alert)
    own = alert.annotations.get(RUNBOOK)
    return AlertLinks(
        dashboard=None if dashboard is None else render(dashboard, known),
        runbook=own or (None if runbook is None else render(runbook, known)),
    )
