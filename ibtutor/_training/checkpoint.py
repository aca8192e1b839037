"""Checkpoints: whole or absent, and refused when they belong to something else."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ibtutor._files import atomic_write
from ibtutor._training.plan import Run, Settings, Task, describe
from ibtutor.data.split import fingerprint

_CHANGES_NOTHING = ("checkpoint_seconds", "eval_batch", "captured")


class CheckpointError(RuntimeError):
    """A checkpoint is damaged or was made with other settings, data or model."""


def checkpoint_path(folder: str | Path | None, group: Sequence[Run]) -> Path | None:
    """One file a run, or one for runs that train side by side."""
    if folder is None:
        return None
    name = group[0].name
    if len(group) > 1:
        together = hashlib.sha256("\n".join(run.name for run in group).encode()).hexdigest()
        name = f"{len(group)}-runs-{together[:12]}"
    return Path(folder) / f"{name}.pt"


def identity(
    model: nn.Module,
    task: Task,
    settings: Settings,
    group: Sequence[Run],
    objective: Callable | None = None,
    observe: Callable | None = None,
) -> dict:
    """What must be the same for a checkpoint to be continued, as text that can be compared."""
    fixed = {k: str(v) for k, v in asdict(settings).items() if k not in _CHANGES_NOTHING}
    data = [*task.train, *task.test] + ([] if task.targets is None else [task.targets])
    return {
        **{f"settings.{key}": value for key, value in fixed.items()},
        "model": _digest(str(model)),
        "layers": _digest("; ".join(f"{name} {_plain(m)}" for name, m in model.named_modules())),
        "data": fingerprint(*data),
        "standardization": f"{tuple(task.mean)} {tuple(task.std)}",
        "augment": describe(task.augment),
        "prepare": describe(task.prepare),
        "objective": describe(objective),
        "observe": describe(observe),  # it may change the model
        "runs": "; ".join(f"{run.name} {describe(run.loss)} {run.strength!r}" for run in group),
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(layer: nn.Module) -> list[tuple[str, Any]]:
    """Settings of a layer that its text may leave out: heads, rates of dropout."""
    kinds = (bool, int, float, str, tuple)
    return sorted(
        (name, value)
        for name, value in vars(layer).items()
        if isinstance(value, kinds) and not name.startswith("_") and name != "training"
    )


def save(path: Path, content: dict) -> None:
    """Write a checkpoint whole, or leave the old one."""
    buffer = io.BytesIO()
    torch.save(content | {"histories": _without_numpy(content["histories"])}, buffer)
    atomic_write(path, buffer.getvalue())


def _without_numpy(value: Any) -> Any:
    """Numbers of numpy as Python's: `load` takes nothing that could be code."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _without_numpy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_without_numpy(item) for item in value)
    return value


def load(path: Path | None, expected: dict) -> dict | None:
    """The checkpoint at `path`, None if there is none; CheckpointError if it is another run's."""
    if path is None or not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        # Checkpoints from before a key was told lack it.
        told = {key: expected[key] for key in ("objective", "observe", "layers")}
        found = told | content["identity"]
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}): delete it to start again"
        ) from error
    others = [
        f"another {key}: {found.get(key)}, now {expected.get(key)}"
        for key in expected | found  # in their order, the same each time
        if expected.get(key) != found.get(key)
    ]
    if others:
        raise CheckpointError(
            f"{path} was made with {'; '.join(others)}. "
            "Use another folder, or delete it to start again"
        )
    return content
