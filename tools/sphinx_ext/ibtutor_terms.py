"""Links from the first use of a term in a chapter to the glossary.

Chapters name no page for it: a term that glossary.md gains is linked where it first stands in the
prose of a chapter, outside of headings, links, code and formulas. Notebooks stay as they are.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx

GLOSSARY = "book/glossary"
APOSTROPHE = "\u2019"  # what the site prints for a typed one
NO_CHAPTERS = ("glossary", "changelog", "references", "errata", "ledger", "proofs")
# Bold words are heads, or terms that are defined on the spot.
# Words of daily speech too, as in "learning rate": their entries are found, not linked.
NOT_LINKED = {"rate", "teacher", "ledger"}
LINKS, WORDS = (nodes.reference, nodes.Invisible), (nodes.title, nodes.strong)
KEPT_OUT = (*LINKS, *WORDS, nodes.literal, nodes.math)


def terms(app: Sphinx) -> dict[str, str]:
    """Each term in small letters with the id of its entry."""
    objects = app.env.get_domain("std").get_objects()
    found = {o[0].lower(): o[4] for o in objects if o[2] == "term" and o[3] == GLOSSARY}
    return {name: entry for name, entry in found.items() if name not in NOT_LINKED}


def pattern(names) -> re.Pattern:
    """Any of the terms as a word or words, in the plural too; the longest that fits."""
    longest = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    longest = longest.replace("'", f"['{APOSTROPHE}]")
    return re.compile(rf"(?<![\w-])({longest})s?(?![\w-])", re.IGNORECASE)


def link_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if docname.removeprefix("book/") in NO_CHAPTERS or not docname.startswith("book/"):
        return
    waiting = terms(app)
    if not waiting:
        return
    uri = app.builder.get_relative_uri(docname, GLOSSARY)
    for text in list(doctree.findall(nodes.Text)):
        if waiting and _is_prose(text):
            _link(text, waiting, uri)


def _is_prose(text: nodes.Text) -> bool:
    node, inside = text.parent, False
    while node is not None:
        if isinstance(node, KEPT_OUT):
            return False
        inside = inside or isinstance(node, nodes.paragraph)
        node = node.parent
    return inside


def _link(text: nodes.Text, waiting: dict[str, str], uri: str) -> None:
    """Replace a text by its pieces, with links from terms that are used for the first time."""
    pieces, rest = [], text.astext()
    while waiting and (found := pattern(waiting).search(rest)):
        entry = waiting.pop(found[1].lower().replace(APOSTROPHE, "'"))
        link = nodes.reference("", found[0], internal=True, refuri=f"{uri}#{entry}")
        link["classes"].append("ibtutor-term")
        pieces += [nodes.Text(rest[: found.start()]), link]
        rest = rest[found.end() :]
    if pieces:
        text.parent.replace(text, [*pieces, nodes.Text(rest)])


def setup(app: Sphinx) -> dict:
    app.connect("doctree-resolved", link_terms, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
