"""Rigid motions by screws, and forward kinematics as their product, for torch's derivatives.

In local frames (Chen, Yang, Tan and Yeo, Local POE model for robot kinematic calibration, Mechanism
and Machine Theory 36, 2001): joint j moves its child by `X_PJ·exp(ξ_j)·exp(Ŝ_j (q_j + δ_j))`, ξ_j
being a small screw of the joint's frame and δ_j what its encoder reads too little.
"""

from math import factorial

import torch
from jaxtyping import Float
from torch import Tensor

from envs.stage.tree import Tree


def exponential(twist: Float[Tensor, "*n 6"]) -> Float[Tensor, "*n 4 4"]:
    """Return the rigid motions of twists (v, ω), m and rad, |ω| ≤ π.

    Lynch and Park, Modern Robotics (2017), eq. 3.88, the functions of |ω| as power series in |ω|²:
    they are smooth where |ω| is not, at zero.
    """
    v, w = twist[..., :3], twist[..., 3:]
    W, square = _cross(w), (w * w).sum(-1)[..., None, None]
    one = torch.eye(3, dtype=twist.dtype)
    # Σ (−s)^k / (2k + order)!, which for k < 14 and |ω| = π is exact to rounding.
    a, b, c = (
        sum((-square) ** k / float(factorial(2 * k + order)) for k in range(14))
        for order in (1, 2, 3)
    )
    turn = one + a * W + b * W @ W
    shift = (one + b * W + c * W @ W) @ v[..., None]
    return _pose(turn, shift)


def _cross(w: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3 3"]:
    x, y, z = w.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack(r, -1) for r in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    return torch.stack(rows, -2)


def _pose(R: Float[Tensor, "*n 3 3"], p: Float[Tensor, "*n 3 1"]) -> Float[Tensor, "*n 4 4"]:
    last = torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=R.dtype).expand(*R.shape[:-2], 1, 4)
    return torch.cat([torch.cat([R, p], -1), last], -2)


def forward_kinematics(
    tree: Tree,
    q: Float[Tensor, "pose joint"],
    offsets: Float[Tensor, "*pose joint"],
    screws: Float[Tensor, "*pose joint 6"],
) -> Float[Tensor, "joint pose 4 4"]:
    """Return the pose of each link of a tree in the world.

    Args:
        tree: A link's frame is its joint's frame in the child.
        q: What the encoders read, rad or m.
        offsets: δ, what they read too little, rad or m; of all poses, or of each.
        screws: ξ of each joint's frame, m and rad, likewise.
    """
    X_PJ = torch.from_numpy(tree.X_PJ) @ exponential(screws)
    axis, slides = torch.from_numpy(tree.axis), torch.from_numpy(tree.prismatic)
    moved = (q + offsets)[..., None, None]
    K, still = _cross(axis), slides[:, None, None]
    one = torch.eye(3, dtype=q.dtype)
    turn = one + torch.where(still, 0.0, torch.sin(moved) * K + (1 - torch.cos(moved)) * K @ K)
    motion = _pose(turn, torch.where(still, moved * axis[..., None], torch.zeros_like(moved)))
    poses: list[Tensor] = []
    for j, parent in enumerate(tree.parent.tolist()):
        X_PC = X_PJ[..., j, :, :] @ motion[..., j, :, :]
        poses.append(X_PC if parent < 0 else poses[parent] @ X_PC)
    return torch.stack(poses)
