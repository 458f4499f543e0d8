"""The documentation's site: it builds strictly, loads from no other host, keeps its addresses."""

import json
import re
import sys

import pytest
import yaml

from support.deployment import ROOT, run

#: What a page loads, beside pages that a reader follows a link to.
LOADED = re.compile(r'<(?:script|img|source|iframe|link)\b[^>]*?\b(?:src|href)="([^"]+)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", made]
    done = run(*build, env={"NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_every_page_of_the_documentation_is_on_it(site):
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert len(pages) > 15
    for page in pages:
        name = page.parent if page.stem == "index" else page.with_suffix("")
        assert (site / name / "index.html").is_file(), page
    assert "PredictionLogger" in (site / "index.html").read_text(), "README.md is the front page"
    assert "make fast" in (site / "contributing" / "index.html").read_text()


def test_it_loads_nothing_from_another_host(site):
    found = {
        address
        for page in site.rglob("*.html")
        for address in LOADED.findall(page.read_text())
        if re.match(r"(https?:)?//", address)
    }
    assert found == set()


def test_what_alerts_call_a_runbook_is_an_address_of_it(site):
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    urls = [
        rule["annotations"]["runbook_url"]
        for group in rules["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert len(urls) > 20
    for url in urls:
        page, _, anchor = url.removeprefix("docs/").partition("#")
        html = (site / page.removesuffix(".md") / "index.html").read_text()
        assert f'id="{anchor}"' in html, url


def test_it_can_be_searched(site):
    index = json.loads((site / "search" / "search_index.json").read_text())
    found = [one["location"] for one in index["docs"] if "watermark" in one["text"]]
    assert found


def test_the_reference_of_the_python_api_has_signatures_and_nothing_internal(site):
    named = re.findall(r"^::: (\S+)", (ROOT / "docs" / "reference" / "api.md").read_text(), re.M)
    assert {"tidegauge.roles.ingest.read_events", "tidegauge.stats.psi"} < set(named)
    html = (site / "reference" / "api" / "index.html").read_text()
    sections = dict(re.findall(r'id="(tidegauge\.[\w.]+)"(.*?)(?=id="tidegauge|\Z)', html, re.S))
    functions = [name for name in named if name.rpartition(".")[2].islower()]
    assert [name for name in named if name not in sections] == []
    for name in [*functions, "tidegauge.producer.PredictionLogger.log"]:
        assert "doc-signature" in sections[name], name
    assert [name for name in sections if "._" in name or "fork" in name] == []
