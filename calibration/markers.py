"""What a camera or a tracker saw of a marker on the robot, pose by pose, and a first guess of both.

A file of such measurements is a CSV with one line a pose: a column for each joint (rad or m), then
`x y z` in metres and, where they were measured, `qw qx qy qz` of the marker seen from the camera;
or `u v`, where a point was detected in the image, in pixels.
"""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from envs.errors import CalibrationError, unknown
from envs.frames import Pose, from_quaternion, pose

POSITION, TURN, PIXEL = ("x", "y", "z"), ("qw", "qx", "qy", "qz"), ("u", "v")
KINDS = {"position": "m", "turn": "rad", "pixel": "px"}
"""Kinds of residual and their units."""


@dataclass(frozen=True)
class Marker:
    """Measurements of one marker, or of one point of it.

    Attributes:
        q: What the encoders read, rad or m.
        p_CM: Positions of the marker in the camera's frame, m.
        R_CM: Its rotations, where they were measured.
        uv: Where its origin was detected, pixels; instead of p_CM.
        intrinsics: fx, fy, cx, cy of the camera, pixels; needed with uv.
    """

    q: Float[np.ndarray, "pose joint"]
    p_CM: Float[np.ndarray, "pose 3"] | None = None
    R_CM: Float[np.ndarray, "pose 3 3"] | None = None
    uv: Float[np.ndarray, "pose 2"] | None = None
    intrinsics: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse measurements that are neither positions nor pixels, or not finite."""
        if (self.p_CM is None) == (self.uv is None):
            raise CalibrationError("a marker needs either positions or pixels")
        if self.uv is not None and self.intrinsics is None:
            raise CalibrationError("pixels need the camera's intrinsics: fx, fy, cx, cy")
        for values in (self.q, self.p_CM, self.R_CM, self.uv):
            if values is not None and not np.isfinite(values).all():
                raise CalibrationError("a marker's measurements must be finite")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each row of a pose's residual."""
        if self.uv is not None:
            return ("pixel",) * 2
        return ("position",) * 3 + (("turn",) * 3 if self.R_CM is not None else ())

    def part(self, rows: Int[np.ndarray, "part"]) -> "Marker":
        """Return some of the poses."""

        def some(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        return Marker(
            self.q[rows], some(self.p_CM), some(self.R_CM), some(self.uv), self.intrinsics
        )

    def residual(self, X_CM: Float[Tensor, "pose 4 4"]) -> Float[Tensor, "pose row"]:
        """Return modelled minus measured: m, rad or pixels; a turn as the sine of its angle."""
        p = X_CM[:, :3, 3]
        if self.uv is not None:
            assert self.intrinsics is not None, "checked"
            fx, fy, cx, cy = self.intrinsics
            uv = torch.stack([fx * p[:, 0] / p[:, 2] + cx, fy * p[:, 1] / p[:, 2] + cy], 1)
            return uv - torch.from_numpy(self.uv)
        assert self.p_CM is not None, "checked"
        rows = [p - torch.from_numpy(self.p_CM)]
        if self.R_CM is not None:
            R = torch.from_numpy(self.R_CM).mT @ X_CM[:, :3, :3]
            skew = (R - R.mT) / 2
            rows.append(torch.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], 1))
        return torch.cat(rows, 1)


def first_guess(marker: Marker, X_WB: Float[np.ndarray, "pose 4 4"]) -> tuple[Pose, Pose]:
    """Return where the camera stands (X_WC) and how the marker sits on its body (X_BM).

    With rotations: the Kronecker-product solution of `X_WB X_BM = X_WC X_CM` (Shah, Solving the
    robot-world/hand-eye calibration problem using the Kronecker product, Journal of Mechanisms and
    Robotics 5, 2013). Positions alone give a rotation by linear least squares. For pixels, the
    marker is first taken to be at the body's origin.

    Raises:
        CalibrationError: The poses are too few, or too much alike.
    """
    R_WB, p_WB = X_WB[:, :3, :3], X_WB[:, :3, 3]
    n = len(X_WB)
    if n < 6:
        raise CalibrationError(f"kinematics need six poses to fit or more; found {n}")
    if marker.uv is not None:
        return _from_pixels(marker, p_WB), np.eye(4)
    assert marker.p_CM is not None, "checked"
    if marker.R_CM is not None:
        one = np.eye(3)
        rows = [
            np.hstack([np.kron(a, one), -np.kron(one, b.T)])
            for a, b in zip(R_WB, marker.R_CM, strict=True)
        ]
        null = np.linalg.svd(np.concatenate(rows))[2][-1]
        null = null * np.sign(np.linalg.det(null[:9].reshape(3, 3)))
        R_BM, R_WC = (_nearest_rotation(x.reshape(3, 3)) for x in (null[:9], null[9:]))
    else:
        # p_WB + R_WB p_BM = R_WC p_CM + p_WC, linear in all of p_BM, R_WC and p_WC.
        A = np.concatenate(
            [
                np.concatenate([np.kron(np.eye(3), p), np.eye(3), -R], 1)
                for p, R in zip(marker.p_CM, R_WB, strict=True)
            ]
        )
        x = np.linalg.lstsq(A, p_WB.ravel(), rcond=None)[0]
        R_WC, R_BM = _nearest_rotation(x[:9].reshape(3, 3)), np.eye(3)
    A = np.concatenate([np.concatenate([np.eye(3), -R], 1) for R in R_WB])
    b = p_WB - marker.p_CM @ R_WC.T
    x = np.linalg.lstsq(A, b.ravel(), rcond=None)[0]
    return pose(R_WC, x[:3]), pose(R_BM, x[3:])


def _from_pixels(marker: Marker, p_WB: Float[np.ndarray, "pose 3"]) -> Pose:
    import cv2

    assert marker.uv is not None, "checked"
    assert marker.intrinsics is not None, "checked"
    fx, fy, cx, cy = marker.intrinsics
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    try:
        found, turn, p_CW = cv2.solvePnP(p_WB, marker.uv, K, None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:
        found = False
    if not found:
        raise CalibrationError("the detections fit no camera: too few, or the poses are too alike")
    R_WC = cv2.Rodrigues(turn)[0].T
    return pose(R_WC, -R_WC @ p_CW[:, 0])


def _nearest_rotation(M: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    U, _, Vt = np.linalg.svd(M)
    R: Float[np.ndarray, "3 3"] = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
    return R


def read_markers(
    path: Path,
    joints: Sequence[str],
    intrinsics: Sequence[float] | None = None,
    *,
    names: Mapping[str, str] | None = None,
    factors: Mapping[str, float] | None = None,
    ignore: Collection[str] = (),
) -> tuple[Marker, tuple[str, ...]]:
    """Read a file of measurements.

    Args:
        path: A CSV, see above.
        joints: Those of the stage that move, in its order.
        intrinsics: fx, fy, cx, cy, pixels, where the file has u and v.
        names: The file's name of a column → a joint's, or one of x, y, z and so on.
        factors: Joint, or one of x, y, z → factor to SI; 1 where none is given.
        ignore: Columns that are not read, by the file's names.

    Returns:
        The measurements, and the joints that the file has, in the stage's order.

    Raises:
        CalibrationError: The file is not there, or is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.reader(lines))
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"no file of measured poses can be read: {error}") from error
    called = [name.strip() for name in rows[0]] if rows else []
    for name in (*(names or {}), *ignore):
        if name not in called:
            raise CalibrationError(unknown("column", name, called, where=str(path)))
    head = [(names or {}).get(name, name) for name in called if name not in ignore]
    if len(set(head)) < len(head):
        raise CalibrationError(f"{path}: a column is there twice: {', '.join(head)}")
    kept = [k for k, name in enumerate(called) if name not in ignore]
    measured = [*POSITION, *TURN, *PIXEL]
    found = tuple(j for j in joints if j in head)
    for name in head:
        if name not in measured and name not in joints:
            raise CalibrationError(unknown("column", name, [*joints, *measured], where=str(path)))
    try:
        poses = [row for row in rows[1:] if row]
        whole = all(len(row) == len(called) for row in poses)
        table = np.array([[float(row[k]) for k in kept] for row in poses if whole])
    except ValueError as error:
        raise CalibrationError(f"{path}: a cell is no number: {error}") from error
    if not found or table.ndim != 2 or table.shape[1] != len(head):
        raise CalibrationError(
            f"{path}: a line of names (joints of the robot, then x,y,z[,qw,qx,qy,qz] or u,v) is "
            "needed, and as many numbers in each line below it"
        )

    def columns(wanted: Sequence[str]) -> np.ndarray | None:
        given = [name for name in wanted if name in head]
        if given and len(given) < len(wanted):
            raise CalibrationError(f"{path}: {', '.join(wanted)} belong together; found {given}")
        factor = np.array([(factors or {}).get(name, 1.0) for name in wanted])
        return table[:, [head.index(name) for name in wanted]] * factor if given else None

    q, turn = columns(found), columns(TURN)
    assert q is not None, "found is not empty"
    marker = Marker(
        q=q,
        p_CM=columns(POSITION),
        R_CM=None if turn is None else from_quaternion(turn),
        uv=columns(PIXEL),
        intrinsics=None if intrinsics is None else tuple(intrinsics),  # type: ignore[arg-type]
    )
    return marker, found
