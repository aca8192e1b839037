"""Checks that all losses share. NaN logits pass: the loss is NaN, and the training loop says so.

Shapes and types are always checked. Values are checked where reading them is free, see `readable`:
a training step never waits for its device.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike

REDUCTIONS = ("none", "mean", "sum")


def readable(tensor: Tensor) -> bool:
    """Whether reading values is free: on the CPU, outside torch.compile and torch.func."""
    if not tensor.is_cpu or torch.compiler.is_compiling():
        return False
    try:
        tensor.data_ptr()
    except RuntimeError:  # torch.func wraps its tensors; under vmap one stands for many
        return False
    return True


def check_logits(logits: Tensor, name: str = "logits", entries: str = "classes") -> Tensor:
    """A floating tensor `(N, K, d1, ...)`, or `(K,)` without a batch, with K >= 2."""
    if not isinstance(logits, Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(logits).__name__}")
    if not logits.is_floating_point():
        raise TypeError(f"{name} must be floating, got {logits.dtype}")
    if logits.ndim == 0 or logits.numel() == 0:
        raise ValueError(
            f"{name} must have shape (batch, {entries}, ...) without an empty dimension, "
            f"got {tuple(logits.shape)}"
        )
    k = logits.shape[class_dim(logits)]
    if k < 2:
        raise ValueError(f"{name} must have at least 2 {entries}, got {k}")
    return logits


def class_dim(logits: Tensor) -> int:
    """The dimension of the classes: the second, or the only one."""
    return 1 if logits.ndim > 1 else 0


def class_labels(labels: ArrayLike, logits: Tensor, name: str = "logits", hint: str = "") -> Tensor:
    """`labels` in int64, of the shape of the logits without the classes: `(N, d1, ...)`.

    `hint` says where labels go that are no integers.
    """
    labels = integers(labels, hint)
    dim = class_dim(logits)
    wanted = logits.shape[:dim] + logits.shape[dim + 1 :]
    if labels.shape != wanted:
        last = logits.ndim > 2 and labels.shape == logits.shape[:-1]
        hint = f"; if the classes come last, pass {name}.movedim(-1, 1)" if last else ""
        raise ValueError(
            f"labels must have shape {tuple(wanted)} to match {name} of shape "
            f"{tuple(logits.shape)}, got {tuple(labels.shape)}{hint}"
        )
    return labels


def integers(labels: ArrayLike, hint: str = "") -> Tensor:
    """`labels` in int64; an empty list has no type, its shape is for the caller to look at."""
    if not isinstance(labels, Tensor):
        labels = _validate.integers(labels, "labels")
    odd = labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool
    if odd and labels.numel():
        raise TypeError(f"labels must be integers, got {labels.dtype}{hint}")
    return labels.to(torch.int64)


def check_labels(labels: ArrayLike, num_classes: int, *, ignore_index: int = -100) -> None:
    """Raise unless every label is a class or ignored.

    The losses check this themselves where it is free: on the CPU, outside `torch.compile` and
    `torch.func`. This function reads the labels back from their device, so call it once for a
    data set, not in a training step.

    Args:
        labels: integers of any shape.
        num_classes: K >= 2.
        ignore_index: the value of positions without a label, outside 0 .. K - 1.

    Raises:
        TypeError: labels that are no integers.
        ValueError: a label outside 0 .. K - 1 that is not `ignore_index`.

    >>> check_labels([[0, 2], [1, -100]], 3)
    >>> check_labels([[0, 3], [1, -100]], 3)
    Traceback (most recent call last):
    ValueError: labels must lie in 0 .. 2, got 3
    """
    k = _validate.class_count(num_classes)
    labels, ignore_index = integers(labels), ignored_value(ignore_index, k)
    if labels.numel():
        label_range(labels, k, ignore_index)


def label_range(labels: Tensor, num_classes: int, ignore_index: int) -> bool:
    """Whether any label is ignored; raise if another lies outside 0 .. num_classes - 1."""
    low, high = (int(x) for x in torch.aminmax(labels))
    if low >= 0 and high < num_classes:
        return False
    kept = labels[labels != ignore_index]
    if kept.numel():
        low, high = (int(x) for x in torch.aminmax(kept))
        if low < 0 or high >= num_classes:
            got = low if low < 0 else high
            raise ValueError(f"labels must lie in 0 .. {num_classes - 1}, got {got}")
    return True


def ignored_value(ignore_index: int, num_classes: int) -> int:
    """An integer outside the classes: ignoring one of them would silently drop it."""
    try:
        if isinstance(ignore_index, bool):
            raise TypeError
        value = operator.index(ignore_index)
    except TypeError:
        raise TypeError(f"ignore_index must be an integer, got {ignore_index!r}") from None
    if 0 <= value < num_classes:
        raise ValueError(
            f"ignore_index must lie outside the classes 0 .. {num_classes - 1}, got {value}"
        )
    return value


def check_reduction(reduction: str) -> str:
    """One of torch's three reductions."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    return reduction


def number(value: float, name: str, check: Callable[[float, str], float]) -> float:
    """`check` a number, but not in torch.compile: there one that changes has no value to test."""
    return value if torch.compiler.is_compiling() else check(value, name)


def strength(
    value: float | Tensor, name: str, like: Tensor, check: Callable[[float, str], float]
) -> float | Tensor:
    """A number, or a floating tensor that broadcasts over the losses `like`; `check` the values."""
    if not isinstance(value, Tensor):
        try:
            return number(value, name, check)
        except TypeError:
            raise TypeError(f"{name} must be a number or a tensor, got {value!r}") from None
    if not value.is_floating_point():
        raise TypeError(f"{name} must be floating where it is a tensor, got {value.dtype}")
    try:
        fits = torch.broadcast_shapes(value.shape, like.shape) == like.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} must be a number or broadcast over the labels' shape {tuple(like.shape)}, "
            f"got shape {tuple(value.shape)}"
        )
    if readable(value):
        for end in torch.aminmax(value.detach()):
            check(end.item(), name)
    return value.to(like.dtype)


def class_weights(weight: ArrayLike, num_classes: int) -> Tensor:
    """Weights `(K,)`, zero or more, finite, not all zero."""
    w = _per_class(weight, "weight", num_classes)
    if readable(w):
        _validate.check_finite(w, "weight")
        if w.min() < 0:
            raise ValueError(f"weight must be zero or more, got {w.min().item():.6g}")
        if w.max() == 0:
            raise ValueError("weight must not be zero for every class, got all zeros")
    return w


def class_distribution(value: ArrayLike, name: str, num_classes: int) -> Tensor:
    """A distribution `(K,)`."""
    p = _per_class(value, name, num_classes)
    if readable(p):
        return _validate.class_distribution(p, name, num_classes)
    return p / p.sum()


def _per_class(value: ArrayLike, name: str, num_classes: int) -> Tensor:
    v = _validate.as_float_tensor(value, name)
    if v.shape != (num_classes,):
        raise ValueError(f"{name} must have shape ({num_classes},), got {tuple(v.shape)}")
    return v


def beside(values: Tensor, log_p: Tensor) -> Tensor:
    """Values `(K,)` shaped, typed and placed to multiply `log_p` of shape `(N, K, d1, ...)`."""
    after = log_p.ndim - class_dim(log_p) - 1
    # From pageable memory this copy never waits for the device.
    return values.to(log_p, non_blocking=True).reshape(-1, *[1] * after)


def distributions(targets: ArrayLike, logits: Tensor) -> Tensor:
    """Probabilities of the shape of the logits, that sum to one over the classes."""
    q = _validate.as_float_tensor(targets, "targets")
    _validate.same_shape(logits, q, ("logits", "targets"))
    return _validate.probabilities(q, "targets", class_dim(logits)) if readable(q) else q
