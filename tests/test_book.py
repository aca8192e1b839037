"""The book's pages: pairs, prose, cells, links, and what was built of them."""

import itertools
import re
from html.parser import HTMLParser

import nbformat
import pytest
import yaml

from ibtutor import experiments
from tools import address, execute, notebooks, pages, prose, website
from tools.sphinx_ext import book_toc

# The book's own pages may use directives; a chapter is read in Colab and Jupyter too.
OWN = {"index", "explorer", "notation", "ledger", "errata", "glossary", "references"}
CONFIG = yaml.safe_load((pages.ROOT / "_config.yml").read_text("utf8"))
PLANNED = book_toc.planned(pages.ROOT)
PAGES = {pages.name(path): path for path in pages.sources()}
CHAPTERS = {
    name: path for name, path in PAGES.items() if name not in OWN and not name.startswith("course/")
}
LINES_IN_A_CELL = 15
LINES_OF_SETUP = 10
LINES_IN_A_CHAPTER = 450
COLUMNS = 80  # what fits into the box of a cell beside the contents at 1280 pixels
FOLDED = {"hide-cell", "hide-input", "remove-cell", "remove-input"}

each_page = pytest.mark.parametrize("name", PAGES)
each_chapter = pytest.mark.parametrize("name", CHAPTERS)


def notebook(name):
    return pages.read_markdown(PAGES[name])


def toc_files():
    toc = yaml.safe_load((pages.ROOT / "_toc.yml").read_text("utf8"))
    chapters = [chapter for part in toc.get("parts", []) for chapter in part["chapters"]]
    nested = [section for chapter in chapters for section in chapter.get("sections", [])]
    return [toc["root"], *(entry["file"] for entry in chapters + nested)]


@pytest.mark.parametrize("experiment", experiments.ids())
def test_a_chapter_shows_the_verdicts_of_its_records(experiment):
    """With them stands whether a record is stale."""
    chapter = experiments.load(experiment).CHAPTER
    source = PAGES[chapter].read_text("utf8")
    assert "verdict_table(" in source, f"{chapter} shows no verdicts of {experiment}"


# --- sources -------------------------------------------------------------------------------------


@each_page
def test_page_and_notebook_agree(name):
    assert pages.compare(PAGES[name]) is None


def test_every_notebook_has_its_page():
    assert not pages.orphans()


def test_contents_name_every_page_once_with_its_suffix():
    files = toc_files()
    exist = {p.relative_to(pages.ROOT).as_posix() for p in pages.BOOK.rglob("*.md")}
    assert len(files) == len(set(files))
    assert set(files) == {name for name in exist if "/_" not in name}


def test_planned_chapters_are_not_written_yet():
    written = PLANNED & {p.relative_to(pages.BOOK).with_suffix("").as_posix() for p in built_from()}
    assert not written, f"take {written} out of the planned chapters in _toc.yml"


@pytest.mark.parametrize("experiment", experiments.ids())
def test_every_experiment_has_a_chapter_in_the_contents(experiment):
    chapter = getattr(experiments.load(experiment), "CHAPTER", None)
    assert chapter, f'{experiment}: name its page, CHAPTER = "<slug>"'
    written = {pages.name(pages.ROOT / file) for file in toc_files()}
    assert chapter in written | PLANNED, f"{experiment}: {chapter} has no line in _toc.yml"


def built_from():
    return [pages.ROOT / file for file in toc_files()]


@each_chapter
def test_prose_renders_without_myst(name):
    found = [p for p in prose.pieces(notebook(name)) if prose.is_directive_or_role(p.token)]
    assert not found, [(p.cell, p.token.type, p.token.info, p.token.content[:60]) for p in found]


@each_page
def test_formulas_with_tags_do_not_break_lines(name):
    found = [p for p in prose.pieces(notebook(name)) if prose.breaks_in_the_browser(p.token)]
    assert not found, [(p.cell, p.token.content[:60]) for p in found]


@each_page
def test_headings_have_no_gaps(name):
    levels = [level for level, _ in prose.headings(notebook(name))]
    assert levels[:1] == [1]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert not prose.headings_inside_details(notebook(name))


@each_page
def test_images_in_prose_say_what_is_seen(name):
    assert not prose.images_without_alt(notebook(name))


@each_page
def test_a_fold_ends_before_the_next_cell(name):
    """Without a blank line after it MyST reads the cell as part of the HTML."""
    lines = PAGES[name].read_text("utf8").splitlines()
    assert not [
        number
        for number, (line, after) in enumerate(itertools.pairwise(lines), 1)
        if line.strip() == "</details>" and after.strip()
    ]


@each_page
def test_first_cell_sets_up_and_last_cell_stamps(name):
    cells = pages.code_cells(notebook(name))
    assert {"hide-cell", "remove-cell"} & {*cells[0].metadata.get("tags", [])}
    assert cells[0].source == notebooks.setup(name), "copy the first cell of another page"
    assert len(cells[0].source.splitlines()) <= LINES_OF_SETUP
    assert cells[-1].source.strip() == "record.stamp()"


@each_chapter
def test_visible_cells_are_short(name):
    cells = pages.code_cells(notebook(name))
    visible = [cell for cell in cells if not FOLDED & {*cell.metadata.get("tags", [])}]
    lines = {cell.source.split("\n")[0]: _lines(cell.source) for cell in visible}
    assert not {first: n for first, n in lines.items() if n > LINES_IN_A_CELL}


def _lines(source):
    return sum(bool(line.strip()) for line in source.splitlines())


@each_page
def test_no_line_of_code_runs_out_of_its_box(name):
    cells = pages.code_cells(notebook(name))[1:]  # not the set-up, which holds addresses
    lines = "\n".join(cell.source for cell in cells).splitlines()
    assert not [line for line in lines if len(line) > COLUMNS]


@each_chapter
def test_a_chapter_is_read_in_one_sitting(name):
    assert len(PAGES[name].read_text("utf8").splitlines()) <= LINES_IN_A_CHAPTER


@each_chapter
def test_at_least_five_exercises(name):
    assert prose.exercises(notebook(name)) >= 5


@each_page
def test_code_solutions_are_folded(name):
    cells = [c.metadata.get("tags", []) for c in pages.code_cells(notebook(name))]
    assert all("hide-cell" in tags for tags in cells if "solution" in tags)


@each_page
def test_links_to_chapters_resolve(name):
    base = address.wanted().documentation + "/"
    links = prose.links(notebook(name))
    targets = [link.removeprefix(base) for link in links if link.startswith(base)]
    known = {re.sub(r"\.md$", ".html", file) for file in toc_files()} | {"", "index.html"}
    known |= {f"book/{slug}.html" for slug in PLANNED}
    assert not [target for target in targets if target.partition("#")[0] not in known]


@each_page
def test_notebook_folds_what_the_page_hides_and_names_it(name):
    cells = pages.code_cells(nbformat.read(PAGES[name].with_suffix(".ipynb"), as_version=4))
    for cell in cells:
        hidden = bool(notebooks.HIDDEN & {*cell.metadata.get("tags", [])})
        assert (cell.metadata.get("cellView") == "form") == hidden
        assert cell.metadata.get("jupyter", {}).get("source_hidden", False) == hidden
        assert bool(notebooks.TITLE.match(cell.source)) == hidden


@each_page
def test_notebook_reads_well_raw_and_leads_back(name):
    found = nbformat.read(PAGES[name].with_suffix(".ipynb"), as_version=4)
    assert not [p for p in prose.pieces(found) if prose.is_directive_or_role(p.token)]
    links = prose.links(found)
    assert f"{address.wanted().documentation}/book/{name}.html" in links
    assert f"{address.wanted().colab}/book/{name}.ipynb" in links


@each_page
def test_links_within_the_book_are_full_addresses(name):
    relative = [
        link for link in prose.links(notebook(name)) if not re.match(r"https?://|mailto:|#", link)
    ]
    assert not relative or name in OWN or name.startswith("course/")


# --- executed and built --------------------------------------------------------------------------


class Figures(HTMLParser):
    """Images with their alternative texts, and figures with the lengths of their captions."""

    def __init__(self):
        super().__init__()
        self.alts, self.captions, self.caption = [], [], None

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.alts.append(dict(attributes).get("alt") or "")
        elif tag == "figure":
            self.captions.append("")
        elif tag == "figcaption":
            self.caption = ""

    def handle_data(self, data):
        if self.caption is not None:
            self.caption += data

    def handle_endtag(self, tag):
        if tag == "figcaption" and self.captions:
            self.captions[-1], self.caption = self.caption.strip(), None


def built(file):
    page = website.HTML / file.replace(".md", ".html")
    if not website.HTML.exists():
        pytest.skip("the site is not built: run `make book` first")
    assert page.exists(), f"{file} is in _toc.yml but was not built"
    return page.read_text("utf8")


@pytest.mark.parametrize("file", toc_files())
def test_page_is_built_and_described(file):
    tags = re.findall(r"<meta [^>]*>", built(file))
    found = [tag for tag in tags if 'name="description"' in tag]
    assert found, "no description for search engines"


@pytest.mark.parametrize("file", toc_files())
def test_every_picture_has_alternative_text_and_every_figure_a_caption(file):
    figures = Figures()
    figures.feed(built(file))
    looks_like_a_path = re.compile(r"\.(png|svg|jpe?g|webp)$|^\.{0,2}/|_images/")
    assert not [alt for alt in figures.alts if not alt.strip() or looks_like_a_path.search(alt)]
    assert all(figures.captions)


@pytest.mark.parametrize("file", toc_files())
def test_no_formula_stands_raw(file):
    """A sentence that a cell computes may hold formulas, too."""
    text = re.sub(r"<(pre|code|script|style)\b.*?</\1>|<[^>]+>", " ", built(file), flags=re.DOTALL)
    assert not re.findall(r"\$[^$\n]{1,80}\$", text)


@pytest.mark.parametrize("file", toc_files())
def test_no_script_or_style_comes_from_elsewhere(file):
    text = built(file)
    assert not re.findall(r'<script[^>]+src="(?:https?:)?//[^"]+"', text)
    assert not re.findall(r'<link[^>]+rel="stylesheet"[^>]+href="(?:https?:)?//[^"]+"', text)
    assert not re.search(r"unpkg\.com|jsdelivr|cdnjs|mathjax@", text)


@each_page
def test_rocket_opens_the_version_that_the_first_cell_installs(name):
    rocket = re.findall(r'https://colab\.research\.google\.com/[^"]+', built(f"book/{name}.md"))
    assert rocket
    assert {*rocket} == {f"{address.wanted().colab}/book/{name}.ipynb"}


@each_page
def test_downloaded_notebook_is_that_of_the_repository(name):
    built(f"book/{name}.md")
    offered = website.HTML / "_sources" / "book" / f"{name}.ipynb"
    assert offered.read_bytes() == PAGES[name].with_suffix(".ipynb").read_bytes()


@each_page
def test_executed_cells_print_no_warnings_and_no_bare_figures(name):
    copy = execute.copy_of(PAGES[name])
    if not copy.exists():
        pytest.skip("the page was not executed: run `make book` first")
    for cell in pages.code_cells(nbformat.read(copy, as_version=4)):
        expected = "raises-exception" in cell.metadata.get("tags", [])
        for output in cell.outputs:
            warning = output.get("name") == "stderr" or (
                output.output_type == "error" and not expected
            )
            assert not warning, output.get("text") or output.get("ename")
            # A bare figure carries no alternative text: the value of plots.show does.
            assert "image/png" not in output.get("data", {}), cell.source
