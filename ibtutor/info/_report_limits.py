"""Written by `python -m tools.calibrate_report`; do not edit.

120 and 60 settings of each family.
"""

# Largest symptom of an estimate that is believed, by estimator.
LIMITS = {
    "counted": {"shuffled": 0.5, "drift": 0.05, "noise": 0.15},
    "binned": {"shuffled": 0.3, "drift": 0.06, "alone": 0.12, "repeats": 0.5},
    "neighbors": {"shuffled": 0.1, "drift": 0.03, "noise": 0.03, "stretch": 0.15},
    "entropies": {
        "shuffled": 0.06,
        "drift": 0.05,
        "stretch": 0.5,
        "tuning": 0.08,
        "floor": 0.15,
        "alone": 0.04,
    },
    "Gaussian bounds": {
        "drift": 0.005,
        "noise": 0.02,
        "floor": 0.03,
        "alone": 0.06,
        "repeats": 0.5,
    },
    "Gaussian classes": {
        "drift": 0.005,
        "noise": 0.04,
        "stretch": 0.06,
        "tuning": 0.1,
        "floor": 0.06,
        "alone": 0.04,
    },
}

# Estimates off by more than 10 percent, those believed; good ones, those doubted.
RATES = {
    "calibration": {
        "counted": {"bad": 800, "bad_believed": 2, "good": 40, "good_doubted": 8},
        "binned": {"bad": 680, "bad_believed": 3, "good": 160, "good_doubted": 72},
        "neighbors": {"bad": 300, "bad_believed": 3, "good": 540, "good_doubted": 302},
        "entropies": {"bad": 447, "bad_believed": 2, "good": 178, "good_doubted": 76},
        "Gaussian bounds": {"bad": 517, "bad_believed": 2, "good": 211, "good_doubted": 183},
        "Gaussian classes": {"bad": 450, "bad_believed": 2, "good": 274, "good_doubted": 199},
        "all": {"bad": 3194, "bad_believed": 14, "good": 1403, "good_doubted": 840},
    },
    "held_out": {
        "counted": {"bad": 360, "bad_believed": 8, "good": 60, "good_doubted": 47},
        "binned": {"bad": 281, "bad_believed": 0, "good": 139, "good_doubted": 75},
        "neighbors": {"bad": 106, "bad_believed": 6, "good": 314, "good_doubted": 125},
        "entropies": {"bad": 164, "bad_believed": 5, "good": 142, "good_doubted": 33},
        "Gaussian bounds": {"bad": 274, "bad_believed": 2, "good": 85, "good_doubted": 64},
        "Gaussian classes": {"bad": 199, "bad_believed": 1, "good": 153, "good_doubted": 113},
        "all": {"bad": 1384, "bad_believed": 22, "good": 893, "good_doubted": 457},
    },
}
