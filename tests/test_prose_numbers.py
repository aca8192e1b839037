"""A decimal number in a chapter's prose is a setting or a result of one of its cells."""

import math
import re

import nbformat
import pytest
from scipy import stats

from tools import execute, pages

CHAPTERS = [pages.name(path) for path in pages.sources()]
# Closed forms that stand beside their number in the prose.
CLOSED = {
    "contradicting_labels": [1 - math.sqrt(3) / 2],
    # A fifth of the labels random: one class has 0.82, nine have 0.02 each.
    "cross_entropy_learns_entropy": [-0.82 * math.log(0.82) - 0.18 * math.log(0.02)],
    "errata": [1 - math.sqrt(3) / 2],
    "error_bounds": [math.log(2), 2.5, 97.5],  # percentiles of a 95 % interval
    "information_plane": [
        math.log(10 / 4e-5) / (2 * math.log(2)),
        1 + math.log(10 / 1e-5),
    ],
    "information_quantities": [math.log(10)],
    "label_smoothing_in_practice": [math.log(10), 10 * 0.05 / (10 * 0.05 + 1 - 0.05)],
    # Weights of the Brier score, lambda K / (2 B), and the entropy of ten classes.
    "mutual_information_learning": [50 * 10 / (2 * 64), 50 * 10 / (2 * 512), math.log(10)],
    "optimal_smoothing": [1 - math.sqrt(3) / 2, 0.8 * 0.95 + 0.2 * 0.05],
    "optimal_smoothing_proofs": [math.log(3) - 1 + math.log(2) / 3, math.log(2) - 0.5],
    "redundant_factors": [stats.t.ppf(0.975, 2)],
    "sweeping_the_curve": [math.log(2), math.log(10)],
}
# What a paper states, named beside the number: its error rates, accuracies, calibration errors.
QUOTED = {
    "errata": {"0.1366", "0.1121"},  # Bonilla 2025, abstract
    "information_matching": {"0.1366", "0.1121"},
    "label_smoothing_in_practice": {
        *("0.150", "0.024", "0.021", "0.071", "0.035", "0.022"),  # Müller et al. 2019
        *("72.1", "72.7", "80.9", "86.7", "86.8", "0.67", "0.59", "0.74", "0.91"),
    },
}
ANY_NUMBER = re.compile(r"(?<![\w.])\d+\.?\d*(?:e-?\d+)?")
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)")
# Addresses, and numbers of sections and statements, are not quantities.
NUMBER = r"[A-Z]?\.?\d+(?:\.\d+)*"
NOT_QUANTITIES = re.compile(
    r"https?://\S+|arXiv:\S+|"
    r"(?:Sections?|Propositions?|Theorems?|Assumptions?|Lemmas?|Prop\.|Appendix|Eqs?\.|Kudo|"
    r"Python|BY) "
    rf"{NUMBER}(?:(?:, | and | to |, and ){NUMBER})*"
)


def decimals(text: str) -> set[str]:
    return set(DECIMAL.findall(NOT_QUANTITIES.sub(" ", text)))


def stands_in(number: str, computed: set[float]) -> bool:
    """Whether a computed number, or its hundredfold as a percentage, rounds to this one."""
    half = 0.5 * 10.0 ** -len(number.partition(".")[2]) * (1 + 1e-9)
    return any(abs(abs(c) * scale - float(number)) <= half for c in computed for scale in (1, 100))


def computed(chapter: str) -> set[float]:
    """Numbers in the sources of the cells, and in their outputs where the page was executed."""
    path = pages.BOOK / f"{chapter}.md"
    text = "\n".join(cell.source for cell in pages.code_cells(pages.read_markdown(path)))
    copy = execute.copy_of(path)
    if copy.exists():
        for cell in pages.code_cells(nbformat.read(copy, as_version=4)):
            for output in cell.outputs:
                text += "\n" + output.get("text", "")
                data = output.get("data", {})
                text += "\n".join(data.get(kind, "") for kind in ("text/plain", "text/markdown"))
    return {float(number) for number in ANY_NUMBER.findall(text)}


def test_decimals_leave_out_addresses_and_section_numbers():
    text = "Sections 4.1 and 4.2, Proposition 4.2: 0.25 nats, [x](https://arxiv.org/abs/2003.12537)"
    assert decimals(text) == {"0.25"}


def test_a_number_stands_in_where_it_is_the_rounded_one():
    assert stands_in("0.25", {0.2512})
    assert stands_in("25.1", {-0.2512})
    assert not stands_in("0.25", {0.2552})


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_decimal_in_prose_comes_from_a_cell(chapter):
    if not execute.copy_of(pages.BOOK / f"{chapter}.md").exists():
        pytest.skip("the page was not executed: run `make book` first")
    cells = pages.read_markdown(pages.BOOK / f"{chapter}.md").cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    found = computed(chapter) | {*CLOSED.get(chapter, [])}
    missing = {n for n in decimals(prose) - QUOTED.get(chapter, set()) if not stands_in(n, found)}
    assert not missing, f"{chapter}: no cell gives {sorted(missing)}"
