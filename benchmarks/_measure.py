"""Time and memory of calls, measured side by side."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measured number; `target` is the value to reach, from above if `at_least`."""

    name: str
    value: float
    unit: str = ""
    target: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        reached = self.value >= self.target if self.at_least else self.value <= self.target
        sign = ">=" if self.at_least else "<="
        return f"{sign} {self.target:g} {'reached' if reached else 'MISSED'}"

    def line(self) -> str:
        return f"  {self.name:<46} {self.value:>10.3g} {self.unit:<12} {self.verdict}".rstrip()


def interleaved(calls: dict[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Median seconds of each call, taken in turn, so that a busy moment hits all alike.

    Processor time of this process, not wall time: others on the machine count less.
    """
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def extra_memory(
    call: Callable[[], object], warm_up: Callable[[], object] = lambda: None
) -> float | None:
    """Bytes that `call` adds to the peak of resident memory; None where the system hides it.

    `warm_up` is the same call on small input: libraries allocate on first use.
    """
    warm_up()
    gc.collect()
    try:
        # What was freed before but kept by the allocator would hide what the call takes.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        call()
        return float(_status("VmHWM") - before)
    except (OSError, AttributeError, IndexError):
        return None


def _status(field: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(text.split(f"{field}:")[1].split()[0])
