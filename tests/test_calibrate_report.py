"""The command that sets the limits of `estimator_report`: its settings, its fit, what it writes."""

import math

import numpy as np

from ibtutor.info import _report_limits
from tools import calibrate_report as calibrate

FREE = np.array([s not in calibrate.ALWAYS for s in calibrate.SYMPTOMS])


def test_held_out_settings_were_never_calibrated_on():
    for name, values in calibrate.HELD_OUT.items():
        assert set(values) & set(calibrate.CALIBRATION[name]) <= {1}
    seen = {calibrate.setting("calibration", "relu", i)["seed"] for i in range(200)}
    assert not seen & {calibrate.setting("held_out", "relu", i)["seed"] for i in range(200)}


def test_a_setting_is_the_same_every_time():
    first, again = (calibrate.setting("held_out", "mixture", 3) for _ in range(2))
    assert first == again
    assert first["n"] in calibrate.HELD_OUT["n"]


def test_limits_separate_what_can_be_separated():
    rng = np.random.default_rng(0)
    symptoms = rng.uniform(0, 0.02, (400, len(calibrate.SYMPTOMS))) * FREE
    bad = np.arange(400) % 2 == 1
    symptoms[bad, 1] += 0.2  # all bad ones show it
    limits = calibrate.fit(symptoms, bad)
    believed = (symptoms <= limits).all(1)
    assert (believed == ~bad).all()


def test_limits_give_up_good_ones_rather_than_believe_bad_ones():
    rng = np.random.default_rng(1)
    symptoms = rng.uniform(0, 1, (1000, len(calibrate.SYMPTOMS))) * FREE
    bad = rng.uniform(size=1000) < 0.2 + 0.6 * symptoms[:, 0]
    believed = (symptoms <= calibrate.fit(symptoms, bad)).all(1)
    assert (believed & bad).sum() <= calibrate.AIM * bad.sum() + 1
    assert (believed & ~bad).sum() > 0


def test_the_fit_keeps_the_limits_that_hold_always():
    """Far above H(Y) is never believed, though all of this sample would gain by it."""
    symptoms = np.zeros((200, len(calibrate.SYMPTOMS)))
    ceiling = calibrate.SYMPTOMS.index("ceiling")
    symptoms[:150, ceiling] = 0.2
    limits = calibrate.fit(symptoms, np.zeros(200, bool))
    assert limits[ceiling] == calibrate.ALWAYS["ceiling"]


def test_no_number_is_beyond_every_limit_and_a_large_error():
    own = {**dict.fromkeys(calibrate.SYMPTOMS, 0.0), "drift": math.nan, "error": math.nan}
    row = {"found": {"counted": own}}
    symptoms, bad = calibrate.table([row], "counted")
    assert symptoms[0, calibrate.SYMPTOMS.index("drift")] == math.inf
    assert bad.all()
    assert not calibrate.believed(row, {"counted": {"drift": 0.5}})


def test_rates_count_and_the_file_is_python():
    found = {"counted": dict.fromkeys(calibrate.SYMPTOMS, 0.0)}
    rows = [{"found": {"counted": {**found["counted"], "drift": d, "error": e}}}
            for d, e in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, -0.5))]  # fmt: skip
    rates = calibrate.rates(rows, {"counted": {"drift": 0.1}})
    expected = {"bad": 2, "bad_believed": 1, "good": 2, "good_doubted": 1}
    value = {"given": 2, "given_off": 1, "none": 2}
    assert rates == {"counted": expected, "all": expected, "value": value}
    scope = {}
    exec(
        calibrate.written({"counted": {"drift": 0.1}}, rates, {"calibration": 1, "held_out": 1}),
        scope,
    )
    assert scope["RATES"] == rates


def test_one_recorded_decision_is_made_again():
    row = calibrate.measured(calibrate.setting("held_out", "quantized", 2))
    assert row["setting"]["family"] == "quantized"
    for own in row["found"].values():
        assert math.isfinite(own["error"])
        assert set(calibrate.SYMPTOMS) <= own.keys()
    counts = calibrate.rates([row], _report_limits.LIMITS)["all"]
    assert counts["bad"] + counts["good"] == len(row["found"])
