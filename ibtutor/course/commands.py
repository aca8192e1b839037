"""`ibtutor course …`: build an edition, grade a folder of submissions."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Editions for students and instructors, grading.", no_args_is_help=True)

Book = Annotated[
    Path | None, typer.Option("--book", help="The checkout of the book, if not this one.")
]


@app.command()
def build(
    out: Annotated[Path, typer.Argument(help="An empty or a new folder.")],
    edition: Annotated[str, typer.Option(help="student or instructor.")],
    slides: Annotated[bool, typer.Option(help="Slides, from pages that were executed.")] = True,
    book: Book = None,
) -> None:
    """Write notebooks, slides and assignment sheets for students, or for instructors."""
    from ibtutor.course.editions import build as write

    for path in write(out, edition, book=book, with_slides=slides):
        print(path)


@app.command()
def grade(
    assignment: Annotated[str, typer.Argument(help="For instance assignment_1.")],
    folder: Annotated[Path, typer.Argument(help="Submissions: STUDENT.ipynb or STUDENT/*.ipynb.")],
    out: Annotated[Path, typer.Option(help="The table of scores, a new file.")] = Path(
        "grades.csv"
    ),
    seconds: Annotated[int, typer.Option(help="Limit for one cell.")] = 10,
    gigabytes: Annotated[float, typer.Option(help="Memory limit for one student.")] = 6,
    keep: Annotated[
        Path | None, typer.Option(help="Keep nbgrader's course here: feedback, written answers.")
    ] = None,
    book: Book = None,
) -> None:
    """Grade a folder with nbgrader. Submissions run on this machine: no grader is a sandbox."""
    from ibtutor.course.grading import grade as run

    limits = {"seconds": seconds, "gigabytes": gigabytes}
    for row in run(assignment, folder, out, keep=keep, book=book, **limits):
        note = f"  ({row['note']})" if row["note"] else ""
        print(f"{row['student']:<24} {row['score']:>5} of {row['of']}{note}")
    print(out)
