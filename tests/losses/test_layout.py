"""Layouts, ignored positions and reductions: equal to torch where torch has them."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from ibtutor.losses import (
    check_labels,
    confidence_penalty,
    discrete_vib,
    label_correction,
    label_smoothing,
    soft_cross_entropy,
)

ON_LABELS = (label_smoothing, confidence_penalty, discrete_vib, label_correction)
REDUCTIONS = ("none", "mean", "sum")
# What torch calls (N, C, d1, ...), and (C) without a batch.
LAYOUTS = [(3,), (5, 3), (4, 3, 2), (2, 4, 3, 2), (2, 3, 2, 1, 3)]


def batch(layout, seed=0, ignored=0.0, ignore_index=-100):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(layout, generator=generator, dtype=torch.float64)
    dim = min(1, len(layout) - 1)
    shape = layout[:dim] + layout[dim + 1 :]
    labels = torch.randint(0, layout[dim], shape, generator=generator)
    labels[torch.rand(shape, generator=generator) < ignored] = ignore_index
    return logits, labels


def exact(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12, equal_nan=True)


@given(
    st.sampled_from(LAYOUTS),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([-100, -1, 255]),
    st.sampled_from([None, (1.0, 2.0, 0.5, 4.0), (0.0, 1.0, 3.0, 0.0)]),
    st.sampled_from(REDUCTIONS),
    st.sampled_from([0.0, 0.1, 0.73, 1.0]),
)
@example((3,), 17, 0.0, -100, (0.0, 1.0, 3.0, 0.0), "mean", 0.1)  # the label weighs nothing
def test_label_smoothing_is_torch(layout, seed, share, index, weight, reduction, alpha):
    logits, labels = batch(layout, seed, share, index)
    w = weight and torch.tensor(weight[: logits.shape[min(1, logits.ndim - 1)]]).double()
    options = {"weight": w, "ignore_index": index, "reduction": reduction}
    z = logits.clone().requires_grad_()
    got = label_smoothing(z, labels, alpha, **options)
    expected = F.cross_entropy(logits.requires_grad_(), labels, label_smoothing=alpha, **options)
    exact(got, expected)
    got.sum().backward()
    expected.sum().backward()
    if not expected.isnan().any():  # all ignored: torch's gradient is NaN as the mean itself
        exact(z.grad, logits.grad)


@given(st.sampled_from(LAYOUTS), st.integers(0, 10**6), st.sampled_from(REDUCTIONS), st.booleans())
def test_soft_cross_entropy_is_torch(layout, seed, reduction, one_hot):
    logits, labels = batch(layout, seed)
    dim = min(1, logits.ndim - 1)
    targets = logits.flip(dim).softmax(dim)
    if one_hot:
        targets = F.one_hot(labels, logits.shape[dim]).movedim(-1, dim).double()
    got = soft_cross_entropy(logits, targets, reduction=reduction)
    exact(got, F.cross_entropy(logits, targets, reduction=reduction))


@pytest.mark.parametrize("loss", ON_LABELS)
@given(
    st.sampled_from(LAYOUTS[1:]),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.4]),
    st.floats(0, 1),
)
def test_every_position_is_a_batch_of_one(loss, layout, seed, share, strength):
    logits, labels = batch(layout, seed, share)
    rows, flat = logits.movedim(1, -1).reshape(-1, layout[1]), labels.flatten()
    each = [
        loss(z[None], y[None], strength).item() if y >= 0 else 0.0
        for z, y in zip(rows, flat, strict=True)
    ]
    got = loss(logits, labels, strength, reduction="none")
    assert got.shape == labels.shape
    exact(got.flatten(), torch.tensor(each, dtype=torch.float64))
    exact(loss(logits, labels, strength, reduction="sum"), got.sum())
    exact(loss(logits, labels, strength), got.sum() / (labels >= 0).sum())


@pytest.mark.parametrize("loss", ON_LABELS)
def test_without_a_batch(loss):
    logits, labels = batch((3,))
    exact(loss(logits, labels, 0.2), loss(logits[None], labels[None], 0.2))


def test_weighted_mean_with_a_smoothing_and_ignored_positions():
    logits, labels = batch((5, 4, 3), ignored=0.4)
    r = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    w = torch.tensor([1.0, 2.0, 0.0, 4.0], dtype=torch.float64)
    total, mass = 0.0, 0.0
    for z, y in zip(logits.movedim(1, -1).flatten(0, 1), labels.flatten(), strict=True):
        if y >= 0:
            target = 0.7 * F.one_hot(y, 4).double() + 0.3 * r
            total -= (target * w * z.log_softmax(0)).sum()
            mass += w[y]
    exact(label_smoothing(logits, labels, 0.3, smoothing=r, weight=w), total / mass)


@pytest.mark.parametrize("loss", ON_LABELS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_an_ignored_position_counts_for_nothing_whatever_its_logits(loss, value):
    logits, labels = batch((4, 3, 2), ignored=0.4)
    hidden = (labels < 0).unsqueeze(1).expand_as(logits)
    spoiled = logits.masked_fill(hidden, value).requires_grad_()
    logits.requires_grad_()
    got, expected = loss(spoiled, labels, 0.2), loss(logits, labels, 0.2)
    exact(got, expected)
    got.backward()
    expected.backward()
    exact(spoiled.grad, logits.grad)
    assert (spoiled.grad[hidden] == 0).all()
    assert (spoiled.grad[~hidden] != 0).all()


@pytest.mark.parametrize("loss", ON_LABELS)
def test_all_ignored(loss):
    logits, labels = batch((4, 3), ignored=1.0)
    logits.requires_grad_()
    total = loss(logits, labels, 0.2, reduction="sum")
    total.backward()
    assert total == 0.0
    assert (logits.grad == 0).all()
    assert loss(logits, labels, 0.2).isnan()  # torch: nothing over no positions
    assert F.cross_entropy(logits, labels).isnan()
    assert loss(logits, labels, 0.2, reduction="none").tolist() == [0.0] * 4


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_small_integers_are_labels_too(dtype):
    logits, labels = batch((5, 3), ignored=0.3, ignore_index=100)
    got = label_smoothing(logits, labels.to(dtype), 0.1, ignore_index=100)
    exact(got, label_smoothing(logits, labels, 0.1, ignore_index=100))
    exact(label_smoothing(logits, labels.numpy(), 0.1, ignore_index=100), got)


@pytest.mark.parametrize("loss", ON_LABELS)
@pytest.mark.parametrize(
    ("labels", "options", "error", "words"),
    [
        ([0, 1], {"reduction": "avg"}, ValueError, "one of none, mean, sum, got 'avg'"),
        ([0, 1], {"ignore_index": 2}, ValueError, r"lie outside the classes 0 \.\. 2, got 2"),
        ([0, 1], {"ignore_index": 1.0}, TypeError, "ignore_index must be an integer, got 1.0"),
        ([0, 1], {"ignore_index": True}, TypeError, "ignore_index must be an integer, got True"),
        ([0, -1], {}, ValueError, r"labels must lie in 0 \.\. 2, got -1"),
        ([-100, 3], {}, ValueError, r"labels must lie in 0 \.\. 2, got 3"),
        ([-100, 0], {"ignore_index": 9}, ValueError, r"labels must lie in 0 \.\. 2, got -100"),
        ([[0, 1]], {}, ValueError, r"shape \(2,\) to match logits of shape \(2, 3\), got \(1, 2\)"),
        ([[0.9, 0.1, 0.0]] * 2, {}, TypeError, "integers, .* probabilities go to soft_cross_entr"),
    ],
)
def test_bad_arguments(loss, labels, options, error, words):
    with pytest.raises(error, match=words):
        loss(torch.zeros(2, 3), torch.tensor(labels), 0.1, **options)


@pytest.mark.parametrize("loss", ON_LABELS)
def test_a_layout_with_the_classes_last_is_named(loss):
    logits, labels = batch((2, 5, 7))
    with pytest.raises(ValueError, match=r"got \(2, 5\); .* pass logits.movedim\(-1, 1\)"):
        loss(logits, labels[:, :1].expand(2, 5) * 0, 0.1)


def test_bad_soft_targets():
    logits = torch.zeros(2, 3, 4)
    with pytest.raises(ValueError, match="reduction must be one of none, mean, sum, got 'avg'"):
        soft_cross_entropy(logits, logits + 1 / 3, reduction="avg")
    with pytest.raises(ValueError, match=r"same shape, got \(2, 3, 4\) and \(2, 4, 3\)"):
        soft_cross_entropy(logits, torch.full((2, 4, 3), 1 / 3))
    with pytest.raises(ValueError, match="targets must sum to 1"):
        soft_cross_entropy(logits, torch.full((2, 3, 4), 1 / 4))  # over the wrong dimension
    with pytest.raises(TypeError, match="unexpected keyword argument 'ignore_index'"):
        soft_cross_entropy(logits, logits + 1 / 3, ignore_index=-1)


def test_labels_of_a_data_set_are_checked_once():
    check_labels(torch.tensor([[0, 4], [2, -100]]), 5)
    check_labels([255, 1], 5, ignore_index=255)
    check_labels([-100], 5)
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\. 4, got 255"):
        check_labels([255, 1], 5)
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\. 4, got -1"):
        check_labels([9, -1], 5)
    with pytest.raises(TypeError, match=r"labels must be integers, got torch\.float64"):
        check_labels([0.5], 5)
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        check_labels([0], 1)
