"""The bottleneck optimum on CIFAR-10H's votes: eleven betas, against Adam and plain iterations."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks._measure import Row, interleaved
from ibtutor import data
from ibtutor.info import solve_bottleneck

TITLE = "solve_bottleneck, 10,000 images x 10 classes, beta 0, 0.1, ..., 1, one thread"

# Best values known from 72 to 74 starts a beta, p(x) uniform (not proved global).
BEST = (
    2.053453913,
    1.823294444,
    1.593334756,
    1.363624085,
    1.134342168,
    0.905998986,
    0.679796222,
    0.458275186,
    0.247469686,
    0.068714398,
    0.0,
)
BETAS = tuple(i / 10 for i in range(11))


def posteriors() -> tuple[torch.Tensor, bool]:
    """Vote shares `(10000, 10)` and whether they are CIFAR-10H's or a stand-in's."""
    try:
        counts, real = data.cifar10h_counts().double(), True
    except data.DataError:
        rng = np.random.default_rng(0)
        base = np.eye(10)[rng.integers(10, size=10_000)]
        noise = rng.dirichlet(np.full(10, 0.1), 10_000)
        share = rng.beta(0.3, 4.0, (10_000, 1))
        counts = torch.tensor(rng.multinomial(51, (1 - share) * base + share * noise)).double()
        real = False
    return counts / counts.sum(1, keepdim=True), real


def adam(w: torch.Tensor, beta: float, target: float, limit: int = 2000) -> int:
    """Steps of Adam on free logits from the votes until the objective is `target`."""
    logits = (w + 1e-3).log().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.4)  # the fastest of .1, .2, .4, .8
    h_y = torch.special.entr(w.mean(0)).sum()
    for step in range(1, limit + 1):
        log_q = logits.log_softmax(1)
        q = log_q.exp()
        h_t = torch.special.entr(q.mean(0)).sum()
        i_xt = h_t + (q * log_q).sum(1).mean()
        i_ty = h_t + h_y - torch.special.entr(w.T @ q / len(w)).sum()
        loss = beta * i_xt - i_ty
        if -loss.item() >= target:
            return step
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return limit


def plain(w: np.ndarray, p: np.ndarray, beta: float, target: float, limit: int = 5000) -> int:
    """Blahut-Arimoto in numpy on merged rows from the votes until the objective is `target`."""
    weighted = w * p[:, None]
    h_y = -np.sum(np.log(p @ w) * (p @ w))
    q = 0.999 * w + 0.0001
    for step in range(1, limit + 1):
        joint = weighted.T @ q
        mass = joint.sum(0)
        relevance = np.sum(joint * np.log(np.maximum(joint, 1e-300) / mass)) + h_y
        rate = np.sum(p @ (q * np.log(np.maximum(q, 1e-300) / mass)))
        if relevance - beta * rate >= target:
            return step
        log_r = np.log(np.maximum(joint / mass, 1e-300))
        logits = w @ (log_r / beta + np.log(mass))
        q = np.exp(logits - logits.max(1, keepdims=True))
        q /= q.sum(1, keepdims=True)
    return limit


def run() -> Iterator[Row]:
    torch.set_num_threads(1)
    w, real = posteriors()
    solve = lambda **more: solve_bottleneck(w, BETAS, **more)  # noqa: E731
    reached = solve().objective.numpy()
    best = np.maximum(np.array(BEST), reached) if real else reached
    rows, inverse = np.unique(w.numpy(), axis=0, return_inverse=True)
    p = np.bincount(inverse.reshape(-1)) / len(w)
    soft = range(1, 10)
    ours = interleaved(
        {
            "ours": solve,
            "ours, no restarts": lambda: solve(restarts=0),
            "plain": lambda: [plain(rows, p, BETAS[i], best[i] - 1e-6) for i in soft],
            # A step for each beta: the least that any such method pays.
            "steps": lambda: [plain(rows, p, BETAS[i], np.inf, limit=1) for i in soft],
        },
        rounds=7,
    )
    yield Row("ours, 4 restarts", ours["ours"] / ours["steps"], "plain steps for every beta")
    yield Row("no restarts", ours["ours, no restarts"] / ours["steps"], "plain steps")
    if real:
        yield Row("gap to the best known, worst beta", float(max(BEST - reached)), "nats", 1e-6)
    yield Row("plain numpy to 1e-6, told the answer", ours["plain"] / ours["ours"], "x slower")
    start = time.process_time()
    steps = [adam(w, BETAS[i], best[i] - 1e-4) for i in soft]
    seconds = time.process_time() - start
    yield Row("Adam's steps to 1e-4, all betas", float(sum(steps)))
    yield Row("Adam to 1e-4, told the answer", seconds / ours["ours"], "x slower", 70, True)
