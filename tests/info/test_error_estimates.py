"""Error bounds from counts: known answers, coverage of the interval by simulation, bad input."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.info import (
    entropy,
    error_bound_from_counts,
    error_bound_from_predictions,
    error_lower_bound,
    mutual_information,
)
from ibtutor.info.error_estimates import _MOST_PER_CELL

pytestmark = pytest.mark.filterwarnings("ignore:.*samples for .* cells")


def symmetric(k, error):
    channel = np.full((k, k), error / (k - 1))
    np.fill_diagonal(channel, 1 - error)
    return channel / k


def confusing(k, error):
    """Each class is taken for its neighbor only: most cells never occur."""
    return ((1 - error) * np.eye(k) + error * np.roll(np.eye(k), 1, axis=1)) / k


def uneven(k, m, seed):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(k, 2.0))[:, None] * rng.dirichlet(np.full(m, 0.3), size=k)


def many(k, symbols):
    """Shares of many symbols from far apart to nearly none, and what each says of the label."""
    rng = np.random.default_rng(3)
    shares = rng.dirichlet(np.ones(symbols))
    return (shares[:, None] * rng.dirichlet(np.full(k, 20.0), size=symbols)).T


JOINTS = {
    "two classes, 2%": symmetric(2, 0.02),
    "two classes, 10%": symmetric(2, 0.1),
    "two classes, 30%": symmetric(2, 0.3),
    "two classes, 43%": symmetric(2, 0.43),
    "two classes, 45%": symmetric(2, 0.45),
    "two classes, 47%": symmetric(2, 0.47),
    "two classes, uneven, nothing known": np.outer([0.42, 0.58], [0.5, 0.5]),
    "two classes, 16 symbols": uneven(2, 16, 1),
    "four classes, 2%": symmetric(4, 0.02),
    "four classes, 30%": symmetric(4, 0.3),
    "four classes, 60%": symmetric(4, 0.6),
    "four classes, 70%": symmetric(4, 0.7),
    "four classes, 16 symbols": uneven(4, 16, 1),
    "ten classes, 0.5%": symmetric(10, 0.005),
    "ten classes, 10%": symmetric(10, 0.1),
    "ten classes, 60%": symmetric(10, 0.6),
    "ten classes, neighbors": confusing(10, 0.2),
    "ten classes, 6 symbols": uneven(10, 6, 2),
    "ten classes, nothing known": np.full((10, 10), 0.01),
    "ten classes, all known": np.eye(10) / 10,
}


MANY_SYMBOLS = {f"{k}x{m}": many(k, m) for k, m in ((2, 50), (3, 50), (2, 200), (3, 200))}


def population_bound(joint):
    h_y, known = entropy(joint.sum(1)).item(), mutual_information(joint).item()
    return error_lower_bound(min(known, h_y), h_y, len(joint)).item()


@pytest.mark.parametrize("name", JOINTS)
def test_the_interval_covers_at_95_percent(name):
    # Of 400 tables a coverage of .95 shows less than .91 by chance once in some thousand times,
    # and one of .975 less than .96 once in thirty; the seeds are fixed.
    joint, runs = JOINTS[name], 400
    truth = population_bound(joint)
    rng = np.random.default_rng(17)
    for samples in (5 * joint.size, 2000):
        tables = rng.multinomial(samples, joint.ravel(), size=runs).reshape(runs, *joint.shape)
        found = [error_bound_from_counts(table) for table in tables if (table.sum(1) > 0).sum() > 1]
        below = np.mean([one.low <= truth + 1e-9 for one in found])
        covered = np.mean([one.low <= truth + 1e-9 and one.high >= truth - 1e-9 for one in found])
        assert below >= 0.96
        assert covered >= 0.91


@pytest.mark.parametrize("samples", [5, 10])
@pytest.mark.parametrize("name", MANY_SYMBOLS)
def test_the_upper_end_holds_with_many_symbols(name, samples, recwarn):
    # What Miller and Madow's correction leaves grows with the cells, the spread with their root.
    joint, rng = MANY_SYMBOLS[name], np.random.default_rng(41)
    truth = population_bound(joint)
    tables = rng.multinomial(samples * joint.size, joint.ravel(), size=300)
    found = [error_bound_from_counts(table.reshape(joint.shape)) for table in tables]
    assert np.mean([one.high >= truth for one in found]) >= 0.93
    assert np.mean([one.low <= truth for one in found]) >= 0.97


@pytest.mark.parametrize("name", ["two classes, 45%", "two classes, 47%", "four classes, 70%"])
def test_the_lower_end_is_safe_where_little_is_known(name):
    # There the estimate is skewed. Of 400 tables .975 has a standard deviation of .008.
    joint, rng = JOINTS[name], np.random.default_rng(23)
    truth = population_bound(joint)
    tables = rng.multinomial(5000, joint.ravel(), size=400).reshape(400, *joint.shape)
    below = np.mean([error_bound_from_counts(t).low <= truth + 1e-9 for t in tables])
    assert below >= 0.96


@pytest.mark.parametrize(("k", "n"), [(2, 500), (2, 2000), (10, 1000)])
def test_the_ends_rise_with_the_errors(k, n):
    # Across the error at which the interval's method changes, too.
    each = n // k
    lows = []
    for wrong in range(each // (2 * k), each // k + 1):
        table = np.full((k, k), wrong)
        np.fill_diagonal(table, each - (k - 1) * wrong)
        found = error_bound_from_counts(table)
        assert found.low <= found.bound <= found.high
        lows.append(found.low)
    assert (np.diff(lows) >= 0).all()


def test_where_each_symbol_has_one_label_all_is_zero():
    for table in (100 * np.eye(10), [[7, 3, 0], [0, 0, 11]]):
        found = error_bound_from_counts(table)
        assert (found.bound, found.low) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["ten classes, 60%", "ten classes, nothing known"])
def test_with_few_samples_the_lower_end_is_safe(name):
    joint = JOINTS[name]
    rng = np.random.default_rng(3)
    tables = rng.multinomial(100, joint.ravel(), size=200).reshape(200, *joint.shape)
    truth = population_bound(joint)
    assert np.mean([error_bound_from_counts(t).low <= truth for t in tables]) >= 0.97


def test_the_interval_shrinks_to_the_truth():
    joint = uneven(4, 6, 5)
    truth, widths = population_bound(joint), []
    for samples in (1000, 100_000, 10_000_000):
        table = np.round(joint * samples)
        found = error_bound_from_counts(table)
        widths.append(found.high - found.low)
        assert found.low <= truth <= found.high
    # Width falls as one over the square root of the number of samples.
    assert 8 < widths[0] / widths[1] < 14
    assert 9 < widths[1] / widths[2] < 11


def test_the_corrected_entropies_are_those_of_miller_and_madow(oracle):
    case = oracle("M04")
    p, n = np.array(case["inputs"]["p"]), case["inputs"]["N"]
    # T tells nothing and is constant: H(Y|T) = H(Y), and the correction is (K - 1) / 2N.
    counts = np.round(p * n)[:, None]
    found = error_bound_from_counts(counts)
    plug_in = entropy(counts[:, 0] / n).item()
    correction = case["expected"]["miller_madow"]
    assert found.entropy == pytest.approx(plug_in + correction, abs=1e-12)
    assert found.mutual_information == pytest.approx(0.0, abs=1e-12)
    assert found.best_guess_error == 0.5


def test_no_cell_hides_more_than_the_constant():
    from scipy.stats import poisson

    counts = np.arange(400)
    terms = np.where(counts > 0, counts * np.log(np.maximum(counts, 1)), 0.0)
    for mean in np.linspace(0.01, 100, 3000):
        lost = (poisson.pmf(counts, mean) * terms).sum() - mean * math.log(mean)
        assert lost < _MOST_PER_CELL


@given(st.integers(2, 5), st.integers(1, 6), st.randoms(use_true_random=False))
def test_ends_are_in_order(k, m, random):
    rng = np.random.default_rng(random.getrandbits(32))
    table = rng.integers(0, 30, size=(k, m))
    table[0, 0] += 1
    table[1, -1] += 1
    for kind in ("fano", "weak_fano", "milc", "milc_bits"):
        found = error_bound_from_counts(table, kind=kind)
        assert 0 <= found.low <= found.bound <= found.high <= 1 - 1 / k
        wider = error_bound_from_counts(table, kind=kind, level=0.99)
        assert wider.low <= found.low
        assert found.high <= wider.high
    assert found.samples == table.sum()


def test_predictions_are_counted():
    labels, symbols = [0, 0, 1, 2, 2, 2] * 20, [4, 0, 1, 2, 2, 4] * 20
    table = np.zeros((3, 5), dtype=int)
    np.add.at(table, (labels, symbols), 1)
    assert error_bound_from_predictions(labels, symbols) == error_bound_from_counts(table)
    more = error_bound_from_predictions(labels, symbols, num_classes=4)
    assert more == error_bound_from_counts(np.vstack([table, np.zeros((1, 5))]))
    as_tensors = error_bound_from_predictions(torch.tensor(labels), torch.tensor(symbols))
    assert as_tensors == error_bound_from_counts(table)


def test_symbols_are_names_and_may_be_large():
    small = error_bound_from_predictions([0, 1, 1] * 40, [0, 1, 2] * 40)
    large = error_bound_from_predictions([0, 1, 1] * 40, [7, 2**62, 10**12] * 40)
    assert large == small


def test_few_samples_warn_and_enough_do_not():
    with pytest.warns(UserWarning, match=r"10 samples for 4 cells: .* 20 samples would do"):
        error_bound_from_counts([[4, 1], [1, 4]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error_bound_from_counts([[9, 1], [1, 9]])


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[5, 5]], r"at least 2 classes with samples, got 1"),
        ([[5, 5], [0, 0]], r"at least 2 classes with samples, got 1"),
        ([[5, -1], [1, 5]], r"whole and not negative, got -1"),
        ([[0.5, 0.5], [0.2, 0.8]], r"whole and not negative, got 0.5"),
        ([1, 2, 3], r"counts must have shape \(K, M\), got \(3,\)"),
        ([[math.nan, 1], [1, 1]], r"counts must be finite"),
        ([], r"counts must not be empty"),
    ],
)
def test_bad_counts(counts, message):
    with pytest.raises(ValueError, match=message):
        error_bound_from_counts(counts)


def test_bad_options():
    table = [[50, 5], [5, 50]]
    with pytest.raises(TypeError, match=r"level must be a number, got True"):
        error_bound_from_counts(table, level=True)
    for level in ("0.9", b"0.9"):
        with pytest.raises(TypeError, match=r"level must be a number, got b?'0.9'"):
            error_bound_from_counts(table, level=level)
    for level in (0.0, 1.0, 95):
        with pytest.raises(ValueError, match=r"level must lie between 0 and 1"):
            error_bound_from_counts(table, level=level)
    with pytest.raises(ValueError, match=r"kind must be one of"):
        error_bound_from_counts(table, kind="strong")


@pytest.mark.parametrize(
    ("labels", "symbols", "error", "message"),
    [
        ([0, 1], [0, 1, 2], ValueError, r"labels and symbols .* same length, got 2 and 3$"),
        ([0, 1], [0], ValueError, r"labels and symbols .* same length, got 2 and 1$"),
        ([0, 1], [0.2, 0.8], TypeError, r"symbols must be integers"),
        ([0, 1], [0, -1], ValueError, r"symbols must be zero or more, got -1"),
        ([0, 7], [0, 1], ValueError, r"labels must lie in 0 .. 1, got 7"),
        ([1, 1], [0, 1], ValueError, r"at least 2 classes with samples, got 1"),
        ([], [], ValueError, r"symbols must not be empty, got shape \(0,\)"),
        ([], [0, 1], ValueError, r"labels must not be empty, got shape \(0,\)"),
        ([0, 1], ["a", "b"], TypeError, r"symbols must be integers, got .'a', 'b'.$"),
        (["a", "b"], [0, 1], TypeError, r"labels must be integers, got .'a', 'b'.$"),
        ([0, 1], None, TypeError, r"symbols must be integers, got None"),
        ([math.nan, 1], [0, 1], TypeError, r"labels must be integers, got torch.float64"),
        ([0, 1], [[0, 1]], ValueError, r"symbols must have shape \(N,\), got \(1, 2\)"),
    ],
)
def test_bad_predictions(labels, symbols, error, message):
    with pytest.raises(error, match=message):
        error_bound_from_predictions(labels, symbols, num_classes=2)
