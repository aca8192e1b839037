"""Thirteen submissions through nbgrader: what each one scores, and what is said of it.

Slow, and nbgrader is a teacher's extra: `pip install 'ibtutor[course]'`, then
`python -m pytest tests/test_course_grading.py`. A weekly job does it.
"""

import copy
import csv
import shutil
from importlib.util import find_spec
from pathlib import Path

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


@needs_nbgrader
def test_our_starter_is_what_nbgrader_makes_of_the_source(tmp_path):
    given = assignments.named("assignment_1", FOLDER)
    grading._Course(tmp_path, given, grading.program(), 10, 6)
    made = nbformat.read(tmp_path / "release/assignment_1/assignment_1.ipynb", as_version=4)
    ours = given.starter()
    assert [cell.source.strip() for cell in made.cells] == [c.source.strip() for c in ours.cells]


# --- without nbgrader: what a submission is made into, and bad input -----------------------------


def names(made):
    return [mending.grade_id(cell) for cell in made.cells if mending.grade_id(cell)]


def release():
    return assignments.named("assignment_1", FOLDER).starter()


def test_a_good_submission_is_left_as_it_is():
    made, notes = mending.rebuilt(notebook(), release())
    assert notes == []
    assert [cell.source for cell in made.cells] == [cell.source for cell in notebook().cells]


def test_deleted_checks_come_back_behind_their_answers():
    made, notes = mending.rebuilt(notebook(without=("check",)), release())
    assert names(made) == names(release())
    assert notes == ["checks put back: check-q1, check-q2, check-q3"]


def test_edited_checks_do_not_count():
    sent = notebook()
    for cell in sent.cells:
        if mending.grade_id(cell) == "check-q2":
            cell.source = "pass"
    made, notes = mending.rebuilt(sent, release())
    assert notes == ["checks had been edited: check-q2"]
    ours = {mending.grade_id(cell): cell.source for cell in release().cells}
    back = {mending.grade_id(cell): cell.source for cell in made.cells}
    assert back["check-q2"] == ours["check-q2"]


def test_missing_answers_are_named_and_a_stub_stands_there():
    made, notes = mending.rebuilt(notebook(without=("answer-q2",)), release())
    assert notes == ["missing: answer-q2"]
    assert names(made) == names(release())
    assert "NotImplementedError" in next(
        cell.source for cell in made.cells if mending.grade_id(cell) == "answer-q2"
    )


def test_a_copied_cell_counts_once_and_cells_of_their_own_stay():
    sent = notebook()
    sent.cells.insert(3, nbformat.v4.new_code_cell("helper = 1"))
    sent.cells.append(copy.deepcopy(next(c for c in sent.cells if mending.grade_id(c))))
    made, notes = mending.rebuilt(sent, release())
    assert names(made) == names(release())
    assert "helper = 1" in [cell.source for cell in made.cells]
    assert notes == ["copied, the first one counts: answer-q1"]


def test_answers_whose_marks_a_tool_dropped_are_known_by_their_functions():
    sent = notebook(without=("check",))
    for cell in sent.cells:
        cell.metadata.pop("nbgrader", None)
    made, notes = mending.rebuilt(sent, release())
    assert names(made) == names(release())
    assert notes[0] == "found by their functions: answer-q1, answer-q2, answer-q3"
    right = answers()
    assert {mending.grade_id(c): c.source for c in made.cells}.items() >= right.items()


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_an_answer_of_another_kind_is_code_again(kind):
    sent = notebook()
    index = next(i for i, c in enumerate(sent.cells) if mending.grade_id(c) == "answer-q1")
    old = sent.cells[index]
    sent.cells[index] = nbformat.from_dict(
        {"cell_type": kind, "metadata": old.metadata, "source": old.source, "id": "a"}
    )
    made, notes = mending.rebuilt(sent, release())
    nbformat.validate(made)
    assert notes == []
    assert [c.source for c in made.cells] == [c.source for c in notebook().cells]


def test_marks_that_are_not_ours_are_taken_off_and_half_an_emoji_is_replaced(tmp_path):
    sent = notebook()
    foreign = {"grade_id": "mine", "grade": True, "points": 5, "locked": False, "solution": True}
    sent.cells.append(nbformat.v4.new_code_cell("x = 1", metadata={"nbgrader": foreign}))
    sent.cells.append(nbformat.v4.new_markdown_cell("half an emoji \ud83d"))
    made, _ = mending.rebuilt(sent, release())
    assert names(made) == names(release())
    nbformat.write(made, tmp_path / "made.ipynb")
    assert nbformat.read(tmp_path / "made.ipynb", 4).cells[-1].source == "half an emoji ?"


def test_what_cannot_be_prepared_costs_only_the_one_who_sent_it(tmp_path, monkeypatch):
    def fails(*about):
        raise KeyError("odd")

    path = tmp_path / "ann.ipynb"
    nbformat.write(notebook(), path)
    monkeypatch.setattr(grading, "rebuilt", fails)
    assert Course(tmp_path, None).run("ann", [path]) == ["could not be prepared: KeyError: 'odd'"]


def test_students_are_files_or_folders(tmp_path):
    nbformat.write(notebook(), tmp_path / "ann lee.ipynb")
    (tmp_path / "bo").mkdir()
    nbformat.write(notebook(), tmp_path / "bo" / "final version (2).ipynb")
    (tmp_path / "cy").mkdir()
    (tmp_path / "bo" / ".ipynb_checkpoints").mkdir()
    nbformat.write(notebook(), tmp_path / "bo" / ".ipynb_checkpoints" / "old.ipynb")
    found = grading.submissions(tmp_path)
    assert {name: len(paths) for name, paths in found.items()} == {"ann lee": 1, "bo": 1, "cy": 0}


def test_a_student_is_one_row_whatever_the_name(tmp_path):
    (tmp_path / "Ann Lee").mkdir()
    nbformat.write(notebook(), tmp_path / "Ann Lee" / "assignment_1.ipynb")
    (tmp_path / "Bo (late)").mkdir()
    found = grading.submissions(tmp_path)
    assert {name: len(paths) for name, paths in found.items()} == {"Ann Lee": 1, "Bo (late)": 0}


def test_two_names_that_are_one_to_nbgrader_are_both_named(tmp_path):
    nbformat.write(notebook(), tmp_path / "Ann Lee.ipynb")
    (tmp_path / "Ann_Lee").mkdir()
    with pytest.raises(ValueError, match=r"got 'Ann Lee' and 'Ann_Lee' in .*: rename one"):
        grading.submissions(tmp_path)


def test_a_folder_without_notebooks_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no notebook \(\*.ipynb\) in"):
        grading.submissions(tmp_path)
    with pytest.raises(ValueError, match="expected a folder of submissions, got"):
        grading.submissions(tmp_path / "nowhere")


def test_a_table_that_exists_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "program", list)
    nbformat.write(notebook(), tmp_path / "ann.ipynb")
    (tmp_path / "grades.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"expected a new file for the scores, got .*File exists"):
        grading.grade("assignment_1", tmp_path, tmp_path / "grades.csv")
    assert (tmp_path / "grades.csv").read_text() == "mine"


def test_without_nbgrader_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"pip install 'ibtutor\[course\]'"):
        grading.program()


class Course(grading._Course):
    """nbgrader replaced by one that crashes or never ends."""

    def __init__(self, home, answer):
        self.home, self.answer, self.seconds = home, answer, 1
        self.given, self.release = assignments.named("assignment_1", FOLDER), release()

    def _call(self, arguments, limit):
        return self.answer


class Quick(Course):
    """nbgrader replaced by one that runs nothing and gives each submission five points."""

    def __init__(self, home, *rest):
        super().__init__(home, None)
        self.of, self.by_hand = 7, 1

    def _call(self, arguments, limit):
        submitted, autograded = self.home / "submitted", self.home / "autograded"
        if arguments[0] == "autograde":
            shutil.copytree(submitted / arguments[-1], autograded / arguments[-1])
        else:
            sent = sorted(path.name for path in submitted.iterdir())
            rows = ["student_id,assignment,score", *(f"{name},assignment_1,5" for name in sent)]
            Path(arguments[-1]).write_text("\n".join(rows))
        return grading.subprocess.CompletedProcess(arguments, 0, "")


@pytest.fixture
def quick(tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "_Course", Quick)
    monkeypatch.setattr(grading, "program", list)
    (tmp_path / "sent").mkdir()
    nbformat.write(notebook(), tmp_path / "sent" / "Ann Lee.ipynb")
    return tmp_path


def test_the_table_has_the_names_as_they_were_sent(quick):
    out = quick / "week1" / "scores.csv"  # in the folder that is kept, too
    rows = grading.grade("assignment_1", quick / "sent", out, keep=out.parent)
    assert [(row["student"], row["score"], row["note"]) for row in rows] == [("Ann Lee", 5.0, "")]
    assert (out.parent / "submitted" / "Ann_Lee").is_dir()
    with out.open(newline="") as file:
        assert [row["student"] for row in csv.DictReader(file)] == ["Ann Lee"]


def test_a_table_that_cannot_be_written_is_named_before_anybody_is_graded(quick, monkeypatch):
    monkeypatch.setattr(Quick, "run", lambda *a: pytest.fail("graded"))
    out = quick / "sent" / "Ann Lee.ipynb" / "below" / "grades.csv"
    with pytest.raises(ValueError, match=r"new file for the scores, got .*Not a directory: .*Ann"):
        grading.grade("assignment_1", quick / "sent", out)


def test_a_grading_that_fails_leaves_no_table(quick, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Quick, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        grading.grade("assignment_1", quick / "sent", quick / "grades.csv")
    assert not (quick / "grades.csv").exists()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "took longer than its limit: nothing could be scored"),
        (grading.subprocess.CompletedProcess([], 1, ""), "the kernel died: nothing could be"),
    ],
)
def test_a_crash_or_a_loop_without_end_is_said(tmp_path, answer, said):
    path = tmp_path / "ann.ipynb"
    nbformat.write(notebook(), path)
    notes = Course(tmp_path, answer).run("ann", [path])
    assert notes[-1].startswith(said)


@pytest.mark.parametrize(("deaths", "said"), [(1, "the kernel died"), (9, "no kernel could be")])
def test_a_kernel_that_did_not_start_is_started_anew_at_most_twice(tmp_path, deaths, said):
    path = tmp_path / "ann.ipynb"
    nbformat.write(notebook(), path)
    unstarted = "RuntimeError: Kernel died before replying to kernel_info"
    calls = []

    class Unlucky(Course):
        def _call(self, arguments, limit):
            calls.append(arguments)
            output = unstarted if len(calls) <= deaths else "DeadKernelError: Kernel died"
            return grading.subprocess.CompletedProcess(arguments, 1, output)

    notes = Unlucky(tmp_path, None).run("ann", [path])
    assert notes[-1].startswith(said)
    assert len(calls) == min(deaths + 1, 3)


def test_what_is_no_notebook_and_who_sent_nothing_is_said(tmp_path):
    path = tmp_path / "ann.ipynb"
    path.write_text("print('not JSON')")
    course = Course(tmp_path, None)
    assert course.run("ann", [path]) == ["not a notebook: NotJSONError"]
    assert course.run("bo", []) == ["no notebook"]


def test_what_never_ends_is_killed_with_the_kernel_that_it_started(tmp_path):
    import psutil

    class Endless(grading._Course):
        def __init__(self):
            self.home, self.size = tmp_path, 4
            code = (
                "import subprocess, sys, time\n"
                "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'], "
                "start_new_session=True)\n"
                "open('pid', 'w').write(str(child.pid))\n"
                "time.sleep(99)"
            )
            self.nbgrader = [grading.sys.executable, "-c", code]

    assert Endless()._call([], limit=3) is None
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
