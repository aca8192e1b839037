"""Runs that can share a loop, and models that train side by side."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from ibtutor._training.plan import Run, Settings

# Above this many weights a matrix product fills a core by itself and stacking gains nothing.
_STACKED_BELOW = 100_000
_MOST_STACKED = 64


def resolve_device(name: str | torch.device) -> torch.device:
    """The device of that name; "auto" is the first GPU there is, else the CPU.

    >>> resolve_device("cpu")
    device(type='cpu')
    >>> resolve_device("gpu0")
    Traceback (most recent call last):
    ...
    ValueError: device must be auto, cpu, cuda, cuda:N or mps; got 'gpu0'
    """
    there = ["cpu"]
    there += ["cuda"] if torch.cuda.is_available() else []
    there += ["mps"] if torch.backends.mps.is_available() else []
    if str(name) == "auto":
        return torch.device(there[-1])
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f"device must be auto, cpu, cuda, cuda:N or mps; got {str(name)!r}"
        ) from error
    if device.type not in there or (
        device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    ):
        raise ValueError(f"device {str(name)!r} is not on this machine; it has {', '.join(there)}")
    return device


def groups(
    make_model: Callable[[], nn.Module],
    runs: Sequence[Run],
    settings: Settings,
    objective: Callable | None,
) -> Iterator[list[Run]]:
    """Runs that may train side by side: alike in learning rate and decay, which are shared.

    Label smoothing keeps to itself, because its loss is computed for all runs at once.
    """
    if not _stackable(make_model, settings, objective):
        yield from ([run] for run in runs)
        return
    alike: dict[tuple, list[Run]] = {}
    for run in runs:
        key = (run.lr, run.weight_decay, run.loss == "label_smoothing")
        alike.setdefault(key, []).append(run)
    for members in alike.values():
        for start in range(0, len(members), _MOST_STACKED):
            yield members[start : start + _MOST_STACKED]


def _stackable(make_model: Callable, settings: Settings, objective: Callable | None) -> bool:
    impossible = objective is not None or settings.schedule == "plateau"
    if settings.stacked and impossible:
        raise ValueError(
            "stacked=True needs losses of the logits and a schedule shared by all runs: leave out "
            "objective and schedule='plateau'"
        )
    if impossible or settings.stacked is not None:
        return bool(settings.stacked)
    with torch.random.fork_rng(devices=[]):
        model = make_model()
    convolutional = any(isinstance(part, nn.modules.conv._ConvNd) for part in model.modules())
    return not convolutional and sum(p.numel() for p in model.parameters()) < _STACKED_BELOW


class Replicas:
    """R models of one shape. One is called as it is, several through `torch.func.vmap`.

    Calling it with inputs `(R, B, ...)` gives logits `(R, B, K)`; `on_same` gives every model the
    same inputs `(B, ...)`.
    """

    def __init__(self, models: list[nn.Module]):
        self.count = len(models)
        self.model = models[0]
        if self.count == 1:
            self.params = dict(self.model.named_parameters())
            self.buffers = dict(self.model.named_buffers())
        else:
            self.params, self.buffers = torch.func.stack_module_state(models)
            self.model = copy.deepcopy(models[0])

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        return self._forward(inputs, 0) if self.count > 1 else self.model(inputs[0])[None]

    def on_same(self, inputs: torch.Tensor) -> torch.Tensor:
        return self._forward(inputs, None) if self.count > 1 else self.model(inputs)[None]

    def _forward(self, inputs: torch.Tensor, dim: int | None) -> torch.Tensor:
        def one(params, buffers, x):
            return torch.func.functional_call(self.model, (params, buffers), (x,))

        call = torch.vmap(one, in_dims=(0, 0, dim), randomness="different")
        return call(self.params, self.buffers, inputs)

    def state(self, index: int) -> dict[str, torch.Tensor]:
        """Weights and buffers of one model that belong to its state, copied to the CPU."""
        tensors, kept = {**self.params, **self.buffers}, self.model.state_dict().keys()
        one = self.count == 1
        return {
            name: (tensor if one else tensor[index]).detach().cpu().clone()
            for name, tensor in tensors.items()
            if name in kept
        }

    def tensors(self) -> list[torch.Tensor]:
        return [*self.params.values(), *self.buffers.values()]


def make_optimizer(
    replicas: Replicas, settings: Settings, run: Run, rate: torch.Tensor | None = None
) -> torch.optim.Optimizer:
    """One optimizer for all replicas: its updates are elementwise, so they never mix.

    With `rate`, a scalar on the device, it reads its learning rate there, as a CUDA graph needs.
    """
    decay = settings.weight_decay if run.weight_decay is None else run.weight_decay
    vector = 1 if replicas.count == 1 else 2  # biases and norms, with the stack's dimension
    params = list(replicas.params.values())
    params = [p for p in params if p.requires_grad]
    if settings.decay_all:
        chosen = [{"params": params, "weight_decay": decay}]
    else:
        chosen = [
            {"params": [p for p in params if p.ndim > vector], "weight_decay": decay},
            {"params": [p for p in params if p.ndim <= vector], "weight_decay": 0.0},
        ]
    lr = rate
    if lr is None:
        lr = settings.lr if run.lr is None else run.lr
    fused = params[0].device.type in ("cpu", "cuda")  # one kernel for all tensors of a step
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            chosen, lr=lr, momentum=settings.momentum, nesterov=settings.nesterov, fused=fused
        )
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(chosen, lr=lr, fused=fused, capturable=rate is not None)
