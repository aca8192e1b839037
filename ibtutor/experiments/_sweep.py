"""A sweep: an experiment in a profile, which of its parts are there, and the record they make."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from ibtutor import record
from ibtutor.experiments import _parts
from ibtutor.experiments._base import Result
from ibtutor.experiments._parts import Part, file_name
from ibtutor.experiments._registry import differences, load, profile_config

_SHIPPED = Path(record.__file__).resolve().parent / "records"


class Sweep:
    """The parts of one experiment in one profile; see `_parts`.

    `only` is a pattern like "seed0-*": other parts are not run. ValueError if it fits none.
    """

    def __init__(self, experiment: str, profile: str, only: str = "*"):
        self.experiment, self.profile = experiment, profile
        self.module, self.config = load(experiment), profile_config(experiment, profile)
        self.names = _parts.names(self.module, self.config)
        self.only = only
        if not any(fnmatchcase(name, only) for name in self.names):
            raise ValueError(
                f"no part of {experiment}.{profile} is called {only!r}; they are called like "
                f"{self.names[0]!r}: see `ibtutor parts {experiment} --profile {profile}`"
            )
        self.record_before = self._record_stat()

    # --- where things lie ------------------------------------------------------------------------

    def folder(self) -> Path:
        """Where new parts go."""
        return record.folder() / "parts" / f"{self.experiment}.{self.profile}"

    def path(self, name: str) -> Path:
        """The file of a new part."""
        return self.folder() / f"{file_name(name)}.json"

    def find(self, name: str) -> Path | None:
        """The file of a part: the user's own first, then the one shipped with the package.

        While a sweep is run afresh, shipped ones do not count.
        """
        shipped = _SHIPPED / "parts" / self.folder().name / f"{file_name(name)}.json"
        places = [self.path(name)] if self.fresh().is_file() else [self.path(name), shipped]
        return next((path for path in places if path.is_file()), None)

    def fresh(self) -> Path:
        """A file that is there from `forget(fresh=True)` until the record is written."""
        return self.folder() / ".fresh"

    def unfinished(self, name: str) -> Path:
        """The folder in which a part that is not done keeps its state."""
        profile = f"{self.profile}.{file_name(name)}"
        return record.partial_folder(self.experiment, profile, self.identity(name))

    def _record_stat(self) -> tuple[int, int] | None:
        path = record.folder() / f"{self.experiment}.{self.profile}.json"
        found = path.stat() if path.is_file() else None
        return found and (found.st_mtime_ns, found.st_ino)

    def recorded_since(self) -> bool:
        """Whether another process has written the record since this sweep was opened."""
        return self._record_stat() not in (None, self.record_before)

    # --- what is there ---------------------------------------------------------------------------

    @cached_property
    def _identities(self) -> dict[bool, dict[str, Any]]:
        return {}

    def identity(self, name: str) -> dict[str, Any]:
        """What a part of that name must have been made with."""
        seeded = _parts.seed_of(name) is not None
        if seeded not in self._identities:
            self._identities[seeded] = _parts.identity(self.module, self.config, name)
        return self._identities[seeded]

    def missing(self) -> list[str]:
        """Names of parts without a file, most valuable first."""
        return [name for name in self.names if self.find(name) is None]

    def wanted(self) -> list[str]:
        """Those of the missing that are to be run."""
        return [name for name in self.missing() if fnmatchcase(name, self.only)]

    def any(self) -> bool:
        """Whether at least one part has a file."""
        return any(self.find(name) for name in self.names)

    def strays(self) -> list[Path]:
        """Files beside the parts that are none of them."""
        known = {f"{file_name(name)}.json" for name in self.names}
        folders = {self.folder(), _SHIPPED / "parts" / self.folder().name}
        return sorted(p for f in folders for p in f.glob("*.json") if p.name not in known)

    def check(self, part: Part) -> None:
        """Raise RecordError if a part is not one of this sweep."""
        name = f"{part.experiment}.{part.profile}: part {part.part}"
        if (part.experiment, part.profile) != (self.experiment, self.profile):
            raise record.RecordError(f"{name} is no part of {self.experiment}.{self.profile}")
        if part.part not in self.names:
            raise record.RecordError(f"{name} is not in the settings of today")
        if changed := _parts.differing(part.identity, self.identity(part.part)):
            where = f"commit {part.provenance['commit'][:10]}"
            raise record.RecordError(f"{name} was made with other settings at {where} ({changed})")

    def done(self) -> tuple[dict[str, Part], dict[str, str]]:
        """Parts that are whole and of these settings, in order, and what is wrong with others."""
        found: dict[str, Part] = {}
        refused: dict[str, str] = {}
        for name in self.names:
            path = self.find(name)
            if path is None:
                continue
            try:
                part = _parts.read(path)
                if part.part != name:
                    raise record.RecordError(f"{path} holds the part {part.part}")
                self.check(part)
                found[name] = part
            except record.RecordError as error:
                refused[name] = str(error)
        return found, refused | self._of_other_data(found)

    def _of_other_data(self, found: dict[str, Part]) -> dict[str, str]:
        """Take out parts whose data are not those of most; says which."""
        seen: dict[str, Counter] = {}
        for part in found.values():
            for key, value in part.provenance["data"].items():
                seen.setdefault(key, Counter())[value] += 1
        usual = {key: values.most_common(1)[0][0] for key, values in seen.items()}
        refused = {}
        for name, part in list(found.items()):
            if said := other_data(part, usual):
                refused[name] = f"{self.experiment}.{self.profile}: part {name} {said}"
                del found[name]
        return refused

    # --- what is made ----------------------------------------------------------------------------

    def put(self, name: str, result: Result, provenance: Mapping[str, Any]) -> Path:
        """Write a finished part and forget its unfinished state."""
        path = _parts.write(self.path(name), self.part(name, result, provenance))
        shutil.rmtree(self.unfinished(name), ignore_errors=True)
        return path

    def part(self, name: str, result: Result, provenance: Mapping[str, Any]) -> Part:
        """A finished part as its file holds it."""
        return Part(
            experiment=self.experiment,
            profile=self.profile,
            part=name,
            identity=self.identity(name),
            rows=record.plain(result.rows),
            summary=record.plain(result.summary),
            provenance=dict(provenance),
            arrays=result.arrays,
        )

    def assemble(self, done: Mapping[str, Part]) -> Result:
        """The result of the parts there are."""
        if self.names == (_parts.WHOLE,):
            return done[_parts.WHOLE].result
        result = self.module.assemble(self.config, {n: p.result for n, p in done.items()})
        return result

    def record(self, done: Mapping[str, Part], judge: Any) -> record.Record:
        """The record that parts make; `share` says how much of it there is."""
        result = self.assemble(done)
        return record.Record(
            experiment=self.experiment,
            profile=self.profile,
            config=record.plain(asdict(self.config)),
            differences=differences(self.experiment, self.config),
            rows=record.plain(result.rows),
            summary=record.plain(result.summary),
            verdicts=judge(self.experiment, result),
            provenance=together([part.provenance for part in done.values()]),
            arrays=result.arrays,
            size=self.module.size(self.config),
            stated=tuple(self.module.STATED),
            parts=origins(done) if self.names != (_parts.WHOLE,) else {},
            share=_parts.share(self.names, done),
        )

    def forget(self, *, fresh: bool = False) -> None:
        """Delete the parts and the state of unfinished ones; `fresh`: shipped ones, too, are void.

        What is shipped cannot be deleted: it does not count until the record is written.
        """
        if fresh:
            record.atomic_write(self.fresh(), "")
        for name in self.names:
            path = self.path(name)
            path.unlink(missing_ok=True)
            path.with_name(f"{file_name(name)}.npz").unlink(missing_ok=True)
            shutil.rmtree(self.unfinished(name), ignore_errors=True)
        for folder in (self.folder(), self.folder().parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def other_data(part: Part, usual: Mapping[str, str]) -> str:
    """How a part's data differ from those known by the same names, in words; "" if nowhere."""
    said = [
        f"{key} {value}, here {usual[key]}"
        for key, value in part.provenance["data"].items()
        if usual.get(key, value) != value
    ]
    return f"was made with other data: {'; '.join(said)}" if said else ""


def origins(done: Mapping[str, Part]) -> dict[str, dict[str, Any]]:
    """Where each part comes from."""
    names = ("device", "seconds", "date", "commit")
    return {name: {key: p.provenance[key] for key in names} for name, p in done.items()}


def together(provenances: list[dict[str, Any]]) -> dict[str, Any]:
    """The provenance of parts as that of one run: what differs is listed, seconds are added up."""

    def listed(key: str) -> str:
        return "; ".join(dict.fromkeys(p[key] for p in provenances))

    latest = max(provenances, key=lambda p: p["date"])
    versions = {
        name: "; ".join(dict.fromkeys(p["versions"][name] for p in provenances))
        for name in latest["versions"]
    }
    return {
        "commit": listed("commit"),
        "versions": versions,
        "device": listed("device"),
        "seconds": round(sum(p["seconds"] for p in provenances), 2),
        "date": latest["date"],
        "data": {key: value for p in provenances for key, value in p["data"].items()},
    }
