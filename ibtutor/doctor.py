"""What `ibtutor doctor` says: versions, machine, data, records, and how long things take here."""

from typing import Any

from ibtutor import data, experiments, machine, provenance, record

BAD = ("missing", "corrupt", "refused")


def rows(probe: bool = True) -> list[dict[str, str]]:
    """One row a thing: what, its state, a detail. With `probe` steps are counted for five seconds.

    A state of `BAD` is a problem.
    """
    found = [_version(name, version) for name, version in provenance.versions().items()]
    found += [_row(what, "ok", detail) for what, detail in _machine().items()]
    found += [_data(name) for name in data.names()]
    speed = machine.probe() if probe else None
    if speed:
        found += [_row(what, "ok", detail) for what, detail in _chapter(speed).items()]
    for experiment in experiments.ids():
        for profile in record.PROFILES:
            if record.find(experiment, profile):
                found.append(_record(experiment, profile, speed))
    refused = experiments.refused_parts().items()
    return found + [_row(f"part {part}", "refused", why) for part, why in refused]


def _row(what: str, state: str, detail: str) -> dict[str, str]:
    return {"what": what, "state": state, "detail": detail}


def _version(name: str, version: str) -> dict[str, str]:
    return _row(name, "missing" if version == "not installed" else "ok", version)


def _machine() -> dict[str, str]:
    import torch

    best = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "device": provenance.device_name(best),
        "memory": machine.memory(),
        "accelerator": machine.accelerator(),
        "disk for data": machine.disk(data.root()),
        "disk for records": machine.disk(record.folder()),
        "records go to": str(record.folder()),
    }


def _data(name: str) -> dict[str, str]:
    status = data.check(name)
    state = "absent" if status.state == "missing" else status.state
    return _row(f"data {name}", state, str(status.path))


def _chapter(speed: machine.Speed) -> dict[str, str]:
    middle, longest = (speed.minutes(s, "dense") for s in machine.CHAPTER_SECONDS)
    return {
        "speed": f"{speed.dense:.0f} dense, {speed.conv:.0f} convolutional steps a second, one "
        "thread",
        "a chapter (profile smoke)": f"{machine.words(middle)}, the longest "
        f"{machine.words(longest)}",
    }


def _record(experiment: str, profile: str, speed: machine.Speed | None) -> dict[str, str]:
    """Whether a record is sound, and about how long it would take to make it again here."""
    what = f"record {experiment}.{profile}"
    try:
        where: dict[str, Any] = experiments.recorded(experiment, profile).provenance
    except record.RecordError as error:
        return _row(what, "refused", str(error))
    if not speed:
        return _row(what, "ok", "")
    if not where["device"].startswith("CPU"):
        return _row(what, "ok", f"took {machine.words(where['seconds'] / 60)} on {where['device']}")
    return _row(what, "ok", f"again here: {machine.words(speed.minutes(where['seconds']))}")
