"""Classes masked with a logit of minus infinity: 0 log 0 = 0, and no NaN in any derivative."""

import math

import pytest
import torch
import torch.nn.functional as F

from ibtutor.losses import (
    confidence_penalty,
    discrete_vib,
    label_correction,
    label_smoothing,
    soft_cross_entropy,
)

R = (0.1, 0.0, 0.9)  # smoothing over the allowed classes, 0 and 2
W = (2.0, 5.0, 1.0)
LABELS = torch.tensor([0, 2, 2])
STRENGTHS = [0.0, 0.3, 1.0, torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)]


def soft(labels, s, r=R):
    """Targets (1 - s) one-hot + s r."""
    s = torch.as_tensor(s, dtype=torch.float64).reshape(-1, 1)
    return (1 - s) * F.one_hot(labels, 3) + s * torch.tensor(r, dtype=torch.float64)


CASES = {
    "label_smoothing": lambda z, y, s: label_smoothing(z, y, s, smoothing=R),
    "label_smoothing, r, w": lambda z, y, s: label_smoothing(z, y, s, smoothing=R, weight=W),
    # A weight of zero allows the masked class too, also under uniform smoothing.
    "label_smoothing, w": lambda z, y, s: label_smoothing(z, y, s, weight=(2.0, 0.0, 1.0)),
    "confidence_penalty": confidence_penalty,
    "label_correction": label_correction,
    "discrete_vib": discrete_vib,
    "soft_cross_entropy": lambda z, y, s: soft_cross_entropy(z, soft(y, s)),
}


def by_hand(name, log_p, s):
    """The same from `log_p` of the two allowed classes, `(3, 2)`, by the definitions."""
    w = torch.tensor(W).double()
    y, s = LABELS // 2, torch.as_tensor(s, dtype=torch.float64)
    nll, entropy = -log_p.gather(1, y[:, None])[:, 0], -(log_p.exp() * log_p).sum(1)
    if name == "confidence_penalty":
        return (nll - s * entropy).mean()
    if name == "label_correction":
        return ((1 - s) * nll + s * entropy).mean()
    if name == "discrete_vib":
        on, off = -math.log(0.9 + 0.1 / 3), -math.log(0.1 / 3)
        p_y = (-nll).exp()
        return (on * p_y + off * (1 - p_y) + s * (math.log(3) - entropy)).mean()
    if name == "label_smoothing, w":
        return -(soft(LABELS, s, [1 / 3] * 3) * w)[:, ::2].mul(log_p).sum() / w[LABELS].sum()
    w = w if name.endswith("w") else torch.ones(3).double()
    return -(soft(LABELS, s) * w)[:, ::2].mul(log_p).sum() / w[LABELS].sum()


def logits():
    """Three rows with class 1 masked, and a leaf that holds the finite logits."""
    free = torch.tensor([[0.3, -1.0], [2.0, 0.5], [-0.7, 0.2]]).double().requires_grad_()
    masked = torch.full((3, 1), -math.inf, dtype=torch.float64)
    return free, torch.cat([free[:, :1], masked, free[:, 1:]], 1)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", CASES)
def test_masked_class_is_as_if_it_were_not_there(name, strength):
    free, z = logits()
    got, expected = CASES[name](z, LABELS, strength), by_hand(name, free.log_softmax(1), strength)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    first = torch.autograd.grad(got, z, create_graph=True)[0]
    assert (first[:, 1] == 0).all()
    second = torch.autograd.grad(first.square().sum(), free)[0]
    wanted = torch.autograd.grad(expected, free, create_graph=True)[0]
    torch.testing.assert_close(first[:, ::2], wanted, rtol=1e-12, atol=1e-12)
    wanted = torch.autograd.grad(wanted.square().sum(), free)[0]
    torch.testing.assert_close(second, wanted, rtol=1e-10, atol=1e-12)


def test_a_smoothing_over_the_allowed_classes():  # 1.26326 nats, by hand
    z = torch.tensor([[0.0, 1.0, -math.inf]], dtype=torch.float64, requires_grad=True)
    loss = label_smoothing(z, torch.tensor([0]), 0.1, smoothing=(0.5, 0.5, 0.0))
    loss.backward()
    p = 1 / (1 + math.e)
    assert loss.item() == pytest.approx(-0.95 * math.log(p) - 0.05 * math.log1p(-p), abs=1e-14)
    assert loss.item() == pytest.approx(1.26326, abs=5e-6)
    assert z.grad[0].tolist() == pytest.approx([p - 0.95, 0.95 - p, 0.0], abs=1e-14)


def test_uniform_smoothing_of_a_masked_class_is_infinite():
    _, z = logits()
    strength = torch.tensor([0.0, 0.1, 0.1])
    assert label_smoothing(z, LABELS, 0.1) == math.inf
    assert F.cross_entropy(z, LABELS, label_smoothing=0.1) == math.inf
    assert label_smoothing(z, LABELS, strength, reduction="none").isinf().tolist() == [0, 1, 1]
    assert label_smoothing(z, LABELS, 0.0).isfinite()
    assert soft_cross_entropy(z, torch.full((3, 3), 1 / 3)) == math.inf


@pytest.mark.parametrize("name", CASES)
def test_the_masked_class_as_label(name):
    _, z = logits()
    loss = CASES[name](z, torch.tensor([0, 1, 2]), 0.2)
    # Discrete VIB is bounded; a class of weight zero costs nothing.
    finite = name in ("discrete_vib", "label_smoothing, w")
    assert loss.isfinite() if finite else loss == math.inf


@pytest.mark.parametrize("one", [1.0, torch.tensor([0.5, 1.0, 0.5])])
@pytest.mark.parametrize("name", ["label_smoothing", "label_correction", "soft_cross_entropy"])
def test_a_label_without_a_share_costs_nothing(name, one):
    _, z = logits()  # at strength one the target does not hold the masked label
    loss = CASES[name](z, torch.tensor([0, 1, 2]), one)
    (gradient,) = torch.autograd.grad(loss, z)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_of_targets_that_are_zero(masked):
    z = torch.tensor([[0.5, -1.0, -math.inf if masked else 2.0]], dtype=torch.float64)
    q = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    soft_cross_entropy(z, q).backward()
    wanted = -z.log_softmax(1)
    torch.testing.assert_close(q.grad, wanted.masked_fill(wanted.isinf(), 0.0))
