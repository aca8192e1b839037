import pytest
import torch

from ibtutor.data import cluttered
from ibtutor.data.cluttered import clutter, enlarge


@pytest.fixture
def digits():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(1, 256, (20, 28, 28), generator=generator)
    return pixels.to(torch.uint8)


def hide_box(data):
    """Canvas without the digit's frame, where only crops are left."""
    return torch.where(data.box_masks(), torch.zeros(()), data.images[:, 0].float())


def test_every_crop_is_cut_from_the_same_image(digits):
    """Search each canvas for its crop: the window must stand somewhere in the digit's image."""
    data = clutter(digits, num_crops=1, seed=0)
    left_over = hide_box(data)
    compared = 0
    for n in range(len(digits)):
        row, column = data.crop_target[n, 0].tolist()
        seen = left_over[n, row : row + 8, column : column + 8]
        if int((seen > 0).sum()) < 32:
            continue  # the digit lies over most of this crop
        windows = digits[n].float().unfold(0, 8, 1).unfold(1, 8, 1)
        match = ((windows == seen) | (seen == 0)).all(-1).all(-1)
        assert bool(match.any())
        source_row, source_column = data.crop_source[n, 0].tolist()
        assert bool(match[source_row, source_column])
        others = digits[(n + 1) % 20].float().unfold(0, 8, 1).unfold(1, 8, 1)
        assert not bool(((others == seen) | (seen == 0)).all(-1).all(-1).any())
        compared += 1
    assert compared >= 5


def test_crops_from_another_image_are_not_redundant(digits):
    other = (torch.arange(20) + 1) % 20
    data = clutter(digits, num_crops=1, crops_from=other, seed=0)
    swapped = clutter(digits[other], num_crops=1, seed=0)
    assert torch.equal(data.crop_target, swapped.crop_target)
    # Where neither shows its digit, both show the same crop.
    outside = ~data.box_masks()
    assert torch.equal(data.images[:, 0][outside], swapped.images[:, 0][outside])


def test_the_digit_is_whole_inside_its_box(digits):
    data = clutter(digits, num_crops=0, seed=0)
    for n, (top, left, bottom, right) in enumerate(data.boxes.tolist()):
        assert torch.equal(data.images[n, 0, top:bottom, left:right], digits[n])
        assert (bottom - top, right - left) == (28, 28)
    assert int((hide_box(data) > 0).sum()) == 0


def test_ink_is_clipped_and_never_lost(digits):
    crowded = clutter(digits, num_crops=60, seed=0)
    clean = clutter(digits, num_crops=0, seed=0)
    top, left, bottom, right = crowded.boxes[0].tolist()
    inside = crowded.images[0, 0, top:bottom, left:right]
    assert bool((inside >= digits[0]).all())
    assert int(crowded.images.max()) == 255
    assert crowded.images.float().sum() > clean.images.float().sum()


def test_masks_are_the_strokes(digits):
    data = clutter(digits, seed=0, threshold=0.5)
    assert torch.equal(data.masks.sum((1, 2)), (digits > 127.5).sum((1, 2)))
    assert bool((data.masks <= data.box_masks()).all())
    assert torch.equal(data.box_masks().sum((1, 2)), torch.full((20,), 28 * 28))


def test_positions_cover_the_canvas_evenly():
    data = clutter(torch.zeros(4000, 4, 4), canvas=8, num_crops=3, crop=2, seed=0)
    counts = data.crop_target.flatten(0, 1)[:, 0].bincount(minlength=7).double()
    expected = 12_000 / 7
    assert float(((counts - expected) ** 2 / expected).sum()) < 22.5  # chi-squared, 6 d.f., 0.1 %
    assert data.boxes[:, 0].unique().tolist() == [0, 1, 2, 3, 4]
    assert data.crop_source.unique().tolist() == [0, 1, 2]


def test_same_seed_same_data_whatever_the_chunk(digits, monkeypatch):
    whole = clutter(digits, seed=5)
    monkeypatch.setattr(cluttered, "_CHUNK", 3)
    parts = clutter(digits, seed=5)
    assert torch.equal(whole.images, parts.images)
    assert torch.equal(whole.masks, parts.masks)
    assert not torch.equal(whole.images, clutter(digits, seed=6).images)


def test_bytes_and_floats_agree(digits):
    a = clutter(digits, seed=1)
    b = clutter(digits.float() / 255, seed=1)
    torch.testing.assert_close(a.images.float() / 255, b.images)
    assert torch.equal(a.masks, b.masks)


def test_enlarge_keeps_a_constant_and_the_range():
    torch.testing.assert_close(enlarge(torch.ones(1, 8, 8), 14), torch.ones(1, 14, 14))
    wide = enlarge(torch.rand(3, 8, 8), 14)
    assert wide.shape == (3, 14, 14)
    assert float(wide.min()) >= 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 29}, "crop 29, digits 28x28"),
        ({"canvas": 27}, "canvas 27"),
        ({"num_crops": -1}, "num_crops -1"),
        ({"crops_from": torch.zeros(3)}, "crops_from needs one row"),
    ],
)
def test_impossible_sizes_are_refused(digits, options, message):
    with pytest.raises(ValueError, match=message):
        clutter(digits, seed=0, **options)


def test_wrong_shape_and_type_are_refused(digits):
    with pytest.raises(ValueError, match=r"shape \(N, h, w\), got \(20, 1, 28, 28\)"):
        clutter(digits[:, None], seed=0)
    with pytest.raises(ValueError, match=r"digits as floats must lie in \[0, 1\], got \d"):
        clutter(2 + digits.float(), seed=0)
    with pytest.raises(TypeError, match="int64"):
        clutter(digits.long(), seed=0)
