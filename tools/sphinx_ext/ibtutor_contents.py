"""The contents of the front page, from `_toc.yml`: `{book-contents}`.

Each part with its pages, each page with its own first sentence, and what is planned but not
written. Nothing is typed twice: a new chapter stands there as soon as `_toc.yml` names it.
"""

from pathlib import Path

from book_toc import parts, planned_by_part
from docutils import nodes
from ibtutor_book import first_paragraph
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

LAST = ("Together", "Reference")  # parts that stay at the end


class contents(nodes.General, nodes.Element):
    """Where the list will stand once all titles are known."""


class BookContents(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [contents()]


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the list in the place of the directive."""
    for place in list(doctree.findall(contents)):
        written, waiting = parts(Path(app.srcdir)), planned_by_part(Path(app.srcdir))
        new = [part for part in waiting if part not in written]
        first = [part for part in written if part not in LAST]
        found = []
        for part in [*first, *new, *LAST]:
            found.append(nodes.rubric(text=part))
            items = [_page(app, page, docname) for page in written.get(part, [])]
            items += [_planned(*entry) for entry in waiting.get(part, {}).items()]
            found.append(nodes.bullet_list("", *items))
        place.replace_self(found)


def _page(app: Sphinx, page: str, docname: str) -> nodes.list_item:
    link = nodes.reference("", app.env.titles[page].astext(), internal=True)
    link["refuri"] = app.builder.get_relative_uri(docname, page)
    about = first_paragraph(app.env.get_doctree(page))
    return _item([link], f". {about}" if about else "")


def _planned(slug: str, about: str) -> nodes.list_item:
    name = nodes.inline(text=slug.replace("_", " ").capitalize())
    mark = [nodes.Text(" ("), nodes.emphasis(text="planned"), nodes.Text("). ")]
    return _item([name, *mark], about)


def _item(head: list[nodes.Node], text: str) -> nodes.list_item:
    return nodes.list_item("", nodes.paragraph("", "", *head, nodes.Text(text)))


def setup(app: Sphinx) -> dict:
    app.add_node(contents)
    app.add_directive("book-contents", BookContents)
    app.connect("doctree-resolved", fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
