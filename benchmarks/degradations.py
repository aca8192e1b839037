"""Degradations of a batch, against torchvision and plain torch one image at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torchvision.transforms.functional import gaussian_blur

from benchmarks._measure import Row, interleaved
from ibtutor import data
from ibtutor.info import normalized_mutual_information

TITLE = "degradations, 128 images of 3 x 32 x 32, each at its own level, one thread"


def run() -> Iterator[Row]:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(128, 3, 32, 32, generator=generator)
    level = torch.rand(128, generator=generator)
    kind = torch.randint(4, (128,), generator=generator)
    levels = level.tolist()

    def blur():
        for image, d in zip(images, levels, strict=True):
            sigma = 50 * d + 0.01
            gaussian_blur(image, min(2 * int(4 * sigma + 0.5) + 1, 51), sigma)

    def mosaic():
        for image, d in zip(images.clone(), levels, strict=True):
            side = max(1, int(32 * (d + 0.001) ** 2))
            for tile in (t for strip in image.split(side, 1) for t in strip.split(side, 2)):
                tile.copy_(tile.mean((1, 2), keepdim=True).expand_as(tile))

    seconds = interleaved(
        {
            "blur": lambda: data.gaussian_blur(images, level, variant="coded"),
            "torchvision": blur,
            "mosaic": lambda: data.mosaic(images, level, variant="coded"),
            "loop": mosaic,
            "all": lambda: data.degrade(images, level, kind, generator, variant="coded"),
            "information": lambda: normalized_mutual_information(images, images),
        }
    )
    yield Row(
        "blur: torchvision, image by image",
        seconds["torchvision"] / seconds["blur"],
        "x slower",
        1,
        at_least=True,
    )
    yield Row(
        "mosaic: tile by tile", seconds["loop"] / seconds["mosaic"], "x slower", 1, at_least=True
    )
    yield Row("all four, a kind for each image", seconds["all"] / seconds["information"], "x NMI")
