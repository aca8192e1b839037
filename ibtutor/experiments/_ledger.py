"""The ledger of all claims, and what still waits for a paper-scale record."""

from contextlib import suppress
from types import ModuleType

from ibtutor import record
from ibtutor.experiments._registry import ids, load
from ibtutor.experiments._run import recorded


def ledger() -> list[dict[str, str]]:
    """One row a claim: experiment, chapter, claim, source, profile, verdict, null control, state.

    The verdict is that of the fullest record that judged the claim: paper scale, else quick. A
    claim that no record judged is `not run`; one whose record `verify` found to have drifted is
    `stale`.
    """
    rows = []
    for experiment in ids():
        records = _records(experiment)
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


def pending() -> list[dict[str, str]]:
    """Experiments without a paper-scale record, with what each one waits for.

    The reason is `not run`, `no data` (real data it needs is not on this machine) or `no GPU`.
    """
    rows = []
    for experiment in ids():
        try:
            recorded(experiment, "paper")
        except record.RecordError as error:
            reason, detail = _reason(load(experiment)), str(error)
            records = _records(experiment)
            has = records[0].profile if records else "none"
            rows.append(
                {"experiment": experiment, "reason": reason, "recorded": has, "detail": detail}
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
