"""Lists of the front page, from `_toc.yml` and from the pages themselves.

`{book-contents}`: each part with its pages, each page with its own first sentence. Nothing is typed
twice: a new chapter stands there as soon as `_toc.yml` names it, and one that is not written yet
does not. `{reading-paths}`: ways through the book, in YAML: path, slug (with `#section`), what to
do there. A page that does not exist is left out; the minutes are those that a page states.
"""

import re
from pathlib import Path

import yaml
from book_toc import parts
from docutils import nodes
from ibtutor_book import first_paragraph
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

LAST = ("Together", "Reference")  # parts that stay at the end
MINUTES = re.compile(r"\b(\d\d) minutes\b")  # a chapter says first how long it takes


class contents(nodes.General, nodes.Element):
    """Where the list will stand once all titles are known."""


class paths(nodes.General, nodes.Element):
    """Where the reading paths will stand."""


class BookContents(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [contents()]


class ReadingPaths(SphinxDirective):
    has_content = True

    def run(self) -> list[nodes.Node]:
        return [paths(ways=yaml.safe_load("\n".join(self.content)))]


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the lists in the place of the directives."""
    for place in list(doctree.findall(contents)):
        written = parts(Path(app.srcdir))
        first = [part for part in written if part not in LAST]
        found = []
        for part in [*first, *(part for part in LAST if part in written)]:
            found.append(nodes.rubric(text=part))
            pages = [_page(app, page, docname) for page in written[part]]
            found.append(nodes.bullet_list("", *pages))
        place.replace_self(found)
    for place in list(doctree.findall(paths)):
        found = [_way(app, docname, *way) for way in place["ways"].items()]
        place.replace_self(nodes.bullet_list("", *(way for way in found if way)))


def _page(app: Sphinx, page: str, docname: str) -> nodes.list_item:
    about = first_paragraph(app.env.get_doctree(page))
    stop = "" if app.env.titles[page].astext().endswith("?") else "."
    return _item([_link(app, page, docname)], f"{stop} {about}" if about else "")


def _way(app: Sphinx, docname: str, name: str, stops: dict[str, str]) -> nodes.list_item | None:
    """One path: its name, its pages with what to do there, the minutes of all."""
    line, times = nodes.paragraph("", "", nodes.strong(text=f"{name}: ")), []
    there = [stop for stop in stops if f"book/{stop.partition('#')[0]}" in app.env.found_docs]
    for index, stop in enumerate(there):
        slug, mark, section = stop.partition("#")
        page = f"book/{slug}"
        link = _link(app, page, docname, short=True)
        link["refuri"] += mark + section
        line += [nodes.Text("; " if index else ""), link]
        line += nodes.Text(f", {stops[stop]}" if stops[stop] else "")
        before = app.env.get_doctree(page).astext().partition("\nExercises\n")[0]
        times.append(MINUTES.search(before))
    known = all(times) and len(times) > 1
    total = f" ({sum(int(time[1]) for time in times)} minutes)" if known else ""
    line += nodes.Text(f"{total}.")
    return nodes.list_item("", line) if there else None


def _link(app: Sphinx, page: str, docname: str, *, short: bool = False) -> nodes.reference:
    title = app.env.titles[page].astext()
    head = title.partition(":")[0]
    others = [t.astext() for name, t in app.env.titles.items() if name != page]
    if short and not any(other.startswith(head) for other in others):
        title = head
    link = nodes.reference("", title, internal=True)
    link["refuri"] = app.builder.get_relative_uri(docname, page)
    return link


def _item(head: list[nodes.Node], text: str) -> nodes.list_item:
    return nodes.list_item("", nodes.paragraph("", "", *head, nodes.Text(text)))


def setup(app: Sphinx) -> dict:
    app.add_node(contents)
    app.add_node(paths)
    app.add_directive("book-contents", BookContents)
    app.add_directive("reading-paths", ReadingPaths)
    app.connect("doctree-resolved", fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
