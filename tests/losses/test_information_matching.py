"""Targets of Information Matching: known values, sums, the cap, what is printed, bad input."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor import info
from ibtutor.losses import (
    convert_smoothing,
    information_matching_strength,
    information_matching_targets,
    label_smoothing,
    soft_cross_entropy,
)

VARIANTS = ["described", "coded"]
F64 = {"dtype": torch.float64}


@pytest.mark.parametrize("name", ["I02a", "I02b", "I02c"])
def test_the_oracles_where_the_true_class_wins(name, oracle):
    entry = oracle(name)
    k, eps, expected = entry["inputs"]["K"], entry["inputs"]["eps"], entry["expected"]
    kept = torch.tensor([1 - eps], dtype=torch.float64)
    if expected["true"] <= expected["other"]:  # 0.9 at ten classes and at two
        with pytest.raises(ValueError, match=r"cap must lie in \[0, \(K - 1\) / K = "):
            information_matching_targets([0], kept, k, cap=eps)
        return
    target = information_matching_targets([1], kept, k)[0]
    assert target[1].item() == pytest.approx(expected["true"], abs=1e-12)
    assert target[0].item() == pytest.approx(expected["other"], abs=1e-12)
    alpha = information_matching_strength(kept, k).item()
    assert alpha == pytest.approx(expected["alpha_equiv"], abs=1e-12)
    assert alpha == pytest.approx(convert_smoothing(eps, k), abs=1e-12)


def test_what_is_printed_lacks_the_true_class(oracle):
    entry = oracle("I02a")
    k, eps = entry["inputs"]["K"], entry["inputs"]["eps"]
    target = information_matching_targets([3], torch.tensor([1 - eps], **F64), k)[0]
    others = target[torch.arange(k) != 3]
    printed = torch.full((k - 1,), eps / (k - 1), **F64)  # k != c: the delta is zero
    torch.testing.assert_close(others, printed, rtol=0, atol=1e-12)
    assert printed.sum().item() == pytest.approx(eps, abs=1e-12)
    assert target.sum().item() == pytest.approx(1, abs=1e-12)
    for_all = printed.sum() + (1 - eps) + eps / (k - 1)  # read against its condition
    assert for_all.item() == pytest.approx(entry["expected"]["literal_sum"], abs=1e-12)


def test_clamping(oracle):
    entry = oracle("I03")
    kept = torch.tensor(entry["inputs"]["NMI"], **F64)
    eps = information_matching_strength(kept, 100, variant="coded")
    torch.testing.assert_close(eps, torch.tensor(entry["expected"], **F64))
    alpha = information_matching_strength(kept, 100)
    torch.testing.assert_close(alpha * 0.99, torch.tensor(entry["expected"], **F64))


@given(
    st.integers(2, 200),
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
    st.sampled_from(VARIANTS),
    st.one_of(st.none(), st.floats(0, 0.99)),
)
def test_distributions_whose_mode_is_the_label(k, kept, variant, share):
    cap = None if share is None else share * (1 if variant == "coded" else (k - 1) / k)
    kept = torch.tensor(kept, dtype=torch.float64)
    labels = torch.arange(len(kept)) % k
    target = information_matching_targets(labels, kept, k, cap=cap, variant=variant)
    torch.testing.assert_close(target.sum(1), torch.ones_like(kept), rtol=0, atol=1e-12)
    assert (target >= 0).all()
    own = target.gather(1, labels[:, None])
    others = target.scatter(1, labels[:, None], -1.0).amax(1, keepdim=True)
    assert (own > others + 0.005 / k).all()


def test_the_default_cap():
    nothing = torch.zeros(1, **F64)
    for k, eps in ((100, 0.9), (1000, 0.9), (10, 9 / 11), (2, 5 / 11)):
        target = information_matching_targets([0], nothing, k)[0]
        assert target[0].item() == pytest.approx(1 - eps, abs=1e-12)
        coded = information_matching_targets([0], nothing, k, variant="coded")[0]
        assert coded[0].item() == pytest.approx(0.1 + 0.9 / k, abs=1e-12)


@given(st.integers(0, 2**16), st.sampled_from(VARIANTS))
def test_the_loss_is_label_smoothing_of_that_strength(seed, variant):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 7, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 7, (4, 3), generator=generator)
    kept = torch.rand(4, 1, generator=generator, dtype=torch.float64)
    target = information_matching_targets(labels, kept, 7, variant=variant)
    assert target.shape == logits.shape
    alpha = information_matching_strength(kept, 7, variant=variant)
    got = soft_cross_entropy(logits, target, reduction="none")
    expected = label_smoothing(logits, labels, alpha, reduction="none")
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_an_intact_image_keeps_its_label():
    target = information_matching_targets([2, 0], 1.0, 3)
    assert torch.equal(target, torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))


def test_gradients_reach_the_information():
    kept = torch.tensor([0.5, 0.01], dtype=torch.float64, requires_grad=True)
    information_matching_targets([0, 1], kept, 100)[[0, 1], [0, 1]].sum().backward()
    assert kept.grad.tolist() == pytest.approx([1.0, 0.0])  # the second is at the cap


def test_under_vmap():
    labels = torch.tensor([0, 2, 1])
    kept = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.3, 1.0]], dtype=torch.float64)
    rows = torch.func.vmap(lambda x: information_matching_targets(labels, x, 3))(kept)
    for row, x in zip(rows, kept, strict=True):
        torch.testing.assert_close(row, information_matching_targets(labels, x, 3))


def test_adaptive_strength_lies_below_the_line(oracle):
    # Mathematics of the oracle I09: with strengths 0 and 0.4 the plane loses a Jensen gap.
    entry = oracle("I09")
    k, (low, high) = entry["inputs"]["K"], entry["inputs"]["alphas"]
    kept = 1 - torch.tensor([low, high], **F64).repeat_interleave(k) * (k - 1) / k
    labels = torch.arange(k).repeat(2)
    plane = info.information_plane(information_matching_targets(labels, kept, k), labels)
    assert plane.i_ty == pytest.approx(entry["expected"]["I_TY"], abs=1e-9)
    assert plane.i_xt == pytest.approx(entry["expected"]["I_XT"], abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "kept", "k", "options", "error", "words"),
    [
        ([0], 1.5, 10, {}, ValueError, r"information must lie in \[0, 1\], got 1\.5"),
        ([0], torch.tensor([-0.1]), 10, {}, ValueError, r"information .*got -0\.1"),
        ([0], torch.tensor([torch.nan]), 10, {}, ValueError, "information must be finite, got nan"),
        ([0], torch.tensor([1]), 10, {}, TypeError, "information must be floating"),
        ([0], "much", 10, {}, TypeError, "information must be a number, got 'much'"),
        ([0, 1], torch.rand(3), 10, {}, ValueError, r"labels' shape \(2,\), got shape \(3,\)"),
        ([10], 0.5, 10, {}, ValueError, r"labels must lie in 0 \.\. 9, got 10"),
        ([-1], 0.5, 10, {}, ValueError, r"labels must lie in 0 \.\. 9, got -1"),
        ([0.0], 0.5, 10, {}, TypeError, "labels must be integers"),
        (0, 0.5, 10, {}, ValueError, r"labels must have shape \(N, d1, \.\.\.\), got \(\)"),
        ([0], 0.5, 1, {}, ValueError, "num_classes must be at least 2, got 1"),
        ([0], 0.5, 10, {"cap": 0.9}, ValueError, r"cap must lie in .* = 0\.9\) .*got 0\.9"),
        ([0], 0.5, 10, {"cap": 1.0, "variant": "coded"}, ValueError, r"\[0, 1\) .*got 1"),
        ([0], 0.5, 10, {"cap": -0.1}, ValueError, r"cap must lie in .*got -0\.1"),
        ([0], 0.5, 10, {"variant": "fair"}, ValueError, "variant must be .* got 'fair'"),
    ],
)
def test_bad_input(labels, kept, k, options, error, words):
    with pytest.raises(error, match=words):
        information_matching_targets(labels, kept, k, **options)
