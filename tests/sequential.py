"""An adversary for sums: every float32 reduction runs one addend after the other.

Processors and libraries add in different orders. The worst of them is the plain one, where equal
addends drift in one direction; what is right under it does not hang on the order.
"""

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

_NARROW = (torch.float32, torch.float16, torch.bfloat16)


def _total(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Sum along one dimension, in sequence, in float32."""
    running = np.add.accumulate(x.detach().to(torch.float32).numpy(), axis=dim)
    return torch.from_numpy(np.ascontiguousarray(running.take(-1, axis=dim))).to(x.dtype)


def _sum(x, dims=None, keepdim=False, *, dtype=None):
    dims = dims if dims else range(x.ndim)
    for dim in sorted((d % x.ndim for d in dims), reverse=True):
        x = _total(x, dim)
        x = x.unsqueeze(dim) if keepdim else x
    return x


def _mean(x, dims=None, keepdim=False, *, dtype=None):
    total = _sum(x, dims, keepdim)
    return total / (x.numel() / total.numel())


def _matmul(a, b):
    """`(n, k) @ (k, m)`, the k products of every cell added in sequence."""
    out = torch.zeros(a.shape[0], b.shape[1])
    for left, right in zip(a.T.float(), b.float(), strict=True):
        out += torch.outer(left, right)
    return out.to(a.dtype)


def _addmm(c, a, b, *, beta=1, alpha=1):
    return beta * c + alpha * _matmul(a, b)


_SEQUENTIAL = {
    torch.ops.aten.sum.default: _sum,
    torch.ops.aten.sum.dim_IntList: _sum,
    torch.ops.aten.mean.default: _mean,
    torch.ops.aten.mean.dim: _mean,
    torch.ops.aten.dot.default: lambda a, b: _total(a * b, 0),
    torch.ops.aten.mv.default: lambda a, b: _total(a * b, 1),
    torch.ops.aten.mm.default: _matmul,
    torch.ops.aten.addmm.default: _addmm,
    torch.ops.aten.addmv.default: lambda c, a, b, *, beta=1, alpha=1: (
        beta * c + alpha * _total(a * b, 1)
    ),
}
# The same operations under their names for results that are given or changed in place.
_INTO = {
    torch.ops.aten.sum.IntList_out: torch.ops.aten.sum.dim_IntList,
    torch.ops.aten.mean.out: torch.ops.aten.mean.dim,
    torch.ops.aten.mv.out: torch.ops.aten.mv.default,
    torch.ops.aten.mm.out: torch.ops.aten.mm.default,
    torch.ops.aten.addmm.out: torch.ops.aten.addmm.default,
}
_IN_PLACE = {
    torch.ops.aten.addmm_.default: torch.ops.aten.addmm.default,
    torch.ops.aten.addmv_.default: torch.ops.aten.addmv.default,
}


class SequentialFloat32(TorchDispatchMode):
    """Within it, torch adds float32 numbers in sequence; `met` counts how often it was asked to.

    Sums that are told to run in float64 (`dtype=torch.float64`, or float64 input) are left alone.
    """

    met = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = dict(options or {})
        kind = _INTO.get(function) or _IN_PLACE.get(function) or function
        first = arguments[0] if arguments else None
        narrow = isinstance(first, torch.Tensor) and first.dtype in _NARROW
        if kind not in _SEQUENTIAL or not narrow or options.get("dtype") == torch.float64:
            return function(*arguments, **options)
        self.met += 1
        out = arguments[0] if function in _IN_PLACE else options.pop("out", None)
        result = _SEQUENTIAL[kind](*arguments, **options)
        return result if out is None else out.copy_(result)
