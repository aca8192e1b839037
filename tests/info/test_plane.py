"""The information plane: against float64, exact corners, identities, memory, bad input."""

import ctypes
import gc
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ibtutor.info import information_plane, mix_outputs, mutual_information
from ibtutor.info import plane as module
from tests.sequential import SequentialFloat32


def reference(p, labels=None, soft=None, p_x=None):
    """All six quantities in float64, written out."""
    p = torch.as_tensor(p).double()
    x = torch.full((len(p),), 1 / len(p), dtype=torch.float64) if p_x is None else p_x.double()
    if soft is None:
        soft = torch.nn.functional.one_hot(labels)
    joint = (x[:, None] * soft.double()).T @ p
    h_t, h_y, h_ty = (
        torch.special.entr(m).sum().item() for m in (joint.sum(0), joint.sum(1), joint)
    )
    h_t_given_x = (x @ torch.special.entr(p).sum(1)).item()
    return {
        "i_xt": h_t - h_t_given_x,
        "i_ty": h_t + h_y - h_ty,
        "h_t": h_t,
        "h_t_given_x": h_t_given_x,
        "h_y": h_y,
        "h_y_given_t": h_ty - h_t,
    }


def outputs(rows, symbols, dtype=torch.float32, scale=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(rows, symbols, generator=generator)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    return logits.to(wide).softmax(1).to(dtype), torch.randint(
        0, symbols, (rows,), generator=generator
    )


@st.composite
def rows_of_probabilities(draw, rows, symbols):
    weights = draw(arrays(np.float64, (rows, symbols), elements=st.integers(0, 9).map(float)))
    weights[:, 0] += weights.sum(1) == 0
    return weights / weights.sum(1, keepdims=True)


@st.composite
def worlds(draw):
    """An encoder and label distributions for the same inputs, with zeros."""
    n, t, k = (draw(st.integers(2, 5)) for _ in range(3))
    return draw(rows_of_probabilities(n, t)), draw(rows_of_probabilities(n, k))


def test_toy(oracle):
    case = oracle("R01")
    x, y, t = (case["inputs"][n] for n in ("px", "p_y_given_x", "enc_t_given_x"))
    plane = information_plane(t, p_y_given_x=y, p_x=x)
    assert plane.h_t_given_x == pytest.approx(case["expected"]["H_Z_X"], abs=1e-13)
    assert plane.h_y_given_t == pytest.approx(case["expected"]["H_Y_Z"], abs=1e-13)
    assert plane.i_xt == pytest.approx(oracle("K10")["expected"]["I_XT"], abs=1e-13)
    assert plane.i_ty == pytest.approx(oracle("K09")["expected"]["I_TY"], abs=1e-13)


def test_adaptive_strength_leaves_the_curve(oracle):
    case = oracle("I09")
    k = case["inputs"]["K"]
    eye = torch.eye(k, dtype=torch.float64)
    p = torch.cat([mix_outputs(eye, a) for a in case["inputs"]["alphas"]])
    plane = information_plane(p, torch.arange(k).repeat(2))
    assert plane.i_ty == pytest.approx(case["expected"]["I_TY"], abs=1e-12)
    assert plane.i_xt == pytest.approx(case["expected"]["I_XT"], abs=1e-12)


def test_large_float32_matrix_within_1e_6_and_50_megabytes():
    p, labels = outputs(50_000, 1000)
    extra = peak_memory(lambda: information_plane(p, labels))
    plane = asdict(information_plane(p, labels))
    totals = torch.zeros(1000, 1000, dtype=torch.float64)
    conditional = 0.0
    for rows, ys in zip(p.split(5000), labels.split(5000), strict=True):
        totals.index_add_(0, ys, rows.double())
        conditional += torch.special.entr(rows.double()).sum().item() / len(p)
    joint = totals / len(p)
    h_t = torch.special.entr(joint.sum(0)).sum().item()
    i_ty = mutual_information(joint).item()
    assert plane["i_xt"] == pytest.approx(h_t - conditional, abs=1e-6)
    assert plane["i_ty"] == pytest.approx(i_ty, abs=1e-6)
    assert plane["h_t"] == pytest.approx(h_t, abs=1e-6)
    # The joint of labels and symbols alone, in float64, is 8 MB.
    assert extra is None or 8e6 <= extra <= 50e6


def peak_memory(call):
    """Bytes that `call` adds to the peak of resident memory; None where the system hides it."""
    information_plane(*outputs(9, 9))  # libraries allocate on first use
    gc.collect()
    try:
        # What was freed before but kept by the allocator would hide what the call takes.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text
        before = status().split("VmRSS:")[1].split()[0]
        call()
        return 1024 * (int(status().split("VmHWM:")[1].split()[0]) - int(before))
    except (OSError, AttributeError, IndexError, TypeError):
        return None


WORST = ("uniform", "smoothed", "one-hot", "one class", "sorted", "powers of two")


def hard_for_float32(kind, rows, symbols):
    """Outputs and labels whose float32 sums drift: equal addends round in the same direction."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, symbols, (rows,), generator=generator)
    if kind == "sorted":
        labels = labels.sort()[0]
    if kind == "one class":
        labels = labels.clamp(max=0)
    if kind == "powers of two":
        p = 2.0 ** -torch.arange(symbols, dtype=torch.float64).remainder(40)
        return (p / p.sum()).float().expand(rows, symbols).contiguous(), labels
    alpha = {"uniform": 1.0, "one-hot": 0.0}.get(kind, 0.1)
    return mix_outputs(torch.eye(symbols), alpha)[labels], labels


@pytest.mark.parametrize("symbols", [7, 97, 1000, 2048])
@pytest.mark.parametrize("kind", WORST)
def test_equal_numbers_do_not_drift(symbols, kind):
    p, labels = hard_for_float32(kind, 1_000_000 // symbols, symbols)
    got, expected = asdict(information_plane(p, labels)), reference(p, labels)
    assert got == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("how", ["labels", "soft", "weighted", "no labels"])
@pytest.mark.parametrize("kind", WORST)
def test_no_digit_hangs_on_the_order_of_a_sum(kind, how):
    p, labels = hard_for_float32(kind, 2000, 97)
    options = {
        "labels": {"labels": labels},
        "soft": {"p_y_given_x": p.flip(1)},
        "weighted": {"labels": labels, "p_x": outputs(1, 2000, torch.float64, seed=2)[0][0]},
        "no labels": {},
    }[how]
    expected = asdict(information_plane(p, **options))
    with SequentialFloat32():
        got = asdict(information_plane(p, **options))
    assert got == pytest.approx(expected, abs=1e-12)


def test_the_adversary_bites():
    # The same quantity as it is usually written loses its digits under it.
    p, _ = hard_for_float32("uniform", 2000, 97)
    with SequentialFloat32() as adversary:
        usual = torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()
    assert adversary.met >= 4
    assert abs(usual.item()) > 1e-5
    assert information_plane(p).i_xt < 1e-6


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_types(dtype):
    p, labels = outputs(500, 30, dtype)
    expected = reference(p, labels)
    tolerance = 1e-13 if dtype == torch.float64 else 1e-6 if dtype == torch.float32 else 2e-2
    assert asdict(information_plane(p, labels)) == pytest.approx(expected, abs=tolerance)
    if dtype != torch.bfloat16:
        assert information_plane(p.numpy(), labels.numpy()) == information_plane(p, labels)
    # Columns first: strides that are not those of a row-major matrix.
    got = asdict(information_plane(p.T.contiguous().T, labels))
    assert got == pytest.approx(asdict(information_plane(p, labels)), abs=1e-6)


def test_lists_and_integers():
    plane = information_plane([[1, 0], [0, 1]], [0, 1])
    assert plane.i_xt == pytest.approx(math.log(2), abs=1e-15)
    assert plane.h_t_given_x == 0.0


@pytest.mark.parametrize("rows", [1, 2, 64, 65, 66, 131, 5000])
@pytest.mark.parametrize("elements", [1, 2**16, 2**30])
def test_every_chunk_is_read(rows, elements, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", {"cpu": elements})
    p, labels = outputs(rows, 1000 if elements > 1 or rows < 100 else 3, torch.float64)
    expected = reference(p, labels)
    assert asdict(information_plane(p, labels)) == pytest.approx(expected, abs=1e-12)


def test_weights():
    p, labels = outputs(300, 20, torch.float64)
    soft = outputs(300, 5, torch.float64, seed=1)[0]
    x = outputs(1, 300, torch.float64, seed=2)[0][0]
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        q = p.to(dtype)
        got = information_plane(q, labels, p_x=x)
        assert asdict(got) == pytest.approx(reference(q, labels, p_x=x), abs=tolerance)
        assert information_plane(q, p_x=x).i_xt == pytest.approx(got.i_xt, abs=tolerance)
        got = information_plane(q, p_y_given_x=soft, p_x=x)
        assert asdict(got) == pytest.approx(reference(q, soft=soft, p_x=x), abs=tolerance)
    # An input of weight zero is not there.
    x[0] = 0
    got = information_plane(p, labels, p_x=x / x.sum())
    rest = information_plane(p[1:], labels[1:], p_x=x[1:] / x[1:].sum())
    assert asdict(got) == pytest.approx(asdict(rest), abs=1e-12)


def test_one_hot_and_constant_rows_are_exact():
    p = torch.eye(4)[torch.arange(40) % 4]
    plane = information_plane(p, torch.arange(40) % 4)
    assert plane.h_t_given_x == 0.0
    assert plane.i_xt == pytest.approx(math.log(4), abs=1e-15)
    assert plane.i_ty == pytest.approx(math.log(4), abs=1e-15)
    assert plane.h_y_given_t == pytest.approx(0.0, abs=1e-15)
    blind = information_plane(torch.full((40, 4), 0.25), torch.arange(40) % 4)
    assert (blind.i_xt, blind.i_ty) == (0.0, 0.0)
    for value in (*asdict(plane).values(), *asdict(blind).values()):
        assert math.copysign(1.0, value) == 1.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_zeros_in_half_precision_add_nothing(dtype):
    one_hot = torch.eye(4, dtype=dtype)[torch.arange(40) % 4]
    assert information_plane(one_hot).i_xt == pytest.approx(math.log(4), abs=1e-15)
    sharp = (40.0 * torch.eye(4)).softmax(1).to(dtype)  # 4e-18: zero in float16
    plane = information_plane(sharp, [0, 1, 2, 3])
    assert plane.i_xt == pytest.approx(math.log(4), abs=1e-12)
    assert plane.h_y_given_t == pytest.approx(0.0, abs=1e-12)


def test_without_labels():
    p, labels = outputs(100, 10)
    plane, full = information_plane(p), information_plane(p, labels)
    assert (plane.i_ty, plane.h_y, plane.h_y_given_t) == (None, None, None)
    assert plane.i_xt == pytest.approx(full.i_xt, abs=1e-7)
    with pytest.raises(AttributeError):
        plane.i_xt = 0.0


def test_arguments_are_left_alone():
    p, labels = outputs(100, 10)
    p.requires_grad_()
    before = p.detach().clone()
    information_plane(p, labels)
    assert torch.equal(p, before)


@given(worlds())
def test_data_processing(world):
    t, y = (torch.from_numpy(w) for w in world)
    plane = information_plane(t, p_y_given_x=y)
    assert asdict(plane) == pytest.approx(reference(t, soft=y), abs=1e-12)
    i_xy = mutual_information(y / len(y)).item()
    assert plane.i_ty <= min(plane.i_xt, i_xy, plane.h_y) + 1e-12
    assert plane.i_xt <= plane.h_t + 1e-12
    assert plane.h_t == pytest.approx(plane.i_xt + plane.h_t_given_x, abs=1e-12)
    assert plane.h_y == pytest.approx(plane.i_ty + plane.h_y_given_t, abs=1e-12)
    assert min(asdict(plane).values()) >= 0.0
    # Mixing the outputs is a further step of processing.
    mixed = information_plane(mix_outputs(t, 0.3), p_y_given_x=y)
    assert mixed.i_xt <= plane.i_xt + 1e-12
    assert mixed.i_ty <= plane.i_ty + 1e-12


@given(worlds(), st.randoms(use_true_random=False))
def test_order_does_not_matter(world, random):
    t, y = (torch.from_numpy(w) for w in world)
    inputs, symbols = list(range(len(t))), list(range(t.shape[1]))
    random.shuffle(inputs)
    random.shuffle(symbols)
    got = information_plane(t[inputs][:, symbols], p_y_given_x=y[inputs])
    assert asdict(got) == pytest.approx(asdict(information_plane(t, p_y_given_x=y)), abs=1e-12)


GOOD = [[0.5, 0.5], [0.25, 0.75]]


@pytest.mark.parametrize(
    ("p", "settings", "error", "words"),
    [
        ([], {}, ValueError, "p_t_given_x must not be empty"),
        ([0.5, 0.5], {}, ValueError, r"shape \(N, T\), got \(2,\)"),
        ([[0.5, 0.5], [0.5, 0.6]], {}, ValueError, r"sum to 1 .*got 1.1 in row 1"),
        ([[0.5, 0.5], [-0.1, 1.1]], {}, ValueError, "negative, got -0.1 in row 1"),
        ([[math.nan, 0.5], [0.5, 0.5]], {}, ValueError, "finite .*got nan in row 0"),
        ([[0.5, 0.5], [math.inf, 0.5]], {}, ValueError, "finite .*got inf in row 1"),
        ([[0.5, 0.5], [1e308, 0.5]], {}, ValueError, r"finite .*got 1e\+308 in row 1"),
        (GOOD, {"labels": [0, -1]}, ValueError, "labels must be zero or more, got -1"),
        (GOOD, {"labels": [0]}, ValueError, r"labels must have shape \(2,\).*got \(1,\)"),
        (GOOD, {"labels": [0.0, 1.0]}, TypeError, "labels must be integers, got torch.float64"),
        (GOOD, {"labels": [True, False]}, TypeError, "labels must be integers, got torch.bool"),
        (GOOD, {"p_y_given_x": [[0.5, 0.5]]}, ValueError, "2 rows, got 1"),
        (GOOD, {"p_y_given_x": [[0.5, 0.6]] * 2}, ValueError, "p_y_given_x must sum to 1"),
        (GOOD, {"p_x": [0.5, 0.25, 0.25]}, ValueError, "p_x must have 2 entries, got 3"),
        (GOOD, {"p_x": [0.5, 0.6]}, ValueError, "p_x must sum to 1"),
        (GOOD, {"labels": [0, 1], "p_y_given_x": GOOD}, ValueError, "got both"),
    ],
)
def test_bad_input(p, settings, error, words):
    with pytest.raises(error, match=words):
        information_plane(p, **settings)
