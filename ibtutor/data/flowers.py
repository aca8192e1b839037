"""Flowers-102, decoded once into a uint8 file that later calls read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from ibtutor.data.split import Split
from ibtutor.data.store import DataError, ready

_OFFICIAL = {"train": "trnid", "val": "valid", "test": "tstid"}
_KAGGLE = {"kaggle-train": 0, "kaggle-val": 1, "kaggle-test": 2}


def flowers102(split: str = "train", size: int = 224) -> Split:
    """Flowers-102: 102 classes of photographs, squares of `size` pixels, `(N, 3, size, size)`.

    Official splits "train" (1,020 images, ten a class, H(Y) = ln 102 = 4.6250 nats), "val" (1,020)
    and "test" (6,149). The authors of CCT used a copy that circulates on Kaggle with 6,552, 818
    and 819 images, H(Y) = 4.5003 nats on its training part: "kaggle-train", "kaggle-val" and
    "kaggle-test" need `kaggle-split.npy` (the part 0, 1 or 2 of image 1 to 8,189) beside the
    photographs. The short side is resized to `size` (bicubic) and the center is kept; the result
    is cached, so only the first call decodes. Raises DataError if a file is missing or cannot be
    read, or if the labels or splits are not those published. Source: Nilsback and Zisserman 2008.
    """
    if split not in (*_OFFICIAL, *_KAGGLE):
        raise ValueError(f"split must be one of {[*_OFFICIAL, *_KAGGLE]}, got {split!r}")
    if size < 8:
        raise ValueError(f"size must be at least 8 pixels, got {size}")
    folder = ready("flowers102")
    ids, labels = _members(folder, split)
    which = ""
    if split in _KAGGLE:  # its file has no published checksum: another one is another cache
        which = f"-{hashlib.sha256(ids.tobytes()).hexdigest()[:8]}"
    cache = folder / f"{split}{which}-{size}.npy"
    if not cache.is_file():
        _write_cache(folder, ids, size, cache)
    remedy = "delete it, it is made again"
    images = _load(cache, remedy)
    if images.shape != (len(ids), 3, size, size) or images.dtype != np.uint8:
        raise DataError(
            f"{cache} holds {images.dtype} of shape {images.shape}, not {len(ids)} images of "
            f"{size} pixels: {remedy}"
        )
    return Split(torch.from_numpy(images), torch.from_numpy(labels))


def _members(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    all_labels = loadmat(folder / "imagelabels.mat", squeeze_me=True)["labels"].astype(np.int64) - 1
    if split in _OFFICIAL:
        ids = loadmat(folder / "setid.mat", squeeze_me=True)[_OFFICIAL[split]].astype(np.int64)
    else:
        path = folder / "kaggle-split.npy"
        if not path.is_file():
            raise DataError(
                f"{split} needs {path} (the part of image 1 to 8,189), not published here"
            )
        parts = _load(path, "copy it again")
        if parts.shape != all_labels.shape:
            raise DataError(
                f"{path} holds parts of shape {parts.shape}, not {all_labels.shape}: copy it again"
            )
        ids = np.flatnonzero(parts == _KAGGLE[split]) + 1
    return ids, all_labels[ids - 1]


def _load(path: Path, remedy: str) -> np.ndarray:
    try:
        return np.load(path)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}: {remedy}") from error


def _write_cache(folder: Path, ids: np.ndarray, size: int, cache: Path) -> None:
    missing = [i for i in ids if not _photograph(folder, i).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(ids)} photographs lack in {folder}, the first is "
            f"{_photograph(folder, missing[0]).name}. Run: ibtutor data get flowers102"
        )
    images = np.stack([_decode(_photograph(folder, i), size) for i in ids])
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".npy")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, images)
        os.replace(temporary, cache)
    except BaseException:
        os.unlink(temporary)
        raise


def _photograph(folder: Path, image_id: int) -> Path:
    return folder / "jpg" / f"image_{image_id:05d}.jpg"


def _decode(path: Path, size: int) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as photo:
            photo.draft("RGB", (2 * size, 2 * size))  # decode no larger than needed
            photo = photo.convert("RGB")
            scale = size / min(photo.size)
            width, height = (max(size, round(side * scale)) for side in photo.size)
            photo = photo.resize((width, height), Image.Resampling.BICUBIC)
            left, top = (width - size) // 2, (height - size) // 2
            square = photo.crop((left, top, left + size, top + size))
            return np.asarray(square).transpose(2, 0, 1)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(
            f"{path} is damaged: {error}. Delete it and run: ibtutor data get flowers102"
        ) from error
