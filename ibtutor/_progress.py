"""Progress bars: drawn on a terminal; a line a minute in a log, a pipe or a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

MINUTE = 60.0
UP = "\x1b[A"  # what a bar below another writes to return


class Lines:
    """A stream for what redraws its line: of the redraws, one a minute becomes a line.

    A bar writes a carriage return and its text. Whatever else is written goes through as it is.
    """

    def __init__(self, stream: TextIO, every: float = MINUTE):
        self.stream, self.every = stream, every
        self.last = time.monotonic()
        self.drawing = False

    def write(self, text: str) -> int:
        if text.startswith("\r") or (self.drawing and not text.replace(UP, "").strip()):
            self.drawing = True
            line, now = text.strip(), time.monotonic()
            if line and now - self.last >= self.every:
                self.last = now
                self.stream.write(line + "\n")
                self.stream.flush()
        else:
            self.drawing = False
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return False


def stream() -> Any:
    """Where a bar is to be drawn: standard error, by lines if it is no terminal."""
    return sys.stderr if sys.stderr.isatty() else Lines(sys.stderr)


def bar(iterable: Iterable | None = None, *, shown: bool = True, **options: Any):
    """A tqdm bar over `iterable` (or up to `total`) that vanishes when done."""
    from tqdm import tqdm  # tqdm.auto warns in notebooks that lack widgets

    options = {"mininterval": 1.0, "leave": False} | options
    return tqdm(iterable, file=stream(), disable=not shown, **options)
