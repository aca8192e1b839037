"""Written by `python -m tools.calibrate_report`; do not edit.

120 and 60 settings of each family.
"""

# Largest symptom of an estimate that is believed, by estimator.
LIMITS = {
    "counted": {
        "shuffled": 0.15,
        "noise": 0.15,
        "floor": 0.1,
        "ceiling": 0.1,
        "alone": 0.1,
        "copies": 0.01,
    },
    "binned": {
        "shuffled": 0.5,
        "drift": 0.04,
        "noise": 0.04,
        "floor": 0.1,
        "ceiling": 0.1,
        "alone": 0.12,
        "copies": 0.01,
    },
    "neighbors": {
        "shuffled": 0.03,
        "noise": 0.05,
        "stretch": 0.03,
        "floor": 0.1,
        "ceiling": 0.1,
        "copies": 0.01,
    },
    "entropies": {
        "shuffled": 0.06,
        "drift": 0.05,
        "stretch": 0.5,
        "tuning": 0.08,
        "floor": 0.1,
        "ceiling": 0.1,
        "alone": 0.04,
        "copies": 0.01,
    },
    "Gaussian bounds": {
        "drift": 0.005,
        "noise": 0.02,
        "floor": 0.03,
        "ceiling": 0.1,
        "alone": 0.06,
        "repeats": 0.5,
        "copies": 0.01,
    },
    "Gaussian classes": {
        "drift": 0.005,
        "noise": 0.04,
        "stretch": 0.06,
        "tuning": 0.1,
        "floor": 0.06,
        "ceiling": 0.1,
        "alone": 0.04,
        "copies": 0.01,
    },
}

# Estimates off by more than 10 percent, those believed; good ones, those doubted.
# Of the reports' values (medians of the believed): those off by more than 10 percent.
RATES = {
    "calibration": {
        "counted": {"bad": 800, "bad_believed": 4, "good": 40, "good_doubted": 11},
        "binned": {"bad": 680, "bad_believed": 3, "good": 160, "good_doubted": 62},
        "neighbors": {"bad": 300, "bad_believed": 2, "good": 540, "good_doubted": 323},
        "entropies": {"bad": 447, "bad_believed": 2, "good": 178, "good_doubted": 76},
        "Gaussian bounds": {"bad": 517, "bad_believed": 2, "good": 211, "good_doubted": 183},
        "Gaussian classes": {"bad": 450, "bad_believed": 2, "good": 274, "good_doubted": 199},
        "all": {"bad": 3194, "bad_believed": 15, "good": 1403, "good_doubted": 854},
        "value": {"given": 295, "given_off": 12, "none": 545},
    },
    "held_out": {
        "counted": {"bad": 360, "bad_believed": 1, "good": 60, "good_doubted": 50},
        "binned": {"bad": 281, "bad_believed": 0, "good": 139, "good_doubted": 61},
        "neighbors": {"bad": 106, "bad_believed": 4, "good": 314, "good_doubted": 186},
        "entropies": {"bad": 164, "bad_believed": 4, "good": 142, "good_doubted": 33},
        "Gaussian bounds": {"bad": 274, "bad_believed": 2, "good": 85, "good_doubted": 64},
        "Gaussian classes": {"bad": 199, "bad_believed": 1, "good": 153, "good_doubted": 113},
        "all": {"bad": 1384, "bad_believed": 12, "good": 893, "good_doubted": 507},
        "value": {"given": 200, "given_off": 11, "none": 220},
    },
}
