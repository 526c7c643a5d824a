"""The dossier in a real browser, on a page's width and a phone's, in the light and in the dark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import release_example as example
from sfumato.project import Project

CHROMIUM = shutil.which("chromium")
# Where everything can be installed nothing may be left out.
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine"
)


@pytest.fixture(scope="module")
def dossier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    return example.build(folder / "out", Project.open(folder / "p")).dossier


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_and_asks_nobody(browser: Any, dossier: Path, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(dossier.as_uri())
    assert complaints == []
    assert asked == [dossier.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.body).fontFamily") != ""
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(251, 248, 243)" if scheme == "light" else "rgb(25, 22, 20)")
    shown, hidden = (".chart.wide", ".chart.narrow") if width == 1200 else (".chart.narrow", ".chart.wide")
    assert page.locator(shown).first.is_visible()
    assert not page.locator(hidden).first.is_visible()
    page.close()


def test_the_style_is_applied_under_the_content_security_policy(
    browser: Any, dossier: Path, tmp_path: Path
) -> None:
    page = browser.new_page()
    tampered = tmp_path / "tampered.html"
    tampered.write_text(dossier.read_text().replace("<style>", "<style>body{color:red}"))
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(tampered.as_uri())
    assert any("Content Security Policy" in complaint for complaint in complaints)
    page.close()


def test_the_first_key_reaches_the_skip_link(browser: Any, dossier: Path) -> None:
    page = browser.new_page()
    page.goto(dossier.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_breaks_no_rule_of_axe(browser: Any, dossier: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = browser.new_page(color_scheme=scheme)
    page.goto(dossier.as_uri())
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.close()


@pytest.mark.parametrize("width", [1200, 390])
def test_every_law_opens_by_key_and_fits_the_page(browser: Any, dossier: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(dossier.as_uri())
    closed = page.locator("details:not([open]) > summary")
    count = closed.count()
    assert count >= 8
    for _ in range(count):
        closed.first.focus()
        page.keyboard.press("Enter")
    assert closed.count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_a_claim_leads_to_the_row_of_its_finding(browser: Any, dossier: Path) -> None:
    page = browser.new_page()
    page.goto(dossier.as_uri())
    page.locator("#residual a.rests").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector(':target').tagName") == "TR"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_opened_page_breaks_no_rule_of_axe(browser: Any, dossier: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = browser.new_page(color_scheme=scheme)
    page.goto(dossier.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.close()
