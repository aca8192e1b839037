"""Probes: how much of a factor can be read from frozen features.

A probe is a new classifier that is trained on the features of a finished network, with labels the
network never saw (Kudo 2025, section 5.3: the label of the occluding digit). One probe is not
enough: features can hold a factor in a form that this probe cannot read. So there are three:

- `linear`: multinomial logistic regression on standardized features;
- `whitened`: the same after whitening, so that directions of small variance count as much as
  large ones (smoothing makes classes collapse, which shrinks exactly the directions that carry
  the rest);
- `mlp`: one hidden layer, stopped early on held-out training rows.

A statement about a factor should hold for all of them.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, finfo

__all__ = ["KINDS", "ProbeScore", "probe", "probe_all"]

KINDS = ("linear", "whitened", "mlp")


@dataclass(frozen=True)
class ProbeScore:
    """Accuracies of one probe, in [0, 1].

    Attributes:
        kind: one of `KINDS`.
        train, test: accuracy on the rows it was fitted on, and on the others.
        chance: share of the most frequent class among the test labels.
        dimensions: number of feature directions the probe could use.
        converged: False if the optimizer ran out of iterations.
    """

    kind: str
    train: float
    test: float
    chance: float
    dimensions: int
    converged: bool


def _features(
    name: str, x: ArrayLike | Tensor, y: ArrayLike | Tensor
) -> tuple[NDArray, NDArray, float]:
    """Features in float64, labels, and the relative rounding of the features as they came."""
    if isinstance(x, Tensor):
        kept = finfo(x.dtype).eps if x.is_floating_point() else 0.0
        x = x.detach().cpu().double().numpy()
    else:
        x = np.asarray(x)
        kept = float(np.finfo(x.dtype).eps) if x.dtype.kind == "f" else 0.0
        x = x.astype(np.float64)
    y = np.asarray(y.cpu() if isinstance(y, Tensor) else y)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(
            f"{name} features must have shape (N, D) with one label for each row, got "
            f"{x.shape} and {y.shape}"
        )
    if not np.isfinite(x).all():
        raise ValueError(
            f"{name} features hold {(~np.isfinite(x)).sum()} values that are not finite"
        )
    return x, y, kept


def _whitening_rank(x: NDArray, rounding: float) -> int:
    """Directions with real variance, not with that of rounding.

    Rounding is what lies below 1e-6 of the largest standard deviation, or below the largest
    singular value of a matrix of independent relative errors: of half precision, much more.
    """
    spread = np.linalg.svd(x - x.mean(0), compute_uv=False)
    # A relative error below eps / 2 has a standard deviation of less than eps / 3.
    noise = rounding / 3 * np.sqrt(np.square(x).mean()) * sum(np.sqrt(x.shape))
    return max(1, int((spread > max(1e-6 * spread[0], noise)).sum()))


def _classifier(
    kind: str, x: NDArray, rounding: float, seed: int, c: float, hidden: int, max_epochs: int
):
    if kind == "mlp":
        mlp = MLPClassifier(
            (hidden,),
            learning_rate_init=1e-3,
            batch_size=min(200, len(x)),
            early_stopping=True,
            validation_fraction=0.1,
            n_iter_no_change=5,
            max_iter=max_epochs,
            random_state=seed,
        )
        return make_pipeline(StandardScaler(), mlp), x.shape[1]
    logistic = LogisticRegression(C=c, max_iter=1000, random_state=seed)
    if kind == "linear":
        return make_pipeline(StandardScaler(), logistic), x.shape[1]
    if kind == "whitened":
        rank = _whitening_rank(x, rounding)
        return make_pipeline(PCA(rank, whiten=True, svd_solver="full"), logistic), rank
    raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")


def probe(
    kind: str,
    train_features: ArrayLike | Tensor,
    train_labels: ArrayLike | Tensor,
    test_features: ArrayLike | Tensor,
    test_labels: ArrayLike | Tensor,
    *,
    seed: int = 0,
    c: float = 1.0,
    hidden: int = 256,
    max_epochs: int = 30,
) -> ProbeScore:
    """Fit one probe on the training features and score it on the test features.

    Args:
        kind: `"linear"`, `"whitened"` or `"mlp"`.
        train_features: `(N, D)`; train_labels: `(N,)`. Likewise for the test.
        seed: of the MLP's weights and of its validation split.
        c: inverse L2 strength of the two linear probes.
        hidden, max_epochs: of the MLP (Adam, 1e-3).

    Raises:
        ValueError: if shapes do not fit, values are not finite, the training labels hold fewer
            than two classes, or the kind is unknown.

    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = (x[:, 0] > 0).astype(int)
    >>> probe("linear", x[:100], y[:100], x[100:], y[100:]).test > 0.9
    True
    """
    x, y, rounding = _features("train", train_features, train_labels)
    x_test, y_test, _ = _features("test", test_features, test_labels)
    if x_test.shape[1] != x.shape[1]:
        raise ValueError(
            f"train and test features must have the same width, got {x.shape[1]} and "
            f"{x_test.shape[1]}"
        )
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"a probe needs at least two classes among its training labels, got only {classes}"
        )
    classifier, dimensions = _classifier(kind, x, rounding, seed, c, hidden, max_epochs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        classifier.fit(x, y)
    return ProbeScore(
        kind=kind,
        train=float(classifier.score(x, y)),
        test=float(classifier.score(x_test, y_test)),
        chance=float(np.unique(y_test, return_counts=True)[1].max() / len(y_test)),
        dimensions=dimensions,
        converged=not any(issubclass(w.category, ConvergenceWarning) for w in caught),
    )


def probe_all(
    train_features: ArrayLike | Tensor,
    train_labels: ArrayLike | Tensor,
    test_features: ArrayLike | Tensor,
    test_labels: ArrayLike | Tensor,
    *,
    kinds: Sequence[str] = KINDS,
    **options,
) -> dict[str, ProbeScore]:
    """Several probes on the same features, by kind; options as in `probe`.

    >>> x = np.random.default_rng(0).normal(size=(60, 2))
    >>> y = (x[:, 0] > 0).astype(int)
    >>> sorted(probe_all(x, y, x, y, kinds=("linear", "whitened")))
    ['linear', 'whitened']
    """
    return {
        kind: probe(kind, train_features, train_labels, test_features, test_labels, **options)
        for kind in kinds
    }
