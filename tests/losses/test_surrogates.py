"""Activation norm and log variance: closed forms, oracles, gradients, bad input."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor import train
from ibtutor.losses import (
    activation_norm,
    log_variance,
    norm_entropy_bound,
    norm_limit,
)
from tests.sequential import SequentialFloat32

ZERO = 1 / (2 * math.pi * math.e)
LOG = math.log(2 * math.pi * math.e)


def latents(n, k, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, k, generator=generator, dtype=torch.float64)


def close(got, expected, tolerance=1e-12):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance)


# --- activation norm ------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 999))
def test_the_norm_is_a_sum_of_squares(n, k, seed):
    z = latents(n, k, seed)
    squares = [sum(v * v for v in row) for row in z.tolist()]
    close(activation_norm(z, reduction="none"), squares)
    close(activation_norm(z), sum(squares) / n)
    close(activation_norm(z, reduction="sum"), sum(squares))


def test_the_norm_of_maps_counts_positions_apart():
    z = latents(2, 3, 0)[:, :, None].expand(2, 3, 4)
    assert activation_norm(z, reduction="none").shape == (2, 4)
    close(activation_norm(z), activation_norm(z[..., 0]))


def test_the_oracle_of_the_norm(oracle):
    inputs, expected = (oracle("R11")[key] for key in ("inputs", "expected"))
    k, entropy = inputs["k"], inputs["C"]
    assert norm_limit(entropy, k) == pytest.approx(expected["C_correct"], abs=1e-12)
    assert norm_entropy_bound(expected["C_paper"], k) == pytest.approx(expected["H_at_paper"])
    assert norm_entropy_bound(expected["C_correct"], k) == pytest.approx(entropy, abs=1e-12)


@given(st.floats(-50, 50), st.integers(1, 200))
def test_limit_and_bound_are_inverse(entropy, k):
    assert norm_entropy_bound(norm_limit(entropy, k), k) == pytest.approx(entropy, abs=1e-9)


@given(st.integers(1, 5), st.integers(0, 99))
def test_the_bound_holds_for_gaussians_and_is_met_by_round_ones(k, seed):
    root = latents(k, k, seed) + 0.1 * torch.eye(k).double()
    covariance = root @ root.T + 1e-6 * torch.eye(k).double()
    entropy = 0.5 * float(torch.logdet(2 * math.pi * math.e * covariance))
    assert entropy <= norm_entropy_bound(float(covariance.trace()), k) + 1e-9
    assert norm_entropy_bound(3.0 * k, k) == pytest.approx(k / 2 * (LOG + math.log(3.0)))


def test_nothing_has_entropy_minus_infinity():
    assert norm_entropy_bound(0.0, 3) == -math.inf
    assert norm_limit(-1000.0, 1) == 0.0


# --- log variance ---------------------------------------------------------------------------------


def by_the_definition(z, labels, noise):
    """sum_i 1/2 log(2 pi e (var + noise)), class by class, with plain loops."""
    total, kept = 0.0, 0
    for label in set(labels):
        rows = [row for row, y in zip(z.tolist(), labels, strict=True) if y == label]
        if len(rows) < 2:
            continue
        kept += len(rows)
        for column in zip(*rows, strict=True):
            mean = sum(column) / len(column)
            variance = sum((v - mean) ** 2 for v in column) / (len(column) - 1)
            total += len(rows) * 0.5 * (LOG + math.log(variance + noise))
    return total / kept


@given(
    st.integers(2, 12), st.integers(1, 5), st.integers(0, 999), st.sampled_from([0.0, 0.01, ZERO])
)
def test_log_variance_is_its_definition(n, k, seed, noise):
    z = latents(n, k, seed)
    close(log_variance(z, noise_variance=noise), by_the_definition(z, [0] * n, noise), 1e-10)
    labels = [0, 0] + [i % 3 for i in range(n - 2)]
    pairs = [y for y in labels if labels.count(y) > 1]
    rows = [i for i, y in enumerate(labels) if y in pairs]
    kept = torch.tensor([labels[i] for i in rows])
    got = log_variance(z[rows], kept, noise_variance=noise)
    close(got, by_the_definition(z[rows], kept.tolist(), noise), 1e-10)


def test_the_oracle_of_two_clusters(oracle):
    for name in ("R10a", "R10b", "R10c"):
        entry = oracle(name)
        mu = entry["inputs"]["mu"]
        z = torch.tensor([mu, -mu] * 500_000, dtype=torch.float64)[:, None]
        close(log_variance(z), entry["expected"]["logvar_bound"], 2e-6)  # n - 1 for n
        assert float(log_variance(z)) > entry["expected"]["H_Z"]


def test_the_bias_of_a_small_batch_is_what_the_page_says(oracle):
    entry = oracle("R18")
    for n, bias in zip(entry["inputs"]["n"], entry["expected"], strict=True):
        z = latents(n, 40_000, n)  # the mean over dimensions
        got = float(log_variance(z, noise_variance=0.0)) / 40_000 - 0.5 * LOG
        assert got == pytest.approx(bias / 2, abs=0.02)


def test_the_bias_of_a_small_batch_is_what_the_docstring_says():
    for n, bias in ((20, "0.027"), (5, "0.135")):
        assert bias in log_variance.__doc__
        got = float(log_variance(latents(n, 40_000, n), noise_variance=0.0)) / 40_000 - 0.5 * LOG
        assert got == pytest.approx(-float(bias), abs=0.01)


def test_the_class_conditional_bound_is_the_smaller_one():
    z = latents(300, 4, 1)
    labels = torch.arange(300) % 3
    apart = z + 5 * labels[:, None]
    assert float(log_variance(apart, labels)) == pytest.approx(float(log_variance(z, labels)))
    assert float(log_variance(apart)) > float(log_variance(apart, labels)) + 4


def test_a_collapsed_latent_has_the_entropy_of_its_noise():
    z = torch.full((6, 3), 0.7, requires_grad=True)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    for value in (log_variance(z), log_variance(z, labels)):
        assert value.item() == 0
    log_variance(z, labels).backward()
    assert (z.grad == 0).all()


@given(st.integers(0, 99))
def test_gradients(seed):
    z = latents(7, 2, seed).requires_grad_()
    labels = torch.tensor([0, 0, 1, 1, 1, 3, 3])
    assert torch.autograd.gradcheck(lambda v: log_variance(v, labels), z)
    assert torch.autograd.gradcheck(log_variance, z)
    assert torch.autograd.gradcheck(activation_norm, z)


def test_shifts_change_nothing_and_scales_add_their_logarithm():
    z, labels = latents(50, 3, 2), torch.arange(50) % 5
    for y in (None, labels):
        plain = log_variance(z, y, noise_variance=0.0)
        close(log_variance(z + 1e3, y, noise_variance=0.0), plain, 1e-9)
        close(log_variance(z / 100, y, noise_variance=0.0), plain - 3 * math.log(100))


def test_no_digit_hangs_on_the_order_of_a_float32_sum():
    z, labels = latents(64, 8, 3).float(), torch.arange(64) % 4
    plain = [float(f(z)) for f in (log_variance, activation_norm)] + [
        float(log_variance(z, labels))
    ]
    with SequentialFloat32():
        assert plain[0] == float(log_variance(z))
        assert plain[1] == float(activation_norm(z))
        assert plain[2] == float(log_variance(z, labels))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_results_have_the_type_of_the_latent_or_float32(dtype):
    z = latents(10, 3, 0).to(dtype)
    wanted = torch.float64 if dtype == torch.float64 else torch.float32
    assert activation_norm(z).dtype == activation_norm(z, reduction="none").dtype == wanted
    assert log_variance(z).dtype == log_variance(z, torch.arange(10) % 2).dtype == wanted


def test_half_precision_loses_no_result():
    z = latents(64, 128, 0, scale=30.0).half()  # a norm of 115,000; half precision ends at 65,504
    close(activation_norm(z), z.double().square().sum(1).mean(), 1e-6)
    wide = latents(8, 20_000, 0, scale=1e4).half()
    close(log_variance(wide), log_variance(wide.double()), 1e-6)
    assert log_variance(wide) > 65_504


# --- bad input ------------------------------------------------------------------------------------


def test_a_class_with_one_example_is_left_out_and_said():
    z, labels = latents(5, 2, 0), torch.tensor([0, 0, 2, 1, 1])
    with pytest.warns(UserWarning, match=r"1 class\(es\) with a single example .* left out: 2;"):
        got = log_variance(z, labels)
    kept = labels != 2
    close(got, log_variance(z[kept], labels[kept]))
    z.requires_grad_()
    with pytest.warns(UserWarning, match="left out: 2"):
        log_variance(z, labels).backward()
    assert z.grad.isfinite().all()
    assert (z.grad[2] == 0).all()


def test_many_lonely_classes_make_one_short_message():
    labels = torch.tensor([0, 0, *range(1, 40)])
    with pytest.warns(UserWarning, match=r"39 class\(es\) .*: 1, 2, 3, 4, 5, \.\.\.; use") as seen:
        log_variance(latents(41, 2, 0), labels)
    assert len(seen) == 1


def test_labels_may_be_any_whole_numbers_from_zero_on():
    z, labels = latents(50, 3, 2), torch.arange(50) % 5
    close(log_variance(z, 10**12 * labels), log_variance(z, labels))
    labels[0] = 7
    with pytest.warns(UserWarning, match="left out: 7000000000000; use"):
        log_variance(z, 10**12 * labels)


def test_classes_of_one_example_each_are_refused():
    with pytest.raises(ValueError, match=r"2 examples of one class .* got 3 classes with one"):
        log_variance(latents(3, 2, 0), torch.tensor([0, 1, 2]))


def test_a_collapsed_latent_without_noise_is_refused():
    z = latents(6, 3, 0)
    z[:, 1] = 0.5
    with pytest.raises(ValueError, match=r"no variance in dimension 1, so .* add noise and give"):
        log_variance(z, noise_variance=0.0)
    z = latents(6, 3, 0)
    z[3:, 2] = 0.5
    with pytest.raises(ValueError, match="no variance in dimension 2 of class 1, so"):
        log_variance(z, torch.tensor([0, 0, 0, 1, 1, 1]), noise_variance=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [3, 1000])
def test_constant_up_to_rounding_is_constant(dtype, rows):
    z = torch.full((rows, 2), 0.1, dtype=dtype)  # three times 0.1 over three is not 0.1
    with pytest.raises(ValueError, match="no variance in dimension 0, so"):
        log_variance(z, noise_variance=0.0)
    if dtype == torch.float64:
        z[0] = math.nextafter(0.1, 1.0)
        with pytest.raises(ValueError, match="no variance in dimension 0, so"):
            log_variance(z, noise_variance=0.0)
    both = torch.cat([latents(4, 2, 0).to(dtype), z])
    labels = torch.tensor([2] * 4 + [5] * rows)
    with pytest.raises(ValueError, match="no variance in dimension 0 of class 5, so"):
        log_variance(both, labels, noise_variance=0.0)
    assert log_variance(both, labels).isfinite()


def test_a_small_variance_far_from_zero_is_one():
    z, labels = 1e6 + 1e-6 * latents(50, 2, 0), torch.arange(50) % 2
    for y in (None, labels):
        near = log_variance(z - 1e6, y, noise_variance=0.0)
        close(log_variance(z, y, noise_variance=0.0), near, 1e-4)
    labels[0] = 3  # a class that occurs once, or not, has no variance to be refused
    with pytest.warns(UserWarning, match="left out: 3"):
        assert log_variance(z, labels, num_classes=5, noise_variance=0.0).isfinite()


def test_nan_latents_give_nan_and_the_training_loop_says_so():
    z = latents(6, 3, 0)
    z[1, 1] = math.nan
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    for value in (activation_norm(z), log_variance(z), log_variance(z, labels)):
        assert value.isnan()
    images = torch.full((6, 2), math.nan)
    task = train.Task((images, labels), (images, labels))
    (done,) = train.fit(
        lambda: torch.nn.Linear(2, 2),
        task,
        [train.Run()],
        train.Settings(epochs=1, batch_size=6),
        objective=lambda model, x, y, run: log_variance(model(x), y),
        progress=False,
    )
    assert done.diverged == "the loss became nan in epoch 1"


Z, Y = torch.zeros(4, 3), torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: activation_norm([[1.0]]), TypeError, "z must be a torch tensor, got list"),
        (lambda: activation_norm(Z.long()), TypeError, r"z must be floating, got torch\.int64"),
        (
            lambda: activation_norm(Z[0]),
            ValueError,
            r"shape \(batch, dimensions, \.\.\.\) without an empty dimension, got \(3",
        ),
        (lambda: activation_norm(Z[:0]), ValueError, r"without an empty dimension, got \(0, 3\)"),
        (lambda: activation_norm(Z, reduction="max"), ValueError, "one of none, mean, sum, got"),
        (lambda: log_variance(Z.tolist()), TypeError, "z must be a torch tensor, got list"),
        (lambda: log_variance(Z.long()), TypeError, r"z must be floating, got torch\.int64"),
        (lambda: log_variance(Z[None]), ValueError, r"\(batch, dimensions\), got \(1, 4, 3\)"),
        (lambda: log_variance(Z[:, :0]), ValueError, r"\(batch, dimensions\), got \(4, 0\)"),
        (lambda: log_variance(Z[:1]), ValueError, "at least 2 examples .* got 1"),
        (lambda: log_variance(Z, Y[:2]), ValueError, r"labels must have shape \(4,\) to match z"),
        (lambda: log_variance(Z, Y.float()), TypeError, r"labels must be integers, .*float32$"),
        (lambda: log_variance(Z, []), ValueError, r"labels must have shape \(4,\) .* got \(0,\)$"),
        (lambda: log_variance(Z, Y - 1), ValueError, "labels must not be negative, got -1"),
        (lambda: log_variance(Z, Y + 1, num_classes=2), ValueError, r"lie in 0 \.\. 1, got 2"),
        (lambda: log_variance(Z, noise_variance=-1.0), ValueError, "noise_variance must be zero"),
        (lambda: log_variance(Z, noise_variance=math.nan), ValueError, "noise_variance must be fi"),
        (lambda: norm_limit(math.inf, 2), ValueError, "entropy must be finite, got inf"),
        (lambda: norm_limit("two", 2), TypeError, "entropy must be a number, got 'two'"),
        (lambda: norm_limit(1e4, 1), ValueError, r"got 10000 nats for 1 dimension\(s\)$"),
        (lambda: norm_limit(353.9e3, 1000), ValueError, "small enough .* got 353900 nats for 1000"),
        (lambda: norm_limit(1e308, 1), ValueError, r"got 1e\+308 nats for 1 dim"),
        (lambda: norm_limit(1.0, 0), ValueError, "dimensions must be at least 1, got 0"),
        (lambda: norm_entropy_bound(1.0, 2.5), TypeError, "dimensions must be an integer, got 2.5"),
        (lambda: norm_entropy_bound(-1.0, 2), ValueError, "mean_square must be zero or more"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_labels_elsewhere_need_the_number_of_classes():
    z = torch.zeros(4, 3, device="meta")
    labels = torch.zeros(4, dtype=torch.int64, device="meta")
    with pytest.raises(ValueError, match="num_classes must be given where labels are not on the"):
        log_variance(z, labels)
    assert log_variance(z, labels, num_classes=2).shape == ()


def test_labels_that_are_here_tell_their_classes_wherever_z_is():
    z = torch.zeros(4, 3, device="meta")
    value = log_variance(z, torch.tensor([0, 0, 7, 7]))
    assert (value.shape, value.device.type) == ((), "meta")
    with pytest.raises(ValueError, match="labels must not be negative, got -1"):
        log_variance(z, torch.tensor([0, 0, -1, -1]))
