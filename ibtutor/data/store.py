"""Where real data lies, whether it is whole, and how it gets there."""

from __future__ import annotations

import contextlib
import filecmp
import functools
import hashlib
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from ibtutor import _progress
from ibtutor.data.sources import SOURCES, Source

# What urllib, requests and the resolver say when there is no network.
_UNREACHABLE = ("urlopen error", "Max retries exceeded", "Name or service not known", "timed out")


class DataError(RuntimeError):
    """Data is missing, damaged, of the wrong size, or could not be downloaded."""


class Status(NamedTuple):
    """`state` is "ok", "missing" or "corrupt"; `message` says what to do about it.

    `lacking` counts files that a set can be opened without and `get` would fetch.
    """

    name: str
    state: str
    path: Path
    message: str
    lacking: int = 0


def root() -> Path:
    """The folder of all real data: `$IBTUTOR_DATA`, else `ibtutor` in the user's cache.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, {"IBTUTOR_DATA": "data"}):
    ...     root().name
    'data'
    """
    if chosen := os.environ.get("IBTUTOR_DATA"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        cache = Path("~/Library/Caches")
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    return cache.expanduser() / "ibtutor"


def names() -> list[str]:
    """The real data sets that this package can open.

    >>> names()
    ['cifar10', 'cifar100', 'cifar10h', 'flowers102', 'mnist']
    """
    return sorted(SOURCES)


def check(name: str) -> Status:
    """Whether `name` is here and whole: reads every listed file and compares checksums.

    Raises ValueError for a name that `names()` does not list.
    """
    source = _source(name)
    folder = root() / source.folder
    hint = f"Run: ibtutor data get {name}"
    state, found = _files(source, folder, _digest)
    if state != "ok":
        return Status(name, state, folder, f"{found}. {hint}")
    return Status(name, *source.inspect(folder, hint)) if source.inspect else _ok(name, folder)


def get(name: str) -> Path:
    """Download `name` unless it is here and whole; returns its folder.

    The files are downloaded and checked in a folder beside their place and moved there only when
    whole, so a download that was cut off leaves nothing half done and starts again cleanly.
    Damaged files are set aside in `FOLDER.corrupt`; what no download brings stays. Raises DataError
    if there is no network, the checksum is wrong or the folder cannot be written, ValueError for
    an unknown name.
    """
    status = check(name)
    if status.state == "ok" and not status.lacking:
        return status.path
    source = _source(name)
    staging = root() / f".{name}.partial"
    with _writing(staging):
        # What an earlier download left is gone on with, unless a file of it was cut off.
        if _files(source, staging / source.folder, _digest)[0] == "corrupt":
            shutil.rmtree(staging)
        staging.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.redirect_stderr(_progress.stream()):
            source.fetch(staging)
    except ImportError as error:
        raise DataError(f"{error.name} is needed to download {name}: {source.needs}") from error
    except (OSError, RuntimeError, ValueError, EOFError, HTTPException) as error:
        raise DataError(
            f"could not download {name}: {_reason(error)}; with a network, run: ibtutor data get "
            f"{name} (--verbose says more); without one, copy the folder {source.folder} from "
            f"another machine into {root()}"
        ) from error
    state, found = _files(source, staging / source.folder, _digest)
    if state != "ok":
        shutil.rmtree(staging, ignore_errors=True)
        raise DataError(f"what was downloaded of {name} is not whole, and dropped: {found}")
    with _writing(status.path):
        _move_into_place(staging / source.folder, status.path)
    shutil.rmtree(staging, ignore_errors=True)
    after = check(name)
    if after.state != "ok":
        raise DataError(f"{name} was downloaded, but {after.message}")
    return after.path


def ready(name: str) -> Path:
    """The folder of `name`, or a DataError that says which file lacks or is damaged.

    Compares checksums as `check` does, but reads a file again only if its time or size changed.
    """
    source = _source(name)
    folder = root() / source.folder
    state, found = _files(source, folder, _digest_once)
    if state != "ok":
        raise DataError(
            f"{name} is {'not here' if state == 'missing' else 'damaged'}: {found}. Run: ibtutor "
            f"data get {name} (or set IBTUTOR_DATA to the folder that has it)"
        )
    return folder


def _files(source: Source, folder: Path, digest: Callable[[Path, str], str]) -> tuple[str, str]:
    """The state of the listed files, and what is wrong with them."""
    missing = [file for file in source.files if not os.path.isfile(folder / file)]
    if missing:
        rest = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return "missing", f"no {missing[0]}{rest} in {folder}"
    for file, expected in source.files.items():
        try:
            found = digest(folder / file, expected)
        except OSError as error:
            return "corrupt", f"{folder / file} cannot be read: {error.strerror}"
        if found != expected:
            return "corrupt", f"{folder / file} has checksum {found}, not {expected}"
    return "ok", ""


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise ValueError(f"data must be one of {', '.join(names())}; got {name!r}")
    return SOURCES[name]


def _reason(error: Exception) -> str:
    """Why a download failed, in a few words; the rest stays in the chain of the exception."""
    details = "".join(traceback.format_exception_only(error))
    if any(sign in details for sign in _UNREACHABLE):
        return "no server could be reached"
    first = str(error).strip().partition("\n")[0]
    return first if len(first) <= 100 else first[:97] + "..."


def _ok(name: str, folder: Path) -> Status:
    return Status(name, "ok", folder, f"whole, in {folder}")


def _digest(path: Path, like: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5" if len(like) == 32 else "sha256").hexdigest()


def _digest_once(path: Path, like: str) -> str:
    found = path.stat()
    return _digest_as_of(path, like, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=256)
def _digest_as_of(path: Path, like: str, time: int, size: int) -> str:
    return _digest(path, like)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written: {error.strerror or error}. Set IBTUTOR_DATA to a folder "
            "that can"
        ) from error


def _move_into_place(new: Path, place: Path) -> None:
    """Move file by file: what lies in `place` beside the download is somebody's, and stays."""
    aside = place.with_name(place.name + ".corrupt")
    for file in sorted(path for path in new.rglob("*") if path.is_file()):
        name = file.relative_to(new)
        if (place / name).is_file():
            if filecmp.cmp(file, place / name, shallow=False):
                continue
            _move(place / name, aside / name)
        _move(file, place / name)


def _move(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(file, target)  # the folder of a set may be a link to another disk
