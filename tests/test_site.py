"""What is done to built pages, and what the built site holds beside them."""

import base64
import html
import re
import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from docutils import nodes

from tools import pages, preview, website
from tools.sphinx_ext import book_toc, ibtutor_terms
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


def read_or_empty(name):
    return read(name) if (website.HTML / name).is_file() else ""


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


def test_an_embedded_picture_gets_its_height():
    size = struct.pack(">II", 300, 150)
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + size + b"\x08\x06\0\0\0").decode()
    page = f'<figure class="ibtutor-figure"><img src="data:image/png;base64,{png}" '
    page += 'alt="a" width="100" style="height:auto">'
    assert 'width="100" height="50"' in site.finish(page)


def test_a_drawing_gets_width_and_height(tmp_path):
    (tmp_path / "a.svg").write_text('<svg width="9pt" viewBox="0 0 460.8 288">')
    image = '<img alt="a" src="a.svg">'
    assert site.measure(image, tmp_path) == '<img width="461" height="288" alt="a" src="a.svg">'
    for kept in ('<img alt="a" src="b.svg">', '<img src="a.svg" width="3">'):
        assert site.measure(kept, tmp_path) == kept


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("https://x.org/b/book/a.html#s", "a.html#s"),
        ("https://x.org/b/search.html", "../search.html"),
        ("https://x.org/b/", "../index.html"),
        ("https://x.org/b/book/missing.html", "https://x.org/b/book/missing.html"),
        ("https://x.org/bb/book/a.html", "https://x.org/bb/book/a.html"),
    ],
)
def test_what_a_cell_links_is_found_in_the_site(address, link):
    known = {"index.html", "search.html", "book/a.html", "book/page.html"}
    text = f'<a class="c" href="{address}">a</a> <link href="https://x.org/b/book/a.html">'
    wanted = text.replace(f'href="{address}"', f'href="{link}"', 1)
    assert site.localize(text, "book/page.html", "https://x.org/b", known) == wanted


def test_a_link_to_a_chapter_that_is_not_written_becomes_its_words():
    text = '<a class="x" href="../book/later.html#s">Figure <b>3</b></a> <a href="now.html">now</a>'
    assert site.unlink(text, {"later"}) == 'Figure <b>3</b> <a href="now.html">now</a>'
    assert site.unlink(text, {"ater", "other"}) == text


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


# --- contents, terms, statements -----------------------------------------------------------------


def links(text):
    return re.findall(r'<a [^>]*href="([^"]+)"', text)


@pytest.mark.parametrize("name", BUILT)
def test_no_chapter_is_advertised_that_does_not_exist(name):
    """Neither by name nor by a link; where prose speaks of one, it says that it is not written."""
    text = read(name)
    for slug in book_toc.planned(pages.ROOT):
        assert not [link for link in links(text) if f"{slug}.html" in link], slug
    assert "planned" not in read("book/index.html")


def test_the_front_page_leads_to_every_page():
    found = {link.partition("#")[0] for link in links(read("book/index.html"))}
    assert {name.removeprefix("book/") for name in BUILT[1:]} <= found


@pytest.mark.parametrize("name", BUILT)
def test_every_address_of_a_page_is_relative_or_of_another_host(name):
    """So that the site works below any path and from a folder."""
    assert not re.findall(r"""(?:href|src)=["']/""", read(name))


@pytest.mark.parametrize("name", BUILT)
def test_every_picture_has_width_and_height(name):
    figures = re.findall(r'<figure class="ibtutor-figure">.*?<img ([^>]*)>', read(name), re.DOTALL)
    sized = [len(re.findall(r'\b(?:width|height)="\d+"', tag)) for tag in figures]
    assert set(sized) <= {2}


# Sphinx finds its neighbors on a path of its own.
PROOFS = pages.ROOT / "tools" / "sphinx_ext" / "ibtutor_proofs.py"
CHAPTERS = [name for name in BUILT if "<h2>Exercises" in read_or_empty(name)]
KINDS = re.search(r'^KINDS = "(.+)"$', PROOFS.read_text("utf8"), re.MULTILINE)[1]
TERM = re.compile(r'<a class="([^"]*ibtutor-term[^"]*)" href="([^"]+)"')


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_term_leads_to_the_glossary_from_its_first_use(name):
    found = [link for _, link in TERM.findall(read(name))]
    assert len(found) >= 3
    assert len(found) == len(set(found)), "only the first use is a link"
    glossary = read("book/glossary.html")
    for link in found:
        page, _, entry = link.partition("#")
        assert page == "glossary.html"
        assert f'id="{entry}"' in glossary


def test_terms_of_the_glossary_are_used_in_chapters():
    used = {link.partition("#")[2] for name in CHAPTERS for _, link in TERM.findall(read(name))}
    terms = re.findall(r'<dt id="(term-[^"]+)"', read("book/glossary.html"))
    assert len(terms) > 25
    assert not used & {f"term-{name}" for name in ibtutor_terms.NOT_LINKED}
    assert len({*terms} & used) >= 0.8 * len(terms)


def test_terms_are_found_as_words_and_in_the_plural():
    found = ibtutor_terms.pattern(["entropy", "cross-entropy", "soft label", "label"])
    texts = ["cross-entropy", "Soft labels", "the entropy of", "label_smoothing", "relabel"]
    assert [m[1] if (m := found.search(text)) else None for text in texts] == [
        *("cross-entropy", "Soft label", "entropy", None, None)
    ]


@pytest.mark.parametrize("mark", ["'", "\u2019"])  # as typed, and as the site prints it
def test_a_term_with_an_apostrophe_is_linked(mark):
    paragraph = nodes.paragraph("", nodes.Text(f"Solve Fano{mark}s inequality."))
    waiting = {"fano's inequality": "term-Fano-s-inequality"}
    ibtutor_terms._link(paragraph[0], waiting, "glossary.html")
    (link,) = paragraph.findall(nodes.reference)
    assert link["refuri"] == "glossary.html#term-Fano-s-inequality"
    assert not waiting


def test_the_map_of_proofs_names_every_statement_and_leads_to_it():
    text, count = read("book/proofs.html"), 0
    for file in FILES:
        source = (pages.ROOT / file).read_text("utf8")
        heads = re.findall(rf"^> \*\*((?:{KINDS})\b[^*]*)\*\*", source, re.MULTILINE)
        target = file.removeprefix("book/").replace(".md", ".html")
        listed = re.findall(rf'<li><p><a [^>]*href="{target}#([^"]+)"', text)
        assert len(listed) == len(heads), (file, heads)
        built = read(file.replace(".md", ".html"))
        assert not [name for name in listed if f'id="{name}"' not in built]
        count += len(heads)
    assert count > 30
