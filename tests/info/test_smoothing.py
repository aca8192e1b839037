"""Label smoothing on the plane: closed form, inverse, encoder, mixing."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ibtutor.info import (
    information_plane,
    label_smoothing_encoder,
    label_smoothing_information,
    label_smoothing_strength,
    mix_outputs,
    mutual_information,
)

strengths = st.floats(0, 1)
priors = arrays(np.float64, st.integers(2, 6), elements=st.floats(0.01, 1)).map(
    lambda w: w / w.sum()
)


def closed_form(name, case):
    inputs = dict(case["inputs"])
    settings = {"num_classes": inputs.get("K"), "prior": inputs.get("prior")}
    return label_smoothing_information(inputs["alphas"], smoothing=inputs.get("r"), **settings)


@pytest.mark.parametrize("name", ["K14_10", "K14_102", "K15", "K16", "K17"])
def test_closed_form(oracle, name):
    case = oracle(name)
    assert closed_form(name, case).tolist() == pytest.approx(case["expected"], abs=1e-13)


def test_stable_near_one(oracle):
    case = oracle("K34")
    settings = zip(case["inputs"]["K"], case["inputs"]["alpha"], case["expected"], strict=True)
    for k, alpha, expected in settings:
        got = label_smoothing_information(alpha, num_classes=k).item()
        # 1 - alpha has an error of 1e-17 / (1 - alpha) already.
        assert got == pytest.approx(expected, rel=1e-12, abs=0)
    case = oracle("K21")
    k, alpha = case["inputs"]["K"], case["inputs"]["alpha"]
    ratio = label_smoothing_information(alpha, num_classes=k).item() / (
        (k - 1) * (1 - alpha) ** 2 / 2
    )
    assert ratio == pytest.approx(case["expected"], abs=case["tolerance"])


@pytest.mark.parametrize("gap", [2.0**-4, 2.0**-10, 2.0**-20, 2.0**-40])
@pytest.mark.parametrize("prior", [None, [0.5, 0.25, 0.25]])
def test_stable_near_one_against_many_digits(gap, prior):
    pi = prior or [1 / 4] * 4
    with mpmath.workdps(60):
        alpha, k = 1 - mpmath.mpf(gap), len(pi)
        mean = [(1 - alpha) * p + alpha / k for p in pi]
        own, other = 1 - alpha + alpha / k, alpha / k
        noise = -own * mpmath.log(own) - (k - 1) * other * mpmath.log(other)
        exact = float(-sum(m * mpmath.log(m) for m in mean) - noise)
    settings = {"prior": pi} if prior else {"num_classes": 4}
    got = label_smoothing_information(1 - gap, **settings).item()
    assert got == pytest.approx(exact, rel=1e-12, abs=0)


def test_slope(oracle):
    case = oracle("K18")
    k, alpha, h = case["inputs"]["K"], case["inputs"]["alpha"], 1e-5
    up, down = label_smoothing_information([alpha + h, alpha - h], num_classes=k).tolist()
    assert (up - down) / (2 * h) == pytest.approx(case["expected"], abs=1e-8)


def test_smoothing_twice_is_smoothing_once(oracle):
    case = oracle("K19")
    k, a, b, expected = *(case["inputs"][n] for n in ("K", "a", "b")), case["expected"]
    eye = torch.eye(k, dtype=torch.float64)
    twice = mix_outputs(mix_outputs(eye, a), b)
    once = mix_outputs(eye, expected["c"])
    assert torch.allclose(twice, once, atol=1e-14, rtol=0)
    assert once[0, :2].tolist() == pytest.approx([expected["diag"], expected["off"]], abs=1e-14)


def test_inverse(oracle):
    case = oracle("K20")
    got = label_smoothing_strength(case["inputs"]["target"], num_classes=case["inputs"]["K"])
    assert got == pytest.approx(case["expected"], abs=case["tolerance"])
    assert label_smoothing_strength(0.0, num_classes=3) == 1.0
    assert label_smoothing_strength(math.log(3), num_classes=3) == 0.0


def test_target(oracle):
    case = oracle("K01")
    one_hot = torch.eye(case["inputs"]["K"], dtype=torch.float64)[case["inputs"]["y"]]
    got = mix_outputs(one_hot, case["inputs"]["alpha"]).tolist()
    assert got == pytest.approx(case["expected"], abs=case["tolerance"])


def test_contradicting_labels(oracle):
    case = oracle("K22")
    got = []
    for alpha in case["inputs"]["alphas"]:
        encoder = label_smoothing_encoder(case["inputs"]["p_y_given_x"], alpha)
        plane = information_plane(encoder, p_y_given_x=case["inputs"]["p_y_given_x"])
        got += [plane.i_xt, plane.i_ty]
    assert got == pytest.approx(case["expected"], abs=1e-12)


def test_encoder_of_the_four_point_toy(oracle):
    case = oracle("K23")
    y = case["inputs"]["p_y_given_x"]
    encoder = label_smoothing_encoder(y, case["expected"]["alpha_LS"])
    plane = information_plane(encoder, p_y_given_x=y, p_x=case["inputs"]["px"])
    assert plane.i_xt == pytest.approx(case["inputs"]["rate"], abs=case["tolerance"])
    assert plane.i_ty == pytest.approx(case["expected"]["I_TY_LS"], abs=case["tolerance"])


@given(strengths, priors, st.data())
def test_closed_form_is_the_information_of_the_channel(alpha, prior, data):
    r = data.draw(arrays(np.float64, len(prior), elements=st.floats(0.01, 1)))
    r = r / r.sum()
    channel = mix_outputs(np.eye(len(prior)), alpha, r)
    explicit = mutual_information(torch.from_numpy(prior)[:, None] * channel).item()
    closed = label_smoothing_information(alpha, prior=prior, smoothing=r).item()
    assert closed == pytest.approx(explicit, abs=1e-13)


@given(strengths, strengths, priors)
def test_more_smoothing_leaves_less(a, b, prior):
    low, high = sorted((a, b))
    more, less = label_smoothing_information([low, high], prior=prior).tolist()
    assert 0.0 <= less <= more + 1e-14


@given(st.floats(0.001, 0.999), priors)
def test_inverse_of_the_closed_form(alpha, prior):
    information = label_smoothing_information(alpha, prior=prior).item()
    assert label_smoothing_strength(information, prior=prior) == pytest.approx(alpha, abs=1e-9)


def test_shapes_and_types():
    assert label_smoothing_information(torch.rand(2, 3), num_classes=5).shape == (2, 3)
    assert label_smoothing_information(0.5, num_classes=5).shape == ()
    probs = torch.softmax(torch.randn(4, 3), 1)
    assert mix_outputs(probs, 0.3).dtype == torch.float32
    assert torch.equal(mix_outputs(probs, 0.0), probs)
    assert torch.allclose(mix_outputs(probs, 1.0), torch.full((4, 3), 1 / 3))


def test_a_class_that_never_occurs_changes_nothing():
    with_empty = label_smoothing_information(0.3, prior=[0.5, 0.5, 0.0], smoothing=[0.5, 0.5, 0.0])
    without = label_smoothing_information(0.3, num_classes=2)
    assert with_empty.item() == pytest.approx(without.item(), abs=1e-15)


@pytest.mark.parametrize("alpha", [-0.1, 1.2, math.nan, math.inf])
def test_strength_out_of_range(alpha):
    with pytest.raises(ValueError, match=r"alpha must .*got"):
        label_smoothing_information(alpha, num_classes=3)
    with pytest.raises(ValueError, match=r"alpha must .*got"):
        mix_outputs([[0.5, 0.5]], alpha)
    with pytest.raises(ValueError, match=r"alpha must .*got"):
        label_smoothing_encoder([[0.5, 0.5]], alpha)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({}, ValueError, "num_classes or prior"),
        ({"num_classes": 2, "prior": [0.5, 0.5]}, ValueError, "num_classes or prior"),
        ({"num_classes": 1}, ValueError, "at least 2, got 1"),
        ({"num_classes": 2.5}, TypeError, "integer, got 2.5"),
        ({"num_classes": True}, TypeError, "integer, got True"),
        ({"prior": [1.0]}, ValueError, "at least 2, got 1"),
        ({"prior": [0.5, 0.6]}, ValueError, "prior must sum to 1"),
        ({"num_classes": 3, "smoothing": [0.5, 0.5]}, ValueError, "3 entries, got 2"),
        (
            {"num_classes": 2, "smoothing": [1.5, -0.5]},
            ValueError,
            "smoothing must not be negative",
        ),
    ],
)
def test_bad_settings(settings, error, words):
    with pytest.raises(error, match=words):
        label_smoothing_information(0.1, **settings)
    with pytest.raises(error, match=words):
        label_smoothing_strength(0.1, **settings)


@pytest.mark.parametrize("information", [-0.1, 1.2, math.nan])
def test_information_that_no_strength_has(information):
    with pytest.raises(ValueError, match=r"information must .*got"):
        label_smoothing_strength(information, num_classes=3)


def test_bad_outputs():
    with pytest.raises(ValueError, match="probs must sum to 1"):
        mix_outputs([[0.5, 0.6]], 0.1)
    with pytest.raises(ValueError, match="smoothing must have 2 entries, got 3"):
        mix_outputs([[0.5, 0.5]], 0.1, [0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match="p_y_given_x must have 2"):
        label_smoothing_encoder([0.5, 0.5], 0.1)
