import pytest
import torch

from ibtutor.data.occluded import digit_pairs, draw_partners, occlude, occluded
from ibtutor.info import mutual_information


def plug_in_information(a, b, k=10):
    """I(a;b) in nats of the empirical joint distribution."""
    counts = torch.bincount(a * k + b, minlength=k * k).double().view(k, k)
    return float(mutual_information(counts / counts.sum()))


@pytest.fixture
def sources():
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (50, 3, 32, 32), generator=generator).to(torch.uint8)
    digits = torch.randint(256, (30, 28, 28), generator=generator).to(torch.uint8)
    return images, torch.arange(50) % 10, digits, torch.arange(30) % 10


def test_nuisance_is_independent_of_the_class():
    # Sorted labels on both sides: only the draw can make them independent.
    labels = torch.arange(50_000) // 5_000
    digit_labels = torch.arange(60_000) // 6_000
    images, digits = torch.zeros(50_000, 1, 1, 1), torch.zeros(60_000, 1, 1)
    for seed in range(3):
        data = occluded(images, labels, digits, digit_labels, seed=seed)
        bias = 9 * 9 / (2 * 50_000)  # mean of the plug-in under independence (Miller-Madow)
        spread = (2 * 81) ** 0.5 / (2 * 50_000)  # 2 N I is chi-squared with 81 degrees of freedom
        assert plug_in_information(data.labels, data.nuisance) < bias + 5 * spread


def test_plug_in_sees_a_dependence():
    labels = torch.arange(50_000) // 5_000
    assert plug_in_information(labels, labels) > 2.3


def test_occluded_keeps_what_lies_outside_the_digit(sources):
    images, labels, digits, digit_labels = sources
    data = occluded(images, labels, digits, digit_labels, seed=0)
    assert torch.equal(data.images[:, :, :2], images[:, :, :2])
    assert torch.equal(data.images[:, :, :, 30:], images[:, :, :, 30:])
    assert torch.equal(data.nuisance, digit_labels[data.partner])
    assert torch.equal(data.labels, labels)


def test_occlude_blends_as_the_formula_says(sources):
    images, _, digits, _ = sources
    painted = occlude(images[:30], digits).float() / 255
    patch, ink = images[:30, :, 2:30, 2:30].float() / 255, digits[:, None].float() / 255
    expected = patch + ink * (1 - patch)
    torch.testing.assert_close(painted[:, :, 2:30, 2:30], expected, atol=0.5 / 255 + 1e-6, rtol=0)


def test_occlude_gives_the_same_for_bytes_and_floats(sources):
    images, _, digits, _ = sources
    for how in ("over", "max"):
        a = occlude(images[:30], digits, how=how).float() / 255
        b = occlude(images[:30].float() / 255, digits.float() / 255, how=how)
        torch.testing.assert_close(a, b, atol=0.5 / 255 + 1e-6, rtol=0)


def test_full_ink_is_white_and_no_ink_changes_nothing(sources):
    images = sources[0][:2]
    for how in ("over", "max"):
        white = occlude(images, torch.full((2, 4, 4), 255, dtype=torch.uint8), how=how)
        assert bool((white[:, :, 14:18, 14:18] == 255).all())
        none = occlude(images, torch.zeros(2, 4, 4, dtype=torch.uint8), how=how)
        assert torch.equal(none, images)


def test_occlude_does_not_change_its_input(sources):
    images, _, digits, _ = sources
    before = images.clone()
    occlude(images[:30], digits)
    assert torch.equal(images, before)


def test_offset_moves_the_digit(sources):
    images = sources[0][:1]
    ink = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    painted = occlude(images, ink, offset=(0, 30))
    assert bool((painted[:, :, :2, 30:] == 255).all())


def test_same_seed_same_data_other_seed_other_data(sources):
    a, b = (occluded(*sources, seed=3) for _ in range(2))
    c = occluded(*sources, seed=4)
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.nuisance, b.nuisance)
    assert not torch.equal(a.partner, c.partner)


def test_mismatched_counts_are_refused(sources):
    images, labels, digits, digit_labels = sources
    with pytest.raises(ValueError, match="exactly one digit, got 50 images and 30 digits"):
        occlude(images, digits)
    with pytest.raises(ValueError, match="each digit needs one label, got 30 digits and 9 labels"):
        occluded(images, labels, digits, digit_labels[:9], seed=0)
    with pytest.raises(ValueError, match="each image needs one label"):
        occluded(images, labels[:1], digits, digit_labels, seed=0)


def test_wrong_shapes_types_and_options_are_refused(sources):
    images, _, digits, _ = sources
    with pytest.raises(ValueError, match="does not fit"):
        occlude(images[:30], digits, offset=(5, 0))
    with pytest.raises(TypeError, match="both be uint8"):
        occlude(images[:30].float(), digits)
    with pytest.raises(ValueError, match=r"images as floats must lie in \[0, 1\], got 2"):
        occlude(images[:30].float(), digits.float() / 255)
    with pytest.raises(ValueError, match=r"digits as floats must lie in \[0, 1\], got nan"):
        occlude(images[:30].float() / 255, torch.full_like(digits, torch.nan, dtype=torch.float32))
    with pytest.raises(ValueError, match="how must be"):
        occlude(images[:30], digits, how="under")
    with pytest.raises(ValueError, match="shape"):
        occlude(images[:30], digits[:, None])
    with pytest.raises(ValueError, match="at least 1 digit"):
        draw_partners(3, 0, seed=0)


def test_digit_pairs_show_left_and_right(sources):
    _, _, digits, labels = sources
    small = digits[:, :8, :8]
    data = digit_pairs(small, labels, 200, seed=0)
    assert data.images.shape == (200, 1, 8, 16)
    assert torch.equal(data.images[:, 0, :, 8:], small[data.partner])
    assert torch.equal(data.nuisance, labels[data.partner])
    # Sources are distinct pictures, so the left half tells which one was taken.
    same = (data.images[:, 0, None, :, :8] == small[None]).all((2, 3))
    assert torch.equal(labels[same.int().argmax(1)], data.labels)


def test_digit_pairs_overlap_by_the_larger_value(sources):
    _, _, digits, labels = sources
    small = digits[:, :8, :8]
    data = digit_pairs(small, labels, 50, overlap=4, seed=0)
    assert data.images.shape == (50, 1, 8, 12)
    assert bool((data.images[:, 0, :, 4:] >= small[data.partner]).all())
    with pytest.raises(ValueError, match=r"overlap must lie in 0\.\.7"):
        digit_pairs(small, labels, 5, overlap=8, seed=0)
    with pytest.raises(ValueError, match="one label each"):
        digit_pairs(small, labels[:3], 5, seed=0)


def test_digit_pairs_are_independent():
    labels = torch.arange(1000) // 100
    data = digit_pairs(torch.zeros(1000, 1, 1), labels, 50_000, seed=0)
    limit = 81 / 1e5 + 5 * (2 * 81) ** 0.5 / 1e5
    assert plug_in_information(data.labels, data.nuisance) < limit
