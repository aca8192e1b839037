"""ResNet-56 on CIFAR-sized images on a card: plain steps, captured steps, several runs at once.

The floor is the time to move what no version can leave in place: for each convolution its input
and output once in each of its three passes, for each normalization its input or gradient five
times, in the precision of training, at the bandwidth of a large copy on the same card.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from benchmarks._measure import Row
from ibtutor import data, models
from ibtutor.train import Run, Settings, Task, fit

TITLE = "train.fit on one CUDA device, ResNet-56, batch 128, an epoch of 50,000 images"
EPOCH, BATCH = 50_000, 128
IMAGES = 16_000  # trained on; times are scaled to an epoch


def run() -> Iterator[Row]:
    if not torch.cuda.is_available():
        print("  no CUDA device: nothing measured")
        return
    print(f"  {torch.cuda.get_device_name()}, torch {torch.__version__}")
    alone = {name: seconds_an_epoch(captured) for name, captured in _LOOPS.items()}
    for name, seconds in alone.items():
        yield Row(f"{name}: an epoch", seconds, "s", 0.6 if name == "captured" else None)
        yield Row("  images a second", EPOCH / seconds, "1/s")
    yield Row("plain over captured", alone["plain"] / alone["captured"], "x")
    for together in (2, 4):
        seconds = _together(together) / together
        yield Row(f"{together} processes at once: an epoch of one run", seconds, "s")
        yield Row("  captured alone over it", alone["captured"] / seconds, "x")
    floor = EPOCH / BATCH * bytes_of_a_step(models.resnet56(), BATCH) / bandwidth()
    yield Row("bandwidth floor: an epoch", floor, "s")
    yield Row("  share of it reached by captured steps", floor / alone["captured"], "")


_LOOPS = {"plain": False, "captured": None}


def _task() -> Task:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 10, (IMAGES,), generator=generator)
    few = (images[:2], labels[:2])
    crop = partial(data.random_crop_flip, pad=4)
    return Task((images, labels), few, mean=(0.5,) * 3, std=(0.25,) * 3, augment=crop)


def seconds_an_epoch(captured: bool | None, start=lambda: None, epochs: int = 5) -> float:
    """Mean over epochs after the first, whose steps also warm up; `start` is called between."""
    marks: list[float] = []

    def mark(outputs, run, epoch):
        torch.cuda.synchronize()
        if epoch == 1:
            start()  # may wait for other processes
        marks.append(time.perf_counter())
        return {}

    # The outputs on all images are taken each epoch, as the experiments do.
    settings = Settings(epochs=epochs, precision="bfloat16", channels_last=True, captured=captured)
    fit(
        models.resnet56,
        _task(),
        [Run(0.1)],
        settings,
        device="cuda",
        progress=False,
        measure=mark,
    )
    return (marks[-1] - marks[0]) / (len(marks) - 1) * EPOCH / IMAGES


def _together(count: int) -> float:
    """Seconds an epoch of each of several processes on one card, started together."""
    spawn = torch.multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(count), spawn.Queue()
    workers = [spawn.Process(target=_worker, args=(barrier, answers)) for _ in range(count)]
    for worker in workers:
        worker.start()
    seconds = [answers.get(timeout=150) for _ in workers]
    for worker in workers:
        worker.join()
    return sum(seconds) / count


def _worker(barrier, answers) -> None:
    answers.put(seconds_an_epoch(None, barrier.wait))


def bytes_of_a_step(model: nn.Module, batch: int, width: int = 2) -> int:
    """Bytes that a training step has to move for its activations, `width` bytes a number."""
    moved = 0

    def count(module, inputs, output):
        nonlocal moved
        size_in, size_out = inputs[0][0].numel(), output[0].numel()
        moved += 3 * (size_in + size_out) if isinstance(module, nn.Conv2d) else 5 * size_out

    hooks = [
        module.register_forward_hook(count)
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    return moved * batch * width


def bandwidth() -> float:
    """Bytes a second of a large copy on the card, counting those read and those written."""
    source = torch.randint(0, 255, (2**30,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    times = []
    for _ in range(10):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        target.copy_(source)
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / 1000)
    return 2 * source.numel() / sorted(times)[len(times) // 2]
