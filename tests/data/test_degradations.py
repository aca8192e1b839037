"""Degradations against one image at a time, at the ends of d, and what they do to information."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor import data, info

LEVELS = torch.tensor([0.0, 0.001, 0.03, 0.1, 0.248, 0.25, 0.5, 0.77, 0.95, 1.0])
VARIANTS = ["described", "coded"]
every = pytest.mark.parametrize(
    ("kind", "variant"),
    [(kind, v) for kind in data.DEGRADATIONS for v in VARIANTS[: 1 + (kind in ("blur", "mosaic"))]],
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=seeded(seed))


def smooth(count, side=32):
    """Images with the spectrum of photographs, amplitude 1 / frequency, from black to white."""
    noise = torch.fft.rfft2(torch.randn(count, 3, side, side, generator=seeded()))
    squared = torch.fft.fftfreq(side)[:, None] ** 2 + torch.fft.rfftfreq(side) ** 2
    x = torch.fft.irfft2(noise / (squared + side**-2).sqrt(), s=(side, side))
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return ((x - low) / (high - low)).clamp(0, 1)


@every
@pytest.mark.parametrize("shape", [(3, 3, 32, 32), (2, 1, 28, 28), (2, 1, 8, 8), (2, 2, 5, 9)])
def test_nothing_happens_at_zero(kind, variant, shape):
    x = random(*shape)
    assert torch.equal(data.degrade(x, 0.0, kind, seeded(), variant=variant), x)
    byte = (255 * x).byte()
    assert torch.equal(data.degrade(byte, 0, kind, seeded(), variant=variant), byte.float() / 255)


def test_where_nothing_happens_beyond_zero():
    x = random(1, 3, 32, 32)

    def same(kind, level, variant="coded"):
        return torch.equal(data.degrade(x, level, kind, seeded(), variant=variant), x)

    assert same("mosaic", 0.248)
    assert not same("mosaic", 0.25)
    assert same("mosaic", 1 / 32, "described")
    assert not same("mosaic", 1 / 31 + 1e-9, "described")
    assert same("diffusion", 0.999 / 999)
    assert not same("diffusion", 1.001 / 999)
    assert same("blur", 0.0022)
    assert not same("blur", 0.004)
    assert not same("dropout", 1e-9)


@every
def test_severe_levels_keep_little(kind, variant):
    x = smooth(24)
    degraded = [
        data.degrade(x, d.item(), kind, seeded(9), variant=variant) for d in torch.linspace(0, 1, 9)
    ]
    kept = [info.normalized_mutual_information(x, y).mean() for y in degraded]
    steps = torch.stack(kept).diff()
    assert steps.max() < 2e-3  # it does not grow with d, but for the noise of 72 channels
    assert kept[0].item() == pytest.approx(1, abs=1e-12)
    if kind == "diffusion":  # noise sinks to the floor of its histogram, not to zero
        floor = info.normalized_mutual_information_floor(x, degraded[-1], generator=seeded(1))
        assert kept[-1].item() == pytest.approx(floor.mean().item(), abs=3e-3)
        assert kept[-1] > 0.2
    elif (kind, variant) == ("blur", "coded"):  # 51 pixels do not blur all away
        assert 0.02 < kept[-1] < 0.1
    else:
        assert kept[-1] < 1e-3


@every
def test_each_image_has_its_own_level(kind, variant):
    x = random(len(LEVELS), 2, 16, 16)
    whole = data.degrade(x, LEVELS, kind, seeded(3), variant=variant)
    assert whole.shape == x.shape
    assert whole.dtype == x.dtype
    assert whole.min() >= 0
    assert whole.max() <= 1
    if kind in ("blur", "mosaic"):
        pairs = zip(x.split(1), LEVELS.tolist(), strict=True)
        alone = [data.degrade(image, d, kind, seeded(), variant=variant) for image, d in pairs]
        torch.testing.assert_close(whole, torch.cat(alone), rtol=0, atol=1e-6)
    again = data.degrade(x, LEVELS, kind, seeded(3), variant=variant)
    assert torch.equal(whole, again)


@every
def test_constant_images_stay_constant(kind, variant):
    x = torch.full((len(LEVELS), 1, 32, 32), 0.3)
    y = data.degrade(x, LEVELS, kind, seeded(), variant=variant)
    if kind in ("blur", "mosaic"):
        assert torch.equal(y, x)
    elif kind == "dropout":
        assert set(y.unique().tolist()) <= {0.0, x[0, 0, 0, 0].item()}


def test_noise_is_that_of_the_diffusion():
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    for d in (0.05, 0.2, 1.0):
        a = (1 - betas)[: int(999 * d) + 1].prod().item()
        # Gray: nothing to scale. Its noise has standard deviation sqrt(1 - a) / 2, then clipping.
        y = data.diffusion_noise(torch.full((100, 1, 32, 32), 0.5), d, seeded())
        spread = (1 - a) ** 0.5 / 2
        inside = torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(0.5 / spread)).item()
        clipped = ((y == 0) | (y == 1)).double().mean().item()
        assert clipped == pytest.approx(2 * (1 - inside), abs=0.008)
        below = (y < 0.5 - 0.3 * spread).double().mean().item()
        assert below == pytest.approx(0.3821, abs=0.008)  # of a normal, below -0.3
    # Scaled towards gray: black has mean (1 - sqrt(a)) / 2 before noise; the median survives.
    a = (1 - betas)[:500].prod().item()
    y = data.diffusion_noise(torch.ones(400, 1, 32, 32), 499.5 / 999, seeded())
    assert y.median().item() == pytest.approx((1 + a**0.5) / 2, abs=0.01)


@pytest.mark.parametrize(("max_sigma", "max_kernel"), [(50.0, 51), (10.0, 11)])
def test_blur_as_coded_is_that_of_torchvision(max_sigma, max_kernel):
    from torchvision.transforms.functional import gaussian_blur

    x = random(len(LEVELS), 3, 32, 32)
    got = data.gaussian_blur(x, LEVELS, max_sigma=max_sigma, max_kernel=max_kernel, variant="coded")
    for image, d, blurred in zip(x, LEVELS.double().tolist(), got, strict=True):
        sigma = d * max_sigma + 0.01
        size = min(2 * int(4 * sigma + 0.5) + 1, max_kernel)
        expected = gaussian_blur(image, [size, size], [sigma, sigma])
        torch.testing.assert_close(blurred, expected, rtol=0, atol=2e-6)


def test_blur_as_described_is_a_gaussian_at_any_width():
    # A cosine that the mirror continues keeps its shape and loses exp(-(w sigma)^2 / 2).
    side = 32
    w = torch.pi / (side - 1) * 3
    row = torch.cos(w * torch.arange(side, dtype=torch.float64)).expand(1, 1, side, side)
    for sigma in (1.0, 2.0, 5.0):
        y = data.gaussian_blur(0.5 + row / 2, sigma / 50)
        expected = 0.5 + row / 2 * torch.exp(torch.tensor(-((w * sigma) ** 2) / 2))
        torch.testing.assert_close(y, expected, rtol=0, atol=3e-4)  # what lies beyond 4 sigma
    for side in (8, 32):
        far = data.gaussian_blur(random(1, 1, side, side), 1.0)
        assert (far - far.mean()).abs().max() < 5e-3


@given(st.integers(0, 2**16), st.floats(0, 1), st.integers(1, 9), st.sampled_from([8, 12, 17, 32]))
def test_dropout_keeps_whole_patches_and_as_many_as_coded(seed, d, patch, side):
    x = 0.5 + 0.5 * random(3, 2, side, side, seed=seed)
    y = data.coarse_dropout(x, d, seeded(seed), patch=patch)
    assert torch.equal(y[y > 0], x[y > 0])
    count = (-(-side // patch)) ** 2
    for image in (y > 0).all(1):
        shown = [
            tile.all()
            for strip in image.split(patch, 0)
            for tile in strip.split(patch, 1)
            if tile.any()
        ]
        assert all(shown)
        assert len(shown) == int(count * (1 - d))


def test_dropout_takes_every_patch_equally_often():
    y = data.coarse_dropout(torch.ones(8000, 1, 16, 16), 0.5, seeded(), patch=8)
    shares = y[:, 0, ::8, ::8].double().mean(0)
    torch.testing.assert_close(shares, torch.full_like(shares, 0.5), rtol=0, atol=0.03)


@given(st.floats(0, 1), st.sampled_from([(8, 8), (32, 32), (7, 12)]), st.sampled_from(VARIANTS))
def test_mosaic_is_the_mean_of_each_block(d, shape, variant):
    x = random(1, 2, *shape)
    longer = max(shape)
    side = 1 + int((longer - 1) * d)
    if variant == "coded":
        side = max(1, int(longer * (d + 0.001) ** 2))
    expected = x.clone()
    for tile in (t for strip in expected.split(side, 2) for t in strip.split(side, 3)):
        tile.copy_(tile.mean((2, 3), keepdim=True).expand_as(tile))
    got = data.mosaic(x, d, variant=variant)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


def test_sides_of_the_published_blocks():
    x = torch.arange(32.0).expand(1, 1, 32, 32) / 31
    for d, side in (
        (0.24, 1),
        (0.25, 2),
        (0.3, 2),
        (0.4, 5),
        (0.5, 8),
        (0.6, 11),
        (0.7, 15),
        (0.8, 20),
        (1.0, 32),
    ):
        row = data.mosaic(x, d, variant="coded")[0, 0, 0]
        assert int((row == row[0]).sum()) == side


@pytest.mark.parametrize("variant", VARIANTS)
def test_kinds_are_mixed_as_told(variant):
    x, level = random(40, 3, 16, 16), random(40, seed=1)
    kind = torch.randint(4, (40,), generator=seeded(2))
    mixed = data.degrade(x, level, kind, seeded(), variant=variant)
    for number, name in ((1, "blur"), (3, "mosaic")):
        one = data.degrade(x, level, name, seeded(), variant=variant)
        assert torch.equal(mixed[kind == number], one[kind == number])
    black = (mixed == 0).all(1)
    assert bool(black[(kind == 2) & (level > 0.3)].flatten(1).any(1).all())


def test_standardized_images_lose_their_dark_half_as_in_the_published_evaluation():
    x = torch.randn(20, 3, 32, 32, generator=seeded())
    with pytest.raises(ValueError, match="images must hold pixels"):
        data.diffusion_noise(x, 0.002, seeded())
    assert torch.equal(data.diffusion_noise(x, 0.0, seeded(), any_range=True), x)
    y = data.diffusion_noise(x, 0.002, seeded(), any_range=True)
    assert (y == 0).double().mean().item() == pytest.approx(0.5, abs=0.03)
    blurred = data.gaussian_blur(x, 0.1, max_sigma=10, max_kernel=11, any_range=True)
    assert blurred.min() < 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types(dtype):
    x = random(4, 1, 8, 8).to(dtype)
    for kind in data.DEGRADATIONS:
        assert data.degrade(x, 0.5, kind, seeded()).dtype == dtype
        assert torch.equal(data.degrade(x, 0.0, kind, seeded()), x)


@pytest.mark.parametrize("kind", ["blur", "mosaic"])
def test_no_device_is_waited_for(kind):
    x = torch.empty(4, 3, 8, 8, device="meta")  # a meta tensor has no values to read
    level = torch.empty(4, device="meta")
    assert data.degrade(x, level, kind, seeded()).shape == x.shape


X = torch.full((2, 1, 8, 8), 0.5)


@pytest.mark.parametrize("kind", data.DEGRADATIONS)
@pytest.mark.parametrize(
    ("images", "level", "error", "words"),
    [
        (X * 3, 0.5, ValueError, r"images must hold pixels in \[0, 1\], got 1\.5"),
        (X * torch.nan, 0.5, ValueError, "images must hold pixels .*got nan"),
        (X[0], 0.5, ValueError, r"images must have shape \(B, C, H, W\) .*got \(1, 8, 8\)"),
        (X[:0], 0.5, ValueError, "empty"),
        (X.long(), 0.5, TypeError, "images must be floating .* or uint8, got torch.int64"),
        (X.tolist(), 0.5, TypeError, "images must be a torch tensor, got list"),
        (X, 1.5, ValueError, r"level must lie in \[0, 1\], got 1\.5"),
        (X, [0.0, -0.1], ValueError, r"level must lie in \[0, 1\], got -0\.1"),
        (X, float("nan"), ValueError, "level must be finite, got nan"),
        (X, [0.1] * 3, ValueError, r"level must be a number or have shape \(2,\), got \(3,\)"),
        (X, "much", TypeError, "level must hold real numbers, got 'much'"),
    ],
)
def test_bad_input(kind, images, level, error, words):
    with pytest.raises(error, match=words):
        data.degrade(images, level, kind, seeded())


def test_bad_options():
    with pytest.raises(ValueError, match=r"kind must be one of .*mosaic, got 'fog'"):
        data.degrade(X, 0.5, "fog", seeded())
    with pytest.raises(ValueError, match=r"kind must lie in 0 \.\. 3, got 4"):
        data.degrade(X, 0.5, torch.tensor([0, 4]), seeded())
    with pytest.raises(ValueError, match=r"variant must be .* got 'fair'"):
        data.degrade(X, 0.5, "mosaic", seeded(), variant="fair")
    with pytest.raises(ValueError, match="max_kernel must be odd, got 10"):
        data.gaussian_blur(X, 0.5, max_kernel=10)
    with pytest.raises(ValueError, match="max_sigma must be zero or more, got -1"):
        data.gaussian_blur(X, 0.5, max_sigma=-1)
    with pytest.raises(ValueError, match="patch must be at least 1, got 0"):
        data.coarse_dropout(X, 0.5, seeded(), patch=0)


def test_constants_reach_each_kind():
    x, level = random(6, 1, 8, 8), torch.full((6,), 0.5)
    scaled = {"max_sigma": 4.0, "patch": 2}
    blurred = data.degrade(x, level, torch.ones(6).long(), seeded(), **scaled)
    assert torch.equal(blurred, data.gaussian_blur(x, level, max_sigma=4.0))
    dropped = data.degrade(x, level, 2 * torch.ones(6).long(), seeded(), **scaled)
    assert torch.equal(dropped, data.coarse_dropout(x, level, seeded(), patch=2))
    assert (dropped == 0).double().mean() == pytest.approx(0.5, abs=1e-9)
    assert not torch.equal(dropped, data.degrade(x, 0.5, "dropout", seeded()))
