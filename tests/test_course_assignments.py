"""The graded assignments: solutions pass, starters fail, nothing of a solution gets out."""

import re

import pytest

from ibtutor.course import assignments
from tools import pages

ASSIGNMENTS = assignments.find(pages.ROOT / "course")
each = pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=lambda a: a.name)
pytestmark = pytest.mark.skipif(not ASSIGNMENTS, reason="the graded assignments are not here")


def run(notebook):
    """Execute the code cells in one namespace; return the graded cells that fail."""
    space, failed = {}, {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            try:
                exec(cell.source, space)
            except Exception as error:
                failed[cell.metadata.get("nbgrader", {}).get("grade_id", "?")] = error
    return failed


@each
def test_the_solution_passes_every_check(assignment):
    assert run(assignment.source()) == {}


@each
def test_the_starter_fails_every_check_that_is_seen(assignment):
    failed = run(assignment.starter())
    assert set(failed) == {name for name in assignment.points() if name.startswith("check")}
    assert all(isinstance(error, NotImplementedError) for error in failed.values())


@each
def test_ten_points_of_which_three_are_written(assignment):
    points = assignment.points()
    assert sum(points.values()) == 10
    assert sum(v for k, v in points.items() if k.startswith("written")) == 3


@each
def test_the_starter_gives_nothing_away(assignment):
    text = "\n".join(cell.source for cell in assignment.starter().cells)
    assert "### BEGIN" not in text
    assert "Rubric" not in text
    assert text.count("raise NotImplementedError()") == 3
    hidden = "\n".join(m[0] for c in assignment.source().cells for m in _hidden(c.source))
    lines = {line.strip() for line in hidden.splitlines() if len(line.strip()) > 20}
    assert lines
    assert not [line for line in lines if line in text]


def _hidden(text):
    found = [*assignments.SOLUTION.finditer(text), *assignments.HIDDEN.finditer(text)]
    return [m for m in found if m]


class Yes:
    """An object that says yes to everything."""

    def __getattr__(self, name):
        return self

    def __call__(self, *arguments, **options):
        return self

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
    __sub__ = __rsub__ = __abs__ = __add__ = __getitem__ = lambda self, *other: self
    __float__, __len__ = (lambda self: 0.0), (lambda self: 1)
    __hash__ = None


@each
def test_an_object_that_equals_everything_fools_no_check(assignment):
    notebook = assignment.source()
    for cell in notebook.cells:
        for name in re.findall(r"^def (\w+)\(", cell.source, re.MULTILINE):
            if cell.metadata.get("nbgrader", {}).get("solution"):
                cell.source = f"{name} = lambda *arguments: yes"
    failed, space = set(), {"yes": Yes()}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            try:
                exec(cell.source, space)
            except AssertionError:
                failed.add(cell.metadata["nbgrader"]["grade_id"])
    assert failed == {name for name in assignment.points() if name.startswith("check")}


def test_the_folder_is_on_no_page_in_no_wheel_and_in_no_archive():
    config = (pages.ROOT / "_config.yml").read_text("utf8")
    assert re.search(r'^  - "course"', config, re.MULTILINE)
    assert 'include = ["ibtutor*"]' in (pages.ROOT / "pyproject.toml").read_text("utf8")
    # The leading slash matters: without it, book/course and ibtutor/course would be left out too.
    attributes = (pages.ROOT / ".gitattributes").read_text("utf8").splitlines()
    assert [line for line in attributes if "export-ignore" in line] == ["/course export-ignore"]
    built = pages.ROOT / "_build" / "html"
    assert not [p for p in built.rglob("*assignment_1*")] if built.exists() else True


def test_an_unknown_assignment_is_named_with_those_there_are(monkeypatch):
    with pytest.raises(ValueError, match=r"no assignment 'ps9'.*assignment_1"):
        assignments.named("ps9", pages.ROOT / "course")
    monkeypatch.setenv("IBTUTOR_COURSE", "/nowhere")
    with pytest.raises(ValueError, match="there are: none"):
        assignments.named("assignment_1", pages.ROOT / "course")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (":tags: [check-q1]\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS", "tags must be"),
        (":tags: [answer-q1]\nx = 1", "expected the markers"),
    ],
)
def test_a_cell_without_points_or_markers_is_refused(tmp_path, cell, message):
    with pytest.raises(ValueError, match=message):
        ninth(tmp_path, cell).source()


SECRET = "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"


@pytest.mark.parametrize(
    "cell",
    [
        f":tags: [answer_q1]\n{SECRET}",
        f":tags: [answer-q1]\n{SECRET}\n{SECRET.replace('SOLUTION', 'SOLUTION ')}",
        f":tags: [answer-q1]\n{SECRET}\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS",
    ],
)
def test_a_starter_never_shows_what_is_to_be_hidden(tmp_path, cell):
    with pytest.raises(ValueError, match=r"students would see .* check its tag and markers"):
        ninth(tmp_path, cell).starter()


def ninth(tmp_path, cell):
    """An assignment of one cell."""
    head = (pages.ROOT / "course" / "assignment_1.md").read_text("utf8").partition("# Assign")[0]
    path = tmp_path / "assignment_9.md"
    path.write_text(f"{head}# Nine\n\n```{{code-cell}} ipython3\n{cell}\n```\n", "utf8")
    return assignments.Assignment("assignment_9", path)
