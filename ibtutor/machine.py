"""What this machine has and how fast it is: memory, disk, accelerator, and a probe of five seconds.

The probe counts training steps of a small dense and a small convolutional network on one thread.
What a chapter and a profile will take follows from the steps that they are worth: the time that
they took where the same steps were counted, times the ratio of the two speeds.
"""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Steps a second of processor time (Intel Xeon, one thread), and the seconds of it that pages of the
# book took there: the middle one and the longest of those measured, imports included.
STEPS = {"dense": 1550.0, "conv": 69.0}
CHAPTER_SECONDS = (12.0, 30.0)


@dataclass(frozen=True)
class Speed:
    """Steps a second, counted here."""

    dense: float
    conv: float

    def minutes(self, seconds: float, kind: str = "conv") -> float:
        """Minutes here for what took `seconds` on a core like that of `STEPS`."""
        return seconds * STEPS[kind] / getattr(self, kind) / 60


def probe(seconds: float = 5.0) -> Speed:
    """Count training steps for about `seconds`, on one thread and the processor.

    Raises
    ------
    ValueError
        `seconds` is not positive.

    >>> probe(0.2).dense > 0
    True
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return Speed(*(_steps_a_second(make(torch), seconds / 2) for make in (_dense, _conv)))
    finally:
        torch.set_num_threads(threads)


def _steps_a_second(step: Callable[[], None], seconds: float) -> float:
    step()  # the first one allocates
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        steps += 1
    return steps / (time.perf_counter() - start)


def _dense(torch) -> Callable[[], None]:
    net = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    return _step(torch, net, torch.zeros(64, 64))


def _conv(torch) -> Callable[[], None]:
    layers = [torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU()]
    layers += [torch.nn.Conv2d(16, 16, 3, padding=1), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(16 * 32 * 32, 10))
    return _step(torch, net, torch.zeros(32, 3, 32, 32))


def _step(torch, net, inputs) -> Callable[[], None]:
    optimizer = torch.optim.Adam(net.parameters())
    labels = torch.zeros(len(inputs), dtype=torch.long)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()

    return step


def memory() -> str:
    """Memory in words: all of it, and what is free where the system says so."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return "unknown on this system"
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) / 2**20
    except (OSError, KeyError, ValueError):
        return f"{size:.0f} GiB"
    return f"{size:.0f} GiB, {free:.0f} GiB free"


def disk(folder: Path) -> str:
    """Free disk where `folder` is, or will be."""
    there = next(p for p in (folder, *folder.parents) if p.exists())
    return f"{shutil.disk_usage(there).free / 2**30:.0f} GiB free at {folder}"


def accelerator() -> str:
    """The accelerator that torch sees, in words."""
    import torch

    if torch.cuda.is_available():
        free, size = torch.cuda.mem_get_info()
        return f"{torch.cuda.get_device_name()}, {size / 2**30:.0f} GiB, {free / 2**30:.0f} free"
    if torch.backends.mps.is_available():
        return "Apple GPU (MPS); sweeps train on the processor"
    return "none: everything runs on the processor"


def words(minutes: float) -> str:
    """Minutes as one says them.

    >>> [words(m) for m in (0.2, 7.4, 134)]
    ['under a minute', '7 minutes', '2.2 hours']
    """
    if minutes < 1:
        return "under a minute"
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
