"""One place for the checks of arguments: each returns the cleaned value or raises.

A message always names the argument and holds the value received. A wrong type raises
``TypeError``; a wrong value raises ``ValueError``.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Sequence

import numpy as np
import torch

ArrayLike = torch.Tensor | np.ndarray | Sequence | float

# A float32 softmax over thousands of classes misses one by about 1e-6; half precision by 1e-3.
_TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 5e-2}
_DEFAULT_TOLERANCE = 1e-4


def sum_tolerance(dtype: torch.dtype) -> float:
    """How far a row of probabilities of this type may be from one."""
    return _TOLERANCE.get(dtype, _DEFAULT_TOLERANCE)


def as_float_tensor(value: ArrayLike, name: str) -> torch.Tensor:
    """Return `value` as a non-empty floating tensor, sharing memory where possible.

    Integers and lists become float64. Torch tensors keep their type, device and graph. A lone
    True or False is refused: it is an option in the wrong place.
    """
    if isinstance(value, bool):
        raise TypeError(f"{name} must hold real numbers, got {value}")
    if isinstance(value, torch.Tensor):
        tensor = value
    else:
        array = _real_array(value, name)
        if array.dtype.kind != "f" or array.dtype.itemsize > 8:
            array = array.astype(np.float64)
        tensor = _from_numpy(array)
    if tensor.is_complex():
        raise TypeError(f"{name} must hold real numbers, got {tensor.dtype}")
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.float64)
    if tensor.numel() == 0:
        raise ValueError(f"{name} must not be empty, got shape {tuple(tensor.shape)}")
    return tensor


def numbers(value: ArrayLike, name: str) -> torch.Tensor:
    """A tensor of the type of `value`, empty or not."""
    if isinstance(value, torch.Tensor):
        return value
    return _from_numpy(_real_array(value, name))


def probabilities(
    value: ArrayLike, name: str, dim: int | tuple[int, ...] = -1, ndim: int | None = None
) -> torch.Tensor:
    """Return `value` as a tensor whose entries along `dim` are a distribution."""
    p = as_float_tensor(value, name)
    if p.ndim == 0 or (ndim is not None and p.ndim != ndim):
        wanted = "at least 1" if ndim is None else str(ndim)
        raise ValueError(f"{name} must have {wanted} dimension(s), got shape {tuple(p.shape)}")
    check_finite(p, name)
    lowest = p.detach().amin().item()
    if lowest < 0:
        raise ValueError(f"{name} must not be negative, got an entry {lowest:.6g}")
    sums = p.detach().sum(dim=dim, dtype=torch.float64)
    check_sums(sums, name, sum_tolerance(p.dtype))
    return p


def check_sums(sums: torch.Tensor, name: str, tolerance: float) -> None:
    """Raise unless every entry of `sums` is one within `tolerance`."""
    low, high = (x.item() for x in torch.aminmax(sums))
    if low >= 1.0 - tolerance and high <= 1.0 + tolerance:  # NaN fails both
        return
    worst = int((sums - 1.0).abs().argmax())
    where = f" in row {worst}" if sums.numel() > 1 else ""
    total = sums.flatten()[worst].item()
    raise ValueError(f"{name} must sum to 1 within {tolerance:g}, got {total:.6g}{where}")


def check_finite(tensor: torch.Tensor, name: str) -> None:
    """Raise on NaN and infinities, with the first one and its place."""
    bad = ~torch.isfinite(tensor.detach())
    if bad.any():
        index = tuple(bad.nonzero()[0].tolist())
        place = f" at {index[0] if len(index) == 1 else index}" if index else ""
        raise ValueError(f"{name} must be finite, got {tensor[index].item()}{place}")


def class_distribution(value: ArrayLike, name: str, num_classes: int | None) -> torch.Tensor:
    """A float64 vector over classes; its length must be `num_classes` where that is known."""
    p = probabilities(value, name, ndim=1).to(torch.float64)
    if num_classes is not None and len(p) != num_classes:
        raise ValueError(f"{name} must have {num_classes} entries, got {len(p)}")
    return p / p.sum()


def number(value: float, name: str) -> float:
    """A finite Python float from any real scalar; booleans and text are refused."""
    try:
        if isinstance(value, (bool, np.bool_, str, bytes, bytearray)):  # float() reads text
            raise TypeError
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {_short(value)}") from None
    if not math.isfinite(result):
        raise ValueError(f"{name} must be finite, got {result}")
    return result


def unit_interval(value: float, name: str = "alpha") -> float:
    """A number in [0, 1]."""
    result = number(value, name)
    if not 0.0 <= result <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {result:.6g}")
    return result


def non_negative(value: float, name: str = "beta") -> float:
    """A finite number that is zero or more."""
    result = number(value, name)
    if result < 0.0:
        raise ValueError(f"{name} must be zero or more, got {result:.6g}")
    return result


def integer(value: int, name: str, minimum: int) -> int:
    """An integer of at least `minimum`; booleans and floats are refused."""
    try:
        if isinstance(value, bool):
            raise TypeError
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {_short(value)}") from None
    if result < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {result}")
    return result


def class_count(value: int, name: str = "num_classes") -> int:
    """A number of classes: an integer of at least two."""
    return integer(value, name, 2)


def class_labels(
    value: ArrayLike, length: int | None, num_classes: int | None = None, name: str = "labels"
) -> torch.Tensor:
    """Return `value` as an int64 vector of `length` labels in 0 .. num_classes - 1.

    Without a length any but zero will do; without a number of classes there is no largest label.
    """
    labels = value if isinstance(value, torch.Tensor) else integers(value, name)
    if labels.numel() == 0:
        raise ValueError(f"{name} must not be empty, got shape {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"{name} must be integers, got {labels.dtype}")
    if labels.ndim != 1 or length not in (None, len(labels)):
        wanted = "(N,)" if length is None else f"({length},) to match the rows"
        raise ValueError(f"{name} must have shape {wanted}, got {tuple(labels.shape)}")
    labels = labels.to(torch.int64)
    low, high = (int(x) for x in torch.aminmax(labels))
    if num_classes is None:
        if low < 0:
            raise ValueError(f"{name} must be zero or more, got {low}")
    elif low < 0 or high >= num_classes:
        got = low if low < 0 else high
        raise ValueError(f"{name} must lie in 0 .. {num_classes - 1}, got {got}")
    return labels


def same_shape(a: torch.Tensor, b: torch.Tensor, names: tuple[str, str]) -> None:
    """Raise unless the two shapes are equal."""
    if a.shape != b.shape:
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same shape, "
            f"got {tuple(a.shape)} and {tuple(b.shape)}"
        )


def integers(value: ArrayLike, name: str) -> torch.Tensor:
    """A tensor of what should be integers, its type not yet looked at."""
    return _from_numpy(_real_array(value, name, "be a vector of integers", "be integers"))


def _real_array(
    value: ArrayLike, name: str, shape: str = "be a rectangular array", kind: str = ""
) -> np.ndarray:
    """NumPy's view of `value`; `shape` and `kind` say in messages what it must be."""
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different length
        raise ValueError(f"{name} must {shape}: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must {kind or 'hold real numbers'}, got {_short(value)}")
    return array


def _from_numpy(array: np.ndarray) -> torch.Tensor:
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.dtype.kind not in "fiub":
        raise TypeError(f"expected an array of numbers, got {_short(array)}")
    with warnings.catch_warnings():
        # Read-only arrays are safe here: nothing in ibtutor.info writes to its arguments.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(array)


def _short(value: object) -> str:
    """What was received, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
