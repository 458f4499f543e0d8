"""Links of alerts: one template for all, a rule's own runbook, and text that stays text."""

import pytest

from support.alerts import example_alert
from tidegauge.config.sections import LinkSettings
from tidegauge.contract.alert import AlertLinks
from tidegauge.contract.templates import check_template, links_of

DASHBOARD = "https://grafana.example.com/d/x?var-model={model}&from={from_ms}&to={to_ms}"
RUNBOOK = "https://wiki.example.com/tidegauge/{rule}"


def test_templates_are_filled_in_with_what_an_alert_is_about() -> None:
    assert links_of(example_alert(), dashboard=DASHBOARD, runbook=RUNBOOK) == AlertLinks(
        dashboard="https://grafana.example.com/d/x?var-model=credit"
        "&from=1772362800000&to=1772366460000",
        runbook="https://wiki.example.com/tidegauge/drift",
    )
    assert links_of(example_alert(annotations={}), dashboard=None, runbook=None) == AlertLinks()


def test_a_link_takes_any_name_apart_from_the_address() -> None:
    made = links_of(example_alert(model="a b&c=ü/../x"), dashboard=DASHBOARD, runbook=None)
    assert "var-model=a%20b%26c%3D%C3%BC%2F..%2Fx&from=" in (made.dashboard or "")


def test_a_rules_own_runbook_comes_first() -> None:
    alert = example_alert(annotations={"runbook_url": "https://wiki.example.com/mine"})
    assert links_of(alert, dashboard=None, runbook=RUNBOOK).runbook == (
        "https://wiki.example.com/mine"
    )


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        ("https://x.example.com/{modle}", "found {modle}, expected one of"),
        ("wiki/{rule}", "expected an address such as"),
    ],
)
def test_a_template_that_makes_no_address_is_refused_by_the_settings(
    template: str, wrong: str
) -> None:
    for check in (check_template, lambda it: LinkSettings(runbook=it)):
        with pytest.raises(ValueError, match=wrong):
            check(template)
