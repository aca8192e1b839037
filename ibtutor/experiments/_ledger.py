"""The ledger of all claims, and what still waits for a paper-scale record."""

from types import ModuleType

from ibtutor import record
from ibtutor.experiments._registry import ids, load
from ibtutor.experiments._run import recorded


def ledger() -> list[dict[str, str]]:
    """One row a claim: experiment, claim, source, profile of the record, verdict, null control.

    A claim without a record is `not run`; a record that `verify` found to have drifted is `stale`.
    """
    rows = []
    for experiment in ids():
        best = _best(experiment)
        for claim in load(experiment).CLAIMS:
            judged = best.verdicts.get(claim.id, {}) if best else {}
            rows.append(
                {
                    "experiment": experiment,
                    "claim": claim.id,
                    "text": claim.text,
                    "source": claim.source,
                    "profile": best.profile if best else "none",
                    "verdict": judged.get("verdict", "not run"),
                    "survives_null_control": judged.get("survives_null_control", ""),
                    "state": _state(experiment, best),
                }
            )
    return rows


def _best(experiment: str) -> record.Record | None:
    try:
        return recorded(experiment)
    except record.RecordError:
        return None


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
            best = _best(experiment)
            has = best.profile if best else "none"
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
