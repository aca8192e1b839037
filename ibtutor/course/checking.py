"""The comparison of the graded assignments: values of plain types only.

A check that compares with `==` or `-` asks the submitted object whether it is right, and an object
can be made to say yes. `near` asks for the type first, and compares numbers that are its own.
"""

import sys
from typing import Any

import numpy as np


def near(value: Any, wanted: Any, tolerance: float = 1e-6) -> None:
    """Assert that `value` is a number, or an array of numbers, within `tolerance` of `wanted`.

    Accepted are int, float, numpy's numbers and arrays, torch's tensors, and lists or tuples of
    them: exactly these types, not classes derived from them.

    Raises
    ------
    AssertionError
        Another type, another shape, not finite, or too far. The message says which.

    >>> near(0.30000001, 0.3)
    >>> near([1, 2], [1, 2, 3])
    Traceback (most recent call last):
    AssertionError: expected shape (3,), got (2,)
    >>> class Yes:
    ...     __eq__ = __sub__ = lambda self, other: True
    >>> near(Yes(), 0.3)
    Traceback (most recent call last):
    AssertionError: expected a number or an array of numbers, got an object of class Yes
    """
    got, want = plain(value), plain(wanted)
    if got.shape != want.shape:
        raise AssertionError(f"expected shape {want.shape}, got {got.shape}")
    if not np.isfinite(got).all():
        raise AssertionError("expected finite numbers, got inf or nan")
    off = float(np.abs(got - want).max(initial=0.0))
    if off > tolerance:
        raise AssertionError(f"off by {off:.3g}, allowed is {tolerance:.3g}")


def plain(value: Any) -> np.ndarray:
    """A float64 array of the numbers of `value`.

    >>> plain((1, 2.5))
    array([1. , 2.5])
    """
    kind = type(value)
    if kind in (list, tuple):
        rows = [plain(item) for item in value]
        if len({row.shape for row in rows}) > 1:
            raise AssertionError("expected rows of one length")
        return np.array(rows, dtype=np.float64)
    torch = sys.modules.get("torch")
    if torch and kind is torch.Tensor:
        return value.detach().cpu().numpy().astype(np.float64)
    if not (kind in (int, float) or _is_numpy(value)):
        raise AssertionError(
            f"expected a number or an array of numbers, got an object of class {kind.__name__}"
        )
    return np.asarray(value, dtype=np.float64)


def _is_numpy(value: Any) -> bool:
    kind = type(value)
    if kind is np.ndarray:
        return value.dtype.kind in "iuf"
    return issubclass(kind, np.number) and kind is value.dtype.type
