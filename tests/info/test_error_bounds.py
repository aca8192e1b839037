"""Lower bounds on the error rate: oracles, order among them, where they are met, bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, special

from ibtutor.info import (
    audenaert_bound,
    entropy,
    error_lower_bound,
    label_smoothing_information,
    mutual_information,
)
from ibtutor.info.error_bounds import KINDS, _fano_function

classes = st.integers(2, 200)
share = st.floats(0.0, 1.0)


def bounds(information, total, k):
    return {kind: error_lower_bound(information, total, k, kind).item() for kind in KINDS}


@pytest.mark.parametrize("name", ["M06a", "M06b", "M06c", "M06d"])
def test_oracles(oracle, name):
    case = oracle(name)
    k, information = case["inputs"]["K"], case["inputs"]["I"]
    found = bounds(information, math.log(k), k)
    expected = case["expected"]
    for kind, key in (
        ("fano", "strong_fano"),
        ("weak_fano", "weak_fano"),
        ("milc", "milc_nats"),
        ("milc_bits", "milc_bits"),
    ):
        assert found[kind] == pytest.approx(expected[key], abs=case["tolerance"])


@given(classes, share)
def test_fano_solves_its_inequality(k, kept):
    information = kept * math.log(k)
    p = error_lower_bound(information, math.log(k), k).item()
    left = _fano_function(torch.tensor(p, dtype=torch.float64), k).item()
    assert left == pytest.approx(math.log(k) - information, abs=1e-12)


@given(st.integers(3, 200), st.floats(0.01, 0.99), share)
def test_against_an_independent_solver(k, kept, balance):
    # Any entropy up to log K, and the quadratic solved by numpy.
    total = balance * math.log(k)
    missing = total * (1 - kept)
    assume(missing > 1e-9)

    def surplus(p):
        return special.entr(p) + special.entr(1 - p) + p * math.log(k - 1) - missing

    found = bounds(total * kept, total, k)
    root = optimize.brentq(surplus, 0.0, 1 - 1 / k, xtol=1e-14)
    assert found["fano"] == pytest.approx(root, abs=1e-9)
    # log 2 - 2 (P - 1/2)^2 + P l = D
    roots = np.roots([-2.0, 2.0 + math.log(k - 1), math.log(2) - 0.5 - missing])
    smaller = np.sort(roots.real)[0] if abs(roots.imag).max() < 1e-9 else 0.0
    assert found["milc"] == pytest.approx(max(smaller, 0.0), abs=1e-7)


@given(classes, share, share)
def test_order_of_the_four(k, kept, balance):
    total = balance * math.log(k)
    found = bounds(kept * total, total, k)
    assert 0 <= found["weak_fano"] <= found["milc_bits"] + 1e-12
    assert found["milc_bits"] <= found["milc"] + 1e-12
    assert found["milc"] <= found["fano"] + 1e-12
    assert found["fano"] <= 1 - 1 / k


@given(st.integers(3, 200))
def test_fano_and_the_quadratic_touch_at_one_half(k):
    # Both say 1/2 where H(Y) - I = log 2 + log(K - 1) / 2, and differ on either side.
    at = math.log(k) - math.log(2) - math.log(k - 1) / 2
    assert bounds(at, math.log(k), k)["fano"] == pytest.approx(0.5, abs=1e-9)
    assert bounds(at, math.log(k), k)["milc"] == pytest.approx(0.5, abs=1e-9)
    for step in (-0.5 * at, 0.5 * at):
        found = bounds(at + step, math.log(k), k)
        assert found["milc"] < found["fano"] - 1e-6


def test_binary_quadratic_is_pinsker():
    information = torch.linspace(0, math.log(2), 50, dtype=torch.float64)
    pinsker = (0.5 - (information / 2).sqrt()).clamp(min=0)
    found = error_lower_bound(information, math.log(2), 2, "milc")
    torch.testing.assert_close(found, pinsker, rtol=0, atol=1e-12)


@pytest.mark.parametrize("information", [1e-17, 1e-16, 1e-15, 1e-12, 1e-10, 1e-6, 0.1])
def test_binary_quadratic_keeps_its_digits_where_almost_nothing_is_known(information):
    found = bounds(information, math.log(2), 2)
    assert found["milc"] == pytest.approx(0.5 - math.sqrt(information / 2), rel=0, abs=2e-16)
    assert found["milc_bits"] <= found["milc"] <= found["fano"] + 2e-16


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_keeps_a_graph(kind):
    information = torch.tensor([0.1, 0.2], requires_grad=True)
    assert not error_lower_bound(information, information + 1, 10, kind).requires_grad


@given(classes, st.floats(0.0, 1.0))
def test_label_smoothing_meets_fano(k, alpha):
    # Drawing T from the smoothed target errs at alpha (K - 1) / K and has this information.
    information = label_smoothing_information(alpha, num_classes=k)
    found = error_lower_bound(information, math.log(k), k).item()
    assert found == pytest.approx(alpha * (1 - 1 / k), abs=1e-8)


@pytest.mark.parametrize("k", [2, 10, 1000])
def test_digits_are_kept_where_almost_nothing_is_known(k):
    for alpha in (1 - 1e-3, 1 - 1e-6):
        information = label_smoothing_information(alpha, num_classes=k)
        found = error_lower_bound(information, math.log(k), k).item()
        assert 1 - found / (1 - 1 / k) == pytest.approx(1 - alpha, rel=1e-6)


def test_ends():
    for k in (2, 10, 1000):
        assert error_lower_bound(0.0, math.log(k), k).item() == 1 - 1 / k
        for kind in KINDS:
            assert error_lower_bound(math.log(k), math.log(k), k, kind).item() == 0.0
            assert error_lower_bound(0.0, 0.0, k, kind).item() == 0.0


@given(st.integers(2, 6), st.integers(1, 8), st.randoms(use_true_random=False))
def test_no_channel_is_beaten(k, m, random):
    rng = np.random.default_rng(random.getrandbits(32))
    joint = rng.dirichlet(np.full(k * m, 0.3)).reshape(k, m)
    bayes = 1 - joint.max(0).sum()
    information = mutual_information(joint).item()
    total = entropy(joint.sum(1)).item()
    for kind in KINDS:
        assert error_lower_bound(min(information, total), total, k, kind).item() <= bayes + 1e-9


def test_shapes_broadcast():
    information = torch.tensor([[0.0], [0.5]])
    total = [math.log(4), 1.0, 0.7]
    found = error_lower_bound(information, total, 4)
    assert found.shape == (2, 3)
    assert found.dtype == torch.float64
    assert found[1, 2].item() == error_lower_bound(0.5, 0.7, 4).item()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-0.1, 1.0, 10), r"mutual_information must be zero or more, got -0.1"),
        ((1.5, 1.0, 10), r"mutual_information must be at most the entropy 1, got 1.5"),
        ((0.1, 2.5, 10), r"entropy must be at most log 10 = 2.302585093 nats, got 2.5"),
        # The two numbers of a message differ, however small the excess.
        ((2.302588, 2.302585, 10), r"at most the entropy 2.302585, got 2.302588"),
        ((0.1, 2.302588, 10), r"at most log 10 = 2.302585093 nats, got 2.302588"),
        ((0.0, -0.2, 10), r"^entropy must be zero or more, got -0.2$"),
        ((0.0, 0.0, 1), r"num_classes must be at least 2, got 1"),
        ((math.nan, 1.0, 10), r"mutual_information must be finite, got nan$"),
        (([], 1.0, 10), r"mutual_information must not be empty, got shape \(0,\)"),
        ((0.1, [1.0, math.inf], 10), r"entropy must be finite, got inf at 1"),
        (([0.1, 0.2], [1.0, 1.0, 1.0], 10), r"shapes that broadcast, got \(2,\) and \(3,\)"),
        ((0.1, 1.0, 10, "strong"), r"kind must be one of fano, .*, got 'strong'"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        error_lower_bound(*arguments)


def test_a_number_of_classes_is_an_integer():
    with pytest.raises(TypeError, match=r"num_classes must be an integer, got 2.5"):
        error_lower_bound(0.1, 1.0, 2.5)


def test_true_is_no_information():
    for arguments in ((True, 1.0), (0.5, True)):
        with pytest.raises(TypeError, match=r"must hold real numbers, got True"):
            error_lower_bound(*arguments, 10)


def test_rounding_of_others_is_forgiven():
    float32 = float(torch.log(torch.tensor(10.0)))  # a little above log 10
    assert error_lower_bound(0.0, float32, 10).item() == 0.9
    assert error_lower_bound(math.log(10) + 1e-9, math.log(10), 10).item() == 0.0


# --- Audenaert -----------------------------------------------------------------------------------


def test_audenaert_oracle(oracle):
    case = oracle("M03")
    p, q = case["inputs"]["p"], case["inputs"]["p_hat"]
    assert audenaert_bound(p, q).item() == pytest.approx(case["expected"]["bound"], abs=1e-13)


@given(st.integers(2, 8), st.randoms(use_true_random=False))
def test_audenaert_bounds_the_difference(k, random):
    rng = np.random.default_rng(random.getrandbits(32))
    p, q = rng.dirichlet(np.full(k, 0.4)), rng.dirichlet(np.full(k, 0.4))
    gap = abs(entropy(p).item() - entropy(q).item())
    assert gap <= audenaert_bound(p, q).item() + 1e-12


@pytest.mark.parametrize(("p", "dtype"), [([1.0, 1e-4], "float64"), ([1.0, 0.0199], "float16")])
def test_audenaert_holds_where_a_sum_is_off_within_what_is_accepted(p, dtype):
    p = np.array(p, dtype=dtype)
    exact = p.astype(float) / p.astype(float).sum()
    assert entropy(exact).item() <= audenaert_bound(p, np.array([1.0, 0.0])).item() + 1e-12


@pytest.mark.parametrize("k", [2, 5, 50])
def test_audenaert_is_met(k):
    # A sure outcome against the same with mass V spread over the others.
    for v in (0.0, 0.1, 0.5):
        p = [1.0] + [0.0] * (k - 1)
        q = [1 - v] + [v / (k - 1)] * (k - 1)
        gap = entropy(q).item() - entropy(p).item()
        assert audenaert_bound(p, q).item() == pytest.approx(gap, abs=1e-12)


def test_audenaert_bad_input():
    with pytest.raises(ValueError, match=r"same length along dim -1, got 2 and 3"):
        audenaert_bound([0.5, 0.5], [0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match=r"p must sum to 1"):
        audenaert_bound([0.5, 0.6], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"p must be finite, got nan at 0"):
        audenaert_bound([math.nan, 1.0], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"p and q .* broadcast, got \(2, 2\) and \(3, 2\)"):
        audenaert_bound(np.full((2, 2), 0.5), np.full((3, 2), 0.5))
    with pytest.raises(ValueError, match=r"outcomes of p and q must be at least 2, got 1"):
        audenaert_bound([1.0], [1.0])


@pytest.mark.parametrize(
    ("p", "dim", "error", "message"),
    [
        ([0.5, 0.5], 5, ValueError, r"dim must be at most 0 for p, got 5"),
        ([0.5, 0.5], -2, ValueError, r"dim must be at least -1, got -2"),
        (np.full((2, 2), 0.5), 1, ValueError, r"dim must be at most 0 for q, got 1"),
        ([0.5, 0.5], 0.5, TypeError, r"dim must be an integer, got 0.5"),
        ([0.5, 0.5], True, TypeError, r"dim must be an integer, got True"),
        (0.5, 0, ValueError, r"p must have at least 1 dimension"),
    ],
)
def test_audenaert_bad_dimension(p, dim, error, message):
    with pytest.raises(error, match=message):
        audenaert_bound(p, [0.5, 0.5], dim)


def test_audenaert_along_another_dimension():
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=3)
    q = [0.2, 0.3, 0.5]  # has fewer dimensions: the outcomes are still the first of each
    expected = [audenaert_bound(row, q).item() for row in p]
    assert audenaert_bound(p.T, q, 0).tolist() == expected
    assert audenaert_bound(p, q).tolist() == expected
