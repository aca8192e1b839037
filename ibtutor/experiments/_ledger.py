"""The ledger of all claims, and what still waits for a paper-scale record."""

from contextlib import suppress
from types import ModuleType

from ibtutor import record
from ibtutor.experiments._registry import ids, load
from ibtutor.experiments._run import recorded
from ibtutor.experiments._verdicts import verdict_word


def ledger() -> list[dict[str, str]]:
    """One row a claim: experiment, chapter, claim, source, profile, verdict, null control, state.

    The verdict is that of the fullest complete record that judged the claim: paper scale, else
    quick. A claim that no record judged is `not run`; one whose record `verify` found to have
    drifted is `stale`. `so_far` is what the fullest unfinished run says, in words, with the share
    of it that was run; it never stands for the verdict.
    """
    return [row for experiment in ids() for row in rows_of(experiment)]


def rows_of(experiment: str) -> list[dict[str, str]]:
    """The ledger's rows of one experiment."""
    rows = []
    everything = _records(experiment)
    records = [found for found in everything if not found.share]
    unfinished = next((r for r in everything if r.share), None)
    for claim in load(experiment).CLAIMS:
        found = [r for r in records if r.verdicts[claim.id]["verdict"] != "not run"]
        best = found[0] if found else None
        judged = best.verdicts[claim.id] if best else {}
        rows.append(
            {
                "experiment": experiment,
                "chapter": load(experiment).CHAPTER,
                "claim": claim.id,
                "text": claim.text,
                "source": claim.source,
                "profile": best.profile if best else "none",
                "verdict": judged.get("verdict", "not run"),
                "survives_null_control": judged.get("survives_null_control", ""),
                "controls": judged.get("controls", {}),
                "changed": claim.changed,
                "state": _state(experiment, best),
                "so_far": _so_far(unfinished, claim.id),
            }
        )
    return rows


def _records(experiment: str) -> list[record.Record]:
    """The valid records of an experiment, fullest first."""
    found = []
    for profile in ("paper", "quick"):
        with suppress(record.RecordError):
            found.append(recorded(experiment, profile))
    return found


def _state(experiment: str, best: record.Record | None) -> str:
    if best is None:
        return "not run"
    drift = record.read_drift(experiment, best.profile)
    return "stale" if drift else "current"


def _so_far(unfinished: record.Record | None, claim: str) -> str:
    if unfinished is None:
        return ""
    judged = unfinished.verdicts[claim]
    return verdict_word(judged["verdict"], judged["source"], unfinished.profile, unfinished.share)


def pending() -> list[dict[str, str]]:
    """Experiments without a complete paper-scale record, with what each one waits for.

    The reason is `not run`, `no data` (real data it needs is not on this machine) or `no GPU`;
    `recorded` is the fullest complete record, `parts` what there is of the fullest unfinished one.
    """
    rows = []
    for experiment in ids():
        try:
            found = recorded(experiment, "paper")
            if not found.share:
                continue
            detail = found.scale
        except record.RecordError as error:
            detail = str(error)
        records = _records(experiment)
        whole = [r.profile for r in records if not r.share]
        parts = [f"{r.share} ({r.profile})" for r in records if r.share]
        rows.append(
            {"experiment": experiment, "reason": _reason(load(experiment))}
            | {"recorded": (whole or ["none"])[0], "parts": (parts or ["none"])[0]}
            | {"detail": detail}
        )
    return rows


def _reason(module: ModuleType) -> str:
    from ibtutor import data

    if any(data.check(name).state != "ok" for name in module.NEEDS):
        return "no data"
    if module.GPU:
        import torch

        if not torch.cuda.is_available():
            return "no GPU"
    return "not run"
