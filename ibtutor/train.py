"""One training loop for many runs: strengths times seeds, data resident on the device.

from ibtutor import data, models, train

task = train.Task(data.digits("train"), data.digits("test"))
runs = [train.Run(strength=a, seed=s) for a in (0.0, 0.1, 0.5) for s in (0, 1)]
settings = train.Settings(epochs=20, optimizer="adam", lr=3e-3, schedule="cosine")
for done in train.fit(lambda: models.MLP(64, (256,), 10), task, runs, settings):
    print(done.run.name, done.accuracy, done.history[-1]["loss"])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ibtutor import _progress
from ibtutor._training.captured import deterministic
from ibtutor._training.checkpoint import CheckpointError
from ibtutor._training.loop import evaluated_at_once, train_group
from ibtutor._training.outputs import Outputs, Trained, predict
from ibtutor._training.plan import Run, Settings, Task
from ibtutor._training.replicas import groups, resolve_device
from ibtutor._training.schedule import learning_rate

__all__ = [
    "CheckpointError",
    "Outputs",
    "Run",
    "Settings",
    "Task",
    "Trained",
    "fit",
    "learning_rate",
    "predict",
    "resolve_device",
]


def fit(
    make_model: Callable[[], torch.nn.Module],
    task: Task,
    runs: Sequence[Run],
    settings: Settings | None = None,
    *,
    device: str = "cpu",
    resume: str | Path | None = None,
    progress: bool = True,
    measure: Callable[[Outputs, Run, int], dict] | None = None,
    objective: Callable | None = None,
    observe: Callable[[torch.nn.Module, Run, int], dict] | None = None,
) -> list[Trained]:
    """Train every run and return them in the order given.

    Parameters
    ----------
    make_model : builds an untrained model; `model(x)` gives logits `(B, K)`. It is called once a
        run, after seeding with the run's seed.
    task, runs, settings : the data, what to train and how.
    device : "cpu", "cuda", "cuda:1", "mps", or "auto".
    resume : folder for checkpoints. A run killed in the middle goes on from its last checkpoint to
        the same numbers on the same device; a finished one is read back.
    progress : show a bar with the time left.
    measure : `measure(outputs, run, epoch) -> dict` joins what it returns to that epoch's history.
        `outputs` has train_logits, train_labels, test_logits, test_labels, taken in evaluation
        mode without augmentation.
    objective : `objective(model, inputs, targets, run) -> scalar` replaces the loss of the run
        where it needs more than logits (latents, several forward passes).
    observe : `observe(model, run, epoch) -> dict` joins what it returns to that epoch's history,
        as `measure` does, but takes the model: no outputs are computed for it. It may change the
        model. Runs with one train one by one.

    Returns
    -------
    list of Trained, with `.run`, `.history` (one dict an epoch: epoch from 1, loss, lr, seconds,
    and what `measure` gave), `.train_logits` and `.test_logits` (N, K) float32 on the CPU,
    `.train_probs`, `.test_probs` in float64, `.accuracy` on the test split, `.state` (weights),
    `.load(model)`, and `.diverged`: None, or when and how the loss or the outputs stopped
    being numbers; from then on the run is not measured.
    A run that diverges does not stop the others.

    Raises
    ------
    ValueError : an unknown device, a strength out of range, data of the wrong size.
    CheckpointError : the folder holds a run of that name with other settings, data, layers,
        objective or observe (functions are known by their names, partial ones by their arguments,
        too).
    MemoryError : the device is full; says what to lower.

    >>> from ibtutor import data, models
    >>> task = Task(data.digits("train"), data.digits("test"))
    >>> quick = Settings(epochs=20, batch_size=64, optimizer="adam", lr=3e-3, schedule="cosine")
    >>> build = lambda: models.MLP(64, (64,), 10)
    >>> done = fit(build, task, [Run(0.0), Run(0.5)], quick, progress=False)
    >>> done[0].accuracy > 0.9 and done[0].history[-1]["loss"] < done[1].history[-1]["loss"]
    True
    """
    settings = settings or Settings()
    where = resolve_device(device)
    names = [run.name for run in runs]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two runs are alike: {twice}; give them different seeds or tags")
    finished: dict[str, Trained] = {}
    with _progress.bar(total=len(runs) * settings.epochs, unit="epoch", shown=progress) as bar:
        for group in groups(make_model, runs, settings, objective or observe):
            try:
                with deterministic(where):
                    done = train_group(
                        make_model,
                        task,
                        group,
                        settings,
                        where,
                        resume,
                        measure,
                        objective,
                        bar,
                        observe,
                    )
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if "out of memory" in str(error).lower() or "can't allocate" in str(error):
                    at_once = evaluated_at_once(settings, where, task.train[0])
                    raise MemoryError(_full(where, settings, at_once, len(group))) from error
                raise
            finished |= {trained.run.name: trained for trained in done}
    return [finished[name] for name in names]


def _full(device: torch.device, settings: Settings, at_once: int, together: int) -> str:
    advice = [f"batch_size (now {settings.batch_size})", f"eval_batch (now {at_once})"]
    if together > 1:
        advice.insert(0, f"stacked=False ({together} runs train side by side)")
    return f"out of memory on {device}: set or lower {', then '.join(advice)}"
