"""Mutual information learning: the oracle, the definition, and where its second term is inert."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.func import grad, vmap

from ibtutor.losses import label_smoothing, mutual_information_learning

LAYOUTS = [(3,), (5, 3), (4, 3, 2), (2, 4, 3, 2)]


def batch(layout, seed=0, ignored=0.0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(layout, generator=generator, dtype=torch.float64)
    dim = min(1, len(layout) - 1)
    shape = layout[:dim] + layout[dim + 1 :]
    labels = torch.randint(0, layout[dim], shape, generator=generator)
    labels[torch.rand(shape, generator=generator) < ignored] = -100
    return logits, labels


def by_definition(logits, labels, strength, prior=None):
    """Probabilities, a histogram and sums in Python: no log-softmax, no log-sum-exp."""
    dim = min(1, logits.ndim - 1)
    k = logits.shape[dim]
    rows = [
        (p.tolist(), int(y))
        for p, y in zip(
            logits.movedim(dim, -1).reshape(-1, k).softmax(1), labels.flatten(), strict=True
        )
        if y >= 0
    ]
    count = len(rows)
    ce = math.fsum(-math.log(p[y]) for p, y in rows) / count
    mean = [math.fsum(p[c] for p, _ in rows) / count for c in range(k)]
    target = prior or [sum(y == c for _, y in rows) / count for c in range(k)]
    return ce - strength * math.fsum(
        q * math.log(m) for q, m in zip(target, mean, strict=True) if q > 0
    )


def close(got, expected, tolerance=1e-12):
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def test_oracle(oracle):
    case = oracle("M11")
    logits = torch.tensor(case["inputs"]["p"], dtype=torch.float64).log()
    labels = torch.tensor(case["inputs"]["y"])
    lam, expected = case["inputs"]["lam"], case["expected"]
    assert mutual_information_learning(logits, labels, 0.0).item() == pytest.approx(
        expected["ce"], abs=1e-12
    )
    got = mutual_information_learning(logits, labels, lam).item()
    assert got == pytest.approx(expected["milLoss"], abs=1e-12)
    histogram = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    entropy = -(histogram * histogram.log()).sum().item()
    assert got - lam * entropy == pytest.approx(expected["milLoss_KL"], abs=1e-12)


@given(
    st.sampled_from(LAYOUTS),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.4]),
    st.sampled_from([0.0, 0.3, 50.0]),
    st.booleans(),
)
def test_it_is_its_definition(layout, seed, ignored, strength, with_prior):
    logits, labels = batch(layout, seed, ignored)
    k = layout[min(1, len(layout) - 1)]
    prior = [(c + 1) / (k * (k + 1) / 2) for c in range(k)] if with_prior else None
    got = mutual_information_learning(logits, labels, strength, prior=prior)
    if not (labels >= 0).any():
        assert got.isnan()  # a mean over nothing, as in torch
        return
    assert got.item() == pytest.approx(
        by_definition(logits, labels, strength, prior), rel=1e-12, abs=1e-12
    )


@given(st.sampled_from(LAYOUTS), st.integers(0, 10**6), st.sampled_from([0.0, 0.4]))
def test_without_strength_it_is_cross_entropy(layout, seed, ignored):
    logits, labels = batch(layout, seed, ignored)
    for reduction in ("none", "mean", "sum"):
        got = mutual_information_learning(logits, labels, 0.0, reduction=reduction)
        close(got, F.cross_entropy(logits, labels, reduction=reduction))


@given(st.sampled_from(LAYOUTS[1:]), st.integers(0, 10**6))
def test_every_position_carries_the_second_term_once(layout, seed):
    logits, labels = batch(layout, seed, ignored=0.3)
    each = mutual_information_learning(logits, labels, 5.0, reduction="none")
    assert each.shape == labels.shape
    assert (each[labels < 0] == 0).all()
    count = (labels >= 0).sum()
    close(mutual_information_learning(logits, labels, 5.0, reduction="sum"), each.sum())
    close(mutual_information_learning(logits, labels, 5.0), each.sum() / count)
    strengths = torch.rand(labels.shape, dtype=torch.float64)
    term = each - F.cross_entropy(logits, labels, reduction="none")
    got = mutual_information_learning(logits, labels, 5 * strengths, reduction="none")
    close(got - F.cross_entropy(logits, labels, reduction="none"), strengths * term)


@given(st.integers(0, 10**6), st.floats(0.1, 100))
def test_the_gradient_is_the_one_on_the_page(seed, strength):
    logits, labels = batch((7, 4), seed)
    logits.requires_grad_()
    mutual_information_learning(logits, labels, strength).backward()
    p = logits.detach().softmax(1)
    hits = F.one_hot(labels, 4).double()
    ratio = hits.mean(0) / p.mean(0)
    wanted = p - hits - strength * p * (ratio - (p * ratio).sum(1, keepdim=True))
    close(logits.grad, wanted / 7, 1e-10)


@given(st.integers(0, 10**6))
def test_with_the_right_mean_prediction_the_gradient_is_that_of_cross_entropy(seed):
    probs = batch((6, 3), seed)[0].softmax(1)
    # Labels as a prior: the batch's mean prediction itself, so the second term is at its minimum.
    logits, labels = probs.log().requires_grad_(), torch.tensor([0, 1, 2, 0, 1, 2])
    mutual_information_learning(logits, labels, 50.0, prior=probs.mean(0)).backward()
    got, logits.grad = logits.grad, None
    F.cross_entropy(logits, labels).backward()
    close(got, logits.grad, 1e-12)


def fitted(bias):
    """A linear classifier at the optimum of full-batch cross-entropy, and its data."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=generator, dtype=torch.float64) + 0.5
    noise = torch.rand(200, 3, generator=generator, dtype=torch.float64)
    y = (x + 2 * noise + torch.tensor([1.0, 0.0, 0.0])).argmax(1)
    weight = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    shift = torch.zeros(3, dtype=torch.float64, requires_grad=bias)
    parameters = [weight, shift] if bias else [weight]
    solver = torch.optim.LBFGS(
        parameters,
        max_iter=500,
        tolerance_grad=1e-13,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        solver.zero_grad()
        loss = F.cross_entropy(x @ weight.T + shift, y)
        loss.backward()
        return loss

    solver.step(closure)
    return x, y, weight, shift


def test_at_a_full_batch_optimum_with_biases_it_is_inert_and_without_it_is_not(oracle):
    assert oracle("M12")["expected"] == [0.53, 0.22, 0.25]  # another data set, the same statement
    for bias in (True, False):
        x, y, weight, shift = fitted(bias)
        logits = x @ weight.T + shift
        apart = (logits.softmax(1).mean(0) - F.one_hot(y, 3).double().mean(0)).abs().max().item()
        (pull,) = torch.autograd.grad(mutual_information_learning(logits, y, 50.0), weight)
        assert (apart < 1e-7) is bias
        assert (pull.abs().max().item() < 1e-5) is bias


def test_a_batch_without_a_class():
    logits, _ = batch((4, 3))
    labels = torch.tensor([0, 0, 2, 2])
    got = mutual_information_learning(logits.requires_grad_(), labels, 50.0)
    assert got.item() == pytest.approx(by_definition(logits, labels, 50.0), rel=1e-12)
    got.backward()
    assert logits.grad.isfinite().all()
    one = torch.zeros(4, dtype=torch.int64)  # one class only: the mean prediction is drawn there
    assert mutual_information_learning(logits, one, 50.0).isfinite()


def test_a_masked_class_that_no_label_has_counts_zero():
    free = torch.tensor([[0.3, -1.0], [2.0, 0.5]], dtype=torch.float64)
    masked = F.pad(free, (0, 1), value=-math.inf).requires_grad_()
    labels = torch.tensor([0, 1])
    got = mutual_information_learning(masked, labels, 50.0)
    close(got, mutual_information_learning(free, labels, 50.0))
    got.backward()
    assert masked.grad.isfinite().all()
    # A class that labels have and the model rules out is infinitely costly.
    assert mutual_information_learning(masked, torch.tensor([0, 2]), 50.0).item() == math.inf


def test_a_tiny_probability_is_a_large_number_not_infinity():
    logits = torch.tensor([[0.0, -500.0], [0.0, -500.0]])  # exp(-500) is 0 in float32
    labels = torch.tensor([0, 1])
    got = mutual_information_learning(logits, labels, 2.0)
    assert got.item() == pytest.approx(250 + 2 * 250, rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_an_ignored_position_counts_for_nothing_whatever_its_logits(value):
    logits, labels = batch((4, 3, 2), ignored=0.4)
    hidden = (labels < 0).unsqueeze(1).expand_as(logits)
    spoiled = logits.masked_fill(hidden, value).requires_grad_()
    got = mutual_information_learning(spoiled, labels, 50.0)
    close(got, mutual_information_learning(logits, labels, 50.0))
    got.backward()
    assert (spoiled.grad[hidden] == 0).all()
    assert spoiled.grad[~hidden].isfinite().all()


def test_all_ignored():
    logits, labels = batch((4, 3), ignored=1.0)
    total = mutual_information_learning(logits.requires_grad_(), labels, 50.0, reduction="sum")
    total.backward()
    assert total == 0.0
    assert (logits.grad == 0).all()
    assert mutual_information_learning(logits, labels, 50.0).isnan()


def test_vmap_over_runs_is_the_loop():
    logits, _ = batch((3, 5, 4))
    labels = torch.tensor([[0, 1, 2, 3, -100], [0, 0, 0, 0, 0], [3, -100, 1, 2, 0]])
    strengths = torch.tensor([0.0, 0.2, 50.0]).double()
    looped = [
        mutual_information_learning(*each) for each in zip(logits, labels, strengths, strict=True)
    ]
    close(vmap(mutual_information_learning)(logits, labels, strengths), torch.stack(looped))


def test_first_and_second_derivatives():
    logits, labels = batch((4, 3))
    loss = functools.partial(mutual_information_learning, labels=labels)
    inputs = (logits.requires_grad_(), torch.tensor(5.0, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(lambda z, s: loss(z, strength=s), inputs)
    assert torch.autograd.gradgradcheck(lambda z, s: loss(z, strength=s), inputs)
    close(grad(lambda z: loss(z, strength=0.0))(logits.detach()).sum(), torch.tensor(0.0).double())


def test_half_precision_is_taken_in_float32():
    logits, labels = batch((5, 3))
    got = mutual_information_learning(logits.bfloat16(), labels, 50.0)
    assert got.dtype == torch.float32
    close(got, mutual_information_learning(logits.bfloat16().float(), labels, 50.0))


@pytest.mark.parametrize(
    ("logits", "labels", "strength", "options", "error", "words"),
    [
        ((2, 3), [0, 1], -1.0, {}, ValueError, "strength must be .* got -1"),
        ((2, 3), [0, 1], torch.tensor([1.0, -2.0]), {}, ValueError, "strength must be .* got -2"),
        ((2, 3), [0, 1], torch.ones(3), {}, ValueError, "strength must be a number or broadcast"),
        ((2, 3), [0, 1], None, {}, TypeError, "strength must be a number or a tensor"),
        ((2, 1), [0, 0], 50.0, {}, ValueError, "at least 2 classes, got 1"),
        ((2, 3), [0, 3], 50.0, {}, ValueError, r"labels must lie in 0 \.\. 2, got 3"),
        ((2, 3), [0, 1, 2], 50.0, {}, ValueError, r"labels must have shape \(2,\) .* got \(3,\)"),
        ((0, 3), [], 50.0, {}, ValueError, r"logits must have shape .* got \(0, 3\)"),
        ((2, 3), [0, 1], math.nan, {}, ValueError, "strength must be finite, got nan"),
        ((2, 3), [0, 1], 50.0, {"prior": [0.5, 0.5]}, ValueError, r"prior must have shape \(3,\)"),
        ((2, 3), [0, 1], 50.0, {"prior": [0.5, 0.5, 0.5]}, ValueError, "prior must sum to 1"),
        ((2, 3), [0, 1], 50.0, {"prior": [math.nan, 0.5, 0.5]}, ValueError, "prior must be finite"),
        ((2, 3), [0, 1], 50.0, {"reduction": "avg"}, ValueError, "one of none, mean, sum"),
    ],
)
def test_bad_arguments(logits, labels, strength, options, error, words):
    with pytest.raises(error, match=words):
        mutual_information_learning(torch.zeros(logits), torch.tensor(labels), strength, **options)


def test_nan_logits_make_the_loss_nan():
    logits, labels = batch((4, 3))
    logits[1, 0] = math.nan
    assert mutual_information_learning(logits, labels, 50.0).isnan()


@pytest.mark.parametrize("labels", [None, ["a", "b"]])
def test_labels_that_are_no_numbers(labels):
    with pytest.raises(TypeError, match="labels must be integers, got "):
        mutual_information_learning(torch.zeros(2, 3), labels, 50.0)


def test_smoothing_and_the_second_term_pull_apart_unless_smoothing_goes_to_the_prior():
    labels = torch.tensor([0, 0, 0, 1])
    for r, still in (([0.75, 0.25], True), ([0.5, 0.5], False)):
        target = 0.8 * F.one_hot(labels, 2).double() + 0.2 * torch.tensor(r).double()
        logits = target.log().requires_grad_()  # the optimum of label smoothing towards r
        label_smoothing(logits, labels, 0.2, smoothing=r).backward()
        assert logits.grad.abs().max() < 1e-12
        logits.grad = None
        mutual_information_learning(logits, labels, 50.0).backward()
        pull = logits.grad - (logits.softmax(1) - F.one_hot(labels, 2)).detach() / 4
        assert (pull.abs().max().item() < 1e-12) is still
