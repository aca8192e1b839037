"""Every chapter's student notebook, run: the visible tests fail on the stubs, and only they do.

That solutions pass them is seen each time that the pages are executed. A weekly job runs this file:
`IBTUTOR_WEEKLY=1 python -m pytest tests/test_course_notebooks.py`.
"""

import os
import sys

import pytest

from ibtutor.course import notebooks, source
from tools import pages

pytestmark = pytest.mark.skipif(
    "IBTUTOR_WEEKLY" not in os.environ, reason="runs every chapter: the weekly job sets it"
)
CHAPTERS = source.chapters(pages.ROOT)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.slug)
def test_stubs_fail_their_tests_and_nothing_else_fails(chapter, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")
    student = notebooks.for_students(chapter)
    metadata = {"path": str(tmp_path)}
    NotebookClient(
        student,
        timeout=600,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": metadata},
    ).execute()
    failed, passed = set(), set()
    for cell in student.cells:
        if cell.cell_type == "code":
            wrong = any(output.output_type == "error" for output in cell.outputs)
            (failed if wrong else passed).update(cell.metadata.get("tags") or [cell.id])
            if wrong:
                assert cell.metadata.get("tags", [""])[0].startswith("test-"), cell.source
    assert not {tag for tag in passed if tag.startswith("test-")}
