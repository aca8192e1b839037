"""Information diagrams of three variables: Kirsch's quantities and the seven atoms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.special import entr

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.info.entropy import mutual_information


@dataclass(frozen=True)
class InformationDiagram:
    """The quantities of a chain Y - X - Z, in nats. Z is what Kudo calls T.

    Attributes:
        h_x: H[X].
        h_y: H[Y].
        h_z: H[Z].
        label_uncertainty: H[Y|X]; no encoder can change it.
        encoding_uncertainty: H[Z|X]; the encoder's own randomness.
        decoder_uncertainty: H[Y|Z]; the best cross-entropy that Z allows.
        reverse_decoder_uncertainty: H[Z|Y].
        relevant_information: I[X;Y].
        preserved_information: I[X;Z].
        preserved_relevant_information: I[Y;Z].
        residual_information: I[X;Y|Z]; relevant, and lost.
        redundant_information: I[X;Z|Y]; kept, and not about the label.
    """

    h_x: float
    h_y: float
    h_z: float
    label_uncertainty: float
    encoding_uncertainty: float
    decoder_uncertainty: float
    reverse_decoder_uncertainty: float
    relevant_information: float
    preserved_information: float
    preserved_relevant_information: float
    residual_information: float
    redundant_information: float


@dataclass(frozen=True)
class InformationAtoms:
    """The seven pieces of three overlapping circles, in nats; they add up to H[X,Y,Z].

    Attributes:
        h_x_given_yz: H[X|Y,Z].
        h_y_given_xz: H[Y|X,Z].
        h_z_given_xy: H[Z|X,Y].
        i_xy_given_z: I[X;Y|Z].
        i_xz_given_y: I[X;Z|Y].
        i_yz_given_x: I[Y;Z|X].
        i_xyz: I[X;Y;Z] = I[Y;Z] - I[Y;Z|X]; the only piece that can be negative.
    """

    h_x_given_yz: float
    h_y_given_xz: float
    h_z_given_xy: float
    i_xy_given_z: float
    i_xz_given_y: float
    i_yz_given_x: float
    i_xyz: float


def information_diagram(
    p_x: ArrayLike, p_y_given_x: ArrayLike, p_z_given_x: ArrayLike
) -> InformationDiagram:
    """The nine named quantities of a representation Z of X with label Y, and three entropies.

    The joint p(x) p(y|x) p(z|x) is never built: memory is that of the arguments and of p(y, z).

    Args:
        p_x: weights of the inputs, shape `(N,)`.
        p_y_given_x: label distributions, shape `(N, K)`.
        p_z_given_x: encoder, shape `(N, M)`.

    Returns:
        An `InformationDiagram` of Python floats, none of them negative.

    Raises:
        ValueError: if an argument is not a distribution (row by row) or lengths differ.

    Source: Kirsch, Lyle and Gal 2020, Sections 2 and 3 and Figure 2.

    >>> d = information_diagram([0.5, 0.5], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
    >>> round(d.preserved_relevant_information, 6), d.residual_information
    (0.693147, 0.0)
    """
    y = _validate.probabilities(p_y_given_x, "p_y_given_x", ndim=2).detach().to(torch.float64)
    z = _validate.probabilities(p_z_given_x, "p_z_given_x", ndim=2).detach().to(y)
    x = _validate.class_distribution(p_x, "p_x", len(y)).detach().to(y)
    if len(z) != len(y):
        raise ValueError(f"p_z_given_x must have {len(y)} rows, got {len(z)}")
    y, z = (rows / rows.sum(1, keepdim=True) for rows in (y, z))
    xy, xz = x[:, None] * y, x[:, None] * z
    yz = xy.T @ z
    i_xy, i_xz, i_yz = (mutual_information(joint).item() for joint in (xy, xz, yz))
    h_x, h_y, h_z = _entropy(x), _entropy(xy.sum(0)), _entropy(xz.sum(0))
    return InformationDiagram(
        h_x=h_x,
        h_y=h_y,
        h_z=h_z,
        label_uncertainty=(x @ entr(y).sum(1)).item(),
        encoding_uncertainty=(x @ entr(z).sum(1)).item(),
        decoder_uncertainty=max(0.0, h_y - i_yz),
        reverse_decoder_uncertainty=max(0.0, h_z - i_yz),
        relevant_information=i_xy,
        preserved_information=i_xz,
        preserved_relevant_information=i_yz,
        residual_information=max(0.0, i_xy - i_yz),
        redundant_information=max(0.0, i_xz - i_yz),
    )


def information_atoms(joint: ArrayLike) -> InformationAtoms:
    """The seven atoms of any joint distribution or table of counts p(x, y, z).

    A table of counts is divided by its total: the result is then the plug-in estimate, exact
    for the sample and biased for the population.

    Args:
        joint: probabilities or counts, shape `(X, Y, Z)`; any positive total.

    Returns:
        `InformationAtoms`; `i_xyz` may be negative, as for the exclusive or.

    Raises:
        ValueError: if `joint` is not three-dimensional, negative, not finite or all zero.

    Source: Kirsch, Lyle and Gal 2020, Section 2 (after Yeung 1991).

    >>> xor = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]
    >>> atoms = information_atoms(xor)
    >>> round(atoms.i_xyz, 6), round(atoms.i_xy_given_z, 6)  # -log 2 and log 2
    (-0.693147, 0.693147)
    """
    p = _validate.as_float_tensor(joint, "joint").detach().to(torch.float64)
    if p.ndim != 3:
        raise ValueError(f"joint must have shape (X, Y, Z), got {tuple(p.shape)}")
    _validate.check_finite(p, "joint")
    if p.min() < 0:
        raise ValueError(f"joint must not be negative, got an entry {p.min().item():.6g}")
    total = p.sum()
    if total == 0:
        raise ValueError("joint must have a positive total, got all zeros")
    p = p / total
    xyz, xy, xz, yz = (_entropy(m) for m in (p, p.sum(2), p.sum(1), p.sum(0)))
    x, y, z = (_entropy(p.sum(other)) for other in ((1, 2), (0, 2), (0, 1)))
    return InformationAtoms(
        h_x_given_yz=max(0.0, xyz - yz),
        h_y_given_xz=max(0.0, xyz - xz),
        h_z_given_xy=max(0.0, xyz - xy),
        i_xy_given_z=max(0.0, xz + yz - z - xyz),
        i_xz_given_y=max(0.0, xy + yz - y - xyz),
        i_yz_given_x=max(0.0, xy + xz - x - xyz),
        i_xyz=x + y + z - xy - xz - yz + xyz,
    )


def _entropy(p: torch.Tensor) -> float:
    return entr(p).sum().item()
