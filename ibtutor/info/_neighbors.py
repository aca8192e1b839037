"""Distance to the k-th nearest neighbor: a tree in few dimensions, chunked products in many.

Products of float32 are fast and lose digits where points lie close together and far from the
origin. So they only name candidates; their distances are taken anew from differences in float64,
and a row whose candidates float32 cannot vouch for is searched again in float64. Both are of the
rows as given, like the distances that are counted: what centers them for the products rounds them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor

NORMS = ("euclidean", "max")
# Above it a tree looks at nearly all points; products beat it from nine dimensions on, unless there
# are very many points (`python -m benchmarks estimators`: 50,000 points, 10 dimensions).
TREE_DIMENSIONS = 10
_PRODUCTS_FROM, _PRODUCTS_UP_TO = 9, 100_000
# Distances held at once: 16 MB on a processor, 1 GB on a device.
_CELLS_CPU, _CELLS_DEVICE = 2**21, 2**28
_ROWS = 64  # at least, for a product that is worth its call
_SPARE = 3  # candidates beyond k
# A distance computed twice differs by less: the k-th neighbor must not count as nearer than itself
_ROUNDING = 1e-12


def kth_distance(z: Tensor, k: int, norm: str) -> Tensor:
    """Distance of each row of `z` `(N, d)` to its k-th nearest other row, float64 `(N,)`."""
    n, d = z.shape
    unit = power_of_two(z.abs().max().double())
    z = z.double() / unit  # exact, and the squares of all distances are numbers
    fast = norm == "euclidean" and d >= _PRODUCTS_FROM and n <= _PRODUCTS_UP_TO
    if z.is_cpu and d <= TREE_DIMENSIONS and not fast:
        return _tree(z, k, norm) * unit
    if norm == "max":
        return _plain(z, k) * unit
    with _whole_float32():
        return _products(z, k) * unit


@contextlib.contextmanager
def _whole_float32() -> Iterator[None]:
    """Products with all 24 bits, whatever the process allows (TensorFloat-32, bfloat16)."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def count_within(z: Tensor, radius: Tensor, norm: str) -> Tensor:
    """How many other rows of `z` lie strictly nearer than `radius` `(N,)`, int64 `(N,)`."""
    unit = power_of_two(z.abs().max().double())
    z, radius = z.double() / unit, radius / unit
    if z.shape[1] == 1:
        return _count_sorted(z[:, 0], radius)
    if z.is_cpu and z.shape[1] <= TREE_DIMENSIONS:
        return _count_tree(z, radius, norm)
    rows = chunk_rows(z, 2)
    inside = radius * (1 - _ROUNDING)
    found = [
        (distances(part, z, norm) <= r.unsqueeze(1)).sum(1)
        for part, r in zip(z.split(rows), inside.split(rows), strict=True)
    ]
    return torch.cat(found) - 1  # itself


def chunk_rows(z: Tensor, times: int = 1) -> int:
    """Rows whose distances to all of `z` are held at once."""
    return max(1, min(len(z), _cells(z) // (len(z) * times)))


def _cells(z: Tensor) -> int:
    return _CELLS_CPU if z.is_cpu else _CELLS_DEVICE


def distances(a: Tensor, b: Tensor, norm: str) -> Tensor:
    """`(A, B)` from differences, not from products: no digit is lost."""
    if norm == "max":
        return torch.cdist(a, b, p=float("inf"))
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _order(norm: str) -> float:
    return 2.0 if norm == "euclidean" else float("inf")


def _tree(z: Tensor, k: int, norm: str) -> Tensor:
    from scipy.spatial import cKDTree

    points = z.double().numpy()
    workers = torch.get_num_threads()
    found, _ = cKDTree(points).query(points, k=[k + 1], p=_order(norm), workers=workers)
    return torch.from_numpy(found[:, 0])


def _count_tree(z: Tensor, radius: Tensor, norm: str) -> Tensor:
    import numpy as np
    from scipy.spatial import cKDTree

    points, r = z.double().numpy(), (radius * (1 - _ROUNDING)).numpy()
    tree, workers = cKDTree(points), torch.get_num_threads()
    found = tree.query_ball_point(
        points, r, p=_order(norm), workers=workers, return_length=True, return_sorted=False
    )
    return torch.from_numpy(np.asarray(found, dtype=np.int64)) - 1


def _count_sorted(values: Tensor, radius: Tensor) -> Tensor:
    """One dimension: the neighbors are an interval of the sorted values."""
    values = values.double()
    ordered = values.sort().values
    inside = (radius * (1 - _ROUNDING) - 2**-51 * values.abs()).clamp(min=0)  # x - r is rounded
    low = torch.searchsorted(ordered, values - inside, side="left")
    high = torch.searchsorted(ordered, values + inside, side="right")
    return high - low - 1


def _plain(z: Tensor, k: int) -> Tensor:
    """Any norm, any device, from differences in float64."""
    z = z.double()
    found = [
        distances(part, z, "max").kthvalue(k + 1, dim=1).values
        for part in z.split(chunk_rows(z, 4))
    ]
    return torch.cat(found)


def _products(z: Tensor, k: int) -> Tensor:
    origin = z.double()
    z = origin - origin.mean(0)
    unit = power_of_two(z.abs().max()).clamp(min=2.0**-1000)  # the origin may be far, not infinite
    z, origin = z / unit, origin / unit  # exact, and float32 can hold the squares
    squares = z.square().sum(1)
    wanted = min(k + _SPARE, len(z) - 1)
    result = z.new_empty(len(z))
    doubtful = torch.zeros(len(z), dtype=torch.bool, device=z.device)
    left, right = _augmented(z.float(), squares.float())
    # Of a sum of d products, each rounded; and of the squares themselves.
    slack = (z.shape[1] + 8) * 2.0**-24 * (squares + squares.max()) * 2
    rows = min(len(z), max(_ROWS, chunk_rows(z)))
    held = left.new_empty(rows, len(z))
    for start in range(0, len(z), rows):
        part = slice(start, min(start + rows, len(z)))
        half = torch.mm(left[part], right, out=held[: part.stop - start])
        near, index = _least(half, wanted, start)
        exact = _squared_distances(origin, origin[part], index).sort(1).values
        result[part] = exact[:, k - 1]
        # `near` is half the squared distance less half the row's square.
        edge = 2 * near[:, -1].double() + squares[part]
        if wanted < len(z) - 1:
            doubtful[part] = exact[:, k - 1] > edge - slack[part]
    for part in doubtful.nonzero()[:, 0].split(rows):
        far = distances(origin[part], origin, "euclidean")
        result[part] = far.kthvalue(k + 1, dim=1).values.square()
    return result.sqrt() * unit


def power_of_two(value: Tensor) -> Tensor:
    """The largest up to each `value`; 1 for 0. To divide by it is exact."""
    exponent = torch.frexp(value).exponent - 1  # a logarithm may be rounded up to the next
    return torch.where(value > 0, exponent.to(value.dtype).exp2(), torch.ones_like(value))


def _squared_distances(z: Tensor, rows: Tensor, index: Tensor) -> Tensor:
    """`(B, C)`: of each of `rows` `(B, d)` to the rows of `z` that `index` `(B, C)` names."""
    size = max(1, _cells(z) // (index.shape[1] * z.shape[1]))
    found = [
        (row.unsqueeze(1) - z[near]).square().sum(2)
        for row, near in zip(rows.split(size), index.split(size), strict=True)
    ]
    return torch.cat(found)


def _augmented(z: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices whose product is |b|^2 / 2 - a b: half of each squared distance less |a|^2 / 2."""
    left = torch.cat([z, torch.ones_like(z[:, :1])], 1)
    right = torch.cat([-z, squares.unsqueeze(1) / 2], 1)
    return left, right.T.contiguous()


def _least(values: Tensor, count: int, start: int) -> tuple[Tensor, Tensor]:
    """The `count` least of each row of `(B, N)` and where they stand, itself left out.

    The least `count` values lie in the `count` groups with the least minima: one fast pass, then
    a search among few.
    """
    b, n = values.shape
    row = torch.arange(b, device=values.device)
    values[row, row + start] = float("inf")
    size = 2 ** round(math.log2(math.sqrt(n / count)) + 0.3)  # both searches are then as long
    width = n // size
    if width <= count or size < 4:
        return torch.topk(values, count, dim=1, largest=False)
    body = values[:, : width * size].view(b, size, width)
    group = torch.topk(body.amin(1), count, dim=1, largest=False, sorted=False).indices
    steps = torch.arange(size, device=values.device) * width
    index = (group.unsqueeze(2) + steps).flatten(1)
    rest = torch.arange(width * size, n, device=values.device).expand(b, -1)
    index = torch.cat([index, rest], 1)
    near, place = torch.topk(values.gather(1, index), count, dim=1, largest=False)
    return near, index.gather(1, place)
