"""VIB and CEB with Gaussian latents: closed forms, limits, gradients, layouts, bad input."""

import functools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from ibtutor.losses import (
    activation_norm,
    conditional_entropy_bottleneck,
    decoder_cross_entropy,
    sample_gaussian,
    variational_bottleneck,
)

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(2, 4), st.integers(1, 4))


def problem(s, n, classes, k, seed):
    """Logits `(S, N, K)`, labels, means and deviations `(N, k)`, class centers `(K, k)`."""
    g = torch.Generator().manual_seed(seed)
    randn = functools.partial(torch.randn, generator=g, dtype=torch.float64)
    labels = torch.randint(0, classes, (n,), generator=g)
    return randn(s, n, classes), labels, randn(n, k), randn(n, k).exp(), randn(classes, k)


def ceb(logits, labels, beta, *, mean, std, centers, **options):
    return conditional_entropy_bottleneck(
        logits, labels, beta, mean=mean, std=std, class_mean=centers, class_std=0.7, **options
    )


def vib(logits, labels, beta, *, mean, std, centers=None, **options):
    return variational_bottleneck(logits, labels, beta, mean=mean, std=std, **options)


BOTH = pytest.mark.parametrize("loss", [vib, ceb], ids=["vib", "ceb"])


def close(got, expected, tolerance=1e-12):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance)


@given(SIZES, st.integers(0, 999), st.floats(0, 3))
def test_both_are_cross_entropy_plus_torchs_divergence(sizes, seed, beta):
    logits, labels, mean, std, centers = problem(*sizes, seed)
    cost = decoder_cross_entropy(logits, labels, reduction="none")
    encoder = Independent(Normal(mean, std), 1)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(std)), 1)
    backward = Independent(Normal(centers[labels], torch.full_like(mean, 0.7)), 1)
    given_ = {"mean": mean, "std": std, "centers": centers, "reduction": "none"}
    close(vib(logits, labels, beta, **given_), cost + beta * kl_divergence(encoder, prior), 1e-10)
    close(
        ceb(logits, labels, beta, **given_), cost + beta * kl_divergence(encoder, backward), 1e-10
    )


@BOTH
def test_at_strength_zero_it_is_the_decoder_cross_entropy(loss):
    logits, labels, mean, std, centers = problem(3, 5, 4, 2, 0)
    got = loss(logits, labels, 0.0, mean=mean, std=std, centers=centers)
    close(got, decoder_cross_entropy(logits, labels))


def test_the_oracle_of_the_alemi_equality(oracle):
    entry = oracle("R12")
    mean = torch.tensor([entry["inputs"]["mu"]], dtype=torch.float64)
    even = torch.zeros(1, 1, 2, dtype=torch.float64)
    got = variational_bottleneck(even, [0], 1.0, mean=mean, std=entry["inputs"]["s"])
    assert float(got) - math.log(2) == pytest.approx(entry["expected"], abs=1e-12)


@given(SIZES, st.integers(0, 99), st.floats(0.01, 3), st.floats(0, 2))
def test_with_one_deviation_it_is_the_norm_but_for_a_constant(sizes, seed, std, beta):
    """KL = E||Z||^2 / 2 - H[Z|X] + (k / 2) log 2 pi, with E||Z||^2 = ||mean||^2 + k std^2."""
    logits, labels, mean, _, _ = problem(*sizes, seed)
    k = mean.shape[1]
    got = variational_bottleneck(logits, labels, beta, mean=mean, std=std)
    second_moment = activation_norm(mean) + k * std**2
    encoding = k / 2 * math.log(2 * math.pi * math.e * std**2)
    rate = second_moment / 2 - encoding + k / 2 * math.log(2 * math.pi)
    close(got, decoder_cross_entropy(logits, labels) + beta * rate, 1e-9)


def test_the_rate_bounds_the_information_that_is_known():
    """Two inputs at +-1 in one dimension: I(X;Z) by quadrature is below the mean divergence."""
    mean = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    even = torch.zeros(1, 2, 2, dtype=torch.float64)
    labels = torch.tensor([0, 1])
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    for std in (0.3, 1.0, 2.0):
        density = Normal(mean, std).log_prob(z)  # (2, 20001)
        mixture = density.logsumexp(0) - math.log(2)
        information = torch.trapezoid((density.exp() * (density - mixture)).mean(0), z)
        rate = float(vib(even, labels, 1.0, mean=mean, std=std)) - math.log(2)
        assert rate >= float(information) - 1e-9
        residual = conditional_entropy_bottleneck(
            even, labels, 1.0, mean=mean, std=std, class_mean=mean, class_std=std
        )
        assert float(residual) == pytest.approx(math.log(2), abs=1e-12)  # I(X;Z|Y) = 0


@BOTH
def test_gradients_and_where_the_ignored_count_for_nothing(loss):
    logits, labels, mean, std, centers = problem(2, 4, 3, 2, 1)
    labels[1] = -100
    leaves = [t.clone().requires_grad_() for t in (logits, mean, std, centers)]

    def value(a, m, s, c):
        return loss(a, labels, 0.3, mean=m, std=s, centers=c)

    assert torch.autograd.gradcheck(value, leaves)
    spoiled = [t.detach().clone() for t in leaves]
    spoiled[0][:, 1], spoiled[1][1] = math.nan, math.inf
    spoiled = [t.requires_grad_() for t in spoiled]
    close(value(*spoiled), value(*leaves))
    value(*spoiled).backward()
    assert all(t.grad is None or t.grad.isfinite().all() for t in spoiled)
    kept = labels >= 0
    close(
        value(*leaves),
        loss(logits[:, kept], labels[kept], 0.3, mean=mean[kept], std=std[kept], centers=centers),
    )


@BOTH
@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_no_deviation_of_an_ignored_position_is_read(loss, bad):
    logits, labels, mean, std, centers = problem(2, 4, 3, 2, 1)
    labels[1] = -100
    plain = loss(logits, labels, 0.3, mean=mean, std=std, centers=centers)
    std[1] = bad
    leaves = [t.requires_grad_() for t in (mean, std, centers)]
    got = loss(logits, labels, 0.3, mean=mean, std=std, centers=centers)
    close(got, plain)
    got.backward()
    assert all(t.grad is None or t.grad.isfinite().all() for t in leaves)
    assert (std.grad[1] == 0).all()


@BOTH
def test_positions_are_a_batch_too(loss):
    logits, labels, mean, std, centers = problem(2, 6, 3, 2, 2)
    options = {"centers": centers, "reduction": "none"}
    flat = loss(logits, labels, 0.3, mean=mean, std=std, **options)

    def fold(t, dim):
        return t.unflatten(dim, (3, 2))

    got = loss(
        fold(logits, 1).movedim(2, -1),
        fold(labels, 0),
        0.3,
        mean=fold(mean, 0).movedim(1, -1),
        std=fold(std, 0).movedim(1, -1),
        **options,
    )
    close(got.flatten(), flat)


@BOTH
def test_a_strength_for_each_input(loss):
    logits, labels, mean, std, centers = problem(2, 3, 3, 2, 3)
    beta = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    call = functools.partial(loss, logits, labels, mean=mean, std=std, centers=centers)
    each = [call(float(b), reduction="none")[i] for i, b in enumerate(beta)]
    close(call(beta, reduction="none"), torch.stack(each))


# --- sampling -------------------------------------------------------------------------------------


def test_draws_have_the_mean_and_the_deviation():
    mean, std = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 3.0]])
    z = sample_gaussian(mean, std, 40_000, generator=torch.Generator().manual_seed(0))
    assert z.shape == (40_000, 1, 2)
    torch.testing.assert_close(z.mean(0), mean, atol=0.08, rtol=0)
    torch.testing.assert_close(z.std(0), std, atol=0.06, rtol=0)


def test_draws_pass_gradients_to_both():
    mean, std = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    z = sample_gaussian(mean, std, generator=torch.Generator().manual_seed(0))
    z.sum().backward()
    assert (mean.grad == 1).all()
    torch.testing.assert_close(std.grad, z[0].detach())


# --- half precision -------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("far", "std"), [(300.0, 0.5), (0.5, 1e-8)])
def test_half_precision_loses_no_divergence(loss, dtype, far, std):
    logits, labels, _, _, _ = problem(2, 4, 3, 128, 0)
    logits, mean = logits.to(dtype), torch.full((4, 128), far, dtype=dtype)
    centers = torch.zeros(3, 128, dtype=dtype)
    got = loss(logits, labels, 1.0, mean=mean, std=std, centers=centers)
    given_ = {"mean": mean.double(), "std": std, "centers": centers.double()}
    assert got.dtype == torch.float32
    close(got, loss(logits.double(), labels, 1.0, **given_), 1e-5)


def test_half_precision_holds_no_deviation_of_a_backward_encoder():
    logits, labels, mean, _, _ = problem(2, 4, 3, 2, 0)
    mean, spread = mean.half(), 1e-8  # zero in half precision, and the loss would be NaN
    given_ = {"mean": mean, "std": 0.5, "class_mean": torch.zeros(3, 2).half()}
    got = conditional_entropy_bottleneck(logits, labels, 1.0, class_std=spread, **given_)
    given_ = {"mean": mean.double(), "std": 0.5, "class_mean": torch.zeros(3, 2).double()}
    expected = conditional_entropy_bottleneck(logits, labels, 1.0, class_std=spread, **given_)
    close(got, expected, 1e-5)


def test_draws_have_the_type_of_the_mean():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        assert sample_gaussian(torch.zeros(2, 3, dtype=dtype), 0.5).dtype == dtype


# --- bad input ------------------------------------------------------------------------------------

D, Y = torch.zeros(1, 4, 3), torch.tensor([0, 1, 2, 0])
M, C = torch.zeros(4, 2), torch.zeros(3, 2)


@BOTH
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"logits": D[0]}, ValueError, "one sample is logits"),
        ({"labels": Y[:2]}, ValueError, r"labels must have shape \(4,\)"),
        ({"labels": Y + 1}, ValueError, r"labels must lie in 0 \.\. 2, got 3"),
        ({"beta": -0.1}, ValueError, "beta must be zero or more, got -0.1"),
        ({"beta": math.nan}, ValueError, "beta must be finite, got nan"),
        ({"mean": M[0]}, ValueError, r"mean must have shape \(4, k\) with k >= 1 .* got \(2,\)"),
        ({"mean": M[:3]}, ValueError, r"labels of shape \(4,\), got \(3, 2\)"),
        ({"mean": M.tolist()}, TypeError, "mean must be a torch tensor, got list"),
        ({"mean": M.long()}, TypeError, "mean must be floating"),
        ({"std": 0.0}, ValueError, "std must be positive, got 0: without noise the divergence is"),
        ({"std": M - 1}, ValueError, "std must be positive, got -1"),
        ({"std": torch.ones(3)}, ValueError, r"over shape \(4, 2\), got shape \(3,\)"),
        ({"std": -0.1}, ValueError, "std must be positive, got -0.1: without noise"),
        ({"std": math.nan}, ValueError, "std must be finite, got nan"),
        ({"std": "wide"}, TypeError, "std must be a number or a tensor, got 'wide'"),
        ({"std": True}, TypeError, "std must be a number or a tensor, got True"),
        ({"labels": Y.float()}, TypeError, r"labels must be integers, got torch\.float32$"),
        ({"labels": []}, ValueError, r"labels must have shape \(4,\) .* got \(0,\)$"),
        ({"reduction": "max"}, ValueError, "reduction must be one of"),
        ({"ignore_index": 1}, ValueError, "ignore_index must lie outside the classes"),
    ],
)
def test_bad_input(loss, change, error, words):
    given_ = {"logits": D, "labels": Y, "beta": 0.1, "mean": M, "std": 0.5, "centers": C} | change
    with pytest.raises(error, match=words):
        loss(given_.pop("logits"), given_.pop("labels"), given_.pop("beta"), **given_)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"class_mean": C[:2]}, r"class_mean must have shape \(3, 2\), one row a class, got \(2,"),
        ({"class_std": 0.0}, "class_std must be positive, got 0"),
        ({"class_std": torch.ones(4)}, r"class_std must be .* shape \(3, 2\), got shape \(4,\)"),
    ],
)
def test_bad_backward_encoders(change, words):
    options = {"mean": M, "std": 0.5, "class_mean": C, "class_std": 1.0} | change
    with pytest.raises(ValueError, match=words):
        conditional_entropy_bottleneck(D, Y, 0.1, **options)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: sample_gaussian(M, 0.0), ValueError, "std must be positive, got 0$"),
        (lambda: sample_gaussian(M, -C.exp()[0]), ValueError, "std must be positive, got -1$"),
        (lambda: sample_gaussian(M, True), TypeError, "a number or a tensor, got True"),
        (lambda: sample_gaussian(M, 1.0, 0), ValueError, "samples must be at least 1, got 0"),
        (lambda: sample_gaussian(M, 1.0, 1.5), TypeError, "samples must be an integer, got 1.5"),
        (lambda: sample_gaussian([0.0], 1.0), TypeError, "mean must be a torch tensor, got list"),
    ],
)
def test_bad_draws(call, error, words):
    with pytest.raises(error, match=words):
        call()


@BOTH
def test_nan_latents_give_nan(loss):
    mean = M.clone()
    mean[0, 0] = math.nan
    assert loss(D, Y, 0.1, mean=mean, std=0.5, centers=C).isnan()
    assert loss(D, Y, 0.1, mean=M, std=torch.full((4, 2), math.nan), centers=C).isnan()
