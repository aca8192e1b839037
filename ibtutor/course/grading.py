"""Grade a folder of submissions with nbgrader: one student a process, with limits.

What a student sent is not run as it is. The answers, and what was added, go into a notebook whose
checks are ours, each behind its answer: deleted or edited checks change nothing. Then nbgrader
runs and scores it. A crash, a loop or a memory hog costs the student who sent it, and the next one
is graded all the same.

This is no sandbox: submissions can read and write what the account that grades can. The page *The
instructor's guide* says how to run it in a container.
"""

import contextlib
import csv
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ibtutor.course import assignments, source
from ibtutor.course.kernels import NEVER_STARTED, STARTS, kill_tree
from ibtutor.course.mending import grade_id, rebuilt

CONFIG = """\
c = get_config()
c.CourseDirectory.root = {root!r}
c.Execute.timeout = c.ExecutePreprocessor.timeout = {seconds}
c.Execute.interrupt_on_timeout = True
c.Execute.kernel_name = "python3"
c.Execute.startup_timeout = 120
c.ClearSolutions.text_stub = "*Your answer:*"
c.ClearSolutions.code_stub = {{"python": "# YOUR CODE HERE\\nraise NotImplementedError()"}}
"""
FIELDS = ("student", "assignment", "score", "of", "by_hand", "note")
START = 90  # seconds that a kernel with torch may take to start on a busy machine


def grade(
    assignment: str,
    folder: Path,
    out: Path,
    *,
    seconds: int = 10,
    gigabytes: float = 6,
    keep: Path | None = None,
    book: Path | None = None,
) -> list[dict[str, Any]]:
    """Grade every notebook of `folder` and write the table `out`; return its rows.

    `folder` holds `STUDENT.ipynb`, or a folder a student with one notebook, whatever its name. A
    cell may take `seconds`, a student's kernel `gigabytes`. `keep` names an empty or new folder
    for nbgrader's course: the graded notebooks with outputs, for feedback and written answers.
    There, names have `_` in place of spaces and other signs; in the table they stay as they are.

    Raises
    ------
    ValueError
        No such assignment, no submission, two students of one name, or a table that exists or
        cannot be written: `out` is opened before the work and removed if the work fails.
    RuntimeError
        nbgrader is not installed.
    """
    given = assignments.named(assignment, _folder_of_assignments(book))
    found = submissions(folder)
    nbgrader = program()
    with contextlib.ExitStack() as stack:
        home = (
            source.empty_folder(keep)
            if keep
            else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ibtutor-grade-")))
        )
        file = stack.enter_context(_new_table(out))
        course = _Course(home.resolve(), given, nbgrader, seconds, gigabytes)
        notes = {student: course.run(student, paths) for student, paths in found.items()}
        scores = course.scores()
        rows = [course.row(student, scores, said) for student, said in notes.items()]
        table = csv.DictWriter(file, FIELDS)
        table.writeheader()
        table.writerows(rows)
    return rows


@contextlib.contextmanager
def _new_table(out: Path) -> Iterator[TextIO]:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        file = out.open("x", newline="", encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"expected a new file for the scores, got {out} ({error.strerror}: {error.filename})"
        ) from error
    try:
        with file:
            yield file
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _folder_of_assignments(book: Path | None) -> Path:
    return source.root(book) / "course"


def program() -> list[str]:
    """How to call nbgrader: that of this Python.

    Raises
    ------
    RuntimeError
        It is not installed.
    """
    from importlib.util import find_spec

    if find_spec("nbgrader") is None:
        raise RuntimeError(
            f"nbgrader is not installed for {sys.executable}: pip install 'ibtutor[course]' (the "
            "instructor's guide shows an environment of its own)"
        )
    return [sys.executable, "-m", "nbgrader"]


def submissions(folder: Path) -> dict[str, list[Path]]:
    """Students and their notebooks, by name: `STUDENT.ipynb`, or `STUDENT/*.ipynb`.

    Raises
    ------
    ValueError
        The folder does not exist or holds no notebook, or two names are one to nbgrader.
    """
    if not folder.is_dir():
        raise ValueError(f"expected a folder of submissions, got {folder}")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.ipynb")):
        parts = path.relative_to(folder).parts
        if ".ipynb_checkpoints" not in parts:
            found.setdefault(parts[0] if len(parts) > 1 else path.stem, []).append(path)
    empty = (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    for path in empty:
        found.setdefault(path.name, [])
    if not any(found.values()):
        raise ValueError(f"no notebook (*.ipynb) in {folder}")
    owners: dict[str, str] = {}
    for name in sorted(found):
        other = owners.setdefault(_identity(name), name)
        if other != name:
            raise ValueError(
                f"expected names that differ by more than spaces and signs, got {other!r} and "
                f"{name!r} in {folder}: rename one"
            )
    return dict(sorted(found.items()))


def _identity(student: str) -> str:
    """The name of a student that nbgrader, its folders and its database get."""
    return re.sub(r"[^\w.-]+", "_", student)


class _Course:
    """nbgrader's folder for one assignment, and how a submission goes through it."""

    def __init__(self, home: Path, given: Any, nbgrader: list[str], seconds: int, size: float):
        import nbformat

        self.home, self.given, self.nbgrader = home, given, nbgrader
        self.seconds, self.size, self.release = seconds, size, given.starter()
        config = CONFIG.format(root=str(home), seconds=seconds)
        (home / "nbgrader_config.py").write_text(config, "utf8")
        place = home / "source" / given.name
        place.mkdir(parents=True)
        nbformat.write(given.source(), place / f"{given.name}.ipynb")
        made = self._call(["generate_assignment", given.name], limit=300)
        if made.returncode:
            raise RuntimeError(f"nbgrader could not read {given.name}: {_last(made.stdout)}")
        points = given.points()
        self.by_hand = sum(v for k, v in points.items() if k.startswith("written"))
        self.of = sum(points.values()) - self.by_hand

    def row(self, student: str, scores: dict[str, float], notes: list[str]) -> dict[str, Any]:
        """The line of a student in the table; there is one, whatever was sent."""
        score = scores.get(_identity(student), 0.0)
        values = (student, self.given.name, score, self.of, self.by_hand, "; ".join(notes))
        return dict(zip(FIELDS, values, strict=True))

    def run(self, student: str, paths: list[Path]) -> list[str]:
        """Let nbgrader run one submission; return what there is to say about it."""
        import nbformat

        if not paths:
            return ["no notebook"]
        path = next((p for p in paths if p.stem == self.given.name), paths[0])
        notes = [f"graded {path.name} of {len(paths)} notebooks"] if len(paths) > 1 else []
        if path.stem not in (self.given.name, student):
            notes.append(f"renamed: {path.name}")
        try:
            sent = nbformat.read(path, as_version=4)
            nbformat.validate(sent)
        except Exception as error:
            return [*notes, f"not a notebook: {type(error).__name__}"]
        identity = _identity(student)
        place = self.home / "submitted" / identity / self.given.name
        place.mkdir(parents=True)
        try:
            notebook, mended = rebuilt(sent, self.release)
            nbformat.write(notebook, place / f"{self.given.name}.ipynb")
        except Exception as error:  # whatever was sent, the next one is graded
            return [*notes, f"could not be prepared: {type(error).__name__}: {error}"]
        notes += mended
        cells = sum(cell.cell_type == "code" for cell in notebook.cells)
        for _ in range(STARTS):
            done = self._call(
                ["autograde", self.given.name, "--create", "--student", identity],
                limit=START + self.seconds * (cells + 1),
            )
            unstarted = done is not None and NEVER_STARTED.search(done.stdout)
            if not unstarted:
                break
        graded = self.home / "autograded" / identity / self.given.name / f"{self.given.name}.ipynb"
        if done is None or done.returncode or not graded.exists():
            ended = "no kernel could be started" if unstarted else "the kernel died"
            why = "took longer than its limit" if done is None else ended
            return [*notes, f"{why}: nothing could be scored"]
        return notes + _what_failed(nbformat.read(graded, as_version=4))

    def scores(self) -> dict[str, float]:
        """The points that nbgrader gave, by identity."""
        table = self.home / "nbgrader_export.csv"
        done = self._call(["export", "--to", str(table)], limit=300)
        if done is None or done.returncode or not table.exists():
            raise RuntimeError(f"nbgrader gave no scores: {_last(done.stdout) if done else ''}")
        with table.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["assignment"] == self.given.name]
        return {row["student_id"]: float(row["score"] or 0) for row in rows}

    def _call(self, arguments: list[str], limit: float) -> subprocess.CompletedProcess | None:
        """Run nbgrader in a session of its own; None if it was killed at the limit."""
        env = {k: v for k, v in os.environ.items() if "TOKEN" not in k and "SECRET" not in k}
        env |= {"OMP_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1", "HOME": str(self.home)}
        scripts = str(Path(sys.executable).parent)  # nbgrader calls alembic by name
        env["PATH"] = os.pathsep.join([scripts, env.get("PATH", "")])
        env |= {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "JUPYTER_PLATFORM_DIRS": "1"}
        process = subprocess.Popen(
            [*self.nbgrader, *arguments],
            cwd=self.home,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=self._limit_memory if os.name == "posix" else None,
        )
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            kill_tree(process.pid)
            process.communicate()
            return None
        return subprocess.CompletedProcess(arguments, process.returncode, said)

    def _limit_memory(self) -> None:
        import resource

        size = int(self.size * 2**30)
        with contextlib.suppress(ValueError, OSError):  # macOS knows the name and not the limit
            resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _error(cell: Any) -> Any | None:
    found = [o for o in cell.get("outputs", []) if o.output_type == "error"]
    return found[0] if found else None


def _what_failed(notebook: Any) -> list[str]:
    notes = []
    for cell in notebook.cells:
        error = _error(cell) if cell.cell_type == "code" else None
        if error is not None:
            where = grade_id(cell) or "a cell of their own"
            why = error.ename if error.ename != "KeyboardInterrupt" else "stopped at the time limit"
            notes.append(f"{where}: {why}")
    return notes


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
