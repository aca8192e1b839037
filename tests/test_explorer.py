"""The explorer in a browser: its numbers are the package's; bad addresses, keys, no scripts."""

import functools
import itertools
import math
import re

import pytest
import torch

pytest.importorskip("selenium", reason="selenium is not installed: pip install -e '.[test]'")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from ibtutor import info, losses
from tools import browser

PAGE = "book/explorer.html"
NEAR = 1e-6
ALPHA = "\N{GREEK SMALL LETTER ALPHA}"
# Pages that hold it or a part of it, with the number of its pictures.
EMBEDDED = {
    PAGE: 5,
    "book/index.html": 3,
    "book/sweeping_the_curve.html": 3,
    "book/smoothing_penalty_vib.html": 1,
    "book/contradicting_labels.html": 1,
}
CONTROLS = "#ib-explorer :is(input, select, button)"

pytestmark = [
    pytest.mark.skipif(
        not (browser.HTML / PAGE).exists(), reason="the site is not built: run `make book` first"
    ),
    pytest.mark.skipif(not browser.find_chromium(), reason="no Chromium with chromedriver here"),
]

READ = """
const read = hash => {
  ibExplorer.show(hash);
  const numbers = {};
  for (const cell of document.querySelectorAll('[data-number]')) {
    numbers[cell.dataset.number] = cell.textContent;
  }
  return {
    numbers,
    notes: document.querySelector('[data-notes]').textContent,
    broken: [...document.querySelectorAll('#ib-explorer :is(svg, td, [data-sentence])')].filter(
      e => !e.textContent && !e.children.length && e.closest('[data-number], [data-sentence], svg')
        || /NaN|Infinity|undefined/.test(e.outerHTML)).map(e => e.outerHTML.slice(0, 200)),
  };
};
return arguments[0].map(read);
"""


@pytest.fixture(scope="module")
def site():
    site = browser.Site()
    yield site
    site.close()


@pytest.fixture
def explorer(site):
    """The page at its first setting; loaded anew only where another was looked at."""
    if site.driver.current_url.partition("#")[0] != site.address + PAGE:
        site.open(PAGE)
    site.driver.execute_script("scrollTo(0, 0); ibExplorer.show('')")
    return site.driver


def read(driver, hashes):
    return driver.execute_script(READ, hashes)


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-"))


def wait(driver, condition):
    WebDriverWait(driver, 5, 0.05).until(lambda d: d.execute_script(condition))


def text(driver, selector):
    return driver.execute_script(
        "return document.querySelector('#ib-explorer ' + arguments[0]).textContent", selector
    )


# --- numbers -------------------------------------------------------------------------------------


def prior_of(name, k):
    parts = torch.ones(k, dtype=torch.float64)
    if name == "half":
        parts[1:] = 1 / (k - 1)
    elif name == "rank":
        parts = 1 / torch.arange(1, k + 1, dtype=torch.float64)
    return parts / parts.sum()


def compare(found, wanted):
    """Largest difference between what stands on the page and the package."""
    apart = {name: abs(number(found[name]) - float(value)) for name, value in wanted.items()}
    assert max(apart.values()) < NEAR, {k: v for k, v in apart.items() if not v < NEAR}


def expected_of_one_label(alpha, prior):
    k = len(prior)
    mixed = info.mix_outputs(torch.eye(k, dtype=torch.float64), alpha)
    kept = info.label_smoothing_information(alpha, prior=prior)
    return {
        "h_y": info.entropy(prior),
        "kept": kept,
        "mixed": info.information_plane(mixed, torch.arange(k), p_x=prior).i_ty,
        "share": kept / info.entropy(prior),
        "own": mixed[0, 0],
        "other": mixed[0, 1],
    }


def test_information_is_the_packages(explorer):
    alphas, sizes = (0, 0.001, 0.1, 0.29, 0.5, 0.9, 0.9999, 1), (2, 3, 10, 102, 1000)
    grid = list(itertools.product(alphas, sizes, ("equal", "half", "rank")))
    pages = read(explorer, [f"#alpha={a}&k={k}&prior={p}&mix=1" for a, k, p in grid])
    for (alpha, k, prior), page in zip(grid, pages, strict=True):
        compare(page["numbers"], expected_of_one_label(alpha, prior_of(prior, k)))
        assert not page["notes"]
        assert not page["broken"]


def test_own_prior_is_the_packages(explorer):
    (page,) = read(explorer, ["#alpha=0.3&prior=own&own=0.5%200.3%200.2"])
    compare(page["numbers"], expected_of_one_label(0.3, torch.tensor([0.5, 0.3, 0.2]).double()))


def expected_of_losses(alpha, beta, p, k):
    functions = {
        "ls": functools.partial(losses.label_smoothing, alpha=alpha),
        "cp": functools.partial(losses.confidence_penalty, beta=beta),
        "vib": functools.partial(losses.discrete_vib, beta=beta),
    }
    names = {"cp": "confidence_penalty", "vib": "discrete_vib"}
    wanted = {}
    for name, loss in functions.items():
        logits = p.log().requires_grad_()
        value = loss(logits, torch.tensor(0))
        (slope,) = torch.autograd.grad(value, logits)
        wanted[f"{name}_value"] = value.detach()
        wanted |= {f"{name}_pull{t + 1}": -slope[t] for t in range(3)}
        for what, classes in (("best", 3), ("acts", k)):
            acts = (
                losses.smoothing_equivalent(beta, classes, names[name]) if name != "ls" else alpha
            )
            wanted[f"{name}_{what}"] = acts
    return wanted


def test_losses_and_pulls_are_the_packages(explorer):
    grid = list(
        itertools.product((0, 0.1, 1), (0, 0.01, 0.5, 2), (0.001, 0.2, 0.998), (0.001, 0.7))
    )
    hashes = [f"#alpha={a}&beta={b}&p={p}&split={s}&k=1000" for a, b, p, s in grid]
    for (alpha, beta, p, split), page in zip(grid, read(explorer, hashes), strict=True):
        output = torch.tensor([p, (1 - p) * split, (1 - p) * (1 - split)], dtype=torch.float64)
        compare(page["numbers"], expected_of_losses(alpha, beta, output, 1000))
        assert not page["broken"]


def votes_of(dissent):
    lean = [1 - dissent, dissent]
    return torch.tensor([[1, 0], [0, 1], lean, lean[::-1]], dtype=torch.float64)


def test_pooling_and_the_curve_are_the_packages(explorer):
    grid = list(itertools.product((0, 0.005, 0.1, 0.5, 0.95, 1), (0, 0.05, 0.2)))
    pages = read(explorer, [f"#alpha={a}&dissent={d}" for a, d in grid])
    for (alpha, dissent), page in zip(grid, pages, strict=True):
        w, channel = votes_of(dissent), info.mix_outputs(torch.eye(2).double(), alpha)
        wanted = {}
        for how in ("arithmetic", "geometric"):
            if how == "geometric" and alpha == 0:
                channel = info.mix_outputs(torch.eye(2).double(), 1e-12)  # the limit
            q = info.pool_labels(w, channel, how)
            plane = info.information_plane(q, p_y_given_x=w)
            best = info.geometric_smoothing(w, min(plane.i_xt, math.log(2) - 1e-9))
            best = info.information_plane(best, p_y_given_x=w).i_ty
            wanted |= {f"{how}_lean": q[2, 0], f"{how}_ixt": plane.i_xt, f"{how}_ity": plane.i_ty}
            wanted |= {f"{how}_best": best, f"{how}_short": best - plane.i_ty}
        compare(page["numbers"], wanted)
        assert not page["broken"]


def test_best_at_a_rate_is_the_solvers(explorer):
    cases = [(0.1, 0.1), (0.05, 0.2)]
    for (alpha, dissent), page in zip(
        cases, read(explorer, [f"#alpha={a}&dissent={d}" for a, d in cases]), strict=True
    ):
        w = votes_of(dissent)
        rate = info.information_plane(info.label_smoothing_encoder(w, alpha), p_y_given_x=w).i_xt
        best = info.bottleneck_at_rate(w, rate, num_clusters=3)
        compare(page["numbers"], {"arithmetic_best": best.i_ty})


# --- bad input -----------------------------------------------------------------------------------

NONSENSE = {
    "#alpha=banana": "no number",
    "#alpha=7": "lies between",
    "#alpha=-1&beta=-1": "lies between",
    "#alpha=NaN&beta=Infinity&p=1e999": "used",
    "#k=1": "whole",
    "#k=2.5": "whole",
    "#k=99999999": "whole",
    "#k=": "number of classes",
    "#prior=__proto__": "no prior",
    "#prior=own&own=": "at least two",
    "#prior=own&own=5%203%202": "add up to 10",
    "#prior=own&own=0%200": "zero",
    "#prior=own&own=1%20-1": "no share",
    "#prior=own&own=a,b": "no share",
    "#prior=own&own=" + "1%20" * 1001: "at most",
    "#mix=perhaps": "neither",
    "#p=0&split=1": "lies between",
    "#dissent=0.5": "lies between",
    "#alpha=%E0%A4%A": "no number",
    "#<script>alert(1)</script>": "no setting",
    "#%%%&&==&toString=1": "no setting",
}


def test_nonsense_in_the_address_is_drawn_with_a_sentence(explorer):
    for (hash_, words), page in zip(NONSENSE.items(), read(explorer, list(NONSENSE)), strict=True):
        assert words in page["notes"], (hash_, page["notes"])
        assert not page["broken"], (hash_, page["broken"])


def test_one_class_alone_is_drawn_with_a_sentence(explorer):
    (page,) = read(explorer, ["#prior=own&own=1%200"])
    assert not page["broken"]
    assert "nothing" in text(explorer, "[data-sentence=one]")


@pytest.mark.parametrize("page", [page for page in EMBEDDED if page != PAGE])
def test_its_parts_draw_nonsense_with_a_sentence_too(site, page):
    site.open(page)
    edges = [f"#k={k}&alpha={a}&dissent={d}" for k in (2, 1000) for a in (0, 1) for d in (0, 0.2)]
    for seen in read(site.driver, [*NONSENSE, *edges]):
        assert not seen["broken"], seen["broken"]
    for hash_, words in NONSENSE.items():
        assert words in read(site.driver, [hash_])[0]["notes"]


def test_the_link_to_a_setting_holds_it_and_is_copied(explorer, site):
    site.command("Browser.grantPermissions", permissions=["clipboardReadWrite"])
    read(explorer, ["#alpha=0.3&k=7"])
    explorer.execute_script("document.querySelector('#ib-explorer [data-link]').click()")
    wait(explorer, "return document.querySelector('[data-copied]').textContent === '(copied)'")
    assert "alpha=0.3&" in explorer.current_url
    assert "&k=7&" in explorer.current_url


@pytest.mark.parametrize("hash_", ["#k=2&alpha=0", "#k=1000&alpha=1&mix=1", "#alpha=x", "#nowhere"])
def test_the_address_is_read_on_arrival(site, hash_):
    site.driver.get_log("browser")
    site.open(PAGE + hash_)
    assert not [entry for entry in site.driver.get_log("browser") if entry["level"] == "SEVERE"]
    page = site.driver.execute_script(READ.replace("ibExplorer.show(hash);", ""), [0])[0]
    assert not page["broken"]
    assert bool(page["notes"]) == (hash_ in ("#alpha=x", "#nowhere"))


# --- readers -------------------------------------------------------------------------------------


def test_keys_move_the_point_are_announced_and_stay_in_the_address(explorer):
    slider = explorer.find_element("css selector", "#ib-explorer input[type=range]")
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    kept = float(info.label_smoothing_information(0.11, num_classes=10))
    assert abs(number(text(explorer, "[data-number=kept]")) - kept) < NEAR
    said = "return document.querySelector('#ib-explorer [data-said]').textContent"
    wait(explorer, f"{said}.includes('{ALPHA} = 0.11 keeps')")
    wait(explorer, "return location.hash.includes('alpha=0.11&')")


def test_every_control_is_reached_by_tab_and_has_a_name(explorer):
    controls = explorer.execute_script(
        f"return [...document.querySelectorAll('{CONTROLS}')].filter(e => e.offsetParent).length"
    )
    explorer.execute_script(
        "document.querySelector('#ib-explorer input').focus(); window.ibSeen = new Set()"
    )
    for _ in range(controls + 12):
        explorer.execute_script("ibSeen.add(document.activeElement)")
        ActionChains(explorer).send_keys(Keys.TAB).perform()
    seen = explorer.execute_script(
        f"return [...ibSeen].filter(e => e.matches('{CONTROLS}')).length"
    )
    assert seen == controls


def test_a_typed_number_that_is_none_leaves_the_last_one(explorer):
    read(explorer, ["#alpha=0.3"])
    field = explorer.find_element("css selector", "#ib-explorer input[type=text]")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("abc", Keys.TAB)
    assert "0.3 is used" in text(explorer, "[data-notes]")
    assert field.get_attribute("value") == "0.3"


def test_the_dot_is_dragged(explorer):
    svg = explorer.find_element("css selector", "[data-picture=simplex]")
    before = text(explorer, "[data-number=ls_pull1]")
    handle = svg.find_element("css selector", ".handle")
    ActionChains(explorer).drag_and_drop_by_offset(handle, 20, -60).perform()
    assert number(text(explorer, "[data-number=ls_pull1]")) < number(before)
    assert explorer.execute_script("return ibExplorer.parse('').notes.length") == 0


def test_a_finger_drags_the_dot_and_scrolls_beside_it(explorer, site):
    svg = explorer.find_element("css selector", "[data-picture=simplex]")
    site.resize(browser.PHONE)
    explorer.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)

    def swipe(selector, dx, dy):
        found = explorer.execute_script(
            "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2, scrollY]",
            selector,
        )
        x, y, before = found
        for step in range(9):
            point = {"x": x + step * dx / 8, "y": y + step * dy / 8}
            kind = "touchMove" if step else "touchStart"
            site.command("Input.dispatchTouchEvent", type=kind, touchPoints=[point])
        site.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        return explorer.execute_script("return scrollY") - before

    site.command("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        assert swipe("[data-picture=simplex] .handle", 20, -80) == 0
        moved = number(text(explorer, "[data-number=ls_pull1]"))
        assert moved < 0.6
        assert swipe("[data-picture=simplex] text", 0, -80) > 0
        assert number(text(explorer, "[data-number=ls_pull1]")) == moved
    finally:
        site.command("Emulation.setTouchEmulationEnabled", enabled=False)
        site.resize(browser.WIDE)


def test_the_point_moves_along_the_curve(explorer):
    button = explorer.find_element("css selector", "[data-action=play]")
    explorer.execute_script("arguments[0].click()", button)
    kept = "Number(document.querySelector('[data-number=kept]').textContent)"
    wait(explorer, f"return {kept} < 1.5")
    explorer.execute_script("arguments[0].click()", button)
    assert button.text == "Move along the curve"


def test_the_puzzle_answers(explorer):
    def ask(hash_, action="ask"):
        read(explorer, [hash_])
        explorer.execute_script(f"document.querySelector('[data-action={action}]').click()")
        return text(explorer, "[data-answer]")

    assert "Smooth more" in ask("#alpha=0.1")
    assert "Smooth less" in ask("#alpha=0.9")
    assert "nothing to halve" in ask("#prior=own&own=1%200")
    for k in (2, 10, 1000):
        half = info.label_smoothing_strength(math.log(k) / 2, num_classes=k)
        for hash_, action in ((f"#alpha={half:.3f}&k={k}", "ask"), (f"#k={k}", "tell")):
            said = ask(hash_, action)
            assert said.startswith("Yes" if action == "ask" else "Here")
            assert abs(number(re.search(rf"at {ALPHA} = (\S+),", said)[1]) - half) < NEAR


@pytest.mark.parametrize(("page", "svgs"), EMBEDDED.items())
def test_without_scripts_a_picture_and_its_words_stand_there(site, page, svgs):
    find = (
        "const picture = document.querySelector('#ib-explorer + figure img');"
        "const words = document.querySelector('#ib-explorer + figure figcaption');"
        "return [document.querySelectorAll('#ib-explorer svg').length,"
        " picture ? picture.getBoundingClientRect().height > 100 && picture.alt.length > 50"
        " && words.innerText.includes('at rest') : null]"
    )
    site.open(page)
    assert site.driver.execute_script(find) == [svgs, None]
    with site.no_javascript():
        site.driver.get(site.address + page)
        assert site.driver.execute_script(find) == [0, True]


@pytest.mark.parametrize("page", [page for page in EMBEDDED if page != PAGE])
def test_a_chapter_holds_its_part_with_the_packages_numbers(site, page):
    """Moved by a link to a setting, which also brings the reader there."""
    site.open(page + "#alpha=0.3&beta=0.7&k=7&dissent=0.1&p=0.4")
    found = site.driver.execute_script(
        "const numbers = {};"
        "for (const e of document.querySelectorAll('#ib-explorer [data-number]'))"
        "  numbers[e.dataset.number] = e.textContent;"
        "const box = document.getElementById('ib-explorer').getBoundingClientRect();"
        "return [numbers, box.top, innerHeight, document.querySelector('[data-more]').href]"
    )
    numbers, top, height, more = found
    assert more.startswith(site.address + PAGE + "#alpha=0.3&beta=0.7&k=7")
    assert "index" in page or 0 <= top < height / 2
    wanted = expected_of_one_label(0.3, prior_of("equal", 7))
    output = torch.tensor([0.4, 0.6 * 0.7, 0.6 * 0.3], dtype=torch.float64)
    wanted |= expected_of_losses(0.3, 0.7, output, 7)
    w = votes_of(0.1)
    q = info.pool_labels(w, info.mix_outputs(torch.eye(2).double(), 0.3))
    wanted["arithmetic_ity"] = info.information_plane(q, p_y_given_x=w).i_ty
    if "index" in page:
        kept = f"{float(wanted['kept']):.3f} of {float(wanted['h_y']):.3f} nats"
        assert kept in text(site.driver, "[data-sentence=one]")
    else:
        compare(numbers, {name: value for name, value in wanted.items() if name in numbers})


def test_a_chapter_takes_an_address_without_a_setting_as_a_section(site):
    site.open("book/sweeping_the_curve.html#no-such-section")
    assert text(site.driver, "[data-notes]") == ""


def test_it_runs_from_a_plain_folder(site):
    site.driver.get((browser.HTML / PAGE).as_uri() + "#alpha=0.5")
    kept = float(info.label_smoothing_information(0.5, num_classes=10))
    assert abs(number(text(site.driver, "[data-number=kept]")) - kept) < NEAR


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_fits_a_narrow_screen_and_is_accessible_with_notes_and_an_answer(explorer, site, theme):
    read(explorer, ["#alpha=x&prior=own&own=5%203%202&mix=1"])
    explorer.execute_script("document.querySelector('[data-action=ask]').click()")
    site.set_theme(theme)
    site.resize(browser.PHONE)
    wide = explorer.execute_script(
        "const right = document.documentElement.clientWidth;"
        "return [...document.querySelectorAll('#ib-explorer *')].filter("
        "  e => e.getBoundingClientRect().right > right + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert not wide
    small = explorer.execute_script(
        "return [...document.querySelectorAll('#ib-explorer :is(select, button, [type=range])')]"
        ".filter(e => e.offsetParent && e.getBoundingClientRect().height < 43).length"
    )
    assert small == 0, "controls are large enough for a finger"
    explorer.execute_script(browser.AXE.read_text("utf8"))
    explorer.execute_script(browser.EMPTY_FORMULAS)
    assert not explorer.execute_async_script(browser.RUN_AXE)
