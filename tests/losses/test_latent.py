"""Cross-entropies of a stochastic latent and H[Y|Z]: closed forms, gradients, bad input."""

import itertools
import math
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ibtutor import info
from ibtutor.losses import (
    decoder_cross_entropy,
    decoder_uncertainty,
    optimal_decoder,
    prediction_cross_entropy,
)
from tests.sequential import SequentialFloat32

BOTH = (decoder_cross_entropy, prediction_cross_entropy)
SIZES = st.tuples(st.integers(1, 9), st.integers(2, 6), st.integers(2, 5))  # N, C, K


def problem(n, c, k, seed, scale=2.0):
    """Logits of an encoder `(N, C)`, of a decoder `(C, K)`, and labels."""
    g = torch.Generator().manual_seed(seed)
    encoder = scale * torch.randn(n, c, generator=g, dtype=torch.float64)
    decoder = scale * torch.randn(c, k, generator=g, dtype=torch.float64)
    return encoder, decoder, torch.randint(0, k, (n,), generator=g)


def close(got, expected, tolerance=1e-12):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance)


def uncertainty(encoder, labels, k):
    """H[Y|Z] by the definition, from the joint distribution of Z and Y."""
    joint = encoder.softmax(1).T @ F.one_hot(labels, k).double() / len(labels)
    return info.entropy(joint.flatten()) - info.entropy(joint.sum(1))


# The toy of the oracles as a batch: each input once for every tenth of each label.
def toy(oracle, name):
    inputs = oracle(name)["inputs"]
    weight = [
        [round(100 * x * y) for y in row]
        for x, row in zip(inputs["px"], inputs["p_y_given_x"], strict=True)
    ]
    x = [i for i, row in enumerate(weight) for n in row for _ in range(n)]
    y = [j for row in weight for j, n in enumerate(row) for _ in range(n)]
    return inputs, torch.tensor(x), torch.tensor(y)


def test_the_toy_of_the_oracles(oracle):
    inputs, x, y = toy(oracle, "R03")
    assert len(y) == 100
    encoder = torch.tensor(inputs["enc_t_given_x"], dtype=torch.float64).log()[x]
    decoder = torch.tensor(inputs["clf_y_given_t"], dtype=torch.float64).log()
    want = oracle("R03")["expected"]
    got = decoder_cross_entropy(decoder, y, encoder_logits=encoder)
    close(got, want["dec_CE"])
    close(prediction_cross_entropy(decoder, y, encoder_logits=encoder), want["pred_CE"])
    least = decoder_uncertainty(encoder, y, num_classes=2)
    close(least, want["H_Y_Z"])
    close(got - least, want["KL"])


def test_gradient_of_appendix_a3(oracle):
    inputs, x, y = toy(oracle, "R07")
    theta = torch.tensor(inputs["theta"], dtype=torch.float64, requires_grad=True)
    encoder = torch.stack([-theta / 2, theta / 2], 1)[x]
    for detach in (False, True):
        loss = decoder_uncertainty(encoder, y, num_classes=2, detach_decoder=detach)
        (got,) = torch.autograd.grad(loss, theta, retain_graph=True)
        close(got, oracle("R07")["expected"])


@given(SIZES, st.integers(0, 10**6))
def test_gradient_is_that_of_a3_whether_or_not_the_decoder_is_detached(size, seed):
    encoder, _, labels = problem(*size, seed)
    encoder.requires_grad_()
    full, detached = (
        torch.autograd.grad(
            decoder_uncertainty(encoder, labels, num_classes=size[2], detach_decoder=d), encoder
        )[0]
        for d in (False, True)
    )
    # A.3: E[d ln p(z|x) h(p(y|z))], by the chain rule for a softmax.
    p = encoder.detach().softmax(1)
    joint = p.T @ F.one_hot(labels, size[2]).double()
    h = -(joint / joint.sum(1, keepdim=True)).log()[:, labels].T
    by_hand = p * (h - (p * h).sum(1, keepdim=True)) / len(labels)
    close(full, by_hand)
    close(detached, by_hand)


def test_gradient_against_differences():
    encoder, decoder, labels = problem(6, 4, 3, 1)
    encoder.requires_grad_()
    decoder.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda e: decoder_uncertainty(e, labels, num_classes=3), encoder
    )
    for loss in BOTH:
        assert torch.autograd.gradcheck(
            lambda e, d, f=loss: f(d, labels, encoder_logits=e), (encoder, decoder)
        )
    assert torch.autograd.gradgradcheck(
        lambda e: decoder_uncertainty(e, labels, num_classes=3), encoder
    )


@given(SIZES, st.integers(0, 10**6), st.floats(0.1, 20))
def test_observations_two_and_four(size, seed, scale):
    encoder, decoder, labels = problem(*size, seed, scale)
    decoded, predicted = (f(decoder, labels, encoder_logits=encoder) for f in BOTH)
    p, q = encoder.softmax(1), decoder.softmax(1)
    close(predicted, F.nll_loss((p @ q).log(), labels), 1e-9)
    close(decoded, (p * -decoder.log_softmax(1)[:, labels].T).sum(1).mean(), 1e-9)
    least = decoder_uncertainty(encoder, labels, num_classes=size[2])
    close(least, uncertainty(encoder, labels, size[2]), 1e-9)
    assert predicted <= decoded + 1e-12
    assert least <= decoded + 1e-12
    # The gap of Observation 4 is the mean divergence from the optimal decoder.
    best = optimal_decoder(encoder, labels, num_classes=size[2])
    divergence = (best.exp() * (best - decoder.log_softmax(1))).sum(1)
    close(decoded - least, p.mean(0) @ divergence, 1e-9)
    close(decoder_cross_entropy(best, labels, encoder_logits=encoder), least, 1e-9)


@given(SIZES, st.integers(0, 10**6))
def test_bounds_of_the_uncertainty(size, seed):
    _, c, k = size
    encoder, _, labels = problem(*size, seed, 5.0)
    got = decoder_uncertainty(encoder, labels, num_classes=k)
    h_y = info.entropy(torch.bincount(labels, minlength=k) / len(labels))
    assert max(0.0, h_y - math.log(c)) - 1e-7 <= got <= h_y + 1e-7


@given(st.integers(1, 5), SIZES, st.integers(0, 10**6))
def test_samples_are_equally_likely_categories(s, size, seed):
    n, _, k = size
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(s, n, k, generator=g, dtype=torch.float64)
    labels = torch.randint(0, k, (n,), generator=g)
    mean = torch.stack([F.cross_entropy(each, labels) for each in logits]).mean()
    close(decoder_cross_entropy(logits, labels), mean)
    close(
        prediction_cross_entropy(logits, labels),
        F.nll_loss(logits.softmax(2).mean(0).log(), labels),
    )
    if s == 1:
        for loss in BOTH:
            close(loss(logits, labels), F.cross_entropy(logits[0], labels))
    if n == 1 and s > 1:
        for loss in BOTH:
            even = torch.zeros(1, s, dtype=torch.float64)
            close(loss(logits[:, 0], labels, encoder_logits=even), loss(logits, labels))


def test_observation_five_by_enumeration(oracle):
    r06 = oracle("R06")
    p = torch.tensor(r06["inputs"]["p"], dtype=torch.float64)
    masks = torch.stack([p, 1 - p], 1).log()
    for s, want in zip(r06["inputs"]["S"], r06["expected"], strict=True):
        draws = torch.tensor(list(itertools.product(range(2), repeat=s)))
        logits = masks[draws].movedim(1, 0)  # (S, 2**S, K)
        labels = torch.zeros(2**s, dtype=torch.int64)
        close(prediction_cross_entropy(logits, labels), want)
        close(decoder_cross_entropy(logits, labels), r06["expected"][0])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_layouts_and_ignored_positions(reduction):
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, 2, 2, generator=g, dtype=torch.float64)
    encoder = torch.randn(4, 6, 2, 2, generator=g, dtype=torch.float64)
    decoder = torch.randn(6, 5, generator=g, dtype=torch.float64)
    labels = torch.randint(0, 5, (4, 2, 2), generator=g)
    labels[0, 0, 0] = labels[3, 1, 1] = -100
    kept = labels.flatten() >= 0
    flat = labels.flatten()[kept]
    rows = encoder.movedim(1, -1).reshape(-1, 6)[kept]
    samples = logits.movedim(2, -1).reshape(3, -1, 5)[:, kept]
    logits.movedim(2, -1)[:, 0, 0, 0] = math.nan  # what stands at ignored positions is not read
    encoder.movedim(1, -1)[0, 0, 0] = math.nan

    def same(got, want):
        if reduction == "none":
            assert got.shape == labels.shape
            assert (got.flatten()[~kept] == 0).all()
            got = got.flatten()[kept]
        close(got, want)

    for loss in BOTH:
        same(loss(logits, labels, reduction=reduction), loss(samples, flat, reduction=reduction))
        same(
            loss(decoder, labels, encoder_logits=encoder, reduction=reduction),
            loss(decoder, flat, encoder_logits=rows, reduction=reduction),
        )
    same(
        decoder_uncertainty(encoder, labels, num_classes=5, reduction=reduction),
        decoder_uncertainty(rows, flat, num_classes=5, reduction=reduction),
    )
    close(
        optimal_decoder(encoder, labels, num_classes=5), optimal_decoder(rows, flat, num_classes=5)
    )


def test_fewer_categories_than_classes():
    """Two values cannot tell three classes apart: H[Y|Z] >= H(Y) - log C."""
    sure = 40 * torch.eye(2, dtype=torch.float64)[[0, 1, 1, 0, 1, 1]]
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    got = decoder_uncertainty(sure, labels, num_classes=3)
    close(got, 2 / 3 * math.log(2), 1e-9)
    assert got > math.log(3) - math.log(2)


def test_a_batch_without_a_class():
    encoder, _, labels = problem(20, 4, 3, 3)
    with_it = decoder_uncertainty(encoder, labels, num_classes=3)
    encoder.requires_grad_()
    without = decoder_uncertainty(encoder, labels, num_classes=7)
    close(without, with_it)
    without.backward()
    assert encoder.grad.isfinite().all()
    best = optimal_decoder(encoder, labels, num_classes=7)
    assert best.isfinite().all()
    assert (best[:, 3:] < -700).all()
    close(best[:, :3], optimal_decoder(encoder, labels, num_classes=3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("detach", [False, True])
def test_probabilities_that_underflow(dtype, detach):
    """p(z|x) = exp(-3000) is zero in every type; values and gradients stay what they are."""
    logits = 3000 * torch.eye(3, dtype=dtype)[[0, 1, 1, 0]]  # nobody chooses category 2
    labels = torch.tensor([0, 1, 0, 0])
    logits.requires_grad_()
    got = decoder_uncertainty(logits, labels, num_classes=2, detach_decoder=detach)
    close(got, math.log(2) / 2, 1e-6)
    got.backward()
    assert logits.grad.isfinite().all()

    decoder = torch.tensor([[0.0, -3000.0], [-3000.0, 0.0], [0.0, 0.0]], dtype=dtype)
    e = logits.detach().requires_grad_()
    # The third input is sure of the wrong class. Three unlikely ways lead to the right one.
    for loss, want in zip(BOTH, (3000.0, 3000 - math.log(2.5)), strict=True):
        value = loss(decoder, labels, encoder_logits=e)
        close(value, want / 4, 1e-6)
        (grad,) = torch.autograd.grad(value, e)
        assert grad.isfinite().all()
    samples = torch.tensor([[[-3000.0, 0.0]], [[-3001.0, 0.0]]], dtype=dtype)
    want = 3000 + math.log(2) - math.log1p(math.exp(-1))
    close(prediction_cross_entropy(samples, torch.tensor([0])), want, 1e-6)


def test_masked_categories_and_classes():
    """A logit of minus infinity removes a category from the encoder, a class from the decoder."""
    encoder, decoder, labels = problem(8, 3, 3, 5)
    labels = labels.clamp(max=1)
    wide = torch.cat([encoder, torch.full((8, 1), -math.inf)], 1).requires_grad_()
    table = torch.cat([decoder, torch.tensor([[0.0, -math.inf, 0.0]])]).requires_grad_()
    for loss in BOTH:
        got = loss(table, labels, encoder_logits=wide)
        close(got, loss(decoder, labels, encoder_logits=encoder))
        for grad in torch.autograd.grad(got, (wide, table)):
            assert grad.isfinite().all()
    got = decoder_uncertainty(wide, labels, num_classes=3)
    close(got, decoder_uncertainty(encoder, labels, num_classes=3))
    (grad,) = torch.autograd.grad(got, wide)
    assert grad.isfinite().all()
    unused = optimal_decoder(wide, labels, num_classes=3)[3]
    close(unused.exp(), [1 / 3] * 3)


def test_half_precision_and_autocast():
    encoder, decoder, labels = problem(64, 5, 4, 7)
    want = decoder_uncertainty(encoder, labels, num_classes=4)
    low = decoder_uncertainty(encoder.bfloat16(), labels, num_classes=4)
    assert low.dtype == torch.float32
    close(low, want, 2e-2)
    with torch.autocast("cpu"):
        close(decoder_uncertainty(encoder.float(), labels, num_classes=4), want, 1e-5)
        for loss in BOTH:
            got = loss(decoder.float(), labels, encoder_logits=encoder.float())
            close(got, loss(decoder, labels, encoder_logits=encoder), 1e-5)


def test_the_uncertainty_does_not_hang_on_the_order_of_float32_sums():
    """A dataset in float32: what a decoder's cross-entropy is compared with to 1e-6."""
    labels = torch.arange(20_000) % 7
    encoder = info.mix_outputs(torch.eye(7), 0.3)[labels].log()
    want = decoder_uncertainty(encoder.double(), labels, num_classes=7)
    with SequentialFloat32():
        shares = decoder_uncertainty(encoder, labels, num_classes=7, reduction="none")
    close(shares.double().mean(), want, 1e-6)


def test_under_vmap_and_compile_free_transforms():
    encoder, decoder, labels = problem(6, 4, 3, 2)
    many = torch.stack([encoder, 2 * encoder])
    tables = torch.stack([decoder, 3 * decoder])
    got = torch.func.vmap(lambda e: decoder_uncertainty(e, labels, num_classes=3))(many)
    close(got, torch.stack([decoder_uncertainty(e, labels, num_classes=3) for e in many]))
    for loss in BOTH:
        got = torch.func.vmap(lambda e, d, f=loss: f(d, labels, encoder_logits=e))(many, tables)
        pairs = zip(many, tables, strict=True)
        close(got, torch.stack([loss(d, labels, encoder_logits=e) for e, d in pairs]))


Z, D, Y = torch.zeros(4, 3), torch.zeros(3, 2), torch.tensor([0, 1, 1, 0])
BAD = {
    "logits (4, 3) without encoder": (
        lambda f: f(Z, Y),
        "logits must have shape (samples, batch, classes, ...) without an empty dimension, "
        "got (4, 3)",
    ),
    "no samples": (lambda f: f(torch.zeros(0, 4, 2), Y), "got (0, 4, 2)"),
    "one class": (lambda f: f(torch.zeros(2, 4, 1), Y), "logits must have at least 2 classes"),
    "labels": (lambda f: f(torch.zeros(2, 4, 3), Y[:3]), "labels must have shape (4,) to match"),
    "label range": (lambda f: f(torch.zeros(2, 4, 3), Y + 2), "labels must lie in 0 .. 2, got 3"),
    "table": (
        lambda f: f(torch.zeros(2, 3, 2), Y, encoder_logits=Z),
        "logits must have shape (categories, classes) beside encoder_logits, got (2, 3, 2)",
    ),
    "rows": (
        lambda f: f(torch.zeros(5, 2), Y, encoder_logits=Z),
        "one row for each of the 3 categories of encoder_logits, got shape (5, 2)",
    ),
    "encoder labels": (
        lambda f: f(D, Y[:2], encoder_logits=Z),
        "labels must have shape (4,) to match encoder_logits of shape (4, 3), got (2,)",
    ),
    "encoder label range": (lambda f: f(D, Y + 1, encoder_logits=Z), "must lie in 0 .. 1, got 2"),
    "reduction": (lambda f: f(D, Y, encoder_logits=Z, reduction="max"), "reduction must be one of"),
    "ignored class": (
        lambda f: f(D, Y, encoder_logits=Z, ignore_index=1),
        "ignore_index must lie outside the classes 0 .. 1, got 1",
    ),
}


@pytest.mark.parametrize("loss", BOTH)
@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_input_of_the_cross_entropies(loss, call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(loss)


@pytest.mark.parametrize("loss", BOTH)
def test_bad_types(loss):
    with pytest.raises(TypeError, match="logits must be a torch tensor, got list"):
        loss([[[0.0, 1.0]]], [0])
    with pytest.raises(TypeError, match="encoder_logits must be floating"):
        loss(D, Y, encoder_logits=Z.long())
    with pytest.raises(TypeError, match="labels must be integers"):
        loss(D, Y.float(), encoder_logits=Z)


@pytest.mark.parametrize("call", [decoder_uncertainty, optimal_decoder])
def test_bad_input_of_the_uncertainty(call):
    with pytest.raises(TypeError, match="num_classes must be an integer"):
        call(Z, Y, num_classes=2.5)
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        call(Z, Y, num_classes=1)
    with pytest.raises(ValueError, match="encoder_logits must have at least 2 categories, got 1"):
        call(Z[:, :1], Y, num_classes=2)
    with pytest.raises(ValueError, match=re.escape("labels must lie in 0 .. 1, got 2")):
        call(Z, Y + 1, num_classes=2)
    with pytest.raises(ValueError, match=re.escape("labels must have shape (4,) to match")):
        call(Z, Y[:2], num_classes=2)
