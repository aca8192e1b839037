"""Entropies and divergences: oracles, identities, exact corners, bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ibtutor.info import cross_entropy, entropy, kl_divergence, mutual_information


@st.composite
def joints(draw, dims=2):
    """Joint distributions with zeros among their cells."""
    shape = draw(array_shapes(min_dims=dims, max_dims=dims, min_side=2, max_side=5))
    # Small integers: exact zeros are common and cells far apart in size are not.
    weights = draw(arrays(np.float64, shape, elements=st.integers(0, 9).map(float)))
    weights.flat[0] += 1
    return torch.from_numpy(weights / weights.sum())


def test_smoothing_loss_terms(oracle):  # Kudo Eq. 9
    for name in ("K02", "K03"):
        case = oracle(name)
        p, alpha = torch.tensor(case["inputs"]["p"], dtype=torch.float64), case["inputs"]["alpha"]
        q = torch.tensor(oracle("K01")["expected"], dtype=torch.float64)
        total = cross_entropy(q, p).item()
        expected = case["expected"]
        if name == "K02":
            assert total == pytest.approx(expected, abs=case["tolerance"])
            continue
        r = torch.full((3,), 1 / 3, dtype=torch.float64)
        terms = {
            "nll_term": -(1 - alpha) * p[0].log().item(),
            "kl_term": alpha * kl_divergence(r, p).item(),
            "const": alpha * entropy(r).item(),
            "total": total,
        }
        assert terms == pytest.approx(expected, abs=1e-12)


def toy(case):
    values = case["inputs"]
    names = ("px", "p_y_given_x", "enc_t_given_x", "clf_y_given_t", "r")
    return (torch.tensor(values[n], dtype=torch.float64) for n in names)


def test_variational_bounds(oracle):  # Kudo Eqs. 6 to 8
    case = oracle("K09")
    x, y, t, classifier, r = toy(case)
    joint_ty = (x[:, None] * t).T @ y
    p_t = joint_ty.sum(1)
    i_ty = mutual_information(joint_ty).item()
    gap = (p_t @ kl_divergence(joint_ty / p_t[:, None], classifier)).item()
    assert i_ty == pytest.approx(case["expected"]["I_TY"], abs=1e-13)
    assert gap == pytest.approx(case["expected"]["gap"], abs=1e-13)
    bound = entropy(joint_ty.sum(0)) - (p_t @ cross_entropy(joint_ty / p_t[:, None], classifier))
    assert bound.item() == pytest.approx(case["expected"]["bound"], abs=1e-13)

    i_xt = mutual_information(x[:, None] * t).item()
    upper = (x @ kl_divergence(t, r)).item()
    assert i_xt == pytest.approx(oracle("K10")["expected"]["I_XT"], abs=1e-13)
    assert upper == pytest.approx(oracle("K10")["expected"]["bound"], abs=1e-13)
    assert upper - i_xt == pytest.approx(kl_divergence(p_t, r).item(), abs=1e-13)

    beta = oracle("K11")["inputs"]["beta"]
    loss = -i_ty + beta * i_xt + entropy(joint_ty.sum(0)).item() + gap + beta * (upper - i_xt)
    assert loss == pytest.approx(oracle("K11")["expected"], abs=1e-12)


def test_erasure_reaches_the_diagonal(oracle):  # Kudo Proposition 4.2
    case = oracle("K12")
    prior, a = torch.tensor(case["inputs"]["prior"], dtype=torch.float64), case["inputs"]["a"]
    erased = torch.cat([(1 - a) * prior[:, None], a * prior.diag()], dim=1)
    assert mutual_information(erased).item() == pytest.approx(case["expected"], abs=1e-13)
    assert a * entropy(prior).item() == pytest.approx(case["expected"], abs=1e-13)
    # Labels coded from 0: the erasure symbol is also class 0.
    merged = a * prior.diag()
    merged[:, 0] += (1 - a) * prior
    assert mutual_information(merged).item() == pytest.approx(oracle("K13")["expected"], abs=1e-13)
    # The Lagrangian is linear in a, so no interior point is optimal.
    case = oracle("K35")
    beta = case["inputs"]["beta"]
    for a, expected in zip(case["inputs"]["a"], case["expected"], strict=True):
        erased = torch.cat([(1 - a) * prior[:, None], a * prior.diag()], dim=1)
        i = mutual_information(erased).item()
        assert -i + beta * i == pytest.approx(expected, abs=1e-12)


def test_a_redundant_copy_tells_nothing_new(oracle):  # Kudo Section 3.3
    case = oracle("K24")
    f, r_f, y_f = (
        torch.tensor(case["inputs"][n], dtype=torch.float64)
        for n in ("p_f", "p_r_given_f", "p_y_given_f")
    )
    joint = torch.einsum("f,fr,fy->fry", f, r_f, y_f)
    assert mutual_information(joint.reshape(4, 2)).item() == pytest.approx(
        case["expected"]["I_RF_Y"], abs=1e-13
    )
    assert mutual_information(joint.sum(1)).item() == pytest.approx(
        case["expected"]["I_RF_Y"], abs=1e-13
    )
    assert mutual_information(joint.sum(0)).item() == pytest.approx(
        case["expected"]["I_R_Y"], abs=1e-13
    )


def test_exact_corners():
    one_hot = torch.eye(4, dtype=torch.float64)
    zero = torch.zeros(4, dtype=torch.float64)
    for value in (
        entropy(one_hot),
        kl_divergence(one_hot, one_hot),
        cross_entropy(one_hot, one_hot),
    ):
        assert torch.equal(value, zero)
        assert not torch.signbit(value).any()
    assert kl_divergence([0.5, 0.5], [1.0, 0.0]).item() == math.inf
    assert cross_entropy([0.5, 0.5], [1.0, 0.0]).item() == math.inf
    assert kl_divergence([1.0, 0.0], [0.5, 0.5]).item() == pytest.approx(math.log(2), abs=1e-15)
    assert mutual_information(one_hot / 4).item() == pytest.approx(math.log(4), abs=1e-15)


def test_types_and_dimensions():
    table = np.full((3, 4), 0.25, dtype=np.float32)
    assert entropy(table).dtype == torch.float64
    assert entropy(table).shape == (3,)
    assert entropy(table.T, dim=0).shape == (3,)
    assert entropy([1, 0]).item() == 0.0
    assert entropy(table[:, ::-1]).shape == (3,)  # negative strides
    table.setflags(write=False)
    assert entropy(table).shape == (3,)  # read-only, and no warning
    assert mutual_information(torch.full((7, 2, 2), 0.25)).shape == (7,)
    assert kl_divergence(torch.full((5, 2), 0.5), [0.5, 0.5]).shape == (5,)


def test_float32_is_summed_in_float64():
    p = torch.full((1, 2**20), 2.0**-20)
    assert entropy(p).item() == pytest.approx(20 * math.log(2), abs=1e-12)


def test_small_information_keeps_its_digits():
    # A cell of 1e-150 once made the whole sum minus infinity.
    assert mutual_information([[0.5, 1e-150], [1e-150, 0.5]]).item() == pytest.approx(math.log(2))
    # I = (1 / 2) (d^2 + d^4 / 6 + ...) for the joint 1/4 (1 +- d).
    for d in (1e-3, 1e-5, 1e-7):
        joint = torch.tensor([[1 + d, 1 - d], [1 - d, 1 + d]], dtype=torch.float64) / 4
        exact = d**2 / 2 + d**4 / 12
        assert mutual_information(joint).item() == pytest.approx(exact, rel=1e-7)


def test_gradients():
    p = torch.tensor([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]], dtype=torch.float64).log()
    q = torch.tensor([[0.3, 0.3, 0.4], [0.6, 0.2, 0.2]], dtype=torch.float64).log()
    p.requires_grad_()
    q.requires_grad_()
    for function in (cross_entropy, kl_divergence):
        assert torch.autograd.gradcheck(
            lambda a, b, f=function: f(a.softmax(1), b.softmax(1)), (p, q)
        )
    assert torch.autograd.gradcheck(lambda a: entropy(a.softmax(1)), p)
    assert torch.autograd.gradcheck(
        lambda a: mutual_information(a.flatten().softmax(0).view(2, 3)), p
    )


@given(joints())
def test_identities(joint):
    p_x, p_y = joint.sum(1), joint.sum(0)
    information = mutual_information(joint).item()
    h_x, h_y, h_xy = (entropy(p).item() for p in (p_x, p_y, joint.flatten()))
    assert information == pytest.approx(h_x + h_y - h_xy, abs=1e-12)
    assert 0.0 <= information <= min(h_x, h_y) + 1e-12
    assert information == pytest.approx(
        kl_divergence(joint.flatten(), torch.outer(p_x, p_y).flatten()).item(), abs=1e-12
    )
    assert mutual_information(joint.T).item() == pytest.approx(information, abs=1e-13)


@given(joints(), st.randoms(use_true_random=False))
def test_order_of_symbols_does_not_matter(joint, random):
    rows, columns = list(range(joint.shape[0])), list(range(joint.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    shuffled = joint[rows][:, columns]
    assert mutual_information(shuffled).item() == pytest.approx(
        mutual_information(joint).item(), abs=1e-13
    )
    assert entropy(shuffled.flatten()).item() == pytest.approx(
        entropy(joint.flatten()).item(), abs=1e-13
    )


@pytest.mark.parametrize(
    ("p", "error", "words"),
    [
        ([], ValueError, "empty"),
        ([0.5, 0.6], ValueError, "sum to 1.*got 1.1"),
        ([0.5, math.nan], ValueError, "finite, got nan"),
        ([0.5, math.inf], ValueError, "finite, got inf"),
        ([-0.1, 1.1], ValueError, "negative, got an entry -0.1"),
        (1.0, ValueError, r"dimension.*got shape \(\)"),
        ("half", TypeError, "real numbers, got 'half'"),
        ([0.5 + 1j, 0.5], TypeError, "real numbers"),
        (torch.tensor([1j, 0]), TypeError, "real numbers, got torch.complex64"),
        ([[0.5, 0.5], [1.0]], ValueError, "rectangular"),
    ],
)
def test_bad_distributions(p, error, words):
    for function in (entropy, lambda p: kl_divergence(p, [0.5, 0.5])):
        with pytest.raises(error, match=words):
            function(p)


def test_bad_pairs_and_joints():
    with pytest.raises(ValueError, match="same length along dim -1, got 2 and 3"):
        cross_entropy([0.5, 0.5], [0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match=r"2 dimensions, got shape \(2,\)"):
        mutual_information([0.5, 0.5])
    with pytest.raises(ValueError, match=r"joint must sum to 1 .*got 2"):
        mutual_information([[0.5, 0.5], [0.5, 0.5]])


def test_outcomes_in_the_first_dimension_of_different_ranks():
    p, q = torch.tensor([0.9, 0.1]), torch.tensor([[0.2, 0.6], [0.8, 0.4]])
    for function in (kl_divergence, cross_entropy):
        each = torch.stack([function(p, column) for column in q.T])
        assert torch.allclose(function(p, q, dim=0), each, rtol=0, atol=1e-14)
        assert torch.allclose(function(q, p, dim=0)[1], function(q[:, 1], p), rtol=0, atol=1e-14)
