"""Batched augmentation against one image at a time."""

import pytest
import torch

from ibtutor import data


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(batch=64, channels=2, side=8):
    """Images whose pixels all differ, so that a window can be found again."""
    count = batch * channels * side * side
    return torch.arange(1, count + 1).view(batch, channels, side, side)


def test_crop_and_flip_cut_a_window_of_the_padded_image():
    images = numbered()
    result = data.random_crop_flip(images, seeded(), pad=2)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    seen = set()
    for image, whole in zip(result, padded, strict=True):
        windows = {
            (top, left, mirrored): (w.flip(2) if mirrored else w)
            for top in range(5)
            for left in range(5)
            for w in [whole[:, top : top + 8, left : left + 8]]
            for mirrored in (False, True)
        }
        found = [key for key, window in windows.items() if torch.equal(image, window)]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 25
    assert {key[2] for key in seen} == {False, True}


def test_crop_without_flip_never_mirrors_and_keeps_the_type():
    images = numbered().to(torch.uint8)
    result = data.random_crop_flip(images, seeded(), pad=0, flip=False)
    assert torch.equal(result, images)
    assert result.dtype == torch.uint8


def test_the_generator_decides():
    images = numbered()
    once = data.random_crop_flip(images, seeded(1))
    assert torch.equal(once, data.random_crop_flip(images, seeded(1)))
    assert not torch.equal(once, data.random_crop_flip(images, seeded(2)))


def test_offsets_are_uniform():
    images = torch.zeros(20_000, 1, 1, 1, dtype=torch.uint8) + 1
    # A single pixel, padded by one: it stays in the window for one of nine offsets.
    share = float(data.random_crop_flip(images, seeded(), pad=1).double().mean())
    assert share == pytest.approx(1 / 9, abs=0.01)


def test_full_window_resized_crop_is_the_image_or_its_mirror():
    images = torch.randint(0, 256, (32, 3, 8, 8), generator=seeded()).to(torch.uint8)
    result = data.random_resized_crop(images, seeded(), scale=(1.0, 1.0), ratio=(1.0, 1.0))
    same = (result == images).flatten(1).all(1)
    mirrored = (result == images.flip(3)).flatten(1).all(1)
    assert bool((same | mirrored).all())
    assert 0 < int(mirrored.sum()) < 32
    plain = data.random_resized_crop(
        images, seeded(), scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=False
    )
    assert torch.equal(plain, images)


def test_resized_crop_stays_inside_the_image():
    ramp = torch.arange(16.0).expand(500, 1, 16, 16)
    result = data.random_resized_crop(ramp, seeded(), scale=(0.25, 0.5), flip=False)
    assert result.min() >= 0
    assert result.max() <= 15
    width = result[:, 0, 0, -1] - result[:, 0, 0, 0]  # of the window, less one pixel of it
    assert float(width.max()) < 16 * (0.5 * 4 / 3) ** 0.5
    assert float(width.min()) > 15 * (0.25 * 3 / 4) ** 0.5 * 15 / 16 - 1


def test_erasing_changes_one_rectangle_in_some_images():
    images = torch.zeros(400, 2, 16, 16)
    result = data.random_erasing(images, seeded(), probability=0.25)
    changed = (result != 0).any(1)
    touched = changed.flatten(1).any(1)
    assert float(touched.double().mean()) == pytest.approx(0.25, abs=0.08)
    for mask in changed[touched]:
        rows, columns = mask.any(1), mask.any(0)
        assert int(mask.sum()) == int(rows.sum()) * int(columns.sum())
        assert int(mask.sum()) <= 0.45 * 256
    noise = result[result != 0]
    assert float(noise.std()) == pytest.approx(1, abs=0.1)


def test_to_float_standardizes_each_channel():
    images = torch.randint(0, 256, (4, 3, 5, 5), generator=seeded()).to(torch.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    from torchvision.transforms.functional import normalize

    expected = normalize(images.float() / 255, mean, std)
    assert torch.allclose(data.to_float(images, mean, std), expected, atol=1e-5)
    assert torch.equal(data.to_float(images.float()), images.float())
    with pytest.raises(ValueError, match="1 or 3 values"):
        data.to_float(images, (0.1, 0.2), (1.0,))


def test_shapes_are_checked():
    for change in (data.random_crop_flip, data.random_resized_crop, data.random_erasing):
        with pytest.raises(ValueError, match=r"\(B, C, H, W\)"):
            change(torch.zeros(3, 8, 8), seeded())
