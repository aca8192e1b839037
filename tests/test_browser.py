"""The built site in a browser: mathematics, network, accessibility, keyboard, paper, phones."""

import pytest

pytest.importorskip("selenium", reason="selenium is not installed: pip install -e '.[test]'")

from selenium.webdriver.support.ui import WebDriverWait

from tools import browser, weights

PAGES = browser.pages()
CHAPTER = "book/optimal_smoothing.html"  # many formulas
TASKS = "book/label_smoothing_in_practice.html"
PROOFS = "book/optimal_smoothing_proofs.html"
# Folds that stay as the reader left them on paper, too.
KEPT = (
    "Solution",
    "Answer",
    "Your ",
    "A way in",
    "Hint",
    "Show code",
    "ok:",
    "Where these numbers",
)
SAMPLE = ["book/index.html", "book/explorer.html", PROOFS, "search.html"]
SMALLEST_TEXT = 8 * 150 / 72  # pixels of a picture that 8 points take: plots.show saves 150 an inch


pytestmark = [
    pytest.mark.skipif(not PAGES, reason="the site is not built: run `make book` first"),
    pytest.mark.skipif(not browser.find_chromium(), reason="no Chromium with chromedriver here"),
]
each_page = pytest.mark.parametrize("page", PAGES)


@pytest.fixture(scope="module")
def site():
    site = browser.Site()
    yield site
    site.close()


@each_page
def test_mathematics_is_rendered_without_errors(site, page):
    math = site.visit(page).math
    assert math["errors"] == 0
    assert math["raw"] == 0, f"{math['raw']} of {math['written']} formulas stayed raw"
    assert math["rendered"] >= math["written"]


@each_page
def test_formulas_are_spoken_but_are_no_stops_of_the_tab_key(site, page):
    math = site.visit(page).math
    assert math["stops"] == 0
    assert math["spoken"] == math["all"]


@each_page
def test_page_loads_nothing_from_another_host(site, page):
    seen = site.visit(page)
    assert not seen.foreign_requests
    assert not seen.failed_requests


@each_page
def test_no_script_fails(site, page):
    assert not site.visit(page).script_errors


@pytest.mark.parametrize("folds", ["closed", "open"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@each_page
def test_accessibility_by_all_rules(site, page, theme, folds):
    violations = site.visit(page).violations[f"{theme}, {folds}"]
    assert not violations, "\n" + "\n".join(violations[:20])


@pytest.mark.parametrize("width", browser.WIDTHS)
@each_page
def test_page_does_not_scroll_sideways(site, page, width):
    overflow = site.visit(page).overflow[width]
    assert not overflow, "\n" + "\n".join(overflow)


@each_page
def test_text_in_pictures_is_at_least_nine_pixels_high_on_a_phone(site, page):
    for picture in site.visit(page).pictures[browser.PHONE]:
        assert SMALLEST_TEXT * picture["shown"] / picture["drawn"] >= 9, picture
        assert picture["hidden"] <= 0 or picture["scrolls"], picture


@each_page
def test_print_cuts_no_code_and_tables_keep_their_heads(site, page):
    paper = site.visit(page).paper
    assert not paper["code"]
    assert not paper["tables"]
    assert max(paper["ink"]) < 100, "text of the dark theme cannot be read on paper"
    assert paper["theme after"] == "dark"


@each_page
def test_print_opens_proofs_and_leaves_solutions_as_the_reader_did(site, page):
    paper = site.visit(page).paper
    for (name, before), (_, printed) in zip(paper["before"], paper["folds"], strict=True):
        assert printed == (before or not name.startswith(KEPT)), name
    assert paper["after"] == paper["before"]


@each_page
def test_a_page_sends_at_most_a_megabyte_without_fonts(site, page):
    assert weights.without_fonts(site.weight(page)) <= weights.LIMIT


@each_page
def test_nothing_jumps_while_a_page_loads(site, page):
    """No picture comes without its size, and the explorer has its room before it runs."""
    # A busy machine paints a page in more steps, so it jumps more, never less.
    assert any(site.shift(page) < 0.02 for _ in range(3))


# --- one page ------------------------------------------------------------------------------------


def test_first_paint_on_slow_4g(site):
    """7.3 seconds when a script for the icons held it up, 1.8 without."""
    for _ in range(3):  # a busy machine makes it later, never earlier
        seconds = site.first_paint(TASKS)
        if seconds < 3:
            return
    pytest.fail(f"nothing is seen for {seconds:.1f} s")


@pytest.mark.parametrize(
    ("page", "network"), [(CHAPTER, browser.SLOW_4G), (TASKS, browser.FULL_SPEED)]
)
def test_deep_link_lands_at_its_heading(site, page, network):
    """Formulas move what stands below them, and once more when their letters come."""
    with site.network(network):
        site.open(f"{page}#exercises")
    top, header, found = site.driver.execute_script(
        "const head = document.querySelector('#exercises > h2');"
        "const box = head.getBoundingClientRect();"
        "const header = document.querySelector('.bd-header-article').getBoundingClientRect();"
        "const middle = [box.left + 5, (box.top + box.bottom) / 2];"
        "return [box.top, header.bottom, head.contains(document.elementFromPoint(...middle))];"
    )
    assert found, f"the heading is covered or outside: {top} below the top of the window"
    assert header <= top < header + 30


def test_reader_who_moved_on_is_left_alone(site):
    early = (
        "addEventListener('DOMContentLoaded', () => {"
        "  window.dispatchEvent(new Event('wheel'));"
        "  const away = () => scrollTo({top: 40, behavior: 'instant'});"
        "  addEventListener('load', () => setTimeout(away));"
        "});"
    )
    script = site.command("Page.addScriptToEvaluateOnNewDocument", source=early)
    try:
        site.open(f"{CHAPTER}#summary")
        # Not 40 exactly: the browser holds on to what is read while formulas above it grow.
        below = (
            "return document.getElementById('summary').getBoundingClientRect().top - innerHeight"
        )
        assert site.driver.execute_script(below) > 1000
    finally:
        site.command("Page.removeScriptToEvaluateOnNewDocument", **script)


def walk(site):
    """Press Tab from the start of the page to its end; yield each element that gets the focus."""
    site.driver.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
    for _ in range(1000):
        site.tab()
        focused = site.driver.execute_script(
            "const e = document.activeElement; window.stops ??= new Set();"
            "if (e === document.body || window.stops.has(e)) return null;"
            "window.stops.add(e);"
            "const {x, y, width, height} = e.getBoundingClientRect();"
            "return {tag: e.tagName, name: e.dataset.stop, html: e.outerHTML.slice(0, 200),"
            "  x, y, width, height,"
            "  shown: e.checkVisibility({visibilityProperty: true}),"
            "  header: !!e.closest('.bd-header-article')}"
        )
        if focused is None:
            return
        yield focused


def test_every_stop_of_the_tab_key_shows_its_focus(site):
    site.open(TASKS)
    header, kinds, unseen = 0, {}, []
    for stop in walk(site):
        header += stop["header"]
        kinds[stop["tag"]] = kinds.get(stop["tag"], 0) + 1
        if kinds[stop["tag"]] > 4 and not stop["header"]:
            continue  # another of the same kind
        margin = 4
        box = {"x": stop["x"] - margin, "y": stop["y"] - margin}
        box |= {k: stop[k] + 2 * margin for k in ("width", "height")}
        focused = site.pixels(box)
        site.driver.execute_script("window.last = document.activeElement; last.blur()")
        plain = site.pixels(box)
        site.driver.execute_script("last.focus({preventScroll: true, focusVisible: true})")
        changed = (abs(focused - plain).max(-1) > 0.15).sum()
        if changed < stop["width"] + stop["height"]:
            unseen.append((int(changed), stop["html"]))
    assert header >= 6
    assert not unseen


def test_tab_stops_of_the_page_with_most_formulas_are_few(site):
    """A reader gets through a chapter by links, buttons, folds and code, not formula by formula."""
    site.open(CHAPTER)
    tags = [stop["tag"] for stop in walk(site)]
    assert set(tags) <= {"A", "BUTTON", "INPUT", "SUMMARY", "PRE", "DIV"}
    assert 30 < len(tags) < 120


def test_proofs_are_there_to_be_printed(site):
    names = [name for name, printed in site.visit(PROOFS).paper["folds"] if printed]
    assert sum(name.startswith("Proof") for name in names) >= 3
    assert sum(name.startswith("Solution") for name in names) == 1  # the one the reader opened


@each_page
def test_without_javascript_the_page_is_readable(site, page):
    with site.no_javascript():
        site.driver.get("about:blank")
        site.driver.get(site.address + page)
        seen = site.driver.execute_script(WITHOUT_SCRIPT)
    assert seen["covered"] is False
    assert seen["words"] > 50 or page == "search.html"
    assert seen["contrast"] > 7
    assert seen["told"] or not seen["formulas"]


def test_an_address_without_a_page_leads_on(site):
    site.driver.get(site.address + "book/deep/no_such_chapter.html")
    text = site.driver.find_element("tag name", "main").text
    assert "No such page" in text
    assert "front page" in text
    links = [a.get_attribute("href") for a in site.driver.find_elements("tag name", "a")]
    assert all(link.startswith("https://") for link in links)  # the folder of the page is unknown


def test_the_root_leads_to_the_front_page(site):
    site.open("")
    assert site.driver.current_url == site.address + "book/index.html"


# --- other places --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def below():
    """The same site below a path, as a fork or a preview has it."""
    site = browser.Site(prefix="/people/somebody/book-2/")
    yield site
    site.close()


@pytest.mark.parametrize("page", ["", *SAMPLE])
def test_the_site_works_below_any_path(below, page):
    below.problems()
    below.open(page)
    assert not below.problems()
    links = below.driver.execute_script("return [...document.links].map(a => a.href)")
    here = below.address.partition("/people")[0]
    assert not [link for link in links if link.startswith(here) and below.address not in link]


@each_page
def test_a_page_opens_from_a_plain_folder(site, page):
    site.problems()
    site.driver.get((browser.HTML / page).as_uri())
    seen = site.driver.execute_async_script(FROM_A_FOLDER)
    assert not site.problems()
    assert seen["fonts that failed"] == 0
    assert seen["formulas"] >= seen["written"]
    assert not seen["outside"]


def test_a_search_from_a_plain_folder_finds_pages(site):
    site.problems()
    site.driver.get((browser.HTML / "search.html").as_uri() + "?q=entropy")
    find = "return document.querySelectorAll('#search-results li a').length"
    WebDriverWait(site.driver, 10).until(lambda driver: driver.execute_script(find) > 5)
    assert not site.problems()


@each_page
def test_the_tab_key_reaches_everything(site, page):
    """Each link, button, field and fold that is seen is a stop, once."""
    site.open(page)
    site.driver.execute_script(NAME_THE_STOPS)
    reached = {stop["name"] for stop in walk(site)}
    wanted = site.driver.execute_script("return window.wanted")
    assert not [html for name, html in wanted.items() if name not in reached]


FROM_A_FOLDER = """
const done = arguments[0];
const math = window.MathJax?.startup?.promise ?? Promise.resolve();
math.then(() => document.fonts.ready).then(() => {
  const folder = location.href.replace(/_build[/]html[/].*/, '_build/html/');
  done({
    'fonts that failed': [...document.fonts].filter(font => font.status === 'error').length,
    formulas: document.querySelectorAll('mjx-container').length,
    written: document.querySelectorAll('.math').length,
    outside: [...document.links].map(a => a.href).filter(
      href => href.startsWith('file:') && !href.startsWith(folder)),
  });
});
"""

NAME_THE_STOPS = """
window.wanted = {};
const inputs = 'a[href], button, input, select, textarea, summary, [role=button]';
// Of radio buttons in a group one is a stop. Anchors beside a heading repeat it.
[...document.querySelectorAll(inputs)].forEach((e, i) => {
  e.dataset.stop = `stop-${i}`;
  const hidden = !e.checkVisibility({visibilityProperty: true}) || e.disabled
    || e.closest('[inert], [aria-hidden=true]') || e.type === 'hidden';
  const {width, height} = e.getBoundingClientRect();
  if (!hidden && width > 1 && height > 1) window.wanted[e.dataset.stop] = e.outerHTML.slice(0, 200);
});
"""

WITHOUT_SCRIPT = """
const head = document.querySelector('h1:not(.onlyprint h1)'), box = head.getBoundingClientRect();
const at = document.elementFromPoint(box.left + 5, (box.top + box.bottom) / 2);
const light = color => {
  const [r, g, b] = color.match(/[\\d.]+/g).map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
let ground = head;
while (ground && getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') {
  ground = ground.parentElement;
}
const paper = ground ? light(getComputedStyle(ground).backgroundColor) : 1;
const [low, high] = [light(getComputedStyle(head).color), paper].sort((a, b) => a - b);
const note = document.querySelector('article noscript');
return {
  covered: !head.contains(at),
  words: document.querySelector('main').innerText.split(/\\s+/).length,
  contrast: (high + 0.05) / (low + 0.05),
  formulas: document.querySelectorAll('.math').length,
  told: !!note && note.innerText.includes('LaTeX') && note.getBoundingClientRect().height > 0,
};
"""
