"""What the Markdown of a page holds, by the parser's tokens: used by the checks of the book."""

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from tools import pages

BREAK = "\\\\"


@dataclass(frozen=True)
class Piece:
    """One token of a Markdown cell: which cell (counted over all cells), and the token."""

    cell: int
    token: Token


@functools.cache
def parser():
    """The parser that the book is built with, its extensions from _config.yml."""
    config = yaml.safe_load((pages.ROOT / "_config.yml").read_text("utf8"))
    extensions = set(config["parse"]["myst_enable_extensions"])
    return create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)


def tokens_of(text: str) -> list[Token]:
    """All tokens of a text, those inside a line included."""
    found = []
    for token in parser().parse(text):
        found.append(token)
        found.extend(token.children or [])
    return found


def pieces(notebook) -> Iterator[Piece]:
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            for token in tokens_of(cell.source):
                yield Piece(index, token)


def is_directive_or_role(token: Token) -> bool:
    """Whether Jupyter and Colab would show this as code or as raw text."""
    if token.type == "colon_fence" or token.type.startswith("myst_"):
        return True
    return token.type == "fence" and token.info.strip().startswith("{")


def breaks_in_the_browser(token: Token) -> bool:
    """Whether Sphinx would wrap the formula in `split`, where MathJax refuses its tag."""
    return (
        token.type.startswith("math_block") and BREAK in token.content and "\\tag" in token.content
    )


def headings(notebook) -> list[tuple[int, str]]:
    """Level and text of every heading, in order."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        tokens = parser().parse(cell.source)
        for token, inline in itertools.pairwise(tokens):
            if token.type == "heading_open":
                found.append((int(token.tag[1]), inline.content))
    return found


def headings_inside_details(notebook) -> list[str]:
    """Headings between <details> and </details>, which no reader of the outline would find."""
    depth, found, take = 0, [], False
    for piece in pieces(notebook):
        token = piece.token
        if token.type in ("html_block", "html_inline"):
            depth += token.content.count("<details") - token.content.count("</details>")
        elif token.type == "heading_open":
            take = depth > 0
        elif token.type == "inline" and take:
            found.append(token.content)
            take = False
    return found


def images_without_alt(notebook) -> list[str]:
    markdown = [p.token for p in pieces(notebook) if p.token.type == "image"]
    found = [token.attrs["src"] for token in markdown if not token.content.strip()]
    html = (p.token.content for p in pieces(notebook) if p.token.type.startswith("html_"))
    tags = (tag for text in html for tag in re.findall(r"<img\b[^>]*>", text))
    return found + [tag for tag in tags if not re.search(r'alt="[^"]+"', tag)]


def links(notebook) -> list[str]:
    tokens = (piece.token for piece in pieces(notebook))
    return [token.attrs["href"] for token in tokens if token.type == "link_open"]


def exercises(notebook) -> int:
    """How many exercises follow the heading Exercises: `**1. Recall.**` or `### Exercise 1`."""
    text, inside = "", False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"(?m)^(?=## )", cell.source):
                if part.startswith("## "):
                    inside = part.startswith("## Exercises")
                text += part + "\n" if inside else ""
    return len(re.findall(r"(?m)^(?:\*\*|#+ )(?:Exercise )?\d+\b", text))
