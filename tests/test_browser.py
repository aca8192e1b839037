"""The built site in a browser: mathematics, network, accessibility, narrow screens, dark mode."""

import pytest

pytest.importorskip("selenium", reason="selenium is not installed: pip install -e '.[test]'")

from tools import browser

PAGES = browser.pages()

pytestmark = [
    pytest.mark.skipif(not PAGES, reason="the site is not built: run `make book` first"),
    pytest.mark.skipif(not browser.find_chromium(), reason="no Chromium with chromedriver here"),
    pytest.mark.parametrize("page", PAGES),
]


@pytest.fixture(scope="module")
def site():
    site = browser.Site()
    yield site
    site.close()


def test_mathematics_is_rendered_without_errors(site, page):
    math = site.visit(page).math
    assert math["errors"] == 0
    assert math["raw"] == 0, f"{math['raw']} of {math['written']} formulas stayed raw"
    assert math["rendered"] >= math["written"]


def test_page_loads_nothing_from_another_host(site, page):
    seen = site.visit(page)
    assert not seen.foreign_requests
    assert not seen.failed_requests


def test_no_script_fails(site, page):
    assert not site.visit(page).script_errors


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessibility_at_level_aa(site, page, theme):
    violations = site.visit(page).violations[theme]
    assert not violations, "\n" + "\n".join(violations[:20])


@pytest.mark.parametrize("width", [browser.WIDE, browser.NARROW])
def test_page_does_not_scroll_sideways(site, page, width):
    overflow = site.visit(page).overflow[width]
    assert not overflow, "\n" + "\n".join(overflow)
