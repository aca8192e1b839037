"""Six estimators of I(Z; Y) side by side, and what can be seen of their error without the truth.

Information stays when a coordinate is stretched, when half of the sample is dropped, and when the
estimator's own free number is chosen otherwise. An estimate that moves then was not information.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ibtutor.info.binning import binned_information, counted_information
from ibtutor.info.gaussian_bound import gaussian_entropy_bound
from ibtutor.info.knn import BiasWarning, knn_entropy, knn_mutual_information

HALVES = 8  # half samples, complementary pairs
SANE = 0.3  # of the value may remain when the labels are shuffled, for a witness
VOTERS = 15  # neighbors that vote in the classifier behind the lower bound
# Rows are copies if at least this many distinct ones a class repeat, at least this many should
# carry several labels by the vote of so many neighbors, and at most so large a share of them does.
COPIED, COPY_VOTERS, COPY_SHARE = 10, 3, 0.1
# An error is counted in units of the value, but never of less than this share of H(Y).
LEAST_SHARE = 0.1


@dataclass(frozen=True)
class Sample:
    z: Tensor  # (N, d) float64
    y: Tensor  # (N,) int64 from 0

    def take(self, rows: Tensor) -> Sample:
        return Sample(self.z[rows], self.y[rows])

    def rows_of(self) -> list[Tensor]:
        return [(self.y == c).nonzero()[:, 0] for c in range(int(self.y.max()) + 1)]

    @property
    def entropy(self) -> float:
        share = self.y.bincount().double() / len(self.y)
        return torch.special.entr(share).sum().item()


def counted(s: Sample, tuned: bool = False) -> float:
    return counted_information(s.z, s.y, corrected=not tuned).item()


def binned(s: Sample, tuned: bool = False) -> float:
    return binned_information(s.z, s.y, 20 if tuned else 30).item()


def neighbors(s: Sample, tuned: bool = False) -> float:
    k = 9 if tuned else 3
    return knn_mutual_information(s.z, s.y, k, norm="euclidean", repeats="count").item()


def entropies(s: Sample, tuned: bool = False) -> float:
    k = 9 if tuned else 3
    parts = [len(r) / len(s.y) * knn_entropy(s.z[r], k).item() for r in s.rows_of()]
    return knn_entropy(s.z, k).item() - math.fsum(parts)


def gaussian(s: Sample, tuned: bool = False) -> float:
    how = {"corrected": not tuned}
    within = gaussian_entropy_bound(s.z, s.y, **how)
    return (gaussian_entropy_bound(s.z, **how) - within).item()


def gaussian_classes(s: Sample, tuned: bool = False) -> float:
    """A Gaussian for each class: half way between the sample's own and the cross-fitted value."""
    crossed = s.entropy - _cross_fitted(s, _gaussian_log_p).item()
    if tuned:
        return crossed
    own = s.entropy - _log_loss(_gaussian_log_p(s, s), s.y).item()
    return (own + crossed) / 2


ESTIMATORS: dict[str, Callable[..., float]] = {
    "counted": counted,
    "binned": binned,
    "neighbors": neighbors,
    "entropies": entropies,
    "Gaussian bounds": gaussian,
    "Gaussian classes": gaussian_classes,
}


def measure(s: Sample, seed: int) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Values and symptoms of each estimator, and why those fail that do."""
    found: dict[str, dict[str, float]] = {}
    failed: dict[str, str] = {}
    halves = _halves(s, seed)
    stretched = Sample(_normal_scores(s.z), s.y)
    shuffled = _shuffled(s, seed)
    floor = lower_bound(s)
    common = {"repeats": _repeats(s.z), "copies": copies(s)}
    for name, estimate in ESTIMATORS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BiasWarning)
                value, other = estimate(s), estimate(s, tuned=True)
                parts = torch.tensor([estimate(h) for h in halves], dtype=torch.float64)
                moved = value if name == "counted" else estimate(stretched)
                chance = max(estimate(mixed) for mixed in shuffled)
        except (ValueError, torch.linalg.LinAlgError) as error:
            failed[name] = _in_short(error)
            continue
        if not math.isfinite(value):
            failed[name] = f"its value is {value}"
            continue
        scale = max(abs(value), LEAST_SHARE * s.entropy)
        found[name] = {
            "value": value,
            "drift": abs(parts.mean().item() - value) / scale,
            "noise": parts.std().item() / math.sqrt(2) / scale,
            "stretch": abs(moved - value) / scale,
            "tuning": abs(other - value) / scale,
            "floor": max(floor - value, 0.0) / scale,
            "shuffled": max(chance, 0.0) / scale,
            "ceiling": max(value - s.entropy, 0.0) / s.entropy,
            **common,
        }
    for own in found.values():  # the nearest of the others that do not see what is not there
        scale = max(abs(own["value"]), LEAST_SHARE * s.entropy)
        others = [o for o in found.values() if o is not own and o["shuffled"] < SANE]
        own["alone"] = min((abs(o["value"] - own["value"]) / scale for o in others), default=1.0)
    return found, failed


def _in_short(error: Exception) -> str:
    """Its first sentence, from where the reason begins and without the advice."""
    return str(error).split(";")[0].split(". ")[0].split(":")[-1].strip()


def lower_bound(s: Sample) -> float:
    """H(Y) less a held-out log loss is at most I(Z; Y), on average; less two standard errors."""
    best = 0.0
    losses = [_vote_losses(s)]
    with contextlib.suppress(ValueError):  # too few rows for a covariance
        losses.append(_cross_fitted(s, _gaussian_log_p, mean=False))
    for loss in losses:
        error = loss.std().item() / math.sqrt(len(loss))
        best = max(best, s.entropy - loss.mean().item() - 2 * error)
    return best


def _halves(s: Sample, seed: int) -> list[Sample]:
    generator = torch.Generator().manual_seed(seed)
    halves = []
    for _ in range(HALVES // 2):
        first, second = [], []
        for rows in s.rows_of():
            order = rows[torch.randperm(len(rows), generator=generator)]
            first.append(order[: len(order) // 2])
            second.append(order[len(order) // 2 :])
        halves += [s.take(torch.cat(first)), s.take(torch.cat(second))]
    return halves


def _shuffled(s: Sample, seed: int) -> list[Sample]:
    """The same with labels in random order: nothing is left to be found."""
    generator = torch.Generator().manual_seed(seed + 1)
    return [Sample(s.z, s.y[torch.randperm(len(s.y), generator=generator)]) for _ in range(2)]


def _normal_scores(z: Tensor) -> Tensor:
    """Each coordinate by its ranks, equal values sharing theirs, through the normal quantile."""
    ordered = z.sort(0).values.T.contiguous()
    columns = z.T.contiguous()
    low = torch.searchsorted(ordered, columns)
    high = torch.searchsorted(ordered, columns, right=True)
    return torch.special.ndtri((low + high).T / (2 * len(z)))


def _repeats(z: Tensor) -> float:
    """Share of the rows that occur more than once."""
    counts = z.unique(dim=0, return_counts=True)[1]
    return counts[counts > 1].sum().item() / len(z)


def copies(s: Sample) -> float:
    """Share of the rows that look like copies of another row, label and all; 0 without a case.

    A latent of few values repeats too, but where its neighbors disagree on the label, so do its
    own repeats. Copies agree with themselves where their neighbors do not: of the values that
    repeat, fewer carry several labels than votes of the nearest other values lead to expect.
    """
    values, where = s.z.unique(dim=0, return_inverse=True)
    k = int(s.y.max()) + 1
    counts = torch.zeros(len(values), k, dtype=torch.float64)
    counts.index_put_((where, s.y), torch.ones(len(where), dtype=torch.float64), accumulate=True)
    seen = counts.sum(1)
    again = seen > 1
    if again.sum() <= COPIED * k:
        return 0.0
    p = _votes(values, counts / seen.unsqueeze(1), COPY_VOTERS)[again]
    expected = (1 - (p ** seen[again].unsqueeze(1)).sum(1)).sum().item()
    one_label = again & ((counts > 0).sum(1) == 1)
    mixed = (again.sum() - one_label.sum()).item()
    if expected < COPIED or mixed > COPY_SHARE * expected:
        return 0.0
    return ((seen[one_label] - 1).sum() / len(s.y)).item()


def _gaussian_log_p(train: Sample, test: Sample) -> Tensor:
    """log p(y | z) by Bayes' rule with a Gaussian for each class, `(N, K)`."""
    d, columns = train.z.shape[1], []
    for rows in train.rows_of():
        part = train.z[rows]
        if len(part) < d + 2:
            raise ValueError(f"a class has {len(part)} rows for {d} dimensions")
        centered = part - part.mean(0)
        covariance = centered.T @ centered / (len(part) - 1)
        factor, wrong = torch.linalg.cholesky_ex(covariance)
        if wrong or factor.diagonal().min() <= 1e-7 * factor.diagonal().max():
            raise ValueError("a class has a singular covariance")
        white = torch.linalg.solve_triangular(factor, (test.z - part.mean(0)).T, upper=False)
        log_density = -0.5 * white.square().sum(0) - factor.diagonal().log().sum()
        columns.append(log_density + math.log(len(part) / len(train.y)))
    return torch.stack(columns, 1).log_softmax(1)


def _log_loss(log_p: Tensor, y: Tensor) -> Tensor:
    return -log_p.gather(1, y.unsqueeze(1)).mean()


def _cross_fitted(s: Sample, fit: Callable[..., Tensor], mean: bool = True) -> Tensor:
    """Log loss of every row under a fit to the other four fifths."""
    fold = torch.empty(len(s.y), dtype=torch.int64)
    for rows in s.rows_of():
        fold[rows] = torch.arange(len(rows)) % 5
    loss = s.z.new_empty(len(s.y))
    for i in range(5):
        test = s.take((fold == i).nonzero()[:, 0])
        log_p = fit(s.take((fold != i).nonzero()[:, 0]), test)
        loss[fold == i] = -log_p.gather(1, test.y.unsqueeze(1))[:, 0]
    return loss.mean() if mean else loss


def _vote_losses(s: Sample) -> Tensor:
    """Log loss of every row when its nearest neighbors vote, the row itself left out."""
    one_hot = torch.nn.functional.one_hot(s.y, int(s.y.max()) + 1).double()
    voters = min(VOTERS, len(s.y) - 1)
    p = (voters * _votes(s.z, one_hot, voters) + one_hot.mean(0)) / (voters + 1)
    return -p.gather(1, s.y.unsqueeze(1))[:, 0].log()


def _votes(z: Tensor, labels: Tensor, voters: int) -> Tensor:
    """Mean of `labels` `(N, K)` over the nearest other rows of `z` `(N, d)`, units removed."""
    n = len(z)
    votes = torch.empty_like(labels)
    z = (z - z.mean(0)) / z.std(0).clamp(min=1e-12)
    step = max(1, 2**22 // n)
    for start in range(0, n, step):
        rows = torch.arange(start, min(start + step, n))
        apart = torch.cdist(z[rows], z)
        apart[rows - start, rows] = math.inf
        near = apart.topk(voters, largest=False).indices
        votes[rows] = labels[near].mean(1)
    return votes
