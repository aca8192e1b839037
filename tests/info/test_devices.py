"""Arguments on another device: what is made or given on the CPU is brought there."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from ibtutor.info import (
    audenaert_bound,
    binary_gaussian_information,
    bottleneck_objective,
    confidence_penalty_encoder,
    cross_entropy,
    error_bound_from_predictions,
    error_lower_bound,
    gaussian_separation,
    information_diagram,
    kl_divergence,
    label_smoothing_at_rate,
    pool_labels,
)


class There(torch.Tensor):
    """A tensor that says that it is on the device "meta", and holds its numbers on the CPU."""

    def __new__(cls, here):
        return torch.Tensor._make_wrapper_subclass(
            cls, here.shape, strides=here.stride(), dtype=here.dtype, device="meta"
        )

    def __init__(self, here):
        self.here = here

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise NotImplementedError("outside of TwoDevices")


class TwoDevices(TorchDispatchMode):
    """Refuses, as a GPU does, what mixes the two but for numbers without dimensions."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        leaves = tree_flatten((args, kwargs))[0]
        tensors = [v for v in leaves if isinstance(v, torch.Tensor)]
        there = any(isinstance(v, There) for v in tensors)
        if there and any(v.ndim and not isinstance(v, There) for v in tensors):
            raise RuntimeError(f"{func}: expected all tensors to be on the same device")
        if kwargs.get("device") is not None:
            there = torch.device(kwargs["device"]).type == "meta"
            kwargs["device"] = torch.device("cpu")
        args, kwargs = tree_map_only(There, lambda v: v.here, (args, kwargs))
        found = func(*args, **kwargs)
        return tree_map_only(torch.Tensor, There, found) if there else found


def plain(found):
    found = getattr(found, "here", found)
    return found.flatten().tolist() if isinstance(found, torch.Tensor) else found


TABLE = torch.tensor([0, 1, 2] * 20)
P, Q = torch.tensor([[0.5, 0.5], [0.9, 0.1]]), torch.tensor([0.25, 0.75])


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (binary_gaussian_information, [torch.tensor([0.1, 1.0, 7.0])]),
        (gaussian_separation, [torch.tensor([1.0, 0.0]), 2 * torch.eye(2)]),
        (lambda i, h: error_lower_bound(i, h, 3), [torch.tensor([0.1, 0.5]), torch.tensor([1.0])]),
        (audenaert_bound, [P, Q]),
        (error_bound_from_predictions, [TABLE, TABLE.flip(0)]),
        (kl_divergence, [Q, P]),
        (cross_entropy, [P, Q]),
        (pool_labels, [P, P.flip(0)]),
        (lambda w, m: pool_labels(w, m, "geometric"), [P, P.flip(0)]),
        (lambda *law: bottleneck_objective(*law, 0.3), [Q, P, P.flip(0)]),
        (lambda w, q: bottleneck_objective(None, w, q, 0.3), [P, P.flip(0)]),
        (lambda *law: information_diagram(*law).preserved_information, [Q, P, P.flip(0)]),
        (lambda w: confidence_penalty_encoder(w, 0.3), [P]),
        (lambda w, r: label_smoothing_at_rate(w, 0.1, smoothing=r), [P, Q]),
    ],
)
def test_one_argument_there_is_enough(call, arguments):
    expected = plain(call(*arguments))
    with TwoDevices():
        for i in range(len(arguments)):
            mixed = [There(v) if i == j else v for j, v in enumerate(arguments)]
            assert plain(call(*mixed)) == pytest.approx(expected)
