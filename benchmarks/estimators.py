"""Nearest-neighbor estimators: time and error beside scikit-learn, faiss, scipy and NPEET.

NPEET is not on PyPI; its sources (https://github.com/gregversteeg/NPEET) count if they can be
imported, else npeet-plus from the `bench` extra, a copy of the same functions. faiss is compared
where it is installed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module

import numpy as np
import torch

from benchmarks._measure import Row, interleaved
from ibtutor.info import BiasWarning, _neighbors, knn_entropy, knn_mutual_information, known_sample

TITLE = "knn_entropy and knn_mutual_information, k = 3, Gaussian samples, float32, one thread"
SIZES = {10: 50_000, 20: 50_000, 100: 50_000}
HALF_LOG = 0.5 * math.log(2 * math.pi * math.e)


def npeet():
    for name in ("npeet.entropy_estimators", "npeet_plus.estimators"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def peers(z: np.ndarray, k: int) -> dict[str, Callable[[], object]]:
    """Distances to the k nearest others by each peer."""
    from scipy.spatial import cKDTree
    from sklearn.neighbors import NearestNeighbors

    brute = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(z)
    calls = {"scikit-learn": lambda: brute.kneighbors(z)}
    if z.shape[1] <= _neighbors.TREE_DIMENSIONS:
        calls["scipy"] = lambda: cKDTree(z).query(z, k=k + 1)
    try:
        import faiss
    except ImportError:
        return calls
    faiss.omp_set_num_threads(1)

    def flat() -> object:
        index = faiss.IndexFlatL2(z.shape[1])
        index.add(z)
        return index.search(z, k + 1)

    return {**calls, "faiss": flat}


def least(z: torch.Tensor) -> Callable[[], object]:
    """One float32 product of all pairs, and one pass over it."""
    right, rows = z.T.contiguous(), 64
    held = z.new_empty(rows, len(z))

    def call() -> None:
        for part in z.split(rows):
            torch.mm(part, right, out=held[: len(part)]).amin()

    return call


def speed(d: int, n: int) -> Iterator[Row]:
    z = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    calls = {"ours": lambda: knn_entropy(z), "least": least(z), **peers(z.numpy(), 3)}
    seconds = interleaved(calls, rounds=3)
    name = f"d = {d}: "
    if d > _neighbors.TREE_DIMENSIONS:
        yield Row(name + "over a product and a pass", seconds["ours"] / seconds["least"], "x", 1.5)
    others = {peer: s for peer, s in seconds.items() if peer not in ("ours", "least")}
    for peer, s in others.items():
        yield Row(name + peer, s / seconds["ours"], "x slower")
    best = min(others[p] for p in others if p != "scipy")
    if d > _neighbors.TREE_DIMENSIONS:
        yield Row(name + "best brute force", best / seconds["ours"], "x slower", 2, True)
    z64 = z[:3000].double()
    gap = _neighbors._products(z64.float(), 3) / _exact(z64) - 1
    yield Row(name + "distances against float64", gap.abs().max().item(), "", 1e-6)


def _exact(z: torch.Tensor) -> torch.Tensor:
    apart = _neighbors.distances(z.float().double(), z.float().double(), "euclidean")
    return apart.kthvalue(4, dim=1).values


def against_npeet(reference) -> Iterator[Row]:
    for d, n in ((2, 10_000), (10, 10_000), (100, 2000)):
        z = np.random.default_rng(0).standard_normal((n, d))
        calls = {
            "max": lambda z=z: knn_entropy(z, norm="max"),
            "ours": lambda z=z: knn_entropy(z),
            "npeet": lambda z=z: reference.entropy(z, k=3, base=math.e),
        }
        seconds = interleaved(calls, rounds=3)
        name = f"NPEET, N = {n}, d = {d}: "
        gap = abs(calls["max"]().item() - calls["npeet"]())
        yield Row(name + "entropy, difference", gap, "nats", 1e-6)
        yield Row(name + "entropy", seconds["npeet"] / seconds["ours"], "x slower")
        yield Row(name + "entropy, max norm", seconds["npeet"] / seconds["max"], "x slower")
    x = np.random.default_rng(0).standard_normal((10_000, 2))
    x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
    pair = x[:, :1], x[:, 1:]
    calls = {
        "ours": lambda: knn_mutual_information(*pair),
        "npeet": lambda: reference.mi(*pair, k=3, base=math.e),
    }
    seconds = interleaved(calls, rounds=3)
    gap = abs(calls["ours"]().item() - calls["npeet"]())
    yield Row("NPEET, N = 10000, 1 + 1: information, difference", gap, "nats", 1e-5)
    yield Row("NPEET: information", seconds["npeet"] / seconds["ours"], "x slower")


def errors(reference) -> Iterator[Row]:
    """Mean relative error on three dimensions, by family; scikit-learn sees columns singly."""
    from sklearn.feature_selection import mutual_info_classif

    def ours(z, y):
        return knn_mutual_information(z, y, repeats="count").item()

    methods = {"ours": ours}
    methods["scikit-learn, best column"] = lambda z, y: mutual_info_classif(z, y).max()
    methods["scikit-learn, sum of columns"] = lambda z, y: mutual_info_classif(z, y).sum()
    if reference is not None:
        methods["NPEET"] = lambda z, y: reference.micd(z, y[:, None], k=3, base=math.e)
    for family in ("gaussian", "mixture", "manifold", "quantized", "bounded", "clipped", "relu"):
        for method, call in methods.items():
            gaps = []
            for seed in range(4):
                known = known_sample(family, n=1000, d=3, num_classes=3, strength=2.0, seed=seed)
                gaps.append(abs(call(known.z, known.labels) / known.information - 1))
            yield Row(f"{family}: error, {method}", 100 * float(np.mean(gaps)), "%")


def run() -> Iterator[Row]:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", BiasWarning)
    for d, n in SIZES.items():
        yield from speed(d, n)
    reference = npeet()
    if reference is not None:
        yield from against_npeet(reference)
    yield from errors(reference)
