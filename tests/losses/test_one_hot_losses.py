"""Losses on labels: oracles, limits, gradients, minimizers."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ibtutor import losses
from ibtutor.info import entropy, kl_divergence, label_smoothing_encoder
from ibtutor.losses import (
    confidence_penalty,
    discrete_vib,
    label_correction,
    label_smoothing,
    soft_cross_entropy,
)

R = [0.6, 0.3, 0.1]


def batch(size=5, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(size, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, classes, (size,), generator=generator)


def one(case):
    """Logits and label of an oracle that states one output."""
    p = torch.tensor([case["inputs"]["p"]], dtype=torch.float64)
    return p.log(), torch.tensor([case["inputs"]["y"]])


@pytest.mark.parametrize("name", ["K02", "K30"])
def test_label_smoothing_value(oracle, name):
    case = oracle(name)
    got = label_smoothing(*one(case), case["inputs"]["alpha"]).item()
    assert got == pytest.approx(case["expected"], abs=1e-13)


def test_label_smoothing_is_a_penalty(oracle):  # Kudo Eq. 9
    case = oracle("K03")
    logits, label = one(case)
    alpha, p = case["inputs"]["alpha"], logits.softmax(1)[0]
    for r in ([1 / 3] * 3, R):
        r = torch.tensor(r, dtype=torch.float64)
        total = label_smoothing(logits, label, alpha, smoothing=r)
        nll = (1 - alpha) * F.cross_entropy(logits, label)
        expected = nll + alpha * kl_divergence(r, p) + alpha * entropy(r)
        assert total.item() == pytest.approx(expected.item(), abs=1e-14)
    uniform = label_smoothing(logits, label, alpha).item()
    assert uniform == pytest.approx(case["expected"]["total"], abs=1e-13)


def test_confidence_penalty_value(oracle):  # Kudo Eqs. 10 and 11
    case = oracle("K05")
    logits, label = one(case)
    beta, p = case["inputs"]["beta"], logits.softmax(1)[0]
    got = confidence_penalty(logits, label, beta).item()
    assert got == pytest.approx(case["expected"]["L_CP"], abs=1e-13)
    uniform = torch.full((3,), 1 / 3, dtype=torch.float64)
    penalty = F.cross_entropy(logits, label) + beta * kl_divergence(p, uniform)
    assert penalty.item() == pytest.approx(case["expected"]["kl_form_without_const"], abs=1e-13)
    assert got - penalty.item() == pytest.approx(case["expected"]["const"], abs=1e-13)


def test_discrete_vib_value(oracle):
    case = oracle("K06")
    logits, label = one(case)
    eps, k = case["inputs"]["eps"], 3
    got = discrete_vib(logits, label, 0.0, eps=eps).item()
    assert got == pytest.approx(case["expected"]["minus_E_log_q"], abs=1e-13)
    # Linear in p_y: an expected error, not a logarithm.
    slope, offset = math.log1p(k * (1 - eps) / eps), -math.log(1 - eps + eps / k)
    assert [slope, offset] == pytest.approx([case["expected"]["Lambda"], case["expected"]["c0"]])
    assert got == pytest.approx(offset + slope * (1 - case["inputs"]["p"][0]), abs=1e-13)
    # Jensen's partner, with the logarithm outside the expectation, is smaller.
    p = logits.softmax(1)[0]
    decoder = (1 - eps) * torch.eye(k, dtype=torch.float64)[0] + eps / k
    partner = -(p @ decoder).log().item()
    assert partner == pytest.approx(case["expected"]["minus_log_E_q"], abs=1e-13)
    assert partner < got


def test_discrete_vib_is_reverse_divergence_to_a_smoothed_label(oracle):
    case = oracle("K32")
    logits, label = one(case)
    eps, beta = case["inputs"]["eps"], case["inputs"]["beta"]
    got = discrete_vib(logits, label, beta, eps=eps).item()
    assert got == pytest.approx(case["expected"]["L_VIB"], abs=1e-12)
    target = torch.tensor(case["expected"]["M_y"], dtype=torch.float64)
    decoder = (1 - eps) * torch.eye(3, dtype=torch.float64)[0] + eps / 3
    constant = -beta * (decoder ** (1 / beta) / 3).sum().log()
    reverse = beta * kl_divergence(logits.softmax(1)[0], target / target.sum())
    assert got == pytest.approx((reverse + constant).item(), abs=1e-12)


def test_soft_targets_are_label_smoothing():
    logits, labels = batch()
    targets = label_smoothing_encoder(F.one_hot(labels, 4), 0.2)
    got = soft_cross_entropy(logits, targets).item()
    assert got == pytest.approx(label_smoothing(logits, labels, 0.2).item(), abs=1e-14)


def test_label_correction_is_a_target_mixed_with_the_output():
    logits, labels = batch()
    targets = 0.7 * F.one_hot(labels, 4).double() + 0.3 * logits.softmax(1)
    got = label_correction(logits, labels, 0.3).item()
    assert got == pytest.approx(soft_cross_entropy(logits, targets).item(), abs=1e-14)


@pytest.mark.parametrize("loss", [label_smoothing, confidence_penalty, label_correction])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_strength_zero_is_cross_entropy(loss, dtype):
    logits, labels = (x.to(dtype) if x.is_floating_point() else x for x in batch(50, 10))
    torch.testing.assert_close(loss(logits, labels, 0.0), F.cross_entropy(logits, labels))


def test_custom_uniform_smoothing_is_torch():
    logits, labels = batch()
    uniform, weight = torch.full((4,), 0.25), torch.tensor([1.0, 2.0, 0.5, 3.0])
    for w in (None, weight):
        torch.testing.assert_close(
            label_smoothing(logits, labels, 0.3, smoothing=uniform, weight=w),
            F.cross_entropy(
                logits, labels, label_smoothing=0.3, weight=None if w is None else w.double()
            ),
        )


GRADIENT_CASES = {
    "label_smoothing": lambda z, y: label_smoothing(z, y, 0.2),
    "label_smoothing, r": lambda z, y: label_smoothing(z, y, 0.2, smoothing=[0.4, 0.3, 0.2, 0.1]),
    "label_smoothing, w": lambda z, y: label_smoothing(z, y, 0.2, weight=[1.0, 2.0, 3.0, 4.0]),
    "confidence_penalty": lambda z, y: confidence_penalty(z, y, 0.3),
    "discrete_vib": lambda z, y: discrete_vib(z, y, 0.3),
    "discrete_vib, r": lambda z, y: discrete_vib(z, y, 0.3, smoothing=[0.4, 0.3, 0.2, 0.1]),
    "label_correction": lambda z, y: label_correction(z, y, 0.3),
    "soft_cross_entropy": lambda z, y: soft_cross_entropy(z, 0.9 * F.one_hot(y, 4) + 0.025),
}


@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_gradient_against_finite_differences(name):
    logits, labels = batch()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: GRADIENT_CASES[name](z, labels), logits)


def test_gradient_of_label_correction_flows_through_its_target():
    logits, labels = batch()
    logits.requires_grad_()
    (through,) = torch.autograd.grad(label_correction(logits, labels, 0.3), logits)
    fixed = 0.7 * F.one_hot(labels, 4).double() + 0.3 * logits.detach().softmax(1)
    (detached,) = torch.autograd.grad(soft_cross_entropy(logits, fixed), logits)
    assert (through - detached).abs().max() > 1e-2


@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_extreme_logits_stay_finite(name):
    logits = torch.tensor([[1e4, 0.0, -1e4, 50.0], [0.0, 200.0, -200.0, 1.0]], requires_grad=True)
    loss = GRADIENT_CASES[name](logits, torch.tensor([0, 1]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@given(st.integers(0, 1000), st.floats(0, 1))
def test_order_of_classes_and_examples_does_not_matter(seed, strength):
    logits, labels = batch(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (torch.randperm(n, generator=generator) for n in logits.shape)
    place = torch.argsort(columns)
    for loss in (label_smoothing, confidence_penalty, discrete_vib, label_correction):
        moved = loss(logits[rows][:, columns], place[labels[rows]], strength)
        assert moved.item() == pytest.approx(loss(logits, labels, strength).item(), abs=1e-12)


@given(st.integers(0, 1000), st.floats(0.01, 0.99))
def test_smoothed_loss_never_passes_its_floor(seed, alpha):
    logits, labels = batch(seed=seed)
    floor = losses.loss_floor(alpha, num_classes=4)
    assert label_smoothing(logits, labels, alpha).item() >= floor - 1e-12


ALL = (label_smoothing, confidence_penalty, discrete_vib, label_correction)


@pytest.mark.parametrize("loss", ALL)
def test_bad_logits_and_labels(loss):
    logits, labels = batch()
    cases = [
        ((logits[:3], labels), ValueError, r"labels must have shape \(3,\).*got \(5,\)"),
        ((logits, labels + 4), ValueError, "labels must lie in 0 .. 3, got"),
        ((logits, labels - 4), ValueError, "labels must lie in .*got -"),
        ((logits, labels.double()), TypeError, "labels must be integers, got torch.float64"),
        ((logits[:, :1], labels * 0), ValueError, "at least 2 classes, got 1"),
        ((logits[0], labels), ValueError, r"labels must have shape \(\).*got \(5,\)"),
        ((logits[0, 0], labels), ValueError, r"shape \(batch, classes, ...\).*got \(\)"),
        ((logits[:0], labels[:0]), ValueError, r"empty dimension, got \(0, 4\)"),
        ((logits.long(), labels), TypeError, "logits must be floating, got torch.int64"),
        ((logits.numpy(), labels), TypeError, "logits must be a torch tensor, got ndarray"),
    ]
    for arguments, error, words in cases:
        with pytest.raises(error, match=words):
            loss(*arguments, 0.1)


@pytest.mark.parametrize("loss", ALL)
def test_not_a_number_shows_in_the_loss(loss):
    # As in torch: the training loop then reports the run as diverged and goes on with the others.
    logits, labels = batch()
    logits[2, 1] = math.nan
    assert math.isnan(loss(logits, labels, 0.1).item())


@pytest.mark.parametrize(
    ("loss", "bad"),
    [
        (label_smoothing, (-0.1, 1.2, math.nan)),
        (label_correction, (-0.1, 1.2, math.nan)),
        (confidence_penalty, (-0.1, math.inf, math.nan)),
        (discrete_vib, (-0.1, math.inf, math.nan)),
    ],
)
def test_bad_strengths(loss, bad):
    for strength in bad:
        with pytest.raises(ValueError, match=r"(alpha|beta|eps) must .*got"):
            loss(*batch(), strength)
    with pytest.raises(TypeError, match="must be a number or a tensor, got 'strong'"):
        loss(*batch(), "strong")


def test_the_literal_indicator_is_refused():
    with pytest.raises(ValueError, match=r"eps must be positive, got 0.*infinite"):
        discrete_vib(*batch(), 0.1, eps=0.0)
    with pytest.raises(ValueError, match="eps must lie in"):
        discrete_vib(*batch(), 0.1, eps=1.5)
    with pytest.raises(ValueError, match="smoothing must be positive everywhere, got 0"):
        discrete_vib(*batch(), 0.1, smoothing=[0.5, 0.5, 0.0, 0.0])


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ([1.0, 1.0], r"shape \(4,\), got \(2,\)"),
        ([1.0, -1.0, 1.0, 1.0], "zero or more, got -1"),
        ([0.0] * 4, "not be zero for every class, got all zeros"),
        ([1.0, math.nan, 1.0, 1.0], "weight must be finite, got nan"),
    ],
)
def test_bad_weights(weight, words):
    with pytest.raises(ValueError, match=words):
        label_smoothing(*batch(), 0.1, weight=weight)
    with pytest.raises(ValueError, match=words):
        losses.loss_floor(0.1, num_classes=4, weight=weight)


def test_bad_distributions():
    logits, labels = batch()
    with pytest.raises(ValueError, match=r"smoothing must have shape \(4,\), got \(3,\)"):
        label_smoothing(logits, labels, 0.1, smoothing=R)
    with pytest.raises(ValueError, match=r"got \(5, 4\) and \(5, 2\)"):
        soft_cross_entropy(logits, torch.full((5, 2), 0.5))
    with pytest.raises(ValueError, match="targets must sum to 1"):
        soft_cross_entropy(logits, torch.full((5, 4), 0.5))


def test_names_are_sorted_and_there():
    assert sorted(losses.__all__) == list(losses.__all__)
    assert all(hasattr(losses, name) for name in losses.__all__)
