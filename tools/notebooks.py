"""What a notebook has that its page has not: folds, a way back to the page, prose without MyST.

A page hides cells by tags that only the site knows. Its notebook says the same to Colab
(`cellView`) and to Jupyter and VS Code (`source_hidden`), with a first line that names what is
folded. `setup` is the first cell of every page.
"""

import re

import nbformat

from tools import address

HIDDEN = {"hide-cell", "hide-input", "remove-cell", "remove-input", "solution"}
TITLE = re.compile(r"\A# @title [^\n]*\n?")
SETUP = """\
import importlib.util, re, site, subprocess, sys
if not importlib.util.find_spec("ibtutor"):  # Colab, Kaggle, VS Code, Jupyter
    pip = f'"{{sys.executable}}" -m pip install -qq --no-deps {archive}'
    if (done := subprocess.getstatusoutput(pip))[0]:
        why = (re.search("(?i)error: .*", done[1]) or [done[1]])[0][:120]
        Stop = type("Stop", (Exception,), {{"_render_traceback_": lambda e: e.args}})
        raise Stop(f"ibtutor was not installed. {advice} pip says: {{why}}")
    sys.path.append(site.getusersitepackages())  # where pip may have put it
from ibtutor import record; record.start("{slug}")"""
ADVICE = (
    "Check the network (Kaggle: Settings, Internet) and Python (3.11 or newer), then run this "
    "cell again; help: {documentation}/book/index.html#install."
)
# What a folded cell is for, by what stands in it. The first that fits names it.
PURPOSES = {
    "record.start(": "Set-up: run this cell first",
    "record.stamp()": "Stamp: when, where and with what this page was run",
    "explorer.show(": "Explorer, at rest",
    "verdict_table(": "Verdicts",
    "plots.show(": "Figure",
    "experiments.matrix(": "Table",
    "Markdown(": "Words with computed numbers",
    "check(": "Check",
}
EXERCISE = re.compile(r"^(?:\*\*|#+ )(?:Exercise )?(\d+)\b", re.MULTILINE)
# The front page's cards and contents, which only the site can draw.
CARD = re.compile(r"^:::\{grid-item-card\} (.+)\n((?:.+\n)+):::$", re.MULTILINE)
GRID = re.compile(r"^::::(?:\{grid\}.*\n(?::\w+:.*\n)*\n?)?$\n?", re.MULTILINE)
CONTENTS = "```{book-contents}\n```"
PATHS = re.compile(r"^```\{reading-paths\}\n.*?^```$", re.MULTILINE | re.DOTALL)


def setup(slug: str) -> str:
    """The first cell of the page `slug`: install if need be, or say in one line what to do."""
    here = address.wanted()
    advice = ADVICE.format(documentation=here.documentation)
    return SETUP.format(archive=here.archive, advice=advice, slug=slug)


def dress(notebook: nbformat.NotebookNode, slug: str) -> nbformat.NotebookNode:
    """Make a page, as jupytext reads it, its notebook (in place): same cells, readable alone."""
    exercise, first = "", True
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = without_directives(cell.source)
            if first:
                heading, _, rest = cell.source.partition("\n")
                cell.source = f"{heading}\n\n{way_back(slug)}\n{rest}".rstrip()
                first = False
            exercise = (EXERCISE.findall(cell.source) or [exercise])[-1]
        elif HIDDEN & {*cell.metadata.get("tags", [])}:
            cell.metadata["cellView"] = "form"
            cell.metadata["jupyter"] = {"source_hidden": True}
            cell.source = f"# @title {purpose(cell, exercise)}\n{cell.source}"
    notebook.metadata["colab"] = {"name": f"{slug.rpartition('/')[2]}.ipynb", "toc_visible": True}
    return notebook


def undress(source: str) -> str:
    """The source of a code cell as its page has it."""
    return TITLE.sub("", source)


def purpose(cell: nbformat.NotebookNode, exercise: str = "") -> str:
    """What a folded cell is for, in a few words."""
    if "solution" in cell.metadata.get("tags", []):
        return f"Solution of exercise {exercise}" if exercise else "Solution"
    found = (name for mark, name in PURPOSES.items() if mark in cell.source)
    return next(found, "Table")


def way_back(slug: str) -> str:
    """The line below the title: where the page is, and where to run it."""
    here = address.wanted()
    page, colab = f"{here.documentation}/book/{slug}.html", f"{here.colab}/book/{slug}.ipynb"
    return f"*[This page in the book]({page}), with its outputs · [open in Colab]({colab})*"


def without_directives(text: str) -> str:
    """The front page's cards as paragraphs, its paths and contents as links."""
    text = CARD.sub(lambda card: f"**{card[1]}.** {card[2].strip()}", text)
    front = f"{address.wanted().documentation}/book/index.html"
    text = PATHS.sub(f"The [reading paths]({front}#reading-paths) are in the book.", text)
    link = f"{front}#what-is-inside"
    return GRID.sub("", text).replace(CONTENTS, f"The [list of all pages]({link}) is in the book.")
