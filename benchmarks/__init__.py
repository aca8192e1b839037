"""Ratios against what people would use instead; `python -m benchmarks` runs every file.

A file is a subject. It has `TITLE: str` and `run() -> Iterator[Row]` (see `_measure`), and it
measures every peer beside ours in the same process, one thread, calls interleaved: absolute
times do not carry over between machines, ratios do.
"""
