"""Inertial parameters without constraints: the log-Cholesky coordinates of a mass distribution.

A link exists as matter where its pseudo-inertia `J = ∫ x xᵀ dm`, x = (point, 1), is positive
definite (Wensing, Kim and Slotine, Linear matrix inequalities for physically-consistent inertial
parameter identification, RA-L 3, 2018). Rucker and Wensing (Smooth parameterization of rigid-body
inertia, RA-L 7, 2022) write `J = U Uᵀ` with the upper triangular

    U = e^α [e^d1 s12 s13 t1; 0 e^d2 s23 t2; 0 0 e^d3 t3; 0 0 0 1]
    θ = (α d1 d2 d3 s12 s23 s13 t1 t2 t3)

so that every θ is a link that can exist. Here θ is taken relative to a link with `J₀ = L₀ L₀ᵀ`, as
`J = L₀ U Uᵀ L₀ᵀ`: U then moves the matter of that link by an affine map, θ = 0 is the link itself,
and θ has no unit and does not depend on the choice of frame, so that a step or a width in θ means
the same for a heavy and for a light link, and for one that is all but flat.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from envs.stage.scene import MASSLESS, Articulation, Inertial
from envs.stage.tree import Tree, inertial_parameters, to_inertial
from envs.world.dynamics import pseudo_inertia

# Below it, relative to the largest, an eigenvalue of the scaled pseudo-inertia counts as zero.
FEASIBLE = 1e-12
# A body whose inertia cannot exist is given at least this radius of gyration along each axis.
LEAST_GYRATION_M = 0.005


def is_feasible(pi: Float[np.ndarray, "*n 10"]) -> Bool[np.ndarray, "*n"]:
    """Return whether matter with these parameters can exist: positive definite pseudo-inertia.

    The test is made after scaling the diagonal to 1, and so does not depend on units.
    """
    J = pseudo_inertia(pi)
    diagonal = np.diagonal(J, axis1=-2, axis2=-1)
    positive = (diagonal > 0).all(axis=-1)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    least = np.linalg.eigvalsh(J * scale[..., None] * scale[..., None, :])[..., 0]
    return np.asarray(positive & (least > FEASIBLE))


def nearest_feasible(pi: Float[np.ndarray, "10"]) -> Float[np.ndarray, "10"]:
    """Return feasible parameters themselves, else those of a thickened mass distribution.

    Mass and centre of mass are kept; the mass must be positive.
    """
    if is_feasible(pi):
        return pi
    m, c = pi[0], pi[1:4] / pi[0]
    sigma = pseudo_inertia(pi)[:3, :3] - m * np.outer(c, c)
    values, axes = np.linalg.eigh(sigma)
    thick = np.maximum(values, m * LEAST_GYRATION_M**2)
    J = np.zeros((4, 4))
    J[:3, :3] = axes @ np.diag(thick) @ axes.T + m * np.outer(c, c)
    J[:3, 3] = J[3, :3] = m * c
    J[3, 3] = m
    return from_pseudo_inertia(torch.from_numpy(J)).numpy()


def from_pseudo_inertia(J: Float[Tensor, "*n 4 4"]) -> Float[Tensor, "*n 10"]:
    """Return the inertial parameters (`Tree.pi`'s order) of a pseudo-inertia."""
    xx, yy, zz = J[..., 0, 0], J[..., 1, 1], J[..., 2, 2]
    xy, xz, yz = J[..., 0, 1], J[..., 0, 2], J[..., 1, 2]
    moment = [yy + zz, -xy, xx + zz, -xz, -yz, xx + yy]
    return torch.stack([J[..., 3, 3], *J[..., :3, 3].unbind(-1), *moment], dim=-1)


def upper_factor(theta: Float[Tensor, "*n 10"]) -> Float[Tensor, "*n 4 4"]:
    """Return U of the module's text."""
    alpha, d1, d2, d3, s12, s23, s13, t1, t2, t3 = theta.unbind(-1)
    o, one = torch.zeros_like(alpha), torch.ones_like(alpha)
    rows = [d1.exp(), s12, s13, t1, o, d2.exp(), s23, t2, o, o, d3.exp(), t3, o, o, o, one]
    U = torch.stack(rows, dim=-1).reshape(*alpha.shape, 4, 4)
    return alpha.exp()[..., None, None] * U


def jacobian(
    function: Callable[[Float[Tensor, "*n"]], Float[Tensor, "*m"]], at: Float[Tensor, "*n"]
) -> Float[np.ndarray, "*m_n"]:
    """Return the derivative of a function, its axes before those of the argument."""
    # torch.func's has the same result, but its first call imports for a second.
    derivative: Tensor = torch.autograd.functional.jacobian(function, at)  # type: ignore[no-untyped-call]
    return np.asarray(derivative.numpy())


@cache
def tangent() -> Float[np.ndarray, "10 4 4"]:
    """Return the derivative of U Uᵀ with respect to θ, at θ = 0."""

    def square(theta: Float[Tensor, "10"]) -> Float[Tensor, "4 4"]:
        U = upper_factor(theta)
        return U @ U.mT

    zero = torch.zeros(10, dtype=torch.float64)
    return jacobian(square, zero).transpose(2, 0, 1)


def factor(pi: Float[np.ndarray, "*n 10"]) -> Float[np.ndarray, "*n 4 4"]:
    """Return the upper triangular L of the pseudo-inertia L Lᵀ of feasible parameters."""
    # An upper factor is a lower one with the axes in reverse order.
    lower = np.linalg.cholesky(pseudo_inertia(pi)[..., ::-1, ::-1])
    return np.ascontiguousarray(lower[..., ::-1, ::-1])


def divergence(
    pi: Float[np.ndarray, "*n 10"], reference: Float[np.ndarray, "*n 4 4"]
) -> Float[np.ndarray, "*n"]:
    """Return how far links are from reference links L Lᵀ: 0 for the same, infinite for no link.

    The Bregman divergence of −log det, `tr(J₀⁻¹J) − log det(J₀⁻¹J) − 4` (Lee, Wensing and Park,
    Geometric robot dynamic identification: a convex programming approach, T-RO 36, 2020). It is
    convex in π, does not depend on frame or units, and near the reference it is
    `s² + t² + 2 Σ(α + d)² + 2 α²` in log-Cholesky coordinates.
    """
    half = np.linalg.solve(reference, pseudo_inertia(pi))
    J = np.linalg.solve(reference, half.swapaxes(-1, -2))
    sign, log_det = np.linalg.slogdet(J)
    possible = (sign > 0) & (np.linalg.eigvalsh(J)[..., 0] > 0)
    value = np.trace(J, axis1=-2, axis2=-1) - log_det - 4
    return np.asarray(np.where(possible, value, np.inf))


def central(J: Float[Tensor, "*n 4 4"]) -> Float[Tensor, "*n 10"]:
    """Return (m, cx, cy, cz, Ixx, Ixy, Iyy, Ixz, Iyz, Izz), I about the centre of mass."""
    c = J[..., :3, 3] / J[..., 3:, 3]
    x = torch.cat([c, torch.ones_like(c[..., :1])], dim=-1)[..., None]
    pi = from_pseudo_inertia(J - J[..., 3:, 3:] * (x @ x.mT))
    return torch.cat([J[..., 3:, 3], c, pi[..., 4:]], dim=-1)


@dataclass(frozen=True)
class Group:
    """The bodies that one joint carries: a rigid whole, of which only the sum can be identified.

    One affine map moves the matter of them all, so that each body stays feasible whatever the map.
    A body without mass has no matter: the inertia that the model gives it goes to the others.

    Attributes:
        link: Index of the link in the tree.
        names: The bodies that have mass.
        heaviest: Index of the heaviest of them.
        poses: Their poses in the link frame.
        massless: Bodies without mass to which the model gives an inertia.
        factor: L₀ of the whole group as the model has it.
        shares: M⁻¹ J M⁻ᵀ of each body, J in the link frame and M Mᵀ their sum.
    """

    link: int
    names: tuple[str, ...]
    heaviest: int
    poses: Float[Tensor, "body 4 4"]
    massless: tuple[str, ...]
    factor: Float[np.ndarray, "4 4"]
    shares: Float[Tensor, "body 4 4"]

    def bodies(self, whole: Float[Tensor, "4 4"]) -> Float[Tensor, "body 10"]:
        """Return mass, centre of mass and central inertia of each body, in its own frame.

        Args:
            whole: The upper triangular factor of the group's pseudo-inertia.
        """
        # [None]: torch takes a right-hand side with one axis less for a batch of vectors.
        root = torch.linalg.solve(self.poses, whole[None])
        return central(root @ self.shares @ root.mT)

    def inertials(self, whole: Float[Tensor, "4 4"]) -> dict[str, Inertial]:
        """Return the mass properties of all bodies that the map changes."""
        rows = self.bodies(whole).numpy()
        inertials = dict.fromkeys(self.massless, MASSLESS)
        for name, row in zip(self.names, rows, strict=True):
            at_com = to_inertial(np.concatenate([row[:1], np.zeros(3), row[4:]]))
            inertials[name] = Inertial(float(row[0]), row[1:4], at_com.inertia_kgm2)
        return inertials


def rigid_groups(tree: Tree, robot: Articulation) -> tuple[Group, ...]:
    """Return the group of each link of a tree; a link without any mass has none."""
    inertials = {body.name: body.inertial for body in robot.bodies}
    groups = []
    for link, poses in enumerate(tree.groups):
        heavy = [name for name in poses if inertials[name].mass_kg > 0]
        if not heavy:
            continue
        pi = np.array(
            [nearest_feasible(inertial_parameters(inertials[n], poses[n])) for n in heavy]
        )
        light = [n for n in poses if n not in heavy and inertials[n].inertia_kgm2.any()]
        rest = sum((inertial_parameters(inertials[n], poses[n]) for n in light), np.zeros(10))
        matter = torch.from_numpy(factor(pi.sum(axis=0)))
        half = torch.linalg.solve(matter, torch.from_numpy(pseudo_inertia(pi)))
        groups.append(
            Group(
                link=link,
                names=tuple(heavy),
                heaviest=int(pi[:, 0].argmax()),
                poses=torch.from_numpy(np.array([poses[n] for n in heavy])),
                massless=tuple(light),
                factor=factor(pi.sum(axis=0) + rest),
                shares=torch.linalg.solve(matter, half.mT),
            )
        )
    return tuple(groups)
