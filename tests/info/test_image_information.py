"""Normalized mutual information of images: known values, the definition, the floor, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.info import entropy, mutual_information
from ibtutor.info import normalized_mutual_information as nmi
from ibtutor.info import normalized_mutual_information_floor as floor
from ibtutor.info.image_information import _levels


def plain(a, b, bins, coded=False):
    """The definition, one channel at a time, in float64."""
    values = []
    for x, y in zip(a.flatten(0, 1), b.flatten(0, 1), strict=True):
        steps = bins - 1 if coded else bins
        i, j = ((z * steps).floor().clamp(max=bins - 1).long().flatten() for z in (x, y))
        joint = torch.zeros(bins, bins, dtype=torch.float64)
        joint.index_put_((i, j), torch.tensor(1 / len(i), dtype=torch.float64), accumulate=True)
        total = entropy(joint.sum(0)) + entropy(joint.sum(1))
        empty = 0.0 if coded else 1.0
        values.append(
            2 * mutual_information(joint) / total
            if max(len(i.unique()), len(j.unique())) > 1
            else torch.tensor(empty)
        )
    return torch.stack(values).view(a.shape[:2]).mean(1, dtype=torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def from_table(joint, scale=10):
    """Two images whose pixel pairs have the joint histogram `joint`."""
    pairs = [
        (i, j)
        for i, row in enumerate(joint)
        for j, p in enumerate(row)
        for _ in range(round(scale * p))
    ]
    gray = (torch.tensor(pairs, dtype=torch.float64) + 0.5) / len(joint)
    return gray[:, 0].view(1, 1, 1, -1), gray[:, 1].view(1, 1, 1, -1)


def test_the_oracle_and_its_relation_to_the_cited_quantity(oracle):
    entry = oracle("I01")
    a, b = from_table(entry["inputs"]["joint"])
    assert nmi(a, b, 2).item() == pytest.approx(entry["expected"]["NMI"], abs=1e-12)
    assert 2 - 2 / entry["expected"]["NMI_S"] == pytest.approx(nmi(a, b, 2).item(), abs=1e-12)


@given(
    st.integers(0, 2**16),
    st.integers(2, 70),
    st.tuples(*[st.integers(1, 4), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)]),
    st.sampled_from(["described", "coded"]),
    st.sampled_from([torch.float64, torch.float32]),
)
def test_against_the_definition(seed, bins, shape, variant, dtype):
    a = torch.rand(shape, generator=seeded(seed), dtype=dtype)
    noise = torch.rand(shape, generator=seeded(seed + 1), dtype=dtype)
    b = torch.where(noise < 0.5, a.round(), noise)
    got = nmi(a, b, bins, variant=variant)
    assert got.dtype == torch.float64
    torch.testing.assert_close(got, plain(a, b, bins, variant == "coded"), rtol=0, atol=1e-12)
    torch.testing.assert_close(got, nmi(b, a, bins, variant=variant), rtol=0, atol=1e-12)
    assert got.min() >= 0
    assert got.max() <= 1


def test_chunks_do_not_show():
    a, b = (torch.rand(300, 2, 6, 6, generator=seeded(s)) for s in (0, 1))
    whole = nmi(a, b)
    alone = torch.cat([nmi(x[None], y[None]) for x, y in zip(a, b, strict=True)])
    assert torch.equal(whole, alone)


def test_what_is_blind_and_what_is_not():
    x = torch.rand(8, 3, 32, 32, generator=seeded())
    ones = torch.ones(8, dtype=torch.float64)
    torch.testing.assert_close(nmi(x, x), ones, rtol=0, atol=1e-12)
    # 1 - x reverses the bins, but for pixels on a border, which random ones do not meet.
    torch.testing.assert_close(nmi(x, 1 - x), ones, rtol=0, atol=1e-12)
    moved = nmi(x, x.roll(1, -1))
    assert moved.max() < 0.4  # nothing was lost, yet it says as much as for independent images


def test_constant_channels(oracle):
    both, one = oracle("I08")["expected"]
    noise = torch.rand(1, 1, 8, 8, generator=seeded())
    gray, black = torch.full_like(noise, 0.3), torch.zeros_like(noise)
    assert nmi(gray, gray).item() == both
    assert nmi(gray, black).item() == both  # an invertible map of the one gray level
    assert nmi(gray, noise).item() == one
    assert nmi(noise, black).item() == one
    assert nmi(gray, gray, variant="coded").item() == 0
    channels = torch.cat([gray, noise, noise], 1), torch.cat([black, black, noise], 1)
    assert nmi(*channels).item() == pytest.approx((both + one + 1) / 3, abs=1e-12)


def test_the_last_bin_holds_one_and_as_coded_nothing_else():
    pair = torch.tensor([1.0, 0.99]).view(1, 1, 1, 2)
    assert nmi(pair, pair, 64).item() == 1  # both in the last bin: constant
    assert nmi(pair, 1 - pair, 64, variant="coded").item() == 0  # 0 and .01 share the first bin
    assert nmi(pair, pair, 64, variant="coded").item() == 1  # told apart


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("bins", [2, 10, 51, 64, 256])
def test_bytes_fall_into_the_bins_of_their_gray_levels(bins, coded):
    gray = torch.arange(256, dtype=torch.uint8)
    steps = bins - 1 if coded else bins
    exact = [min(k * steps // 255, bins - 1) for k in range(256)]
    assert _levels(gray, bins, coded).tolist() == exact
    if bins == 64:  # the paper's: k / 255 in float32 gives the same
        assert _levels(gray.float() / 255, bins, coded).tolist() == exact


def test_types_agree():
    a, b = (torch.randint(0, 256, (4, 3, 8, 8), generator=seeded(s)).byte() for s in (0, 1))
    expected = nmi(a, b)
    assert torch.equal(nmi(a.float() / 255, b), expected)
    assert torch.equal(nmi(a.numpy(), b.numpy()), expected)
    assert torch.equal(nmi((a.float() / 255).numpy(), b.double() / 255), expected)
    lists = (a / 255).tolist(), (b / 255).tolist()
    assert torch.equal(nmi(*lists), expected)
    half = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 2, 2)
    for dtype in (torch.float16, torch.bfloat16):
        assert nmi(half.to(dtype), half.to(dtype)).item() == pytest.approx(1, abs=1e-12)


def test_the_published_guards_change_little():
    x = torch.rand(20, 3, 32, 32, generator=seeded())
    y = (x + 0.05 * torch.randn(x.shape, generator=seeded(1))).clamp(0, 1)
    eps, guarded = 1e-10, []
    for a, b in zip(x.flatten(0, 1), y.flatten(0, 1), strict=True):
        joint = torch.zeros(64, 64)
        cells = [(z * 63).long().flatten() for z in (a, b)]
        joint.index_put_(cells, torch.tensor(1 / 1024), accumulate=True)
        p, q = joint.sum(1), joint.sum(0)
        inside = joint > 0
        ratio = (joint / (p[:, None] * q + eps) + eps).log()
        shared = (joint * ratio)[inside].sum()
        h = [-(v[v > 0] * (v[v > 0] + eps).log()).sum() for v in (p, q)]
        guarded.append(2 * shared / sum(h))
    guarded = torch.stack(guarded).view(20, 3).mean(1).double()
    torch.testing.assert_close(nmi(x, y, variant="coded"), guarded, rtol=0, atol=2e-4)


def test_floor_of_independent_noise(oracle):
    entry = oracle("I06")
    draw = np.random.default_rng(entry["inputs"]["seed"]).random((200, 2, 1, 32, 32))
    a, b = torch.from_numpy(draw[:, 0]), torch.from_numpy(draw[:, 1])
    assert nmi(a, b, 64).mean().item() == pytest.approx(entry["expected"], abs=1e-9)
    # Shuffling measures it, also from one image alone; fewer bins or more pixels lower it.
    for bins, value, spread in ((64, 0.3606, 0.003), (8, 0.012, 0.002)):
        measured = floor(a, a, bins, generator=seeded()).mean().item()
        assert measured == pytest.approx(value, abs=spread)
    large = torch.rand(2, 1, 224, 224, generator=seeded())
    assert floor(large, large, generator=seeded()).mean().item() == pytest.approx(0.0098, abs=5e-4)


def test_floor_is_the_known_mean_over_orders():
    from sklearn.metrics import mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

    x = torch.rand(1, 1, 8, 8, generator=seeded()).pow(2)
    y = (0.7 * x + 0.3 * torch.rand(x.shape, generator=seeded(1))).clamp(0, 1)
    i, j = (_levels(z.flatten(), 8, False).numpy() for z in (x, y))
    h = mutual_info_score(i, i) + mutual_info_score(j, j)
    exact = 2 * expected_mutual_information(contingency_matrix(i, j), len(i)) / h
    draws = floor(x.expand(3000, -1, -1, -1), y.expand(3000, -1, -1, -1), 8, generator=seeded())
    error = (draws.var() / 3000).sqrt().item()
    assert draws.mean().item() == pytest.approx(exact, abs=5 * error)
    assert nmi(x, y, 8).item() > exact + 6 * draws.std().item()


def test_floor_uses_one_order_for_all_channels():
    gray = torch.rand(3, 1, 16, 16, generator=seeded()).expand(-1, 3, -1, -1)
    three = floor(gray, gray, generator=seeded(5))
    torch.testing.assert_close(three, floor(gray[:, :1], gray[:, :1], generator=seeded(5)))


def test_no_device_is_waited_for():
    x = torch.empty(4, 3, 8, 8, device="meta")  # a meta tensor has no values to read
    assert nmi(x, x).shape == (4,)
    assert nmi(x.byte(), x, variant="coded").shape == (4,)


GOOD = torch.full((2, 1, 2, 2), 0.5)


@pytest.mark.parametrize(
    ("a", "b", "options", "error", "words"),
    [
        (GOOD * 3, GOOD, {}, ValueError, r"a must hold pixels in \[0, 1\], got 1\.5"),
        (GOOD, GOOD - 1, {}, ValueError, r"b must hold pixels in \[0, 1\], got -0\.5"),
        (GOOD, GOOD * torch.nan, {}, ValueError, "b must hold pixels .* got nan"),
        (GOOD, GOOD[:1], {}, ValueError, r"same shape, got \(2, 1, 2, 2\) and \(1, 1, 2, 2\)"),
        (GOOD[0], GOOD[0], {}, ValueError, r"a must have shape \(B, C, H, W\) .*got \(1, 2, 2\)"),
        (GOOD[:0], GOOD[:0], {}, ValueError, "empty"),
        (GOOD.long(), GOOD, {}, TypeError, "a must be floating .* or uint8, got torch.int64"),
        (GOOD, GOOD, {"bins": 1}, ValueError, "bins must be at least 2, got 1"),
        (GOOD, GOOD, {"bins": 5000}, ValueError, "bins must be at most 4096, got 5000"),
        (GOOD, GOOD, {"bins": 8.0}, TypeError, "bins must be an integer, got 8.0"),
        (GOOD, GOOD, {"variant": "paper"}, ValueError, "variant must be .* coded, got 'paper'"),
    ],
)
def test_bad_input(a, b, options, error, words):
    with pytest.raises(error, match=words):
        nmi(a, b, **options)


def test_more_equal_pixels_than_float32_can_count():
    a = torch.zeros(1, 1, 4200, 4200, dtype=torch.uint8)
    a[..., 0, :] = 255
    b = a.clone()
    b[..., 1, :] = 255
    row, rest = 1 / 4200, 1 - 2 / 4200  # the joint has no cell (255, 0)
    joint = torch.tensor([[rest, row], [0.0, row]], dtype=torch.float64)
    shared = 2 * mutual_information(joint) / (entropy(joint.sum(0)) + entropy(joint.sum(1)))
    assert nmi(a, b, 2).item() == pytest.approx(shared.item(), abs=1e-9)
