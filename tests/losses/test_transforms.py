"""The losses under torch.func, torch.compile and autocast, and on a device that must not wait."""

import functools
import warnings

import pytest
import torch
from torch.func import grad, vmap

from ibtutor.losses import (
    confidence_penalty,
    discrete_vib,
    label_correction,
    label_smoothing,
    soft_cross_entropy,
)

R, W = torch.tensor([0.2, 0.3, 0.4, 0.1]), torch.tensor([1.0, 2.0, 3.0, 0.5])


def targets(labels, s):
    """(1 - s) one-hot + s / 4, without the value checks of `F.one_hot`."""
    return (1 - s) * (labels.unsqueeze(-1) == torch.arange(4, device=labels.device)) + s / 4


LOSSES = {
    "label_smoothing": label_smoothing,
    "label_smoothing, r, w": lambda z, y, s, **options: label_smoothing(
        z, y, s, smoothing=R, weight=W, **options
    ),
    "confidence_penalty": confidence_penalty,
    "discrete_vib": discrete_vib,
    "discrete_vib, r": lambda z, y, s, **options: discrete_vib(z, y, s, smoothing=R, **options),
    "label_correction": label_correction,
    "soft_cross_entropy": lambda z, y, s, **options: soft_cross_entropy(
        z, targets(y.clamp(0), s).movedim(-1, min(1, z.ndim - 1)), **options
    ),
}
on_all = pytest.mark.parametrize("name", LOSSES)


def batch(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(*shape, 4, generator=generator, dtype=dtype)
    labels = torch.randint(0, 4, shape, generator=generator)
    labels[..., 0] = -100
    return logits, labels


def close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@on_all
def test_vmap_over_runs_is_the_loop(name):
    logits, labels = batch(3, 5)
    strengths = torch.tensor([0.0, 0.2, 1.0]).double()
    looped = [LOSSES[name](*each) for each in zip(logits, labels, strengths, strict=True)]
    close(vmap(LOSSES[name])(logits, labels, strengths), torch.stack(looped))
    shared = [LOSSES[name](z, labels[0], 0.2) for z in logits]
    close(vmap(LOSSES[name], (0, None, None))(logits, labels[0], 0.2), torch.stack(shared))


@on_all
def test_gradient_of_each_example(name):
    logits, labels = batch(5)
    loss = functools.partial(LOSSES[name], reduction="sum")
    got = vmap(grad(loss), (0, 0, None))(logits, labels, 0.2)
    loss(logits.requires_grad_(), labels, 0.2).backward()
    close(got, logits.grad)


@on_all
def test_second_derivatives(name):
    logits, labels = batch(2, 2)
    logits = logits.movedim(-1, 1).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda z: LOSSES[name](z, labels, 0.3), logits)


@on_all
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nothing_is_read_back_from_a_device(name, reduction):
    # A tensor on "meta" has a shape and no values: reading one raises.
    with torch.device("meta"):
        logits, labels = torch.empty(2, 4, 3, requires_grad=True), torch.ones(2, 3, dtype=int)
        strength = torch.empty(3)
    shape = (2, 3) if reduction == "none" else ()
    loss = LOSSES[name](logits, labels, 0.2, reduction=reduction)
    assert (loss.shape, loss.device.type) == (shape, "meta")
    loss.sum().backward()
    if name != "soft_cross_entropy":
        assert LOSSES[name](logits, labels, strength, reduction=reduction).shape == shape


def test_values_on_a_device_are_not_read_back_either():
    with torch.device("meta"):
        logits, labels, vector = torch.empty(2, 4), torch.ones(2, dtype=int), torch.empty(4)
    label_smoothing(logits, labels, 0.1, smoothing=vector, weight=vector)
    discrete_vib(logits, labels, 0.1, smoothing=vector)
    soft_cross_entropy(logits, torch.empty(2, 4, device="meta"))
    with pytest.raises(ValueError, match=r"weight must have shape \(4,\), got \(2,\)"):
        label_smoothing(logits, labels, 0.1, weight=vector[:2])


@on_all
def test_autocast_takes_half_precision_in_float32(name):
    logits, labels = batch(6, dtype=torch.bfloat16)
    logits.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        got = LOSSES[name](logits, labels, 0.2)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, LOSSES[name](logits.float(), labels, 0.2))
    got.backward()
    assert logits.grad.dtype == torch.bfloat16
    assert logits.grad.isfinite().all()


@on_all
def test_compiles_without_a_graph_break(name):
    logits, labels = batch(4, dtype=torch.float32)
    torch.compiler.reset()
    compiled = torch.compile(LOSSES[name], fullgraph=True, backend="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations while it traces
        for strength in (0.2, 0.4, torch.tensor(0.3)):  # the second makes numbers symbols
            z = logits.clone().requires_grad_()
            got, expected = compiled(z, labels, strength), LOSSES[name](z, labels, strength)
            torch.testing.assert_close(got, expected)
            torch.testing.assert_close(
                torch.autograd.grad(got, z), torch.autograd.grad(expected, z)
            )
