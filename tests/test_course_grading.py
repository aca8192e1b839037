"""Thirteen submissions through nbgrader: what each one scores, and what is said of it.

Slow, and nbgrader is a teacher's extra: `pip install 'ibtutor[course]'`, then
`python -m pytest tests/test_course_grading.py`. A weekly job does it.
"""

import copy
import csv
from importlib.util import find_spec

import nbformat
import pytest

from ibtutor.course import assignments, grading, mending
from tools import pages

FOLDER = pages.ROOT / "course"
pytestmark = pytest.mark.skipif(
    not assignments.find(FOLDER), reason="the graded assignments are not here"
)
needs_nbgrader = pytest.mark.skipif(
    find_spec("nbgrader") is None, reason="pip install 'ibtutor[course]' runs it"
)
WRONG = {
    "answer-q1": "def smoothed_loss(logits, labels, alpha):\n    return 0.0",
    "answer-q2": "def floor(alpha, num_classes):\n    return 0.5",
    "answer-q3": "def informations(joint):\n    return [0, 0, 0]",
}
YES = """
class Yes:
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
    __sub__ = __rsub__ = __abs__ = __getitem__ = lambda self, *a: self
    __float__ = lambda self: 0.0
    __len__ = lambda self: 1
"""


def answers():
    """The right answers of the first assignment, by cell."""
    given = assignments.named("assignment_1", FOLDER)
    source = {mending.grade_id(cell): cell.source for cell in given.source().cells}
    return {name: text for name, text in source.items() if name.startswith("answer")}


def notebook(changed=None, *, without=()):
    """The starter with right answers, some of them changed, and cells left out."""
    right = answers() | (changed or {})
    made = copy.deepcopy(assignments.named("assignment_1", FOLDER).starter())
    for cell in made.cells:
        cell.source = right.get(mending.grade_id(cell), cell.source)
    made.cells = [cell for cell in made.cells if not mending.grade_id(cell).startswith(without)]
    return made


def in_floor(line):
    return {"answer-q2": f"def floor(alpha, num_classes):\n    {line}"}


def submissions(escape):
    """Notebooks of thirteen students, by name."""
    right = answers()
    loop = right["answer-q2"] + "\nwhile True:\n    pass"
    outside = f"open({str(escape)!r}, 'w').write('here')\n" + right["answer-q1"]
    fooling = {
        name: YES + code.split("\n")[0] + "\n    return Yes()" for name, code in WRONG.items()
    }
    return {
        "good": notebook(),
        "partial": notebook({"answer-q3": WRONG["answer-q3"]}),
        "wrong": notebook(WRONG),
        "syntax_error": notebook({"answer-q1": "def smoothed_loss(logits, labels alpha):"}),
        "sys_exit": notebook({"answer-q1": "import sys\nsys.exit()"}),
        "loop_in_function": notebook(in_floor("while True: pass")),
        "loop_at_top": notebook({"answer-q2": loop}),
        "eats_memory": notebook(in_floor("return [bytearray(10**9) for _ in range(10**6)]")),
        "os_exit": notebook(in_floor("import os; os._exit(0)")),
        "deleted_checks": notebook(without=("check",)),
        "renamed": notebook(),
        "equals_everything": notebook(fooling),
        "writes_outside": notebook({"answer-q1": outside}),
    }


# Points of seven, and a word of the note.
EXPECTED = {
    "good": (7, ""),
    "partial": (4, "check-q3: AssertionError"),
    "wrong": (0, "check-q1: AssertionError"),
    "syntax_error": (5, "answer-q1: SyntaxError"),
    "sys_exit": (5, "answer-q1: SystemExit"),
    "loop_in_function": (5, "check-q2: stopped at the time limit"),
    "loop_at_top": (7, "answer-q2: stopped at the time limit"),
    "eats_memory": (5, "check-q2: "),
    "os_exit": (0, "the kernel died"),
    "deleted_checks": (7, "checks put back: check-q1, check-q2, check-q3"),
    "renamed": (7, "renamed: final version (2).ipynb"),
    "equals_everything": (0, "check-q2: AssertionError"),
    "writes_outside": (7, ""),
}


@needs_nbgrader
def test_thirteen_submissions(tmp_path):
    escape, folder = tmp_path / "outside.txt", tmp_path / "sent"
    for name, made in submissions(escape).items():
        file = "final version (2)" if name == "renamed" else "assignment_1"
        (folder / name).mkdir(parents=True)
        nbformat.write(made, folder / name / f"{file}.ipynb")
    rows = grading.grade("assignment_1", folder, tmp_path / "grades.csv", seconds=10)
    found = {row["student"]: (row["score"], row["note"]) for row in rows}
    for name in EXPECTED:
        print(f"{name:<20} {found[name][0]:.0f} of 7  {found[name][1]}")
    assert {name: score for name, (score, _) in found.items()} == {
        name: score for name, (score, _) in EXPECTED.items()
    }
    for name, (_, note) in EXPECTED.items():
        assert note in found[name][1], name
    assert escape.exists(), "no grader here is a sandbox, and the guide says so"
    with (tmp_path / "grades.csv").open(newline="") as file:
        assert [row["student"] for row in csv.DictReader(file)] == sorted(EXPECTED)
