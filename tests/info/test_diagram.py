"""Information diagrams: Kirsch's quantities, the atoms, synergy."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ibtutor.info import (
    cross_entropy,
    entropy,
    information_atoms,
    information_diagram,
    information_plane,
)


@st.composite
def joints(draw):
    shape = tuple(draw(st.integers(2, 4)) for _ in range(3))
    weights = draw(arrays(np.float64, shape, elements=st.integers(0, 9).map(float)))
    weights.flat[0] += 1
    return weights


@st.composite
def chains(draw):
    n, k, m = (draw(st.integers(2, 4)) for _ in range(3))
    parts = []
    for shape in ((1, n), (n, k), (n, m)):
        weights = draw(arrays(np.float64, shape, elements=st.integers(0, 9).map(float)))
        weights[:, 0] += weights.sum(1) == 0
        parts.append(weights / weights.sum(1, keepdims=True))
    return parts[0][0], parts[1], parts[2]


def toy(case):
    return (case["inputs"][n] for n in ("px", "p_y_given_x", "enc_t_given_x"))


def test_quantities_of_the_toy(oracle):
    case = oracle("R01")
    d = information_diagram(*toy(case))
    got = {
        "H_Y_Z": d.decoder_uncertainty,
        "H_Z_Y": d.reverse_decoder_uncertainty,
        "I_XZ_Y": d.redundant_information,
        "I_XY_Z": d.residual_information,
        "I_XY": d.relevant_information,
        "H_Z_X": d.encoding_uncertainty,
        "H_Y_X": d.label_uncertainty,
    }
    assert got == pytest.approx(case["expected"], abs=1e-13)
    assert d.preserved_information == pytest.approx(oracle("K10")["expected"]["I_XT"], abs=1e-13)
    assert d.preserved_relevant_information == pytest.approx(
        oracle("K09")["expected"]["I_TY"], abs=1e-13
    )


def test_equivalent_objectives(oracle):  # Kirsch Observation 1
    case = oracle("R02")
    d, beta = information_diagram(*toy(case)), case["inputs"]["beta"]
    ib = d.preserved_information - beta * d.preserved_relevant_information
    dib = d.h_z - beta * d.preserved_relevant_information
    dropped = -(beta - 1) * d.h_y
    expected = case["expected"]
    assert [ib, dib, dropped] == pytest.approx(
        [expected["IB"], expected["DIB"], expected["dropped_const"]], abs=1e-12
    )
    decoder = (beta - 1) * d.decoder_uncertainty
    assert d.redundant_information + decoder + dropped == pytest.approx(ib, abs=1e-12)
    assert d.reverse_decoder_uncertainty + decoder + dropped == pytest.approx(dib, abs=1e-12)


def test_cross_entropies_of_a_model(oracle):  # Kirsch Observations 2 to 4
    case = oracle("R03")
    x, y, t, decoder = (
        torch.tensor(case["inputs"][n], dtype=torch.float64)
        for n in ("px", "p_y_given_x", "enc_t_given_x", "clf_y_given_t")
    )
    prediction = (x @ cross_entropy(y, t @ decoder)).item()
    p_t = x @ t
    y_given_t = ((x[:, None] * t).T @ y) / p_t[:, None]
    decoded = (p_t @ cross_entropy(y_given_t, decoder)).item()
    best = information_diagram(x, y, t).decoder_uncertainty
    expected = case["expected"]
    assert prediction == pytest.approx(expected["pred_CE"], abs=1e-13)
    assert decoded == pytest.approx(expected["dec_CE"], abs=1e-13)
    assert best == pytest.approx(expected["H_Y_Z"], abs=1e-13)
    assert decoded - best == pytest.approx(expected["KL"], abs=1e-13)
    wrong = 1 - (x[:, None] * y * (t @ decoder)).sum().item()
    expected = oracle("R04")["expected"]
    assert [wrong, 1 - math.exp(-prediction), 1 - math.exp(-decoded)] == pytest.approx(
        [expected["p_err_sampled"], expected["bound_pred"], expected["bound_dec"]], abs=1e-12
    )


def test_the_bound_is_for_sampled_predictions(oracle):  # Kirsch Observation 3
    case = oracle("R05")
    p = case["inputs"]["p_true"]
    loss = cross_entropy([1.0, 0.0], [p, 1 - p]).item()
    assert 1 - math.exp(-loss) == pytest.approx(case["expected"]["bound"], abs=1e-12)
    assert float(np.argmax([p, 1 - p]) != 0) == case["expected"]["argmax_error"]
    assert loss / math.log(2) == pytest.approx(
        case["expected"]["valid_argmax_bound_CE_over_log2"], abs=1e-12
    )


def test_synergy_of_the_exclusive_or(oracle):
    case = oracle("R17")
    joint = np.zeros((2, 2, 2))
    for x in (0, 1):
        for y in (0, 1):
            joint[x, y, x ^ y] = 1 / 4
    atoms = information_atoms(joint)
    assert atoms.i_xyz == pytest.approx(case["expected"], abs=case["tolerance"])
    pairs = (atoms.i_xy_given_z, atoms.i_xz_given_y, atoms.i_yz_given_x)
    assert pairs == pytest.approx([math.log(2)] * 3, abs=1e-14)
    assert (atoms.h_x_given_yz, atoms.h_y_given_xz, atoms.h_z_given_xy) == (0.0, 0.0, 0.0)
    assert information_atoms((4 * joint).astype(int)) == atoms  # counts


@given(joints())
def test_atoms_add_up(weights):
    p = torch.from_numpy(weights / weights.sum())
    atoms = asdict(information_atoms(weights))
    assert sum(atoms.values()) == pytest.approx(entropy(p.flatten()).item(), abs=1e-12)
    h_x = sum(atoms[n] for n in ("h_x_given_yz", "i_xy_given_z", "i_xz_given_y", "i_xyz"))
    assert h_x == pytest.approx(entropy(p.sum((1, 2))).item(), abs=1e-12)
    assert all(value >= 0 for name, value in atoms.items() if name != "i_xyz")
    permuted = asdict(information_atoms(weights.transpose(2, 0, 1)))  # X, Y, Z become Y, Z, X
    assert permuted["i_xyz"] == pytest.approx(atoms["i_xyz"], abs=1e-12)
    assert permuted["i_xy_given_z"] == pytest.approx(atoms["i_xz_given_y"], abs=1e-12)


@given(chains())
def test_diagram_of_a_chain(chain):
    x, y, z = chain
    d = information_diagram(x, y, z)
    a = information_atoms(np.einsum("x,xy,xz->xyz", x, y, z))
    assert a.i_yz_given_x == pytest.approx(0.0, abs=1e-12)
    assert d.preserved_relevant_information == pytest.approx(a.i_xyz, abs=1e-12)
    assert d.residual_information == pytest.approx(a.i_xy_given_z, abs=1e-12)
    assert d.redundant_information == pytest.approx(a.i_xz_given_y, abs=1e-12)
    assert d.label_uncertainty == pytest.approx(a.h_y_given_xz, abs=1e-12)
    assert d.encoding_uncertainty == pytest.approx(a.h_z_given_xy, abs=1e-12)
    assert d.decoder_uncertainty == pytest.approx(
        d.label_uncertainty + d.residual_information, abs=1e-12
    )
    assert d.reverse_decoder_uncertainty == pytest.approx(
        d.encoding_uncertainty + d.redundant_information, abs=1e-12
    )
    assert d.relevant_information <= min(d.h_x, d.h_y) + 1e-12
    assert min(asdict(d).values()) >= 0.0
    plane = information_plane(z, p_y_given_x=y, p_x=x)
    assert plane.i_xt == pytest.approx(d.preserved_information, abs=1e-12)
    assert plane.i_ty == pytest.approx(d.preserved_relevant_information, abs=1e-12)


def test_bad_input():
    good = [[0.5, 0.5], [0.5, 0.5]]
    with pytest.raises(ValueError, match="p_x must have 2 entries, got 1"):
        information_diagram([1.0], good, good)
    with pytest.raises(ValueError, match="p_z_given_x must have 2 rows, got 1"):
        information_diagram([0.5, 0.5], good, good[:1])
    with pytest.raises(ValueError, match="p_y_given_x must sum to 1"):
        information_diagram([0.5, 0.5], [[0.5, 0.6]] * 2, good)
    with pytest.raises(ValueError, match=r"shape \(X, Y, Z\), got \(2, 2\)"):
        information_atoms(good)
    with pytest.raises(ValueError, match="joint must not be negative, got an entry -1"):
        information_atoms([[[-1.0, 2.0]]])
    with pytest.raises(ValueError, match="positive total"):
        information_atoms([[[0, 0]]])
    with pytest.raises(ValueError, match="joint must be finite, got nan"):
        information_atoms([[[math.nan, 0.5]]])
