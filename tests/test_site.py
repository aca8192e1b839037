"""What is done to built pages, and what the built site holds beside them."""

import html
import re
import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from tools import pages, preview, website
from tools.sphinx_ext import ibtutor_site as site

CONFIG = yaml.safe_load((pages.ROOT / "_config.yml").read_text("utf8"))
BASE = CONFIG["html"]["baseurl"]
TOC = yaml.safe_load((pages.ROOT / "_toc.yml").read_text("utf8"))
FILES = [TOC["root"], *(c["file"] for part in TOC["parts"] for c in part["chapters"])]
BUILT = [file.replace(".md", ".html") for file in FILES]


def read(name):
    if not website.HTML.exists():
        pytest.skip("the site is not built: run `make book` first")
    return (website.HTML / name).read_text("utf8")


def content(text, name):
    """What the tag of that name says."""
    tags = [dict(re.findall(r'(\w+)="([^"]*)"', tag)) for tag in re.findall("<meta [^>]*>", text)]
    found = [tag["content"] for tag in tags if name in (tag.get("name"), tag.get("property"))]
    assert len(found) == 1, f"{name}: {len(found)} tags"
    return html.unescape(found[0])


# --- finished pages ------------------------------------------------------------------------------


def test_scripts_and_fonts_of_icons_do_not_hold_up_a_page():
    kept = '<script src="_static/doctools.js"></script>\n<link href="fontawesome/css/all.min.css"/>'
    page = (
        '<link rel="preload" as="font" type="font/woff2" href="fontawesome/a.woff2" />\n'
        f'<script src="../_static/vendor/fontawesome/6.5.2/js/all.min.js?d=1"></script>{kept}'
    )
    assert site.finish(page).strip() == kept


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<title>A book &#8212; A book</title>", "<title>A book</title>"),
        ("<title>A page &#8212; A book</title>", "<title>A page &#8212; A book</title>"),
        ("<tr><th></th><th>x</th></tr>", "<tr><td></td><th>x</th></tr>"),
        ('<html lang="en" data-theme="auto">', '<html lang="en" data-theme="light">'),
    ],
)
def test_pages_are_mended(before, after):
    assert site.finish(before) == after


def test_a_picture_gets_a_box_that_knows_its_width_and_only_once():
    page = '<figure class="ibtutor-figure"><img src="a" width="704" style="height:auto"><p></p>'
    once = site.finish(page)
    assert once == (
        '<figure class="ibtutor-figure"><div class="ibtutor-picture">'
        '<img src="a" width="704" style="--width:704px;height:auto"></div><p></p>'
    )
    assert site.finish(once) == once


def test_formulas_are_explained_to_readers_without_scripts_and_only_once():
    page = f'{site.ARTICLE}<span class="math notranslate">\\(x\\)</span>'
    assert site.finish(page).count("<noscript>") == 1
    assert site.finish(site.finish(page)).count("<noscript>") == 1
    assert "<noscript>" not in site.finish(f"{site.ARTICLE}no formula")


def test_no_text_in_a_figure_is_smaller_than_phones_are_made_for():
    """ibtutor.css keeps text of 8 points at 9 pixels; smaller text would fall below."""
    sources = [*pages.BOOK.glob("*.md"), *(pages.ROOT / "ibtutor").rglob("*.py")]
    sizes = [
        (float(size), path.name)
        for path in sources
        for size in re.findall(r"(?:font|label)size\s*=\s*([\d.]+)", path.read_text("utf8"))
    ]
    assert sizes
    assert not [(size, name) for size, name in sizes if size < 8]


# --- previews, search engines, addresses ---------------------------------------------------------


@pytest.mark.parametrize("name", BUILT)
def test_a_shared_link_shows_title_description_and_picture(name):
    text = read(name)
    title = re.search(r'<h1>([^\n]*)<a class="headerlink"', text)[1]
    assert content(text, "og:title") == html.unescape(re.sub(r"<[^>]+>", "", title))
    description = content(text, "og:description")
    assert description == content(text, "description")
    assert 40 <= len(description) <= 200
    assert not set(description) & set("$\\{}"), "a formula cannot be read there"
    assert content(text, "og:url") == f"{BASE}/{name}"
    picture = content(text, "og:image").removeprefix(f"{BASE}/")
    assert (website.HTML / picture).is_file()
    assert content(text, "twitter:card") == "summary_large_image"


def test_no_two_pages_have_the_same_title_or_description():
    texts = [read(name) for name in BUILT]
    for tag in ("og:title", "og:description"):
        found = [content(text, tag) for text in texts]
        assert len(set(found)) == len(found)
    assert all("<title>" in text for text in texts)


def test_preview_has_the_size_that_is_asked_for():
    data = preview.FILE.read_bytes()
    assert struct.unpack(">II", data[16:24]) == preview.PIXELS
    assert len(data) < 300_000


@pytest.mark.parametrize("name", BUILT)
def test_page_has_icon_logo_and_a_button_to_edit_it(name):
    text = read(name)
    assert re.search(r'<link rel="icon" href="[./]*_static/logo\.svg"', text)
    assert 'class="logo__image' in text
    source = name.replace(".html", ".md")
    edit = re.search(r'href="([^"]*/edit/[^"]*)"[^>]*btn-source-edit-button', text, re.DOTALL)
    repository = CONFIG["repository"]
    assert edit[1] == f"{repository['url']}/edit/{repository['branch']}/{source}"


def test_no_page_waits_for_the_script_of_the_icons():
    for name in BUILT:
        assert not re.search(r"<script[^>]*fontawesome", read(name))


def test_sitemap_names_every_page_and_nothing_else():
    tree = ET.fromstring(read("sitemap.xml"))
    found = [element.text for element in tree.iter() if element.tag.endswith("}loc")]
    assert sorted(found) == sorted(f"{BASE}/{name}" for name in BUILT)


def test_the_page_for_missing_addresses_leads_to_pages_that_exist():
    links = re.findall(r'href="([^"]*)"', read("404.html"))
    assert f"{BASE}/book/index.html" in links
    assert all((website.HTML / link.removeprefix(f"{BASE}/")).is_file() for link in links)


def test_root_page_says_what_the_book_is():
    text = read("index.html")
    assert f"<title>{CONFIG['title']}</title>" in text
    assert len(content(text, "description")) > 40
    assert content(text, "og:title") == CONFIG["title"]
    assert 'href="book/index.html"' in text
    assert Path(website.HTML / "book" / "index.html").is_file()
