"""Parts that somebody sends: taken in after the same checks as one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ibtutor import record
from ibtutor.experiments import _parts
from ibtutor.experiments._parts import Part
from ibtutor.experiments._registry import ids
from ibtutor.experiments._run import finish
from ibtutor.experiments._sweep import Sweep, other_data


def take_in(folder: Path) -> list[dict[str, Any]]:
    """Copy the parts in a folder and those below it to one's own; one row a file.

    `state` is taken, there already, or refused: damaged, of other settings, data or network, of no
    experiment of today, or of a part that is there with another result or refused itself. Nothing
    is overwritten. A record that becomes complete is written.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    files = sorted(p for p in folder.rglob("*.json") if ".partial" not in p.parts and _is_part(p))
    if not files:
        raise ValueError(
            f"there is no part in {folder}: a part is a file PART.json, as in "
            f"{record.folder() / 'parts'}"
        )
    sweeps: dict[tuple[str, str], Sweep] = {}
    rows = []
    for path in files:
        row = {"file": str(path.relative_to(folder)), "state": "taken", "detail": ""}
        try:
            if not _take(path, sweeps):
                row["state"] = "there already"
        except record.RecordError as error:
            row |= {"state": "refused", "detail": str(error)}
        rows.append(row)
    for sweep in sweeps.values():
        finish(sweep)
    return rows


def _is_part(path: Path) -> bool:
    """Whether a file might be a part: records lie in the same folders."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return True  # damaged: to be refused by name
    return isinstance(body, dict) and "part" in body


def _take(path: Path, sweeps: dict[tuple[str, str], Sweep]) -> bool:
    """Whether the part was new; RecordError if it is refused."""
    part = _parts.read(path)
    if part.experiment not in ids():
        raise record.RecordError(f"{path}: there is no experiment {part.experiment} here")
    if part.profile not in record.PROFILES:
        raise record.RecordError(f"{path}: there is no profile {part.profile}")
    key = part.experiment, part.profile
    sweep = sweeps.setdefault(key, Sweep(*key))
    sweep.check(part)
    there, refused = sweep.done()
    if part.part in there:
        if _content(there[part.part]) == _content(part):
            return False
        where = there[part.part].provenance
        raise record.RecordError(
            f"{part.experiment}.{part.profile}: part {part.part} is there already with other "
            f"numbers, from {where['device']}, {where['date']}: that one stays"
        )
    own = sweep.path(part.part)
    if own.is_file():
        raise record.RecordError(
            f"{own} is there and not in use ({refused[part.part]}): move it away first"
        )
    for other in there.values():
        if said := other_data(part, other.provenance["data"]):
            raise record.RecordError(f"{part.experiment}.{part.profile}: part {part.part} {said}")
    _parts.write(own, part)
    return True


def _content(part: Part) -> str:
    return json.dumps([part.rows, part.summary], sort_keys=True)
