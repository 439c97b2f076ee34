"""Batched Newton–Euler in torch, and its regressor: the torque as a linear map of the inertias.

The recursion is that of Luh, Walker and Paul in link frames (Featherstone, Rigid Body Dynamics
Algorithms, 2008, table 5.1), the regressor that of Atkeson, An and Hollerbach (Estimation of
inertial parameters of manipulator loads and links, IJRR 5, 1986), both about the origins
of the link frames. Everything is differentiable with respect to q, qd and qdd.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from envs.stage.tree import Tree


def regressor(
    tree: Tree,
    q: Float[Tensor, "time joint"],
    qd: Float[Tensor, "time joint"],
    qdd: Float[Tensor, "time joint"],
) -> Float[Tensor, "time joint ten_links"]:
    """Return Y of `τ = Y π`, π the inertial parameters of all links one after the other.

    Args:
        tree: Its `pi` is not used.
        q: Position, rad or m.
        qd: Velocity, rad/s or m/s.
        qdd: Acceleration, rad/s² or m/s².

    Returns:
        τ in N·m (N for a sliding joint) for π in `Tree.pi`'s order, kg, kg·m and kg·m².
    """
    time, n = q.shape
    Y = q.new_zeros((time, n, n, 10))
    for link, (supports, S, wrench) in enumerate(_sweep(tree, q, qd, qdd)):
        Y[:, supports, link] = S @ wrench
    return Y.reshape(time, n, 10 * n)


def inverse_dynamics(
    tree: Tree,
    q: Float[Tensor, "time joint"],
    qd: Float[Tensor, "time joint"],
    qdd: Float[Tensor, "time joint"],
    pi: Float[Tensor, "joint 10"],
) -> Float[Tensor, "time joint"]:
    """Return the torques (N·m or N) of a motion for given inertias; see `regressor`."""
    tau = torch.zeros_like(q)
    for link, (supports, S, wrench) in enumerate(_sweep(tree, q, qd, qdd)):
        tau = tau.index_add(1, torch.tensor(supports), (S @ (wrench @ pi[link])[..., None])[..., 0])
    return tau


Link = tuple[list[int], Float[Tensor, "time support 6"], Float[Tensor, "time 6 10"]]


def _sweep(
    tree: Tree,
    q: Float[Tensor, "time joint"],
    qd: Float[Tensor, "time joint"],
    qdd: Float[Tensor, "time joint"],
) -> list[Link]:
    """Go from the base outwards.

    Returns:
        Per link the joints that move it, their screws (turning part, moving part) seen from its
        frame, and the map from its inertial parameters to the wrench (moment, force) it needs.
    """
    time = len(q)
    zero, gravity = q.new_zeros((time, 3)), torch.as_tensor(tree.gravity, dtype=q.dtype)
    base = (zero, zero, (-gravity).expand(time, 3))
    states: list[tuple[Tensor, Tensor, Tensor]] = []
    links: list[Link] = []
    for i, parent in enumerate(int(p) for p in tree.parent):
        axis = torch.as_tensor(tree.axis[i], dtype=q.dtype)
        X_PJ = torch.as_tensor(tree.X_PJ[i], dtype=q.dtype)
        R, p = X_PJ[:3, :3].expand(time, 3, 3), X_PJ[:3, 3].expand(time, 3)
        if tree.prismatic[i]:
            p = p + q[:, i : i + 1] * (X_PJ[:3, :3] @ axis)
        else:
            R = X_PJ[:3, :3] @ _rotation(axis, q[:, i])
        omega, alpha, a = states[parent] if parent >= 0 else base

        def to_child(v: Tensor, R: Tensor = R) -> Tensor:
            turned: Tensor = (v[..., None, :] @ R)[..., 0, :]
            return turned

        a = to_child(a + _cross(alpha, p) + _cross(omega, _cross(omega, p)))
        omega, alpha = to_child(omega), to_child(alpha)
        motion, change = axis * qd[:, i : i + 1], axis * qdd[:, i : i + 1]
        if tree.prismatic[i]:
            a = a + change + 2 * _cross(omega, motion)
        else:
            omega = omega + motion
            alpha = alpha + change + _cross(omega, motion)
        states.append((omega, alpha, a))

        own = torch.cat([axis * 0, axis] if tree.prismatic[i] else [axis, axis * 0])
        S = own.expand(time, 1, 6)
        supports = [i]
        if parent >= 0:
            above, S_parent, _ = links[parent]
            supports = [*above, i]
            turning = S_parent[..., :3]
            moving = S_parent[..., 3:] + _cross(turning, p[:, None].expand_as(turning))
            S = torch.cat([torch.cat([turning @ R, moving @ R], dim=-1), S], dim=1)
        links.append((supports, S, _wrench(omega, alpha, a)))
    return links


def _cross(a: Float[Tensor, "*n 3"], b: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    product: Tensor = torch.linalg.cross(a, b)
    return product


def _skew(v: Float[Tensor, "time 3"]) -> Float[Tensor, "time 3 3"]:
    x, y, z = v.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).reshape(-1, 3, 3)


def _rotation(axis: Float[Tensor, "3"], angle: Float[Tensor, "time"]) -> Float[Tensor, "time 3 3"]:
    """Return rotations about a unit axis (Rodrigues' formula)."""
    K = _skew(axis[None])
    s, c = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    return torch.eye(3, dtype=angle.dtype) + s * K + (1 - c) * (K @ K)


def _moment_map(w: Float[Tensor, "time 3"]) -> Float[Tensor, "time 3 6"]:
    """Return the map from (Ixx, Ixy, Iyy, Ixz, Iyz, Izz) to I·w."""
    x, y, z = w.unbind(-1)
    o = torch.zeros_like(x)
    rows = [x, y, o, z, o, o, o, x, y, o, z, o, o, o, o, x, y, z]
    return torch.stack(rows, dim=-1).reshape(-1, 3, 6)


def _wrench(
    omega: Float[Tensor, "time 3"], alpha: Float[Tensor, "time 3"], a: Float[Tensor, "time 3"]
) -> Float[Tensor, "time 6 10"]:
    """Return the map from a link's parameters to (moment, force) at the origin of its frame.

    Newton and Euler about a point with acceleration a (gravity in it):
    f = m a + (α× + ω×ω×) mc and n = mc × a + I α + ω × I ω.
    """
    w = _skew(omega)
    top = [
        a.new_zeros((len(a), 3, 1)),
        -_skew(a),
        _moment_map(alpha) + w @ _moment_map(omega),
    ]
    bottom = [a[..., None], _skew(alpha) + w @ w, a.new_zeros((len(a), 3, 6))]
    return torch.cat([torch.cat(top, dim=-1), torch.cat(bottom, dim=-1)], dim=-2)
