"""Data: real sets opened from one folder, the embedded digits, generators, augmentation.

Real sets lie under `$IBTUTOR_DATA`, else in the user's cache folder, and are downloaded once by
`ibtutor data get NAME`. Nothing here downloads unless asked to. Every loader gives a `Split`:
images as uint8 and labels as int64 tensors, in memory.
"""

from ibtutor.data.annotators import annotator_distribution, simulated_annotators
from ibtutor.data.augment import (
    random_crop_flip,
    random_erasing,
    random_resized_crop,
    to_float,
)
from ibtutor.data.cifar10h import cifar10h_counts
from ibtutor.data.degradations import (
    DEGRADATIONS,
    coarse_dropout,
    degrade,
    diffusion_noise,
    gaussian_blur,
    mosaic,
)
from ibtutor.data.embedded import digits
from ibtutor.data.flowers import flowers102
from ibtutor.data.images import cifar10, cifar100, mnist
from ibtutor.data.split import Split, fingerprint
from ibtutor.data.store import DataError, Status, check, get, names, root

__all__ = [
    "DEGRADATIONS",
    "DataError",
    "Split",
    "Status",
    "annotator_distribution",
    "check",
    "cifar10",
    "cifar10h_counts",
    "cifar100",
    "coarse_dropout",
    "degrade",
    "diffusion_noise",
    "digits",
    "fingerprint",
    "flowers102",
    "gaussian_blur",
    "get",
    "mnist",
    "mosaic",
    "names",
    "random_crop_flip",
    "random_erasing",
    "random_resized_crop",
    "root",
    "simulated_annotators",
    "to_float",
]
