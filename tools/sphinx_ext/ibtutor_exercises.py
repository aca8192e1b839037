"""Anchors of exercises: `#exercise-3` leads to the third one, and its head shows the link.

An exercise is a paragraph below the heading Exercises that begins with its bold head,
`**3 (code, ★★, 15 minutes).**`; `ibtutor.course.exercises` says what else stands in it.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx

HEAD = re.compile(r"(?P<number>\d+) \(.*★.*\)\.\Z")


def mark(app: Sphinx, doctree: nodes.document) -> None:
    """Give every exercise its id and a link to itself."""
    for section in doctree.findall(nodes.section):
        if section.next_node(nodes.title).astext() != "Exercises":
            continue
        for paragraph in section.findall(nodes.paragraph):
            head = next((node for node in paragraph.children if node.astext()), None)
            if isinstance(head, nodes.strong) and (found := HEAD.match(head.astext())):
                name = f"exercise-{found['number']}"
                paragraph["ids"].append(name)
                doctree.ids[name] = paragraph
                link = nodes.reference("", "#", refid=name, internal=True, classes=["headerlink"])
                link["reftitle"] = "Link to this exercise"
                paragraph.append(link)


def setup(app: Sphinx) -> dict:
    # Before the links within the book are looked up, so that one may lead to an exercise.
    app.connect("doctree-read", mark)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
