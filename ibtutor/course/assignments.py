"""The graded assignments: from one MyST notebook each to nbgrader's source, and to a starter.

They live in a folder that is not published, `course/` or `$IBTUTOR_COURSE`; its README says what
the tags of a cell mean.
"""

import copy
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TAG = re.compile(r"(?P<what>answer|check|written)-(?P<question>q\d+)(?:-(?P<points>\d+))?\Z")
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^\s*### END SOLUTION\n?", re.M | re.S)
HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS\n.*?^\s*### END HIDDEN TESTS\n?", re.M | re.S)
MARKER = re.compile(r"^[ \t]*###[ \t]*(BEGIN|END)\b.*", re.M)
STUB = "# YOUR CODE HERE\nraise NotImplementedError()\n"
WRITTEN = "*Your answer:*"


@dataclass(frozen=True)
class Assignment:
    """An assignment and the notebook that holds its solution and hidden tests."""

    name: str
    path: Path

    def source(self) -> Any:
        """nbgrader's source: the whole notebook, its cells marked as nbgrader wants them.

        Raises
        ------
        ValueError
            A tag is unknown, or an answer or a check lacks its markers.
        """
        import jupytext

        notebook = jupytext.read(self.path, fmt="md:myst")
        for index, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{index}"
            if mark := self._mark(cell):
                cell.metadata["nbgrader"] = mark
                cell.metadata.pop("tags", None)
        return notebook

    def _mark(self, cell: Any) -> dict[str, Any] | None:
        tags = [tag for tag in cell.metadata.get("tags", []) if "-q" in tag]
        if not tags:
            return None
        found = TAG.match(tags[0])
        graded = found and found["what"] != "answer"
        if not found or len(tags) > 1 or graded != bool(found["points"]):
            raise ValueError(
                f"{self.name}: tags must be one of answer-q1, check-q1-2, written-q1-3, got {tags}"
            )
        what = found["what"]
        wanted = {"answer": SOLUTION, "written": SOLUTION, "check": HIDDEN}[what]
        if not wanted.search(cell.source):
            raise ValueError(f"{self.name}, {tags[0]}: expected the markers ### BEGIN … ### END")
        mark = {
            "grade_id": f"{what}-{found['question']}",
            "grade": what != "answer",
            "solution": what != "check",
            "locked": what == "check",
            "task": False,
            "schema_version": 3,
        }
        return mark | ({"points": int(found["points"])} if graded else {})

    def starter(self) -> Any:
        """What students get: no solutions, no hidden tests, the same marks.

        ValueError if a marker is left, as where the tag of its cell is misspelled.
        """
        notebook = copy.deepcopy(self.source())
        for cell in notebook.cells:
            mark = cell.metadata.get("nbgrader")
            if mark and mark["solution"]:
                stub = STUB if cell.cell_type == "code" else WRITTEN
                cell.source = SOLUTION.sub(lambda m, s=stub: _indent(s, m[1]), cell.source).rstrip()
            elif mark:
                cell.source = HIDDEN.sub("", cell.source).rstrip()
                cell.metadata.update(deletable=False, editable=False)
            if left := MARKER.search(cell.source):
                raise ValueError(
                    f"{self.name}: students would see what follows {left[0].strip()!r} in the cell "
                    f"that begins {cell.source.partition(chr(10))[0]!r}: check its tag and markers"
                )
        return notebook

    def solved(self) -> Any:
        """The solution to read, without markers and hidden tests."""
        notebook = copy.deepcopy(self.source())
        for cell in notebook.cells:
            cell.source = re.sub(r"^\s*### (BEGIN|END) .*\n?", "", cell.source, flags=re.M).rstrip()
            cell.metadata.pop("nbgrader", None)
        return notebook

    def points(self) -> dict[str, int]:
        """Points of every graded cell, by its name."""
        marks = (cell.metadata.get("nbgrader") for cell in self.source().cells)
        return {mark["grade_id"]: mark["points"] for mark in marks if mark and mark["grade"]}


def _indent(text: str, by: str) -> str:
    return "".join(f"{by}{line}\n" for line in text.splitlines())


def find(folder: Path) -> list[Assignment]:
    """The assignments of `$IBTUTOR_COURSE`, else of `folder`, in order of name; [] if none."""
    folder = Path(os.environ.get("IBTUTOR_COURSE", folder))
    return [Assignment(path.stem, path) for path in sorted(folder.glob("assignment_*.md"))]


def named(name: str, folder: Path) -> Assignment:
    """The assignment of that name.

    Raises
    ------
    ValueError
        There is none; the message lists those there are.
    """
    found = {one.name: one for one in find(folder)}
    if name not in found:
        where = os.environ.get("IBTUTOR_COURSE", folder)
        raise ValueError(
            f"no assignment {name!r} in {where}; there are: {', '.join(found) or 'none'}. Graded "
            "assignments are not published: set IBTUTOR_COURSE to the folder that holds them"
        )
    return found[name]


def write(assignment: Assignment, out: Path, edition: str) -> list[Path]:
    """Write the starter for students; for instructors also solution, rubric and source."""
    import nbformat

    files = {f"{assignment.name}.ipynb": assignment.starter()}
    if edition == "instructor":
        files[f"solutions/{assignment.name}.ipynb"] = assignment.solved()
        files[f"source/{assignment.name}/{assignment.name}.ipynb"] = assignment.source()
    written = []
    for name, notebook in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        written.append(path)
    return written
