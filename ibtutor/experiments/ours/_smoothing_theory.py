"""Every way to smooth disagreeing labels at one rate: relevance kept, and the certified bound."""

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

from ibtutor import _progress, info

METHODS = ("ls", "channel", "geometric", "agreement", "bottleneck")


def encoders(p_y_given_x: Tensor, p_x: Tensor, rate: float, restarts: int) -> dict[str, Tensor]:
    """Soft targets `(N, K)` of the five methods, all with I(X;T) = `rate`."""
    w = p_y_given_x
    channel = info.best_channel(w, rate, p_x=p_x, restarts=restarts)
    return {
        "ls": info.label_smoothing_at_rate(w, rate, p_x=p_x),
        "channel": info.pool_labels(w, channel),
        "geometric": info.geometric_smoothing(w, rate, p_x=p_x),
        "agreement": info.agreement_smoothing(w, rate, p_x=p_x),
        "bottleneck": info.bottleneck_at_rate(w, rate, p_x=p_x).encoder(0),
    }


def rows_at_rate(p_y_given_x: Tensor, p_x: Tensor, rate: float, config) -> list[dict]:
    """One row a method, with I(T;Y), and one for the certified bound."""
    rows = []
    targets = encoders(p_y_given_x, p_x, rate, config.channel_restarts)
    targets |= _weaker(p_y_given_x, p_x, rate)
    for method, encoder in targets.items():
        plane = info.information_plane(encoder, p_y_given_x=p_y_given_x, p_x=p_x)
        row = {"part": "theory", "method": method, "seed": 0, "rate": rate}
        row |= {"i_xt": float(plane.i_xt), "i_ty": float(plane.i_ty)}
        row |= decoding(p_y_given_x, p_x, encoder)
        rows.append(row)
    bound = info.bottleneck_bound(p_y_given_x, rate, p_x=p_x, starts=config.bound_starts)
    rows.append(
        {"part": "theory", "method": "bound", "seed": 0, "rate": rate, "i_xt": rate, "i_ty": bound}
    )
    return rows


def _weaker(p_y_given_x: Tensor, p_x: Tensor, rate: float) -> dict[str, Tensor]:
    """The majority vote smoothed uniformly, and the optimum of the confidence penalty."""
    vote = torch.nn.functional.one_hot(p_y_given_x.argmax(1), p_y_given_x.shape[1]).double()
    found = {}
    with suppress(ValueError):  # the vote's own information may be below this rate
        found["majority"] = info.label_smoothing_at_rate(vote, rate, p_x=p_x)
    penalized = _penalty_at_rate(p_y_given_x, p_x, rate)
    if penalized is not None:
        found["penalty"] = penalized
    return found


def _penalty_at_rate(p_y_given_x: Tensor, p_x: Tensor, rate: float) -> Tensor | None:
    """The optimum of the confidence penalty at the beta that gives this rate."""
    from scipy.optimize import brentq

    distinct, index = p_y_given_x.unique(dim=0, return_inverse=True)

    def encoder(beta: float) -> Tensor:
        return info.confidence_penalty_encoder(distinct, beta)[index]

    def excess(beta: float) -> float:
        return float(info.information_plane(encoder(beta), p_x=p_x).i_xt) - rate

    high = 1.0
    while excess(high) > 0 and high < 1e4:
        high *= 4
    if excess(0.0) < 0:
        return None
    return encoder(brentq(excess, 0.0, high, xtol=1e-13))


def decoding(p_y_given_x: Tensor, p_x: Tensor, encoder: Tensor) -> dict[str, float]:
    """What the best guess from T can name: number of classes, and how often it is the label."""
    joint = (encoder * p_x[:, None]).T @ p_y_given_x
    used = joint.sum(1) > 1e-9
    guesses = joint[used].argmax(1)
    return {
        "decoded_classes": len(guesses.unique()),
        "decoded_agreement": joint[used].amax(1).sum().item(),
    }


def shared_symbol(
    p_y_given_x: Tensor, p_x: Tensor, encoder: Tensor, pair: tuple[int, int]
) -> float:
    """Overlap of p(t|y) of two classes: 1 if T cannot tell them apart, 0 if it always can."""
    joint = p_y_given_x.T @ (encoder * p_x[:, None])
    given = joint / joint.sum(1, keepdim=True)
    a, b = given[pair[0]], given[pair[1]]
    # Bhattacharyya overlap: it does not depend on how a symbol is split into equal ones.
    return (a * b).sqrt().sum().item()


def label_facts(p_y_given_x: Tensor, p_x: Tensor) -> dict:
    """The quantities of the labels alone, and the local slopes of Theorem S5."""
    labels = info.information_plane(p_y_given_x, p_y_given_x=p_y_given_x, p_x=p_x)
    prior = p_x @ p_y_given_x
    agreement = (p_y_given_x * p_x[:, None]).T @ p_y_given_x
    root = prior.sqrt()
    eigenvalues = torch.linalg.eigvalsh(agreement / root[:, None] / root).flip(0)[1:]
    covariance = agreement - prior[:, None] * prior
    spread = (p_x[:, None] * (p_y_given_x - prior) ** 2).sum()
    uniform = (covariance**2 / prior[:, None]).sum() / spread
    return {
        "h_y": float(labels.h_y),
        "i_xy": float(labels.i_xt),
        "h_y_given_x": float(labels.h_y - labels.i_xt),
        "ceiling": float(labels.i_ty),
        "distinct_posteriors": len(p_y_given_x.unique(dim=0)),
        "lambda_2": eigenvalues[0].item(),
        "slope_uniform": uniform.item(),
        "slope_prior": (eigenvalues.square().sum() / eigenvalues.sum()).item(),
        "contraction": info.contraction_coefficient(p_y_given_x, p_x=p_x),
        **mixture_weights(p_y_given_x),
    }


def mixture_weights(p_y_given_x: Tensor) -> dict[str, int]:
    """The hypothesis of Theorem S4, pair by pair: one-hots, and how many mixtures of just two."""
    classes = p_y_given_x.shape[1]
    unanimous = {int(row.argmax()) for row in p_y_given_x if row.max() == 1}
    weights: dict[tuple[int, int], set[float]] = {}
    for row in p_y_given_x[(p_y_given_x > 0).sum(1) == 2]:
        a, b = row.nonzero()[:, 0].tolist()
        weights.setdefault((a, b), set()).add(round(row[a].item(), 12))
    pairs = [(a, b) for a in range(classes) for b in range(a + 1, classes)]
    counts = [len(weights.get(p, ())) if set(p) <= unanimous else 0 for p in pairs]
    return {
        "pairs": len(pairs),
        "pairs_that_forbid_channels": sum(c >= 2 for c in counts),
        "fewest_mixture_weights": min(counts),
        "most_mixture_weights": max(counts),
    }


def in_parts(keys: list, work: Callable, partial, progress: bool, name: str) -> list[dict]:
    """`work(key)` for each key with a bar, kept in `partial` so that a killed run goes on."""
    rows: list[dict] = []
    for key in _progress.bar(keys, desc=name, shown=progress):
        stored = partial.get(f"{name}_{key}")
        if stored is None:
            stored = {"rows": work(key)}
            partial.put(f"{name}_{key}", stored)
        rows += stored["rows"]
    return rows
