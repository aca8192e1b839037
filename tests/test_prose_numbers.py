"""A decimal number in a chapter's prose is a setting or a result of one of its cells."""

import re

import nbformat
import pytest

from tools import execute, pages

CHAPTERS = ("smoothing_penalty_vib", "bottleneck_objectives")
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)")
# Addresses, and numbers of sections and statements, are not quantities.
NOT_QUANTITIES = re.compile(
    r"https?://\S+|(?:Sections?|Propositions?|Prop\.|Appendix|Eqs?\.) [A-Z]?\.?\d+(?:\.\d+)*"
)


def decimals(text: str) -> set[float]:
    return {float(number) for number in DECIMAL.findall(NOT_QUANTITIES.sub(" ", text))}


def computed(chapter: str) -> str:
    """Sources of the cells, and their outputs where the page was executed."""
    path = pages.BOOK / f"{chapter}.md"
    text = "\n".join(cell.source for cell in pages.code_cells(pages.read_markdown(path)))
    copy = execute.copy_of(path)
    if copy.exists():
        for cell in pages.code_cells(nbformat.read(copy, as_version=4)):
            for output in cell.outputs:
                text += "\n" + output.get("text", "")
                text += "\n" + output.get("data", {}).get("text/plain", "")
    return text


def test_decimals_leave_out_addresses_and_section_numbers():
    text = "Section 4.1, Proposition 4.2: 0.25 nats, [x](https://arxiv.org/abs/2003.12537)"
    assert decimals(text) == {0.25}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_decimal_in_prose_comes_from_a_cell(chapter):
    cells = pages.read_markdown(pages.BOOK / f"{chapter}.md").cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert decimals(prose)
    assert decimals(prose) <= decimals(computed(chapter))
