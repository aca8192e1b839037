"""`build`: an edition of the course, from the one source, into an empty folder."""

from pathlib import Path
from typing import Any

from ibtutor.course import assignments, notebooks, slides, source
from ibtutor.course.exercises import exercises

EDITIONS = ("student", "instructor")
README = """\
# {title}: {edition} edition

Made by `ibtutor course build --edition {edition}` from {commit}. Make it again for a new term; do
not edit it by hand: the source is `book/*.md` and the folder of the graded assignments.

- `notebooks/`: every chapter, {notebooks}
- `slides/`: {slides}
- `assignments/`: {assignments}
{more}
How to teach from it: the pages of the book under *Teaching*. Code: MIT. Text and figures:
CC BY 4.0.
"""
SAYS = {
    "student": {
        "notebooks": "without solutions. A code exercise has a stub and a test: the test fails "
        "until the stub is filled in.",
        "more": "",
    },
    "instructor": {
        "notebooks": "with solutions, timing and rubric.",
        "more": "- `timing.md`: minutes and points of every exercise, on one page.\n",
    },
}


def build(
    out: Path,
    edition: str,
    *,
    book: Path | None = None,
    course: Path | None = None,
    with_slides: bool = True,
) -> list[Path]:
    """Write an edition into `out`, an empty or a new folder; return the files written.

    Raises
    ------
    ValueError
        The edition is unknown, `out` is not empty, there is no checkout of the book, a chapter has
        no notebook, no exercises or no solutions, or an assignment would show its solutions.
    RuntimeError
        Slides were asked for, and a page was not executed or nbconvert is missing.
    """
    if edition not in EDITIONS:
        raise ValueError(f"edition must be one of {', '.join(EDITIONS)}, got {edition!r}")
    root = source.root(book)
    chapters = source.chapters(root)
    if not chapters:
        raise ValueError(f"no chapter with a notebook stands in {root / '_toc.yml'}")
    # All that can be refused is made before anything is written.
    make = notebooks.for_students if edition == "student" else notebooks.for_instructors
    made = {chapter: make(chapter) for chapter in chapters}
    graded = assignments.find(course or root / "course")
    for assignment in graded:
        assignment.starter()
    if with_slides:
        slides.check_executed(chapters)
    out = source.empty_folder(out)
    written = [_write(out / _place(c), notebook) for c, notebook in made.items()]
    shown = "left out."
    if with_slides:
        parts = dict.fromkeys(chapter.part for chapter in chapters)
        for part in parts:
            mine = [chapter for chapter in chapters if chapter.part == part]
            written.append(slides.write(out / "slides", part, mine))
        shown = "one file a part; open it in a browser, `?print-pdf` behind the address prints it."
    for assignment in graded:
        written += assignments.write(assignment, out / "assignments", edition)
    if edition == "instructor":
        written.append(_text(out / "timing.md", _timing(chapters)))
    written.append(_text(out / "README.md", _readme(edition, shown, graded)))
    return written


def _place(chapter: source.Chapter) -> str:
    return f"notebooks/{source.slug(chapter.part)}/{chapter.slug}.ipynb"


def _write(path: Path, notebook: Any) -> Path:
    import nbformat

    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def _text(path: Path, text: str) -> Path:
    path.write_text(text, "utf8")
    return path


def _readme(edition: str, shown: str, graded: list[Any]) -> str:
    from ibtutor import provenance

    sheets = {
        "student": "the graded assignments as students get them.",
        "instructor": "the graded assignments, their solutions and rubrics, and the sources with "
        "hidden tests that `ibtutor course grade` uses. Keep this folder to yourself.",
    }
    return README.format(
        title="Label smoothing as an information bottleneck",
        edition=edition,
        commit=f"version {provenance.commit()[:12]}",
        slides=shown,
        assignments=sheets[edition] if graded else "none: their folder is not in this checkout.",
        **SAYS[edition],
    )


def _timing(chapters: list[source.Chapter]) -> str:
    """Minutes of every chapter and exercise, in one table."""
    lines = [
        "# Timing",
        "",
        "Minutes are those of a first try, as the chapters state them; a day counts apart.",
        "",
        "| chapter | reading | cells run in | exercises |",
        "|---|---|---|---|",
    ]
    for chapter in chapters:
        cells, seconds = chapter.notebook().cells, chapter.seconds()
        each = ", ".join(f"{e.number} {e.kind} {'★' * e.stars} {e.time}" for e in exercises(cells))
        ran = f"{seconds:.0f} s" if seconds else "not run"
        lines.append(f"| {chapter.slug} | {source.minutes(cells)} minutes | {ran} | {each} |")
    return "\n".join(lines) + "\n"
