"""The map of proofs: `{statements}` lists every statement of every chapter, found in its source.

A statement is a block quote with a bold head ("**Proposition 4.5 (the curve).**"). Each gets an id
from its head (`proposition-4-5`), so that the map, and any page, can link to it.
"""

import re
from pathlib import Path

from book_toc import parts
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

KINDS = "Assumption|Bound|Claim|Corollary|Facts|Lemma|Observations?|Proposition|Theorem|What holds"
HEAD = re.compile(rf"({KINDS})\b")
SENTENCE = re.compile(r"[.:]\s")
SCENE = re.compile(r"(Let|Assume|Suppose|Draw|Take)\b")
BREAKS = re.compile("break-it")


class statements(nodes.General, nodes.Element):
    """Where the list will stand."""


class Statements(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [statements()]


def head_of(quote: nodes.block_quote) -> nodes.strong | None:
    """The bold head of a statement; None where a block quote is none."""
    inside = _inside(quote)
    named = inside and isinstance(inside[0], nodes.strong) and HEAD.match(inside[0].astext())
    return inside[0] if named else None


def _inside(quote: nodes.block_quote) -> list[nodes.Node]:
    """What the first paragraph holds; MyST may begin it with an empty text."""
    first = quote.children[0] if quote.children else None
    found = first.children if isinstance(first, nodes.paragraph) else []
    return [child for child in found if child.astext()]


def identify(app: Sphinx, doctree: nodes.document) -> None:
    """Give each statement an id: its kind and number, or its kind and what stands in brackets."""
    for quote in doctree.findall(nodes.block_quote):
        if (head := head_of(quote)) is None:
            continue
        text = head.astext()
        numbered = re.match(rf"({KINDS})\s+([A-Z]?\d[\d.]*|[A-Z]\b)", text)
        name = base = nodes.make_id(numbered[0] if numbered else text) or "statement"
        count = 2
        while name in doctree.ids:
            name, count = f"{base}-{count}", count + 1
        quote["ids"].append(name)
        doctree.ids[name] = quote


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the list in the place of the directive, chapter by chapter."""
    for place in list(doctree.findall(statements)):
        found = []
        for page in (page for pages in parts(Path(app.srcdir)).values() for page in pages):
            tree, uri = app.env.get_doctree(page), app.builder.get_relative_uri(docname, page)
            items = [_item(q, head, uri) for q in _quotes(tree) if (head := head_of(q))]
            if items:
                found += [_title(app, page, tree, uri), nodes.bullet_list("", *items)]
        place.replace_self(found)


def _quotes(tree: nodes.document) -> list[nodes.block_quote]:
    return list(tree.findall(nodes.block_quote))


def _title(app: Sphinx, page: str, tree: nodes.document, uri: str) -> nodes.paragraph:
    """The chapter, and where it breaks what it proves."""
    title = app.env.titles[page].astext().partition(":")[0]
    line = nodes.paragraph("", "", nodes.strong("", "", _link(title, uri)))
    section = next((name for name in tree.ids if BREAKS.match(name)), None)
    if section:
        line += [nodes.Text(" (where it fails: "), _link("break it", f"{uri}#{section}")]
        line += nodes.Text(")")
    return line


def _item(quote: nodes.block_quote, head: nodes.strong, uri: str) -> nodes.list_item:
    """Head as a link, then what it says: one sentence, or two if the first only sets the scene."""
    name = head.astext().rstrip(".")
    line = nodes.paragraph("", "", _link(name, f"{uri}#{quote['ids'][-1]}"), nodes.Text(". "))
    said = _inside(quote)[1:]
    wanted = 2 if said and SCENE.match(said[0].astext().lstrip()) else 1
    for index, child in enumerate(said):
        if not isinstance(child, nodes.Text):
            line += child.deepcopy()
            continue
        text = child.astext() if index else child.astext().lstrip()
        ends = list(SENTENCE.finditer(text))
        if len(ends) >= wanted:
            line += nodes.Text(text[: ends[wanted - 1].start()] + ".")
            return nodes.list_item("", line)
        wanted -= len(ends)
        line += nodes.Text(text)
    formula = next((c for c in quote.children[1:2] if isinstance(c, nodes.math_block)), None)
    plain = {"nowrap": False, "number": None, "label": None}
    shown = [nodes.math_block("", formula.astext(), **plain)] if formula else []
    return nodes.list_item("", line, *shown)


def _link(words: str, uri: str) -> nodes.reference:
    return nodes.reference("", words, internal=True, refuri=uri)


def setup(app: Sphinx) -> dict:
    app.add_node(statements)
    app.add_directive("statements", Statements)
    app.connect("doctree-read", identify)
    app.connect("doctree-resolved", fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
