"""Train many small networks on one stream of batches: arms of one seed differ in loss and rate.

`ibtutor.train` gives each run its own batches, since runs with other seeds need them. Here all runs
have one seed, so the first layer of all of them is one matrix product: half the time. The numbers
are those of `ibtutor.train` up to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ibtutor import _progress, train
from ibtutor._training import checkpoint
from ibtutor._training.loop import evaluated_at_once, losses_of
from ibtutor._training.replicas import Replicas
from ibtutor._training.seeds import derived_seed, generator
from ibtutor.data import to_float
from ibtutor.experiments.yi._training import batches

SAVE_SECONDS = 20.0


def fit(
    make_model: Callable[[], torch.nn.Module],
    task: train.Task,
    runs: Sequence[train.Run],
    settings: train.Settings,
    measure: Callable[[train.Outputs, train.Run, int], dict],
    *,
    epochs: int | None = None,
    device: str = "cpu",
    resume: Path | None = None,
    progress: bool = True,
) -> list[list[dict]]:
    """The history of every run: what `measure` gave at its epochs, as `ibtutor.train.fit` has it.

    Plain SGD with momentum at a constant rate; runs may differ in loss and `lr`, not in seed.
    """
    if len({run.seed for run in runs}) != 1:
        raise ValueError("runs that share their batches must have one seed")
    where = train.resolve_device(device)
    models = []
    for run in runs:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(run.seed, "init"))
            models.append(make_model().to(where).train())
    replicas = Replicas(models)
    # The update is linear in the gradient: a run's rate is a factor of its loss.
    rates = torch.tensor([settings.lr if r.lr is None else r.lr for r in runs], device=where)
    optimizer = torch.optim.SGD(replicas.params.values(), lr=1.0, momentum=settings.momentum)
    identity = None if resume is None else checkpoint.identity(models[0], task, settings, runs)
    path = checkpoint.checkpoint_path(resume, runs)
    saved = checkpoint.load(path, identity)
    histories: list[list[dict]] = [[] for _ in runs]
    done, last_save = 0, time.perf_counter()
    if saved:
        histories, done = saved["histories"], saved["epoch"]
        with torch.no_grad():
            for tensor, value in zip(replicas.tensors(), saved["tensors"], strict=True):
                tensor.copy_(value)
        optimizer.load_state_dict(saved["optimizer"])
    images, labels = task.train[0].to(where), task.train[1].to(where)
    at_once = evaluated_at_once(settings, where, images)
    with _progress.bar(total=settings.epochs, unit="epoch", shown=progress) as bar:
        bar.update(done)
        for epoch in range(done, settings.epochs):
            order = torch.randperm(
                len(images), generator=generator(runs[0].seed, "order", epoch)
            ).to(where)
            count = batches(len(order), settings.batch_size)
            for rows in order.split(settings.batch_size)[:count]:
                _step(replicas, optimizer, runs, rates, task, images[rows], labels[rows])
            last = epoch + 1 == settings.epochs
            if last or (epoch + 1) % settings.measure_every == 0:
                for r, outputs in enumerate(_outputs(replicas, task, where, at_once)):
                    found = measure(outputs, runs[r], epoch + 1)
                    histories[r].append({"epoch": epoch + 1, **found})
            if path and (last or time.perf_counter() - last_save >= SAVE_SECONDS):
                state = {"identity": identity, "epoch": epoch + 1, "histories": histories}
                state["tensors"] = [tensor.detach() for tensor in replicas.tensors()]
                checkpoint.save(path, state | {"optimizer": optimizer.state_dict()})
                last_save = time.perf_counter()
            bar.update(1)
    return histories


def _step(
    replicas: Replicas,
    optimizer: torch.optim.Optimizer,
    runs: Sequence[train.Run],
    rates: torch.Tensor,
    task: train.Task,
    images: torch.Tensor,
    labels: torch.Tensor,
) -> None:
    inputs = to_float(images, task.mean, task.std)
    logits = _logits(replicas, inputs)
    losses = losses_of(runs, logits, labels.expand(len(runs), -1))
    optimizer.zero_grad()
    (rates * losses).sum().backward()
    optimizer.step()


def _logits(replicas: Replicas, inputs: torch.Tensor) -> torch.Tensor:
    """Of every model on the same inputs, `(R, B, K)`."""
    return replicas.on_same(inputs)


def _outputs(replicas: Replicas, task: train.Task, where: Any, batch: int) -> list[train.Outputs]:
    both = []
    with torch.no_grad():
        for images, _ in (task.train, task.test):
            parts = (to_float(x.to(where), task.mean, task.std) for x in images.split(batch))
            both.append(torch.cat([_logits(replicas, x).cpu() for x in parts], dim=1))
    return [
        train.Outputs(both[0][r], task.train[1].cpu(), both[1][r], task.test[1].cpu())
        for r in range(replicas.count)
    ]
