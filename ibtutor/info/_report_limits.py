"""Written by `python -m tools.calibrate_report`; do not edit.

84 and 42 settings of each family.
"""

# Largest symptom of an estimate that is believed, by estimator.
LIMITS = {
    "counted": {"shuffled": 0.08, "noise": 0.15},
    "binned": {"shuffled": 0.3, "drift": 0.06, "alone": 0.12, "repeats": 0.5},
    "neighbors": {"shuffled": 0.03, "drift": 0.03, "stretch": 0.15, "tuning": 0.05, "alone": 0.5},
    "entropies": {
        "shuffled": 0.06,
        "drift": 0.05,
        "stretch": 0.5,
        "tuning": 0.06,
        "floor": 0.15,
        "alone": 0.04,
    },
    "Gaussian bounds": {"noise": 0.01, "alone": 0.08},
    "Gaussian classes": {"noise": 0.02, "stretch": 0.06, "floor": 0.02, "alone": 0.15},
}

# Estimates off by more than 10 percent, those believed; good ones, those doubted.
RATES = {
    "calibration": {
        "counted": {"bad": 559, "bad_believed": 2, "good": 29, "good_doubted": 15},
        "binned": {"bad": 477, "bad_believed": 2, "good": 111, "good_doubted": 51},
        "neighbors": {"bad": 208, "bad_believed": 1, "good": 380, "good_doubted": 239},
        "entropies": {"bad": 313, "bad_believed": 1, "good": 128, "good_doubted": 62},
        "Gaussian bounds": {"bad": 350, "bad_believed": 1, "good": 155, "good_doubted": 137},
        "Gaussian classes": {"bad": 312, "bad_believed": 1, "good": 190, "good_doubted": 129},
        "all": {"bad": 2219, "bad_believed": 8, "good": 993, "good_doubted": 633},
    },
    "held_out": {
        "counted": {"bad": 248, "bad_believed": 0, "good": 46, "good_doubted": 37},
        "binned": {"bad": 190, "bad_believed": 0, "good": 104, "good_doubted": 54},
        "neighbors": {"bad": 70, "bad_believed": 4, "good": 224, "good_doubted": 108},
        "entropies": {"bad": 116, "bad_believed": 2, "good": 103, "good_doubted": 28},
        "Gaussian bounds": {"bad": 192, "bad_believed": 2, "good": 58, "good_doubted": 54},
        "Gaussian classes": {"bad": 137, "bad_believed": 3, "good": 107, "good_doubted": 61},
        "all": {"bad": 953, "bad_believed": 11, "good": 642, "good_doubted": 342},
    },
}
