"""Pixels that are floats lie in [0, 1]."""

from torch import Tensor, aminmax

_SLACK = 1e-6  # an image that was resized may pass white by a rounding


def check_unit(images: Tensor, name: str) -> None:
    """ValueError unless the floats lie in [0, 1], for instance where "/ 255" was forgotten."""
    if not images.is_floating_point() or images.numel() == 0:
        return
    low, high = (x.item() for x in aminmax(images))
    if not (low >= -_SLACK and high <= 1 + _SLACK):  # NaN fails both
        got = high if low >= -_SLACK else low
        raise ValueError(f"{name} as floats must lie in [0, 1], got {got:.6g}")
