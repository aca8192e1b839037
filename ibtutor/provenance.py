"""Where a result comes from: code, versions, device; and the stamp that a page carries."""

import datetime
import html
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROFILES = ("smoke", "quick", "paper")
_PACKAGE = Path(__file__).resolve().parent
_ABSENT = "not installed"
_VERSIONS = ("torch", "torchvision", "numpy", "scipy", "scikit-learn")


def commit() -> str:
    """The commit of the checkout, with `+` if files of the package differ from it."""
    if not (_PACKAGE.parent / "pyproject.toml").is_file():
        return f"release {_version('ibtutor')}"
    try:
        changed = _git("status", "--porcelain", "--", "ibtutor/*.py", "ibtutor/**/*.py")
        return _git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return f"release {_version('ibtutor')}"


@cache
def loaded_commit() -> str:
    """`commit()` when the experiments were loaded: one made during a run is not of its code."""
    return commit()


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(_PACKAGE.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return _ABSENT


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _VERSIONS}}


def device_name(device: str = "cpu") -> str:
    """The device in words: the GPU's name, or the processor and the threads torch uses."""
    import torch

    if str(device).startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"CPU ({_processor()}, {torch.get_num_threads()} threads)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def provenance(device: str, seconds: float, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """Where a result comes from: code, versions, device, duration and data fingerprints."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {
        "commit": loaded_commit(),
        "versions": versions(),
        "device": device_name(device),
        "seconds": round(seconds, 2),
        "date": today,
        "data": dict(fingerprints),
    }


_clock: dict[str, Any] = {}


def profile() -> str:
    """The profile asked for by `IBTUTOR_PROFILE`, default `smoke`.

    Raises
    ------
    ValueError
        It is none of smoke, quick and paper.
    """
    name = os.environ.get("IBTUTOR_PROFILE", "smoke")
    if name not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {name!r}")
    return name


class RequirementError(ImportError):
    """A library that the package needs is missing or too old; the message says what to run."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # all that IPython shows: one line


def unmet() -> dict[str, str]:
    """Requirements of the package that do not hold here, each with the version that is here.

    Pages install the package without its requirements, so that no torch is ever replaced.
    """
    try:
        lines = metadata.requires("ibtutor") or []
    except metadata.PackageNotFoundError:
        return {}  # a checkout on the path
    found = {}
    for line in lines:
        if "extra ==" not in line:
            name, _, least = line.partition(">=")
            have = _version(name)
            if _numbers(have) < _numbers(least) and not (have == _ABSENT and _importable(name)):
                found[line] = have
    return found


def _importable(package: str) -> bool:
    """Whether a package without metadata is there all the same."""
    return find_spec({"scikit-learn": "sklearn"}.get(package, package)) is not None


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def require() -> None:
    """Check the package's requirements.

    Raises
    ------
    RequirementError
        One does not hold. The message is one line: which, and what to run.
    """
    found = unmet()
    if not found:
        return
    wanted = list(found)
    torch = _version("torch")
    alone = "torchvision" in " ".join(found) and not any(li.startswith("torch>") for li in found)
    if alone and torch != _ABSENT:
        wanted.append(f"torch=={torch.partition('+')[0]}")  # else torchvision brings its own
    what = ", ".join(f"{line} (here: {have})" for line, have in found.items())
    command = " ".join(f'"{line}"' for line in wanted)
    raise RequirementError(
        f"This page needs {what}. Run `%pip install {command}`, restart the kernel, run this cell "
        "again."
    )


def start(slug: str) -> None:
    """Check what the page needs and start its clock: the first cell of every chapter."""
    require()
    _clock.update(slug=slug, started=time.perf_counter())


class Stamp:
    """When, where and how a page was executed, as HTML."""

    def __init__(self, text: str):
        self.text = text

    def _repr_html_(self) -> str:
        return f'<p class="ibtutor-stamp"><small>{html.escape(self.text)}</small></p>'

    def __repr__(self) -> str:
        return self.text


def stamp() -> Stamp:
    """The last cell of every chapter: executed when, on what, for how long, with what.

    Raises
    ------
    RuntimeError
        `start` was not called: the page was not executed from its first cell.
    """
    if "started" not in _clock:
        raise RuntimeError("record.stamp() needs record.start(slug) in the page's first cell")
    seconds = time.perf_counter() - _clock["started"]
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    device = device_name() if "torch" in sys.modules else f"CPU ({_processor()})"
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    return Stamp(
        f"This page ({_clock['slug']}) was executed on {when} on {device} in {seconds:.1f} s, "
        f"profile {profile()}, ibtutor {_version('ibtutor')} at {commit()[:11]}; {used}."
    )
