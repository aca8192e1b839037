"""The numbers of people's votes on CIFAR-10: skipped where the data is not there."""

import math

import pytest

from ibtutor import data, info

BEST = {0.0: 2.053453913, 0.3: 1.363624085, 0.5: 0.905998986, 0.8: 0.247469686, 0.9: 0.068714398}


@pytest.fixture(scope="module")
def law():
    try:
        counts = data.cifar10h_counts().double()
    except data.DataError as error:
        pytest.skip(str(error))
    return counts / counts.sum(1, keepdim=True), counts.sum(1) / counts.sum()


def test_best_known_objectives(law):
    solution = info.solve_bottleneck(law[0], list(BEST))
    for found, known in zip(solution.objective.tolist(), BEST.values(), strict=True):
        assert found >= known - 1e-6


def test_ceiling_and_slope(law, oracle):
    w, p_x = law
    labels = info.information_plane(w, p_y_given_x=w, p_x=p_x)
    known = oracle("C04")
    assert math.isclose(labels.i_ty, known["expected"]["I_YY"], abs_tol=1e-10)
    critical = info.critical_beta(w, p_x=p_x)
    assert math.isclose(critical, known["expected"]["lambda2"], abs_tol=known["tolerance"])
    weak = info.label_smoothing_encoder(w, 1 - 1e-4)
    plane = info.information_plane(weak, p_y_given_x=w, p_x=p_x)
    assert math.isclose(plane.i_ty / plane.i_xt, oracle("C05")["expected"]["slope"], abs_tol=1e-4)


@pytest.mark.parametrize("rate", ["0.25", "1.0", "2.1"])
def test_families_at_a_rate(law, oracle, rate):
    w, p_x = law
    known, tolerance = oracle(f"C06_{rate}")["expected"], oracle(f"C06_{rate}")["tolerance"]
    families = {
        "I_TY_LS": info.label_smoothing_at_rate,
        "I_TY_geo": info.geometric_smoothing,
        "I_TY_agree": info.agreement_smoothing,
    }
    for name, family in families.items():
        targets = family(w, float(rate), p_x=p_x)
        found = info.information_plane(targets, p_y_given_x=w, p_x=p_x).i_ty
        assert math.isclose(found, known[name], abs_tol=tolerance)


@pytest.mark.parametrize("rate", ["0.5", "2.0"])
def test_optima_reach_the_best_known_and_stay_certified(law, oracle, rate):
    w, p_x = law
    curve = info.bottleneck_at_rate(w, float(rate), p_x=p_x, restarts=2)
    assert curve.i_ty.item() >= oracle(f"C07_{rate}")["expected"]["F"] - 1e-7
    bound = info.bottleneck_bound(w, float(rate), p_x=p_x, starts=60)
    assert -1e-9 <= bound - curve.i_ty.item() <= 1e-6
    channel = info.best_channel(w, float(rate), p_x=p_x, restarts=0)
    kept = info.information_plane(info.pool_labels(w, channel), p_y_given_x=w, p_x=p_x).i_ty
    assert kept >= oracle(f"C08_{rate}")["expected"]["I_TY"] - 1e-6
