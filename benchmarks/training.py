"""The training loop, against the loop people write: DataLoader, one run after another, float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks._measure import Row, interleaved
from ibtutor import data, models
from ibtutor.data.augment import to_float
from ibtutor.train import Run, Settings, Task, fit

TITLE = "train.fit, one thread, random images and the embedded digits"
ALPHAS = tuple(i / 10 for i in range(10))


def run() -> Iterator[Row]:
    torch.set_num_threads(1)
    yield from _residual_network()
    yield from _data_alone()
    yield from _perceptron()
    yield from _sweep()


def _images(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator).to(torch.uint8)
    return images, torch.randint(0, 10, (count,), generator=generator)


def plain_loop(model: nn.Module, batches, optimizer: torch.optim.Optimizer, alpha: float) -> None:
    """One epoch as it is usually written."""
    model.train()
    for images, labels in batches:
        loss = F.cross_entropy(model(images), labels, label_smoothing=alpha)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _loop_of(make: Callable[[], nn.Module], dataset: Dataset, batch: int, epochs: int = 1):
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loader = DataLoader(dataset, batch, shuffle=True)
    for _ in range(epochs):
        plain_loop(model, loader, optimizer, 0.1)


def _residual_network() -> Iterator[Row]:
    split = _images(256)
    few = (split[0][:2], split[1][:2])
    task = Task(split, few, num_classes=10)
    as_float = TensorDataset(to_float(split[0]), split[1])
    # Three epochs, because fit also takes the outputs once at the end.
    common = Settings(epochs=3, stacked=False)
    fast = Settings(epochs=3, stacked=False, precision="bfloat16", channels_last=True)
    seconds = interleaved(
        {
            "plain": partial(_loop_of, models.resnet20, as_float, 128, 3),
            "float32": partial(fit, models.resnet20, task, [Run(0.1)], common, progress=False),
            "ours": partial(fit, models.resnet20, task, [Run(0.1)], fast, progress=False),
        },
        rounds=5,
    )
    # The most: an epoch is three passes (forward, and back twice its cost), and `fit` adds one
    # forward pass for the outputs: 9 of 10.
    speed = seconds["plain"] / seconds["float32"]
    yield Row("ResNet-20, plain loop over ours in float32", speed, "x slower", 0.9, at_least=True)
    speed = seconds["plain"] / seconds["ours"]
    yield Row("  plain loop over ours in bfloat16", speed, "x slower")


class _Photographs(Dataset):
    """torchvision's CIFAR10 with the usual transforms: one PIL image at a time."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, augment: bool):
        from torchvision import transforms

        self.images, self.labels = images.permute(0, 2, 3, 1).numpy(), labels
        change = [transforms.RandomCrop(32, 4), transforms.RandomHorizontalFlip()]
        to_tensor = [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)]
        self.change = transforms.Compose([*(change if augment else []), *to_tensor])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        from PIL import Image

        return self.change(Image.fromarray(self.images[i])), self.labels[i]


def _data_alone() -> Iterator[Row]:
    images, labels = _images(2560)

    def loader(dataset: Dataset, standardize: bool = False) -> None:
        for batch, _ in DataLoader(dataset, 128, shuffle=True):
            if standardize:
                to_float(batch, (0.5,) * 3, (0.25,) * 3)

    def resident(augment: bool) -> None:
        generator = torch.Generator().manual_seed(0)
        for rows in torch.randperm(len(labels), generator=generator).split(128):
            batch = images[rows]
            batch = data.random_crop_flip(batch, generator) if augment else batch
            to_float(batch, (0.5,) * 3, (0.25,) * 3)
            _ = labels[rows]

    seconds = interleaved(
        {
            "tensors": partial(loader, TensorDataset(images, labels), True),
            "plain": partial(loader, _Photographs(images, labels, False)),
            "resident": partial(resident, False),
            "plain, augmented": partial(loader, _Photographs(images, labels, True)),
            "resident, augmented": partial(resident, True),
        },
        rounds=7,
    )
    ratio = seconds["plain"] / seconds["resident"]
    yield Row(
        "data alone: DataLoader of torchvision's set over ours", ratio, "x slower", 5, at_least=True
    )
    yield Row("  DataLoader of tensors", seconds["tensors"] / seconds["resident"], "x slower")
    ratio = seconds["plain, augmented"] / seconds["resident, augmented"]
    yield Row("  DataLoader with crop and flip", ratio, "x slower", 5, at_least=True)
    size = 50_000 * images[0].nbytes / 2**20
    yield Row("CIFAR-10 resident as uint8", size, "MiB (float32: 4x)")


def _perceptron() -> Iterator[Row]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4096, 1, 28, 28), generator=generator).to(torch.uint8)
    labels = torch.randint(0, 10, (4096,), generator=generator)
    make = partial(models.MLP, 784, (1024, 1024), 10)
    task = Task((images, labels), (images[:2], labels[:2]), num_classes=10)
    settings = Settings(epochs=4, stacked=False)
    seconds = interleaved(
        {
            "plain": partial(_loop_of, make, TensorDataset(to_float(images), labels), 128, 4),
            "ours": partial(fit, make, task, [Run(0.1)], settings, progress=False),
        },
        rounds=3,
    )
    yield Row("MLP 784-1024-1024-10, plain loop over ours", seconds["plain"] / seconds["ours"], "x")


def _sweep() -> Iterator[Row]:
    split = data.digits("train")
    task = Task(split, (split.images[:2], split.labels[:2]), num_classes=10)
    runs = [Run(alpha) for alpha in ALPHAS]
    as_float = TensorDataset(to_float(split.images), split.labels)

    def people(make: Callable[[], nn.Module]) -> None:
        for _ in runs:
            _loop_of(make, as_float, 64, epochs=3)

    for width, target in ((32, 0.3), (256, None)):
        make = partial(models.MLP, 64, (width,), 10)
        calls = {
            stacked: partial(
                fit,
                make,
                task,
                runs,
                Settings(epochs=3, batch_size=64, stacked=stacked),
                progress=False,
            )
            for stacked in (True, False)
        }
        seconds = interleaved(
            {"stacked": calls[True], "one by one": calls[False], "plain": partial(people, make)},
            rounds=3,
        )
        name = f"ten strengths, MLP of width {width}"
        ratio = seconds["stacked"] / seconds["one by one"]
        yield Row(f"{name}: stacked over one by one", ratio, "x", target)
        yield Row("  stacked over the plain loop", seconds["stacked"] / seconds["plain"], "x")
