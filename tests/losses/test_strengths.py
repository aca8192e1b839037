"""A strength for each position, and gradients with respect to it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.losses import confidence_penalty, discrete_vib, label_correction, label_smoothing

LOSSES = {
    "label_smoothing": label_smoothing,
    "label_smoothing, r, w": lambda z, y, s, **options: label_smoothing(
        z, y, s, smoothing=[0.5, 0.2, 0.3], weight=[1.0, 2.0, 4.0], **options
    ),
    "confidence_penalty": confidence_penalty,
    "discrete_vib": discrete_vib,
    "label_correction": label_correction,
}
PLAIN = [LOSSES[name] for name in LOSSES if "," not in name]


def batch(*shape, seed=0, ignored=0.3):
    """Logits `(N, 3, ...)`, labels of `shape` with ignored ones, strengths of `shape`."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*shape, 3, generator=generator, dtype=torch.float64).movedim(-1, 1)
    labels = torch.randint(0, 3, shape, generator=generator)
    labels[torch.rand(shape, generator=generator) < ignored] = -100
    return logits, labels, torch.rand(shape, generator=generator, dtype=torch.float64)


def close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@given(st.integers(0, 10**6))
def test_strength_of_a_position_is_that_number_there(name, seed):
    loss = LOSSES[name]
    logits, labels, strength = batch(4, 3, seed=seed)
    strength[0, :2] = torch.tensor([0.0, 1.0])  # the ends too
    by_number = [loss(logits, labels, s.item(), reduction="none") for s in strength.flatten()]
    expected = torch.stack([x.flatten()[i] for i, x in enumerate(by_number)]).view(4, 3)
    close(loss(logits, labels, strength, reduction="none"), expected)
    close(loss(logits, labels, strength, reduction="sum"), expected.sum())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(), (3,), (4, 1), (1, 3), (1, 1)])
def test_strength_broadcasts_over_the_labels(name, shape):
    logits, labels, strength = batch(4, 3)
    strength = strength.flatten()[: math.prod(shape)].view(shape)
    full = strength.expand(4, 3).clone()
    close(LOSSES[name](logits, labels, strength), LOSSES[name](logits, labels, full))


@pytest.mark.parametrize("loss", PLAIN)
def test_strength_takes_the_type_of_the_loss(loss):
    logits, labels, strength = batch(4)
    got = loss(logits.float(), labels, strength)
    assert got.dtype == torch.float32
    assert got.ndim == 0


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_first_and_second_derivatives_in_logits_and_strength(name, reduction):
    logits, labels, strength = batch(3, 2)

    def loss(z, s):
        return LOSSES[name](z, labels, s, reduction=reduction)

    inputs = (logits.requires_grad_(), (0.2 + 0.5 * strength).requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs)
    (ignored,) = torch.autograd.grad(loss(*inputs).sum(), inputs[1])
    assert (ignored[labels < 0] == 0).all()


@pytest.mark.parametrize("loss", PLAIN)
@pytest.mark.parametrize(
    ("strength", "error", "words"),
    [
        (torch.zeros(2), ValueError, r"broadcast over the labels' shape \(4, 3\), got shape \(2,"),
        (torch.zeros(1, 4, 3), ValueError, r"broadcast over .* \(4, 3\), got shape \(1, 4, 3\)"),
        (torch.tensor(1), TypeError, r"floating where it is a tensor, got torch\.int64"),
        (torch.tensor([0.1, -0.1, 0.2]), ValueError, r"must (be zero or|lie in \[0).*got -0\.1"),
        (torch.tensor([0.1, math.nan, 0.2]), ValueError, "must be finite, got nan"),
        (torch.tensor([0.1, math.inf, 0.2]), ValueError, "must be finite, got inf"),
        ([0.1, 0.2, 0.3], TypeError, r"must be a number or a tensor, got \[0\.1, 0\.2, 0\.3\]"),
    ],
)
def test_bad_strengths(loss, strength, error, words):
    logits, labels, _ = batch(4, 3)
    with pytest.raises(error, match=r"^(alpha|beta|eps) must .*") as caught:
        loss(logits, labels, strength)
    assert caught.match(words)


@pytest.mark.parametrize(("loss", "name"), [(label_smoothing, "alpha"), (label_correction, "eps")])
def test_a_share_above_one(loss, name):
    logits, labels, _ = batch(4)
    with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 1\], got 1\.5"):
        loss(logits, labels, torch.tensor([0.5, 1.5, 0.0, 1.0]))
