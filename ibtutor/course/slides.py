"""Slides of a part of the book: one slide a second-level heading, its parts below it.

Solutions and checks are left out, long code is hidden, figures come from the executed pages.
Everything that the slides load lies beside them: reveal.js and MathJax, no other host.
"""

import copy
import re
import shutil
from pathlib import Path
from typing import Any

from ibtutor.course import source
from ibtutor.course._template import TEMPLATE
from ibtutor.course.exercises import EXERCISES, divided, is_solution, pieces
from ibtutor.course.notebooks import without_title

LINES_OF_CODE = 12  # a longer cell shows what it gives, not how
BUDGET = 20  # lines of text that fit on one slide beside its heading
WIDTH = 92  # characters in a line
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
LEFT_OUT = ("References",)
BLOCK = re.compile(
    r"<details(?s:.*?)</details>"
    r"|\\begin\{(\w+\*?)\}(?s:.*?)\\end\{\1\}"
    r"|(?:^(?:>|\||[-*] |\d+\. ).*\n?)+"
    r"|(?:^(?!<details|\\begin|>|\||[-*] |\d+\. ).*\S.*\n?)+",
    re.MULTILINE,
)


def write(out: Path, part: str, chapters: list[source.Chapter]) -> Path:
    """Write `out/<part>.html`, and what it loads into `out/reveal` and `out/mathjax`.

    Raises
    ------
    RuntimeError
        nbconvert is missing, or a page was not executed as it stands.
    """
    try:
        from jinja2 import DictLoader
        from nbconvert import SlidesExporter
    except ImportError:
        raise RuntimeError(
            "slides need nbconvert: pip install 'ibtutor[book]', or leave them out: --no-slides"
        ) from None
    notebook = deck(part, chapters)
    loader = DictLoader({"ibtutor_slides.html.j2": TEMPLATE})
    exporter = SlidesExporter(extra_loaders=[loader], template_file="ibtutor_slides.html.j2")
    text, _ = exporter.from_notebook_node(notebook)
    out.mkdir(parents=True, exist_ok=True)
    _copy_what_is_loaded(chapters[0].root, out)
    path = out / f"{source.slug(part)}.html"
    path.write_text(text, "utf8")
    return path


def _copy_what_is_loaded(root: Path, out: Path) -> None:
    wanted = {
        "reveal": root / "book" / "course" / "vendor" / "reveal",
        "mathjax": root / "book" / "_static" / "mathjax",
    }
    for name, folder in wanted.items():
        if not folder.is_dir():
            raise ValueError(f"expected {name} in {folder}, which is not there")
        if not (out / name).exists():
            shutil.copytree(folder, out / name)


def deck(part: str, chapters: list[source.Chapter]) -> Any:
    """One notebook for a part, with the metadata that cuts it into slides."""
    import nbformat

    check_executed(chapters)
    notebook = nbformat.v4.new_notebook()
    cells, contents = [], []
    for chapter in chapters:
        found = slides(chapter.notebook(executed=True))
        number = 1 + sum(_begins(cell) for cell in cells)
        contents.append(f"- [{source.title(found)}](#/{number})")
        cells += found
    notebook.cells = [_slide(f"# {part}\n\n" + "\n".join(contents), "slide"), *cells]
    notebook.metadata["title"] = part
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def check_executed(chapters: list[source.Chapter]) -> None:
    """Raise RuntimeError unless `make book` executed these pages as they stand."""
    if stale := [c.slug for c in chapters if not c.is_executed()]:
        raise RuntimeError(
            f"slides show what the pages computed, and {', '.join(stale)} was not executed as it "
            "stands: run `make book` first, or leave the slides out: --no-slides"
        )


def _begins(cell: Any) -> bool:
    """Whether a slide to the right begins here: those are counted in the address."""
    return cell.metadata["slideshow"]["slide_type"] == "slide"


def slides(notebook: Any) -> list[Any]:
    """The cells of a chapter's slides."""
    deck = _Deck()
    for where, piece in pieces(notebook.cells):
        if not isinstance(piece, str):
            if not is_solution(piece) and (cell := _shown(piece)):
                deck.cell(cell)
        elif piece.startswith(("# ", "## ")):
            head, _, rest = piece.partition("\n")
            deck.head(head)
            if not EXERCISES.match(head):
                deck.text(rest)
        elif where == "body":
            deck.text(piece)
        elif piece.startswith("**"):
            deck.text(divided(piece)[0], alone=True)
    return deck.cells


class _Deck:
    """Slides in the making: what still fits stays on the slide, the rest goes to one below it."""

    def __init__(self) -> None:
        self.cells: list[Any] = []
        self.heading, self.room = "", 0.0

    def head(self, line: str) -> None:
        """Begin a slide, unless the section is left out."""
        self.heading, self.room = line.lstrip("# ").strip(), BUDGET
        if self.heading not in LEFT_OUT:
            self.cells.append(_slide(line, "slide"))

    def text(self, text: str, *, alone: bool = False) -> None:
        if self.heading in LEFT_OUT:
            return
        for block in blocks(text):
            self._make_room(_lines(block), alone)
            self.cells.append(_slide(block, "-"))
            alone = False

    def cell(self, cell: Any) -> None:
        if self.heading not in LEFT_OUT:
            self._make_room(_lines_of_cell(cell))
            self.cells.append(cell)

    def _make_room(self, lines: float, alone: bool = False) -> None:
        if (lines > self.room or alone) and self.room < BUDGET:
            self.cells.append(_slide(f"### {self.heading}", "subslide"))
            self.room = BUDGET
        self.room -= lines


def blocks(text: str) -> list[str]:
    """Paragraphs, lists, quotes, tables, formulas and folds, each in one piece.

    >>> blocks("One\\nline.\\n\\n- a\\n- b\\n\\n$$ x $$")
    ['One\\nline.', '- a\\n- b', '$$ x $$']
    """
    text = re.sub(r"^\*\[This page in the book\][^\n]*\n", "", text, flags=re.MULTILINE)
    return [found[0].strip() for found in BLOCK.finditer(text) if found[0].strip()]


def _lines(block: str) -> float:
    """How many lines of a slide a block fills, about."""
    if block.startswith("<details"):
        return 2
    if block.startswith("\\begin"):
        return 1 + 1.6 * (block.count("\\\\") + 1)
    if block.startswith("$$"):
        return 3
    return 1 + sum(max(1, len(line) // WIDTH + 1) for line in block.splitlines())


def _shown(cell: Any) -> Any | None:
    """A cell as a slide shows it; None where nothing would be seen."""
    cell = copy.deepcopy(cell)
    outputs = [o for o in cell.get("outputs", []) if not _is_check(o)]
    code = without_title(cell.source)
    hidden = bool(HIDDEN & {*cell.metadata.get("tags", [])})
    if "record.stamp()" in code or (hidden and not outputs):
        return None
    if hidden or sum(bool(line.strip()) for line in code.splitlines()) > LINES_OF_CODE:
        code = ""
    if not code and not outputs:
        return None
    cell.source, cell.outputs = code, outputs
    cell.metadata = type(cell.metadata)({"slideshow": {"slide_type": "-"}})
    return cell


def _lines_of_cell(cell: Any) -> float:
    """How many lines of a slide a cell and its outputs fill, about."""
    lines = 0.9 * len(cell.source.splitlines())
    for output in cell.outputs:
        page = _html(output)
        if "<img" in page or "<svg" in page:
            lines += 18
        elif page:
            lines += 1 + 1.3 * page.count("<tr") + len(re.sub("<[^>]+>", "", page)) / WIDTH
        else:
            said = output.get("text") or str(output.get("data", {}).get("text/plain", ""))
            lines += 0.5 + sum(1 + len(line) // WIDTH for line in said.splitlines())
    return lines


def _html(output: Any) -> str:
    return str(output.get("data", {}).get("text/html", ""))


def _is_check(output: Any) -> bool:
    return "ibtutor-check" in _html(output)


def _slide(text: str, kind: str) -> Any:
    import nbformat

    return nbformat.v4.new_markdown_cell(text, metadata={"slideshow": {"slide_type": kind}})
