"""What this book adds to Sphinx.

Chapters link to each other by full address, so that Colab and Jupyter can follow the links too.
Here such a link becomes a local one, and one to a page or section that does not exist is a warning.
A page's description for search engines is `myst: html_meta: description` in its front matter, else
its first paragraph.
"""

import html
from pathlib import Path

from book_toc import planned
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

LOG = logging.getLogger(__name__)
DESCRIPTION_LENGTH = 160


def _target(app: Sphinx, address: str) -> tuple[str, str] | None:
    """Split an address of this book into page and section; None for any other address."""
    base = app.config.html_baseurl.rstrip("/") + "/"
    if not address.startswith(base):
        return None
    page, _, section = address.removeprefix(base).partition("#")
    page = (page or "index.html").removesuffix(".html")
    return page, section


def localize_links(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Turn full addresses of this book's pages into links within the build."""
    for node in list(doctree.findall(nodes.reference)):
        target = _target(app, node.get("refuri", ""))
        if target is None:
            continue
        page, section = target
        if page == "index":
            page = app.config.root_doc
        if page.removeprefix("book/") in planned(Path(app.srcdir)):
            # Nobody is led to a page that is not written yet.
            node.replace_self([*node.children, nodes.Text(" (not written yet)")])
            continue
        if page not in app.env.found_docs:
            LOG.warning("link to a page that does not exist: %s", node["refuri"], location=node)
            continue
        if section and section not in app.env.get_doctree(page).ids:
            LOG.warning("link to a section that does not exist: %s", node["refuri"], location=node)
            continue
        uri = app.builder.get_relative_uri(docname, page)
        node["refuri"] = f"{uri}#{section}" if section else uri
        node["internal"] = True


def first_paragraph(doctree: nodes.document) -> str:
    """Return the first paragraph of prose, shortened at a word to what search engines show."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().replace("\\", "").split())
        text = text.removeprefix("Question. ")
        if not text or isinstance(paragraph.parent, nodes.list_item):
            continue
        if len(text) <= DESCRIPTION_LENGTH:
            return text
        return text[: DESCRIPTION_LENGTH - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"
    return ""


def describe(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Add a description to a page that states none."""
    if doctree is None or 'name="description"' in context.get("metatags", ""):
        return
    if text := first_paragraph(doctree):
        tag = f'<meta name="description" content="{html.escape(text)}" />'
        context["metatags"] = context.get("metatags", "") + "\n" + tag


def drop_thebe(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Leave out sphinx-thebe's scripts: live kernels are not used, and they name another host."""
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in f"{getattr(script, 'filename', script)} {_body(script)}".lower()
    ]


def _body(script) -> str:
    return getattr(script, "attributes", {}).get("body", "")


def setup(app: Sphinx) -> dict:
    app.connect("doctree-resolved", localize_links)
    app.connect("html-page-context", describe)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
