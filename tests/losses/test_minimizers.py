"""What the losses drive a free model to, by L-BFGS on its logits, and the maps between them."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.info import mix_outputs
from ibtutor.losses import (
    confidence_penalty,
    convert_smoothing,
    discrete_vib,
    label_smoothing,
    loss_floor,
    smoothing_equivalent,
    soft_cross_entropy,
)


def minimize(loss, rows, classes):
    """The output that a model without any constraint takes, and the loss it reaches."""
    logits = torch.zeros(rows, classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits],
        max_iter=500,
        tolerance_grad=1e-12,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        value = loss(logits)
        value.backward()
        return value

    optimizer.step(closure)
    return logits.detach().softmax(1), loss(logits).item()


def smoothed(alpha, classes):
    return mix_outputs(torch.eye(classes, dtype=torch.float64), alpha)


def test_label_smoothing_ends_at_its_target(oracle):  # Kudo Proposition 4.5
    case = oracle("K04")
    k, alpha = case["inputs"]["K"], case["inputs"]["alpha"]
    p, value = minimize(lambda z: label_smoothing(z, torch.arange(k), alpha), k, k)
    assert torch.allclose(p, smoothed(alpha, k), atol=1e-7)
    assert value == pytest.approx(case["expected"], abs=case["tolerance"])
    assert loss_floor(alpha, num_classes=k) == pytest.approx(case["expected"], abs=1e-14)


@pytest.mark.parametrize("name", ["K07a", "K07b", "K07c"])
def test_discrete_vib_ends_at_a_smoothed_label(oracle, name):
    case = oracle(name)
    k, eps, beta = (case["inputs"][n] for n in ("K", "eps", "beta"))
    alpha = smoothing_equivalent(beta, k, "discrete_vib", eps=eps)
    assert alpha == pytest.approx(case["expected"], rel=1e-12)
    p, _ = minimize(lambda z: discrete_vib(z, torch.arange(k), beta, eps=eps), k, k)
    assert torch.allclose(p, smoothed(alpha, k), atol=1e-6)


@pytest.mark.parametrize("name", ["K08a", "K08b", "K08c"])
def test_confidence_penalty_ends_at_a_smoothed_label(oracle, name):
    case = oracle(name)
    k, beta = case["inputs"]["K"], case["inputs"]["beta"]
    alpha = smoothing_equivalent(beta, k)
    assert alpha == pytest.approx(case["expected"], abs=1e-12)
    p, _ = minimize(lambda z: confidence_penalty(z, torch.arange(k), beta), k, k)
    assert torch.allclose(p, smoothed(alpha, k), atol=1e-6)


def test_contradicting_labels_are_pooled_in_three_ways(oracle):
    case = oracle("K31")
    y = torch.tensor(case["inputs"]["p_y_given_x"], dtype=torch.float64)
    target = y @ torch.tensor(case["inputs"]["M"], dtype=torch.float64)
    p, _ = minimize(lambda z: soft_cross_entropy(z, target), 4, 2)
    assert p.flatten()[[0, 2, 4, 5]].tolist() == pytest.approx(
        case["expected"]["forward"], abs=1e-7
    )

    def pooled(loss, logits):
        """Mean over the labels of each input, weighted by how often they were given."""
        per_label = [
            [loss(logits[i : i + 1], torch.tensor([c])) for c in (0, 1)] for i in range(len(y))
        ]
        return sum(y[i, c] * per_label[i][c] for i in range(len(y)) for c in (0, 1))

    # Discrete VIB with eps = .1, K = 2, beta = 1 has the smoothed labels M itself.
    p, _ = minimize(lambda z: pooled(lambda a, b: discrete_vib(a, b, 1.0), z), 4, 2)
    assert p.flatten()[[0, 2, 4, 5]].tolist() == pytest.approx(
        case["expected"]["reverse"], abs=1e-7
    )

    case = oracle("K33")
    y = torch.tensor([case["inputs"]["w"]], dtype=torch.float64)
    beta = case["inputs"]["beta"]
    p, _ = minimize(lambda z: pooled(lambda a, b: confidence_penalty(a, b, beta), z), 1, 2)
    assert p[0, 0].item() == pytest.approx(case["expected"], abs=case["tolerance"])


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 1, 2, 2, 2], [0, 0, 1]])
@pytest.mark.parametrize("weight", [[1.0, 1.0, 1.0], [1.0, 2.0, 4.0], [0.5, 0.0, 2.0]])
def test_floor_with_class_weights(labels, weight):
    labels, alpha = torch.tensor(labels), 0.2
    prior = torch.bincount(labels, minlength=3).double() / len(labels)
    p, value = minimize(lambda z: label_smoothing(z, labels, alpha, weight=weight), len(labels), 3)
    floor = loss_floor(alpha, num_classes=3, prior=prior, weight=weight)
    assert value == pytest.approx(floor, abs=1e-9)
    # The optimum is the target times the weights, so weights change the smoothing too.
    best = smoothed(alpha, 3)[labels] * torch.tensor(weight, dtype=torch.float64)
    assert torch.allclose(p, best / best.sum(1, keepdim=True), atol=1e-5)


def test_floor_is_the_entropy_of_the_target():
    assert loss_floor(0.1, num_classes=1000) == pytest.approx(1.0148, abs=5e-5)
    assert loss_floor(0.0, num_classes=7) == 0.0
    assert loss_floor(1.0, num_classes=7) == pytest.approx(math.log(7), abs=1e-14)
    assert loss_floor(0.3, num_classes=3, weight=[2.0] * 3) == pytest.approx(
        2.0 * loss_floor(0.3, num_classes=3) / 2.0, abs=1e-14
    )
    # Torch reaches it with the target itself as output.
    logits = smoothed(0.1, 10).log()
    value = F.cross_entropy(logits, torch.arange(10), label_smoothing=0.1)
    assert value.item() == pytest.approx(loss_floor(0.1, num_classes=10), abs=1e-13)


@pytest.mark.parametrize("name", ["I02a", "I02b"])
def test_conversion(oracle, name):
    case = oracle(name)
    k, eps, expected = case["inputs"]["K"], case["inputs"]["eps"], case["expected"]
    alpha = convert_smoothing(eps, k)
    assert alpha == pytest.approx(expected["alpha_equiv"], abs=case["tolerance"])
    target = smoothed(alpha, k)[0, :2].tolist()
    assert target == pytest.approx([expected["true"], expected["other"]], abs=case["tolerance"])


def test_conversion_refuses_an_inverted_label(oracle):
    case = oracle("I02c")  # two classes: the true one would get .1, the other .9
    assert case["expected"]["alpha_equiv"] > 1
    with pytest.raises(ValueError, match=r"at most \(K - 1\) / K = 0.5 .*got 0.9"):
        convert_smoothing(case["inputs"]["eps"], case["inputs"]["K"])


@given(st.integers(2, 1000), st.floats(0, 1))
def test_conversion_gives_the_same_target(k, share):
    eps = share * (k - 1) / k
    alpha = convert_smoothing(eps, k)
    assert 1 - eps == pytest.approx(1 - alpha + alpha / k, abs=1e-12)
    assert eps / (k - 1) == pytest.approx(alpha / k, abs=1e-12)
    assert convert_smoothing(alpha, k, from_="K") == pytest.approx(eps, abs=1e-12)


@given(st.integers(2, 200), st.floats(1e-3, 50), st.floats(1e-3, 50), st.floats(0.01, 0.99))
def test_maps_rise(k, a, b, eps):
    low, high = sorted((a, b))
    for loss in ("confidence_penalty", "discrete_vib"):
        less, more = (smoothing_equivalent(s, k, loss, eps=eps) for s in (low, high))
        assert 0.0 <= less <= more + 1e-12
        assert more <= 1.0


@given(st.integers(2, 200), st.floats(0.02, 20))
def test_condition_of_the_confidence_penalty(k, beta):
    alpha = smoothing_equivalent(beta, k)
    if alpha > 1e-300:  # beyond that the odds overflow
        odds = math.log1p(k * (1 - alpha) / alpha)
        assert odds * beta * (1 - alpha + alpha / k) == pytest.approx(1.0, rel=1e-6)


def test_vib_at_beta_one_is_its_own_softness():
    for eps in (0.01, 0.3, 1.0):
        assert smoothing_equivalent(1.0, 7, "discrete_vib", eps=eps) == pytest.approx(
            eps, abs=1e-12
        )
    for loss in ("confidence_penalty", "discrete_vib"):
        assert smoothing_equivalent(0.0, 7, loss) == 0.0
        assert smoothing_equivalent(1e-4, 7, loss) < 1e-300
        assert smoothing_equivalent(1e6, 7, loss) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: convert_smoothing(0.95, 10), ValueError, r"at most .*0.9.*got 0.95"),
        (lambda: convert_smoothing(-0.1, 10), ValueError, r"eps must lie in \[0, 1\], got -0.1"),
        (lambda: convert_smoothing(0.1, 1), ValueError, "num_classes must be at least 2, got 1"),
        (
            lambda: convert_smoothing(0.1, 10, from_="N"),
            ValueError,
            "from_ must be one of.*got 'N'",
        ),
        (lambda: smoothing_equivalent(-1, 10), ValueError, "strength must be zero or more, got -1"),
        (lambda: smoothing_equivalent(1, 10, "l2"), ValueError, "loss must be one of .*got 'l2'"),
        (
            lambda: smoothing_equivalent(1, 10, "discrete_vib", eps=0),
            ValueError,
            "eps must be positive, got 0",
        ),
        (lambda: smoothing_equivalent(1, 1), ValueError, "num_classes must be at least 2, got 1"),
        (
            lambda: loss_floor(1.5, num_classes=3),
            ValueError,
            r"alpha must lie in \[0, 1\], got 1.5",
        ),
        (
            lambda: loss_floor(0.5, num_classes=1),
            ValueError,
            "num_classes must be at least 2, got 1",
        ),
        (lambda: loss_floor(0.5, num_classes=3, prior=[1.0, 0.0]), ValueError, "3 entries, got 2"),
        (
            lambda: loss_floor(0.5, num_classes=2, prior=[1, 0], weight=[0, 1]),
            ValueError,
            "weight must be positive for a class that occurs",
        ),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
