"""Rigid transforms: `X_AB` is the pose of frame B seen from frame A, so `X_AC = X_AB @ X_BC`."""

import numpy as np
from jaxtyping import Float

Pose = Float[np.ndarray, "4 4"]


def pose(
    R_AB: Float[np.ndarray, "*n 3 3"], p_AB: Float[np.ndarray, "*n 3"]
) -> Float[np.ndarray, "*n 4 4"]:
    """Return the homogeneous transforms of the given rotations and positions (m)."""
    R_AB, p_AB = np.asarray(R_AB, float), np.asarray(p_AB, float)
    X_AB = np.zeros((*p_AB.shape[:-1], 4, 4))
    X_AB[..., :3, :3] = R_AB
    X_AB[..., :3, 3] = p_AB
    X_AB[..., 3, 3] = 1.0
    return X_AB


def inverse(X_AB: Float[np.ndarray, "*n 4 4"]) -> Float[np.ndarray, "*n 4 4"]:
    """Return `X_BA`, without a general matrix inversion."""
    R_BA = np.swapaxes(X_AB[..., :3, :3], -1, -2)
    p_BA = -(R_BA @ X_AB[..., :3, 3:4])[..., 0]
    return pose(R_BA, p_BA)


def from_quaternion(wxyz: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n 3 3"]:
    """Return rotation matrices of quaternions (w, x, y, z), which need not be normalised."""
    from scipy.spatial.transform import Rotation  # late: `--help` need not wait for scipy

    R: Float[np.ndarray, "*n 3 3"] = Rotation.from_quat(wxyz, scalar_first=True).as_matrix()
    return R


def to_quaternion(R_AB: Float[np.ndarray, "*n 3 3"]) -> Float[np.ndarray, "*n 4"]:
    """Return unit quaternions in (w, x, y, z) order, with w ≥ 0."""
    from scipy.spatial.transform import Rotation  # late: `--help` need not wait for scipy

    wxyz: Float[np.ndarray, "*n 4"] = Rotation.from_matrix(R_AB).as_quat(
        canonical=True, scalar_first=True
    )
    return wxyz


def axis_angle(
    axis: Float[np.ndarray, "3"], angle_rad: Float[np.ndarray, "*n"]
) -> Float[np.ndarray, "*n 3 3"]:
    """Return rotations about one unit axis (Rodrigues' formula)."""
    K = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]], float)
    angle = np.asarray(angle_rad, float)[..., None, None]
    R: Float[np.ndarray, "*n 3 3"] = np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * (K @ K)
    return R
