"""Records of runs: what was measured, with which settings, where, and by which code.

A record is one JSON file `ID.<profile>.json` (and `ID.<profile>.npz` beside it for arrays). It
holds a checksum of its own content, so that a truncated or edited file is refused, never shown.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ibtutor._files import arrays_to_bytes, atomic_write, bytes_to_arrays, digest_of, plain
from ibtutor.provenance import PROFILES, profile, provenance, stamp, start

__all__ = [
    "PROFILES",
    "Partial",
    "Record",
    "RecordError",
    "atomic_write",
    "find",
    "folder",
    "partial_folder",
    "plain",
    "profile",
    "provenance",
    "read",
    "read_body",
    "read_drift",
    "stamp",
    "start",
    "write",
    "write_body",
    "write_drift",
]

SCHEMA = 1
_PACKAGE = Path(__file__).resolve().parent


class RecordError(RuntimeError):
    """A record is missing, damaged, or does not belong to the code that asks for it."""


@dataclass(frozen=True)
class Record:
    """One recorded result. `rows` holds one dict a seed and setting; information in nats."""

    experiment: str
    profile: str
    config: dict[str, Any]
    differences: dict[str, str]
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    verdicts: dict[str, dict[str, Any]]
    provenance: dict[str, Any]
    arrays: dict[str, Any] = field(default_factory=dict, repr=False)
    size: str = ""  # in words, from the experiment's module
    stated: tuple[str, ...] | None = None  # settings that the paper states; None: not known
    stored_verdicts: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)  # origin of each
    share: str = ""  # what was run of an unfinished one, as "2 of 3 seeds"

    def frame(self):
        """The rows as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    @property
    def scale(self) -> str:
        """The scale in words, for a caption."""
        ours = self.experiment.startswith("ours")
        if self.profile == "paper" and self.share:
            return f"{self.size if ours else 'The settings of the paper'}, {self.share} so far"
        if self.profile == "paper":
            return self.size if ours else "The paper's scale"
        names = "; ".join([self.provenance["device"], *(p["device"] for p in self.parts.values())])
        kinds = {"CPU" if name.startswith("CPU") else "GPU" for name in names.split("; ")}
        device = " and ".join(sorted(kinds))
        whose = "full" if ours else "the paper's"
        some = f", {self.share} so far" if self.share else ""
        return f"{self.size}, {device}{some}: not {whose} scale"

    def origin(self) -> list[tuple[str, str]]:
        """Where the numbers come from, as rows of a table: name and value."""
        where = self.provenance
        seconds = f"{where['seconds']:,.0f} s on {where['device']}, {where['date']}"
        rows = [("record", f"{self.experiment}, profile {self.profile}"), ("run", seconds)]
        if self.share:
            rows.insert(1, ("unfinished", f"{self.share} so far"))
        for name, text in self.differences.items():
            stated = self.stated is None or name in self.stated
            what = "differs from the paper" if stated else "not in the paper; our full run differs"
            rows.append((f"{what}: {name}", text))
        rows.append(("versions", ", ".join(f"{k} {v}" for k, v in where["versions"].items())))
        devices = Counter(part["device"] for part in self.parts.values())
        if len(devices) > 1:
            rows.append(("parts", ", ".join(f"{n} on {name}" for name, n in devices.items())))
        return [*rows, ("commit", ", ".join(c[:10] for c in where["commit"].split("; ")))]

    def caption(self) -> str:
        """One line that says what the numbers are: scale, differences from the paper, origin."""
        return f"{self.scale}. " + "; ".join(f"{name}: {text}" for name, text in self.origin())


# --- where records live --------------------------------------------------------------------------


def folder() -> Path:
    """Where new records go: `$IBTUTOR_RECORDS`, else the checkout, else the user's data folder."""
    if chosen := os.environ.get("IBTUTOR_RECORDS"):
        return Path(chosen)
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        return _PACKAGE / "records"
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "ibtutor" / "records"


def find(experiment: str, profile: str) -> Path | None:
    """The file of a record: the user's own first, then the one shipped with the package."""
    for place in (folder(), _PACKAGE / "records"):
        path = place / f"{experiment}.{profile}.json"
        if path.is_file():
            return path
    return None


def partial_folder(experiment: str, profile: str, config: Mapping[str, Any]) -> Path:
    """Where an unfinished run keeps its state: one folder for each configuration."""
    name = f"{experiment}.{profile}.{digest_of(plain(config))[:12]}"
    return folder() / ".partial" / name


# --- write and read ------------------------------------------------------------------------------


def write(
    experiment: str,
    profile: str,
    *,
    config: Mapping[str, Any],
    differences: Mapping[str, str],
    rows: list[dict[str, Any]],
    summary: Mapping[str, Any],
    verdicts: Mapping[str, Mapping[str, Any]],
    provenance: Mapping[str, Any],
    arrays: Mapping[str, Any] | None = None,
    parts: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write a record; returns its path. `parts` has where each part of a sweep comes from."""
    body = {
        "experiment": experiment,
        "profile": profile,
        "config": config,
        "differences": differences,
        "rows": rows,
        "summary": summary,
        "verdicts": verdicts,
        "provenance": provenance,
    }
    if parts:
        body["parts"] = parts
    return write_body(folder() / f"{experiment}.{profile}.json", body, arrays)


def write_body(
    path: Path, body: Mapping[str, Any], arrays: Mapping[str, Any] | None = None
) -> Path:
    """Write a file with its checksum, arrays first, then the JSON that vouches for them."""
    body = {"schema": SCHEMA, **plain(body), "arrays": None}
    if arrays:
        data = arrays_to_bytes(arrays)
        atomic_write(_npz(path), data)
        body["arrays"] = hashlib.sha256(data).hexdigest()
    body["checksum"] = digest_of(body)
    return atomic_write(path, json.dumps(body, indent=1) + "\n")


def read_body(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `write_body` wrote: the body and the arrays; RecordError if it is not whole."""
    body = _read_body(path)
    return body, _read_arrays(path, body.pop("arrays"))


def _npz(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix('.json')}.npz")


def read(experiment: str, profile: str, expected_config: Mapping[str, Any] | None = None) -> Record:
    """Read a record and refuse it if it is not whole or not of this configuration.

    Raises
    ------
    RecordError
        There is none; it is truncated, edited or of another schema; its arrays are missing or
        changed; or its config differs from `expected_config`.
    """
    path = find(experiment, profile)
    if path is None:
        raise RecordError(
            f"no {profile} record of {experiment}; make one with "
            f"`ibtutor run {experiment} --profile {profile}`"
        )
    body = _read_body(path)
    if expected_config is not None:
        changed = _changed(body["config"], plain(expected_config))
        if changed:
            raise RecordError(f"{path.name} was made with another config ({changed}): run it again")
    arrays = _read_arrays(path, body.pop("arrays"))
    body.pop("schema")
    return Record(**body, arrays=arrays)


def _read_body(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        checksum = body.pop("checksum")
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, AttributeError, TypeError):
        size = path.stat().st_size
        raise RecordError(f"{path} is truncated or not a record ({size} bytes)") from None
    except OSError as error:
        raise RecordError(f"cannot read {path} ({error.strerror or error})") from None
    if checksum != digest_of(body):
        raise RecordError(f"{path} was changed after it was written: its checksum does not match")
    if body["schema"] != SCHEMA:
        raise RecordError(f"{path} has schema {body['schema']}, this code reads {SCHEMA}")
    return body


def _read_arrays(path: Path, digest: str | None) -> dict[str, Any]:
    if digest is None:
        return {}
    file = _npz(path)
    if not file.is_file():
        raise RecordError(f"{path.name} needs {file.name}, which is missing")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise RecordError(f"{file} does not belong to {path.name}: its checksum does not match")
    return bytes_to_arrays(data)


def added(name: str, recorded: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether a setting is younger than a record and empty: it changes nothing there.

    >>> added("more", {}, {"more": []}), added("more", {}, {"more": [0.1]})
    (True, False)
    """
    return name not in recorded and expected[name] in ([], None, "")


def _changed(recorded: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    names = sorted(recorded.keys() | expected.keys())
    parts = [
        f"{name}: recorded {recorded.get(name)!r}, now {expected.get(name)!r}"
        for name in names
        if recorded.get(name) != expected.get(name) and not added(name, recorded, expected)
    ]
    return "; ".join(parts)


# --- drift: what a rerun found -------------------------------------------------------------------


def write_drift(experiment: str, profile: str, rows: list[dict[str, Any]]) -> None:
    """Keep the numbers that a rerun could not confirm, tied to the record they speak of."""
    body = _read_body(find(experiment, profile))
    path = folder() / f"{experiment}.{profile}.drift.json"
    if rows:
        atomic_write(path, json.dumps({"record": digest_of(body), "rows": plain(rows)}, indent=1))
    else:
        path.unlink(missing_ok=True)


def read_drift(experiment: str, profile: str) -> list[dict[str, Any]]:
    """The numbers of a record that a rerun could not confirm; none for a newer record."""
    path = folder() / f"{experiment}.{profile}.drift.json"
    if not path.is_file():
        return []
    drift = json.loads(path.read_text(encoding="utf-8"))
    same = drift["record"] == digest_of(_read_body(find(experiment, profile)))
    return drift["rows"] if same else []


# --- state of a run that may be killed -----------------------------------------------------------


class Partial:
    """Finished pieces of a run, kept in a folder so that a killed run goes on where it was.

    `Partial(None)` keeps nothing. A piece is there whole or not at all.
    """

    def __init__(self, folder: Path | None):
        self.folder = None if folder is None else Path(folder)

    def _path(self, key: str) -> Path:
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in key)
        return self.folder / f"{name}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """What was put under `key` (arrays under its own key `"arrays"`), or None."""
        if self.folder is None or not self._path(key).is_file():
            return None
        try:
            body = _read_body(self._path(key))
            value = body["value"]
            if body["arrays"] is not None:
                value["arrays"] = _read_arrays(self._path(key), body["arrays"])
        except RecordError:
            return None  # a damaged piece is computed again
        return value

    def put(self, key: str, value: Mapping[str, Any], arrays: Mapping[str, Any] | None = None):
        """Keep one finished piece."""
        if self.folder is None:
            return
        write_body(self._path(key), {"key": key, "value": value}, arrays)

    def clear(self) -> None:
        """Delete the folder: the record is written, its pieces are not needed."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
