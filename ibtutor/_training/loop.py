"""The loop: epochs of batches for runs that train side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
import torch.nn.functional as F

from ibtutor._training import checkpoint
from ibtutor._training.captured import Captured
from ibtutor._training.outputs import Outputs, Trained
from ibtutor._training.plan import Run, Settings, Task
from ibtutor._training.replicas import Replicas, make_optimizer
from ibtutor._training.schedule import learning_rate
from ibtutor._training.seeds import derived_seed, generator
from ibtutor.data.augment import to_float

_EVALUATED = 512  # images at once, where the settings do not say
_PIXELS_AT_ONCE = 2000 * 3 * 32 * 32  # on a card more, if they are small


@dataclass
class Group:
    """Everything one loop needs: the runs, their models, and the data on the device.

    `draws` has the generator of each run's augmentation, seeded anew each epoch. `rate` is the
    learning rate as a tensor that the optimizer reads, where steps are `captured`.
    """

    runs: Sequence[Run]
    replicas: Replicas
    optimizer: torch.optim.Optimizer
    images: torch.Tensor
    targets: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    draws: list[torch.Generator]
    task: Task
    settings: Settings
    device: torch.device
    objective: Callable | None
    rate: torch.Tensor | None = None
    captured: Captured | None = None


def train_group(
    make_model, task, runs, settings, device, resume, measure, objective, bar, observe=None
):
    """Train runs that share a loop, from their checkpoint if there is one."""
    group = _prepare(make_model, task, runs, settings, device, objective)
    path = checkpoint.checkpoint_path(resume, runs)
    model = group.replicas.model
    identity = path and checkpoint.identity(model, task, settings, runs, objective, observe)
    saved = checkpoint.load(path, identity)
    histories: list[list[dict]] = [[] for _ in runs]
    diverged: list[str | None] = [None for _ in runs]
    done, last_save = 0, time.perf_counter()
    if saved:
        histories, diverged, done = saved["histories"], saved["diverged"], saved["epoch"]
        _restore(group, saved)
        bar.update(done * len(runs))
    for epoch in range(done, settings.epochs):
        if all(diverged) or _stopped(settings, histories[0], runs[0]):
            bar.update((settings.epochs - epoch) * len(runs))
            break
        started = time.perf_counter()
        losses = _train_epoch(group, epoch, [entry["loss"] for entry in histories[0]])
        lr = float(group.optimizer.param_groups[0]["lr"])
        for r, loss in enumerate(losses.tolist()):
            histories[r].append({"epoch": epoch + 1, "loss": loss, "lr": lr})
            if diverged[r] is None and not torch.isfinite(losses[r]):
                diverged[r] = f"the loss became {loss} in epoch {epoch + 1}"
        last = epoch + 1 == settings.epochs or _stopped(settings, histories[0], runs[0])
        due = last or (epoch + 1) % settings.measure_every == 0
        if observe and due and diverged[0] is None:
            histories[0][-1] |= observe(model, runs[0], epoch + 1)
        if measure and due:
            outputs = _outputs(group)
            _mark(diverged, outputs, histories)
            for r, run in enumerate(runs):
                if diverged[r] is None:
                    histories[r][-1] |= measure(_of_run(outputs, r, task), run, epoch + 1)
        seconds = (time.perf_counter() - started) / len(runs)
        for history in histories:
            history[-1]["seconds"] = seconds
        last = last or all(diverged)
        if path and (last or time.perf_counter() - last_save >= settings.checkpoint_seconds):
            checkpoint.save(path, _state(group, identity, epoch + 1, histories, diverged))
            last_save = time.perf_counter()
        bar.set_postfix(run=runs[0].name, loss=f"{losses[0]:.3f}", refresh=False)
        bar.update(len(runs))
    train_logits, test_logits = outputs = _outputs(group)
    _mark(diverged, outputs, histories)
    return [
        Trained(
            run,
            histories[r],
            train_logits[r],
            test_logits[r],
            task.test[1].cpu(),
            group.replicas.state(r),
            diverged[r],
        )
        for r, run in enumerate(runs)
    ]


def _train_epoch(group: Group, epoch: int, past: list[float]) -> torch.Tensor:
    """One pass over the data for every run; returns the mean loss of each, `(R,)`."""
    runs, device, size = group.runs, group.device, group.settings.batch_size
    total = len(group.images)
    order = torch.stack(
        [
            torch.randperm(total, generator=generator(run.seed, "order", epoch)).to(device)
            for run in runs
        ]
    )
    for run, draw in zip(runs, group.draws, strict=True):
        draw.manual_seed(derived_seed(run.seed, "augment", epoch))
    batches = order.split(size, dim=1)
    if batches[-1].shape[1] == 1 and len(batches) > 1:
        batches = batches[:-1]  # batch normalization needs two
    rates = [
        learning_rate(group.settings, epoch + step / len(batches), past, runs[0].lr)
        for step in range(len(batches))
    ]
    group.replicas.model.train()
    # MPS has no float64; there an epoch's mean may drift in the seventh digit.
    wide = torch.float32 if device.type == "mps" else torch.float64
    sums = torch.zeros(len(runs), device=device, dtype=wide)
    count = sum(rows.shape[1] for rows in batches)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(derived_seed(runs[0].seed, "noise", epoch))  # dropout, latents
        if group.captured:
            return group.captured.epoch(order[:, :count], size, rates).cpu() / count
        for rows, rate in zip(batches, rates, strict=True):
            for parameters in group.optimizer.param_groups:
                parameters["lr"] = rate
            sums += _step(group, rows) * rows.shape[1]
    return sums.cpu() / count


def _step(group: Group, rows: torch.Tensor) -> torch.Tensor:
    """Train every run on its own batch `rows` `(R, B)`; returns their losses `(R,)`."""
    losses = _losses(group, rows)
    group.optimizer.zero_grad()
    losses.sum().backward()
    group.optimizer.step()
    return losses.detach()


def _losses(group: Group, rows: torch.Tensor) -> torch.Tensor:
    """The loss of each run on its own batch; `rows` is `(R, B)`, the result `(R,)`."""
    task, runs, draws = group.task, group.runs, group.draws
    images, targets = group.images[rows], group.targets[rows]
    if task.augment:
        images = torch.stack([task.augment(x, g) for x, g in zip(images, draws, strict=True)])
    inputs = to_float(images.flatten(0, 1), group.mean, group.std).unflatten(0, rows.shape)
    if task.prepare:
        pairs = [task.prepare(*each) for each in zip(inputs, targets, draws, runs, strict=True)]
        inputs, targets = (torch.stack(tensors) for tensors in zip(*pairs, strict=True))
    with _autocast(group):
        if group.objective:
            model = group.replicas.model
            return group.objective(model, _layout(group, inputs[0]), targets[0], runs[0])[None]
        if group.replicas.count == 1:
            inputs = _layout(group, inputs[0])[None]
        logits = group.replicas(inputs)
    if logits.shape[-1] < task.num_classes:
        raise ValueError(
            f"the model must give an output for each of {task.num_classes} classes, "
            f"got {logits.shape[-1]}"
        )
    return losses_of(runs, logits.float(), targets)


def losses_of(runs: Sequence[Run], logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The loss of each run, `(R,)`, from logits `(R, B, K)` and targets `(R, B)` or `(R, B, K)`."""
    if len(runs) > 1 and all(run.loss == "label_smoothing" for run in runs):
        return _smoothed(runs, logits, targets)
    return torch.stack([loss_of(*each) for each in zip(runs, logits, targets, strict=True)])


def loss_of(run: Run, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The loss of one run: label smoothing by torch, others by name or as given."""
    if run.loss == "label_smoothing":
        return F.cross_entropy(logits, targets, label_smoothing=run.strength)
    if callable(run.loss):
        return run.loss(logits, targets, run.strength)
    from ibtutor import losses

    if not hasattr(losses, run.loss):
        raise ValueError(f"loss must be a function of ibtutor.losses, got {run.loss!r}")
    return getattr(losses, run.loss)(logits, targets, run.strength)


def _smoothed(runs: Sequence[Run], logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Label smoothing of all runs at once: (1 - alpha) CE(target) + alpha CE(uniform)."""
    log_p = F.log_softmax(logits, dim=-1)
    if targets.ndim == 2:
        hard = -log_p.gather(-1, targets[..., None]).squeeze(-1).mean(-1)
    else:
        hard = -(targets * log_p).sum(-1).mean(-1)
    alpha = _on_device(tuple(run.strength for run in runs), logits.device)
    # Without smoothing a class that is ruled out, of logit minus infinity, costs nothing.
    flat = torch.where(alpha > 0, alpha * log_p.mean((-1, -2)), 0.0)
    return (1 - alpha) * hard - flat


@lru_cache(maxsize=8)
def _on_device(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Numbers as a tensor, copied there once: a step must not wait for its device."""
    return torch.tensor(values, device=device)


def _prepare(make_model, task, runs, settings, device, objective) -> Group:
    models = []
    for run in runs:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(run.seed, "init"))
            models.append(make_model())
        memory = torch.channels_last if settings.channels_last else torch.contiguous_format
        models[-1].to(device, memory_format=memory).train()
    replicas = Replicas(models)
    targets = task.train[1] if task.targets is None else task.targets.float()
    captured = device.type == "cuda" and settings.captured is not False
    rate = torch.zeros((), device=device) if captured else None
    group = Group(
        runs,
        replicas,
        make_optimizer(replicas, settings, runs[0], rate),
        task.train[0].to(device),
        targets.to(device),
        torch.tensor(task.mean, device=device),
        torch.tensor(task.std, device=device),
        [torch.Generator(device) for _ in runs],
        task,
        settings,
        device,
        objective,
        rate,
    )
    if captured:
        group.captured = Captured(partial(_step, group), group.draws, rate)
    return group


def _outputs(group: Group) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of every run on both splits, `(R, N, K)` on the CPU, in evaluation mode."""
    group.replicas.model.eval()
    size = evaluated_at_once(group.settings, group.device, group.images)
    both = []
    with torch.no_grad(), _autocast(group):
        for images in (group.images, group.task.test[0]):
            inputs = (
                to_float(x.to(group.device), group.mean, group.std) for x in images.split(size)
            )
            logits = [group.replicas.on_same(_layout(group, x)).float() for x in inputs]
            both.append(torch.cat(logits, dim=1).cpu())
    return both[0], both[1]


def evaluated_at_once(settings: Settings, device: torch.device, images: torch.Tensor) -> int:
    """How many images go through the model at once where its outputs are taken."""
    if settings.eval_batch is not None:
        return settings.eval_batch
    if device.type != "cuda":
        return _EVALUATED
    return max(_EVALUATED, _PIXELS_AT_ONCE // max(images[0].numel(), 1))


def _mark(diverged: list[str | None], outputs: tuple, histories: list[list[dict]]) -> None:
    """Runs whose outputs are no numbers diverged, though the loss of the last batch was one."""
    for r, history in enumerate(histories):
        # Minus infinity is a number here: the logit of a class that is ruled out.
        if diverged[r] is None and not all(bool((x[r] < torch.inf).all()) for x in outputs):
            diverged[r] = f"the outputs were no numbers after epoch {len(history)}"


def _of_run(outputs: tuple[torch.Tensor, torch.Tensor], r: int, task: Task) -> Outputs:
    return Outputs(outputs[0][r], task.train[1].cpu(), outputs[1][r], task.test[1].cpu())


def _autocast(group: Group):
    return torch.autocast(
        group.device.type, torch.bfloat16, enabled=group.settings.precision == "bfloat16"
    )


def _layout(group: Group, inputs: torch.Tensor) -> torch.Tensor:
    if group.settings.channels_last and inputs.ndim == 4:
        return inputs.contiguous(memory_format=torch.channels_last)
    return inputs


def _stopped(settings: Settings, history: list[dict], run: Run) -> bool:
    if settings.schedule != "plateau" or settings.stop_lr <= 0:
        return False
    if len(history) < settings.warmup_epochs:  # low since it rises still
        return False
    past = [entry["loss"] for entry in history]
    return learning_rate(settings, len(history), past, run.lr) < settings.stop_lr


def _state(group: Group, identity: dict, epoch: int, histories, diverged) -> dict:
    return {
        "identity": identity,
        "epoch": epoch,
        "tensors": [tensor.detach() for tensor in group.replicas.tensors()],
        "optimizer": group.optimizer.state_dict(),
        "histories": histories,
        "diverged": diverged,
    }


def _restore(group: Group, saved: dict) -> None:
    with torch.no_grad():
        for tensor, value in zip(group.replicas.tensors(), saved["tensors"], strict=True):
            tensor.copy_(value)
    group.optimizer.load_state_dict(saved["optimizer"])
    if group.rate is not None:
        for parameters in group.optimizer.param_groups:
            parameters["lr"] = group.rate  # the saved one is another tensor
