"""The course: editions of the book for students and instructors, slides, assignments, grading.

`build` writes an edition from a checkout of the book, `grade` runs a folder of submissions, and
`near` is the comparison that an assignment's checks use. `ibtutor course --help` names the
commands. The pages under `book/course/` say how to teach with them.
"""

from importlib import import_module
from typing import Any

_WHERE = {"build": "editions", "grade": "grading", "near": "checking"}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
