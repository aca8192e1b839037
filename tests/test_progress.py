"""A bar on a terminal; a line a minute anywhere else."""

import io

import pytest

from ibtutor import _progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told; tqdm reads its own."""
    now = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


def draw(stream, monkeypatch, clock, steps=600, seconds=1.0):
    monkeypatch.setattr(_progress.sys, "stderr", stream)
    for _ in _progress.bar(range(steps), desc="epochs", mininterval=0.0, miniters=1):
        clock[0] += seconds
    return stream.getvalue()


def test_a_log_gets_a_line_a_minute(monkeypatch, clock):
    lines = draw(io.StringIO(), monkeypatch, clock).splitlines()
    assert 8 <= len(lines) <= 10  # ten minutes
    assert all(line.startswith("epochs") and "/600" in line for line in lines)


def test_what_is_over_in_a_minute_is_silent_in_a_log(monkeypatch, clock):
    assert draw(io.StringIO(), monkeypatch, clock, steps=50) == ""


def test_a_terminal_sees_every_redraw_and_then_nothing(monkeypatch, clock):
    text = draw(Terminal(), monkeypatch, clock, steps=50)
    assert text.count("\r") > 50
    assert "\n" not in text


def test_nothing_is_shown_where_it_is_not_wanted(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(_progress.sys, "stderr", stream)
    assert list(_progress.bar(range(3), shown=False)) == [0, 1, 2]
    assert stream.getvalue() == ""


def test_other_text_goes_through(clock):
    stream = io.StringIO()
    lines = _progress.Lines(stream)
    for text in ("a warning\n", "\r 1/3", "\r 2/3", "\n", "an error", "\n"):
        lines.write(text)
    assert stream.getvalue() == "a warning\nan error\n"
