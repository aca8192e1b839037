"""Flowers-102 from a folder of small photographs."""

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest
import torch

from ibtutor import data
from ibtutor.data import sources


@pytest.fixture
def flowers(tmp_path, monkeypatch):
    """Six photographs, two classes: a folder with its own checksums."""
    from PIL import Image
    from scipy.io import savemat

    folder = tmp_path / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    for i in range(1, 7):
        photo = Image.new("RGB", (50, 30 + i), (40 * i, 255 - 40 * i, 0))
        photo.save(folder / "jpg" / f"image_{i:05d}.jpg", quality=95)
    savemat(folder / "imagelabels.mat", {"labels": np.array([1, 1, 1, 2, 2, 2])})
    savemat(folder / "setid.mat", {"trnid": [1, 4], "valid": [2, 5], "tstid": [3, 6]})
    files = {
        name: hashlib.md5((folder / name).read_bytes()).hexdigest()
        for name in ("imagelabels.mat", "setid.mat")
    }
    published = tmp_path / "published"
    shutil.copytree(folder, published)

    def fetch(staging):
        shutil.copytree(published, staging / "flowers-102", dirs_exist_ok=True)

    changed = dataclasses.replace(sources.SOURCES["flowers102"], files=files, fetch=fetch)
    monkeypatch.setitem(sources.SOURCES, "flowers102", changed)
    monkeypatch.setenv("IBTUTOR_DATA", str(tmp_path))
    return folder


def test_photographs_become_squares_with_their_labels(flowers):
    images, labels = data.flowers102("train", size=16)
    assert images.shape == (2, 3, 16, 16)
    assert images.dtype == torch.uint8
    assert labels.tolist() == [0, 1]
    means = images.double().mean((2, 3))
    assert torch.allclose(means[0], torch.tensor([40.0, 215.0, 0.0]).double(), atol=6)


def test_the_second_call_reads_the_cache(flowers):
    first = data.flowers102("train", size=16).images
    for photo in (flowers / "jpg").iterdir():
        photo.unlink()
    assert torch.equal(data.flowers102("train", size=16).images, first)


def test_the_training_split_alone_is_enough(flowers):
    (flowers / "jpg" / "image_00003.jpg").unlink()
    status = data.check("flowers102")
    assert status.state == "ok"
    assert "5 of 6" in status.message
    assert status.lacking == 1
    with pytest.raises(data.DataError, match=r"image_00003.jpg.*ibtutor data get"):
        data.flowers102("test", size=16)


def test_get_fetches_the_photographs_that_lack_and_keeps_what_is_here(flowers):
    np.save(flowers / "kaggle-split.npy", np.array([0, 0, 1, 0, 2, 2], np.int8))
    before = data.flowers102("train", size=16).images
    for i in (3, 6):
        (flowers / "jpg" / f"image_{i:05d}.jpg").unlink()
    assert data.get("flowers102") == flowers
    status = data.check("flowers102")
    assert (status.state, status.lacking) == ("ok", 0)
    assert "whole" in status.message
    assert len(data.flowers102("test", size=16).labels) == 2
    assert torch.equal(data.flowers102("train", size=16).images, before)
    assert (flowers / "kaggle-split.npy").is_file()
    assert not flowers.with_name("flowers-102.corrupt").exists()


def test_get_leaves_all_photographs_alone(flowers, monkeypatch):
    def never(staging):
        raise AssertionError("downloaded again")

    changed = dataclasses.replace(sources.SOURCES["flowers102"], fetch=never)
    monkeypatch.setitem(sources.SOURCES, "flowers102", changed)
    assert data.get("flowers102") == flowers


def test_a_missing_training_photograph_is_missing(flowers):
    (flowers / "jpg" / "image_00004.jpg").unlink()
    status = data.check("flowers102")
    assert status.state == "missing"
    assert "image_00004.jpg" in status.message


def test_a_damaged_photograph_is_named_and_no_cache_is_left(flowers):
    path = flowers / "jpg" / "image_00004.jpg"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(data.DataError, match=r"image_00004.jpg is damaged"):
        data.flowers102("train", size=16)
    assert not list(flowers.glob("*.npy"))


def test_a_cache_of_another_size_is_refused(flowers):
    np.save(flowers / "train-16.npy", np.zeros((1, 3, 16, 16), np.uint8))
    with pytest.raises(data.DataError, match="delete it"):
        data.flowers102("train", size=16)


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_cache_that_was_cut_short_is_refused(flowers, size):
    data.flowers102("train", size=16)
    cache = flowers / "train-16.npy"
    cache.write_bytes(cache.read_bytes()[:size])
    with pytest.raises(data.DataError, match=r"train-16\.npy cannot be read.*delete it"):
        data.flowers102("train", size=16)


def test_damaged_labels_and_splits_are_refused(flowers):
    np.save(flowers / "kaggle-split.npy", np.zeros(7, np.int8))
    with pytest.raises(data.DataError, match=r"shape \(7,\), not \(6,\): copy it again"):
        data.flowers102("kaggle-train", size=16)
    (flowers / "kaggle-split.npy").write_bytes(b"")
    with pytest.raises(data.DataError, match=r"kaggle-split\.npy cannot be read.*copy it again"):
        data.flowers102("kaggle-train", size=16)
    lists = flowers / "setid.mat"
    lists.write_bytes(lists.read_bytes()[:-1])
    with pytest.raises(data.DataError, match=r"setid\.mat has checksum"):
        data.flowers102("train", size=16)


def test_the_kaggle_split_needs_its_file(flowers):
    with pytest.raises(data.DataError, match=r"kaggle-split\.npy"):
        data.flowers102("kaggle-train", size=16)
    np.save(flowers / "kaggle-split.npy", np.array([0, 0, 1, 0, 2, 2], np.int8))
    assert data.flowers102("kaggle-train", size=16).labels.tolist() == [0, 0, 1]
    assert data.flowers102("kaggle-val", size=16).labels.tolist() == [0]
    # Another split of the same counts: images and labels follow it, not the cache of the first.
    np.save(flowers / "kaggle-split.npy", np.array([2, 2, 1, 0, 0, 0], np.int8))
    images, labels = data.flowers102("kaggle-train", size=16)
    assert labels.tolist() == [1, 1, 1]
    assert (images.double().mean((2, 3))[:, 0] - torch.tensor([160, 200, 240])).abs().max() < 6
    with pytest.raises(ValueError, match="at least 8"):
        data.flowers102("train", size=4)
