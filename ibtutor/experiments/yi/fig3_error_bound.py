"""Yi and others 2022, Figures 3 and 11: a lower bound on the error rate against the information.

Closed forms on a grid of informations, for balanced and imbalanced classes; and channels: random
ones, whose best classifier is known exactly and simulated as well, held against each bound.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ibtutor import _progress, record
from ibtutor.experiments._base import Claim, Reported, Result

TITLE = "How low the error can be, given the information"
SOURCE = "Yi and others 2022, Figures 3 and 11, Theorem 4"
CHAPTER = "error_bounds"
FIGURE = "Figures 3, 11"
SAYS = "The less information, the higher the least error; the bound is tighter than Fano's."
NEEDS: tuple[str, ...] = ()
GPU = False
SAME_NUMBERS = True  # simulated in float64 from a generator of each seed
STATED = ()  # the text names 100 classes and no other setting
DIFFERENCES: dict[str, str] = {}
REPORTED = {
    "bound_at_zero_100_classes": Reported(
        0.9, 0.05, 'remark after Theorem 4, "about" 0.9; the true error there is 0.99', "text"
    ),
}
KINDS = ("fano", "milc", "milc_bits", "weak_fano")
CLOSE = 1e-9


@dataclass(frozen=True)
class Config:
    """What is computed and drawn: the paper names 100 classes, the rest is our choice."""

    num_classes: tuple[int, ...] = (2, 10, 100, 1000)  # paper: 100; ours: the others
    priors: tuple[str, ...] = ("balanced", "heavy", "geometric")  # ours: the paper's are lost
    points: int = 21  # ours: shares of H(Y) from 0 to 1
    channels: int = 12  # ours: random channels for each number of classes and seed
    samples: int = 200_000  # ours: draws from each channel
    seeds: tuple[int, ...] = (0, 1, 2)  # ours


SMOKE = replace(Config(), num_classes=(2, 10, 100), channels=5, samples=20_000, seeds=(0,))
QUICK = replace(Config())


def size(config: Config) -> str:
    """The scale in words."""
    many = len(config.num_classes) * config.channels * len(config.seeds)
    return f"Closed form, and {many} channels with {config.samples:,} draws each"


def finding(result: Result) -> str:
    """What came of it, in one sentence with a number."""
    seen = result.summary
    return (
        f"100 classes, no information: {seen['milc']:.3f} ({seen['milc_bits']:.3f} in bits), "
        f"weak Fano {seen['weak_fano']:.3f}, Fano {seen['fano']:.2f}, which is exact."
    )


def shares(name: str, num_classes: int) -> np.ndarray:
    """Class shares `(K,)`: balanced; heavy, 0.9 and the rest even; geometric, each half the last.

    >>> shares("heavy", 3).round(3).tolist()
    [0.9, 0.05, 0.05]
    """
    if name == "balanced":
        return np.full(num_classes, 1 / num_classes)
    if name == "heavy":
        return np.array([0.9] + [0.1 / (num_classes - 1)] * (num_classes - 1))
    if name == "geometric":
        falling = 0.5 ** np.arange(num_classes, dtype=np.float64)
        return falling / falling.sum()
    raise ValueError(f"prior must be balanced, heavy or geometric, got {name!r}")


def curve(prior: str, num_classes: int, points: int) -> list[dict]:
    """Rows of every bound from no information to all of H(Y), in nats."""
    from ibtutor.info import entropy, error_lower_bound

    pi = shares(prior, num_classes)
    h_y = float(entropy(pi))
    kept = np.linspace(0.0, 1.0, points)
    found = {kind: error_lower_bound(kept * h_y, h_y, num_classes, kind) for kind in KINDS}
    common = {"seed": 0, "what": "curve", "prior": prior, "num_classes": num_classes}
    common |= {"h_y": h_y, "error_of_naming_the_largest": float(1 - pi.max())}
    return [
        {**common, "share": float(share), "information": float(share * h_y)}
        | {kind: float(values[i]) for kind, values in found.items()}
        for i, share in enumerate(kept)
    ]


def random_channel(rng: np.random.Generator, prior: np.ndarray) -> np.ndarray:
    """A joint table `(K, K)`: the label itself, mixed with a random law for each class."""
    k = len(prior)
    noise, concentration = rng.uniform(), 10.0 ** rng.uniform(-1.0, 2.0)
    law = rng.dirichlet(np.full(k, concentration), size=k)
    return prior[:, None] * ((1 - noise) * np.eye(k) + noise * law)


def simulate(rng: np.random.Generator, joint: np.ndarray, samples: int) -> dict[str, float]:
    """Error rates on fresh draws of the best classifier and of one that learned from draws."""
    law = joint.ravel() / joint.sum()
    learned = rng.multinomial(samples, law).reshape(joint.shape).argmax(0)
    fresh = rng.multinomial(samples, law).reshape(joint.shape)
    columns = np.arange(joint.shape[1])

    def rate(decision: np.ndarray) -> float:
        return 1.0 - fresh[decision, columns].sum() / samples

    return {"simulated_best": rate(joint.argmax(0)), "simulated_learned": rate(learned)}


def channel_row(rng: np.random.Generator, k: int, prior: str, samples: int) -> dict:
    """One random channel: its information, its least error, that of a simulation, the bounds."""
    from ibtutor.info import entropy, error_lower_bound, mutual_information

    joint = random_channel(rng, shares(prior, k))
    h_y = float(entropy(joint.sum(1)))
    information = min(float(mutual_information(joint)), h_y)
    row = {"what": "channel", "prior": prior, "num_classes": k, "h_y": h_y}
    row |= {"information": information, "share": information / h_y}
    row |= {"bayes": float(1 - joint.max(0).sum()), "samples": samples}
    row |= simulate(rng, joint, samples)
    return row | {kind: float(error_lower_bound(information, h_y, k, kind)) for kind in KINDS}


def run(
    config: Config, *, device: str = "cpu", progress: bool = True, resume: Path | None = None
) -> Result:
    """Rows of two kinds: `what` is "curve" (by prior, K, share) or "channel" (by seed)."""
    partial = record.Partial(resume)
    rows = [
        row
        for prior in config.priors
        for k in config.num_classes
        for row in curve(prior, k, config.points)
    ]
    for seed in config.seeds:
        kept = partial.get(f"seed{seed}")
        if kept is None:
            found = []
            for k in config.num_classes:
                rng = np.random.default_rng([seed, k])
                name = f"channels, K = {k}, seed {seed}"
                for i in _progress.bar(range(config.channels), desc=name, shown=progress):
                    prior = config.priors[i % len(config.priors)]
                    found.append({"seed": seed, **channel_row(rng, k, prior, config.samples)})
            kept = {"rows": found}
            partial.put(f"seed{seed}", kept)
        rows += kept["rows"]
    return Result(rows, summarize(rows))


def summarize(rows: list[dict]) -> dict[str, float]:
    """The bounds with 100 balanced classes and no information; the closest that anything came."""
    at_zero = next(
        row
        for row in rows
        if row["what"] == "curve"
        and row["prior"] == "balanced"
        and row["num_classes"] == 100
        and row["share"] == 0.0
    )
    channels = [row for row in rows if row["what"] == "channel"]
    summary = {kind: at_zero[kind] for kind in KINDS}
    summary["channels"] = len(channels)
    for kind in KINDS:
        summary[f"least_margin_{kind}"] = min(row["bayes"] - row[kind] for row in channels)
    summary["largest_lead_over_fano"] = max(
        row["milc"] - row["fano"] for row in rows if row["what"] == "curve"
    )
    return summary


def _curves(result: Result) -> list[dict]:
    return [row for row in result.rows if row["what"] == "curve"]


def _word(holds: bool) -> str:
    return "reproduced" if holds else "not reproduced"


def _falls(result: Result) -> str:
    frame = result.frame()
    frame = frame[frame.what == "curve"].sort_values("share")
    groups = [group.milc.to_numpy() for _, group in frame.groupby(["prior", "num_classes"])]
    return _word(all((np.diff(g) <= CLOSE).all() and g[-1] <= CLOSE for g in groups))


def _about_nine_tenths(result: Result) -> str:
    stated = REPORTED["bound_at_zero_100_classes"]
    off = [abs(result.summary[kind] - stated.value) for kind in ("milc", "milc_bits")]
    return _word(min(off) <= stated.tolerance and result.summary["milc"] < 0.99)


def _above(result: Result, other: str) -> str:
    lead = [row["milc"] - row[other] for row in _curves(result)]
    if all(value >= -CLOSE for value in lead) and max(lead) > CLOSE:
        return "reproduced"
    return "partly" if max(lead) > CLOSE else "not reproduced"


def _holds_for_channels(result: Result) -> str:
    for row in result.rows:
        if row["what"] != "channel":
            continue
        rate = row["simulated_best"]
        error = math.sqrt(max(rate * (1 - rate), 1 / row["samples"]) / row["samples"])
        if row["bayes"] < row["milc"] - CLOSE or rate < row["milc"] - 5 * error:
            return "not reproduced"
    return "reproduced"


def _imbalanced(result: Result) -> str:
    starts = [row for row in _curves(result) if row["share"] == 0.0]
    return _word(all(row["milc"] <= row["error_of_naming_the_largest"] + CLOSE for row in starts))


def _fano_is_met(result: Result) -> str:
    from ibtutor.info import error_lower_bound, label_smoothing_information

    worst = 0.0
    for k in {row["num_classes"] for row in result.rows}:
        for alpha in np.linspace(0.0, 1.0, 11):
            known = label_smoothing_information(alpha, num_classes=k)
            least = float(error_lower_bound(known, math.log(k), k))
            worst = max(worst, abs(least - alpha * (1 - 1 / k)))
    return _word(worst <= 1e-7)


CLAIMS = (
    Claim(
        "falls",
        "The bound never rises with the information and is 0 where the information is H(Y).",
        "Yi and others 2022, Figures 3 and 11",
        _falls,
    ),
    Claim(
        "about_nine_tenths",
        "With 100 balanced classes and no information the bound is 0.9, within 0.05, below the "
        "true 0.99.",
        "Yi and others 2022, remark after Theorem 4",
        _about_nine_tenths,
    ),
    Claim(
        "above_weak_fano",
        "The bound is nowhere below the textbook form of Fano's, (H(Y) - I - log 2) / log K.",
        "Yi and others 2022, remark after Theorem 4 (tighter than Fano's, read as the weak form)",
        lambda result: _above(result, "weak_fano"),
    ),
    Claim(
        "above_fano",
        "The bound is nowhere below Fano's inequality itself, solved for the error.",
        "Yi and others 2022, remark after Theorem 4 (tighter than Fano's, read as the inequality)",
        lambda result: _above(result, "fano"),
    ),
    Claim(
        "holds_for_channels",
        "In no random channel does the best classifier err less than the bound: not exactly, and "
        "not in a simulation by more than five standard errors.",
        "Yi and others 2022, Theorem 4",
        _holds_for_channels,
    ),
    Claim(
        "imbalanced",
        "With imbalanced classes and no information the bound stays below the error of always "
        "naming the largest class.",
        "Yi and others 2022, Theorem 4 and Figure 11 (whose shares we could not read: ours)",
        _imbalanced,
    ),
    Claim(
        "fano_is_met",
        "For every number of classes and every error rate the channel of label smoothing meets "
        "Fano's inequality, within 1e-7.",
        "ours: is there anything left to tighten?",
        _fano_is_met,
    ),
)
