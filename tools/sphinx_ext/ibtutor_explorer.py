"""The explorer's scripts and style, on the pages that hold it: those where `explorer.show` ran.

Classic scripts in their order, deferred: a page's text does not wait for them, and they run from a
plain folder too.
"""

from sphinx.application import Sphinx

PLACE = 'class="ib-explorer"'
SCRIPTS = ("numbers", "state", "draw", "page", "explorer")


def add_files(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    if PLACE not in context.get("body", ""):
        return
    app.add_css_file("explorer/explorer.css")
    for name in SCRIPTS:
        app.add_js_file(f"explorer/{name}.js", loading_method="defer")


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", add_files, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
