"""One chapter's notebook for students, and for instructors."""

import copy
from typing import Any

from ibtutor.course import source
from ibtutor.course.exercises import (
    HEAD,
    Exercise,
    divided,
    exercises,
    is_solution,
    pieces,
    stub_of,
    visible_test,
)

# What a full answer shows, and for how many points. By kind of exercise.
RUBRIC = {
    "recall": {"the right quantity or statement": 1, "its reason in one sentence": 1},
    "derive": {
        "set-up: what is given, what is to be shown": 1,
        "each step follows from a named fact": 2,
        "when equality holds, or which assumption was used": 1,
    },
    "code": {
        "the check passes": 2,
        "readable, with units": 1,
        "one sentence that reads the number": 1,
    },
    "research": {
        "a claim that can fail, and its rule, written before the run": 2,
        "a control that could explain the effect away": 2,
        "seeds, spread and scale reported": 1,
        "a conclusion no wider than the evidence": 1,
    },
}
RUBRIC["derive and code"] = RUBRIC["derive"] | RUBRIC["code"]
# Answers of these kinds must be known to the book; research may be open.
SOLVED = ("recall", "derive", "code", "derive and code")


def check_solved(chapter: source.Chapter, found: list[Exercise]) -> None:
    """Raise ValueError unless the chapter has exercises and each one that must be is solved."""
    if not found:
        raise ValueError(f"{chapter.slug} has no exercises: expected a section '## Exercises'")
    for one in found:
        if one.kind in SOLVED and not one.solution:
            raise ValueError(
                f"{chapter.slug}, exercise {one.number}: a solution was expected (a cell tagged "
                "`solution`, or <details>), none was found"
            )
        if "code" in one.kind and not visible_test(one.code):
            raise ValueError(
                f"{chapter.slug}, exercise {one.number}: code without a visible test; let its "
                "solution end with `check(...)` at top level"
            )


def points(kind: str) -> int:
    return sum(RUBRIC[kind].values())


def for_students(chapter: source.Chapter) -> Any:
    """The chapter without solutions: prose gets room for an answer, code a stub and its test."""
    notebook = chapter.notebook()
    check_solved(chapter, exercises(notebook.cells))
    cells, number = [], ""
    for where, piece in pieces(notebook.cells):
        if not isinstance(piece, str):
            cells += _open_cells(piece, number) if is_solution(piece) else [copy.deepcopy(piece)]
        elif where == "body" or piece.startswith("## "):
            cells.append(markdown(piece))
        elif head := HEAD.match(piece):
            number = head["number"]
            cells.append(markdown(divided(piece)[0], tags=[f"exercise-{number}"]))
            if "code" not in head["kind"]:
                cells.append(markdown("*Your answer:*", tags=[f"answer-{number}"]))
    return _of(notebook, cells)


def _open_cells(cell: Any, number: str) -> list[Any]:
    """A stub in the place of a solution, and the solution's checks as its test."""
    code = without_title(cell.source)
    stub, test = stub_of(code), visible_test(code)
    head = f"# Exercise {number}: your code."
    if not test:
        return [code_cell(head, tags=[f"answer-{number}"])]
    head += " The test is the cell below."
    return [
        code_cell(f"{head}\n{stub}".rstrip(), tags=[f"answer-{number}"]),
        code_cell(test, tags=[f"test-{number}"]),
    ]


def for_instructors(chapter: source.Chapter) -> Any:
    """The chapter with solutions open, outputs where there are any, timing and rubric."""
    notebook = chapter.notebook(executed=True)
    found = exercises(notebook.cells)
    check_solved(chapter, found)
    first, cells = True, []
    for where, piece in pieces(notebook.cells):
        if not isinstance(piece, str):
            cell = copy.deepcopy(piece)
            if is_solution(cell):
                cell.metadata.pop("cellView", None)
                cell.metadata.pop("jupyter", None)
            cells.append(cell)
            continue
        head = HEAD.match(piece) if where == "exercises" else None
        if head:
            text, solution = divided(piece)
            cells += [markdown(text), markdown(rubric(head["kind"]))]
            cells += [markdown(solution)] if solution else []
            continue
        cells.append(markdown(piece))
        if first:
            cells.append(markdown(timing(chapter, notebook, found)))
            first = False
    return _of(notebook, cells)


def timing(chapter: source.Chapter, notebook: Any, found: list[Exercise]) -> str:
    """The instructor's box: minutes to read, to run, to solve."""
    reading, seconds = source.minutes(notebook.cells), chapter.seconds()
    known = sum(one.minutes or 0 for one in found)
    ran = f"{seconds:.0f} s when the book was built" if seconds else "not run for this edition"
    rows = [
        f"| {one.number} | {one.kind} | {'★' * one.stars} | {one.time} | {points(one.kind)} |"
        for one in found
    ]
    return "\n".join(
        [
            f"> **For the instructor.** Reading: {reading or '?'} minutes. Exercises: {known} "
            f"minutes, and those that take a day. All cells: {ran}.",
            "",
            "| exercise | kind | stars | first try | points |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def rubric(kind: str) -> str:
    """What to give points for.

    >>> print(rubric("recall"))
    > **Rubric, 2 points.** 1: the right quantity or statement. 1: its reason in one sentence.
    """
    lines = " ".join(f"{value}: {what}." for what, value in RUBRIC[kind].items())
    return f"> **Rubric, {points(kind)} points.** {lines}"


def without_title(code: str) -> str:
    """The code without the line that names a folded cell."""
    first, _, rest = code.partition("\n")
    return rest if first.startswith("# @title") else code


def markdown(text: str, tags: list[str] | None = None) -> Any:
    import nbformat

    return nbformat.v4.new_markdown_cell(text, metadata={"tags": tags} if tags else {})


def code_cell(text: str, tags: list[str] | None = None) -> Any:
    import nbformat

    return nbformat.v4.new_code_cell(text, metadata={"tags": tags} if tags else {})


def _of(notebook: Any, cells: list[Any]) -> Any:
    """A notebook with these cells and ids that depend on nothing but their order."""
    new = copy.deepcopy(notebook)
    new.cells = cells
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index}"
    return new
