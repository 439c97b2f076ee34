"""Identify joint zero offsets and link geometry from measured poses of a marker on the robot.

Forward kinematics with a screw ξ on each joint's frame and an offset δ on its encoder are those of
`screws`. Where the camera or tracker stands (`X_WC`) and how the marker sits on its body (`X_BM`)
are unknown too, and are screws on a first guess.

Gauss–Newton on whitened residuals, with torch's derivatives in float64 and a Gaussian
prior about the stage: what the poses cannot tell stays where the stage has it, and is told in
words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from calibration.markers import KINDS, Marker, first_guess
from calibration.result import SCREW, CalibrationResult, Parameter
from calibration.screws import exponential, forward_kinematics
from calibration.uncertainty import PRIOR_SHARE, prior_share
from envs.errors import CalibrationError, unknown
from envs.frames import Pose
from envs.stage.scene import Scene
from envs.stage.tree import Tree, reduce_tree

OFFSET, SHIFT_M, TURN_RAD = 0.1, 0.02, 0.05
"""Standard deviations of the prior: an offset (rad or m), and a joint frame's screw."""
PLACE_M, PLACE_RAD = 10.0, 3.0
"""The same of where camera and marker are: as good as nothing."""
PRECISION = {"position": 1e-3, "turn": 2e-3, "pixel": 1.0}
"""Where the estimate of the measurement's noise starts, m, rad and pixels."""
ROUNDS, STEPS = 4, 30
NEGLIGIBLE, SHARE = 1e-7, 1e-6
"""Of the largest singular value: the poses do not speak about such a direction at all; and of a
direction's largest part: it has no part in it."""


@dataclass(frozen=True)
class _Model:
    """What a vector of parameters says the camera should have seen.

    Attributes:
        link: The link of the tree that carries the marker.
        X_LB: Pose of the marker's body in that link.
        offsets: The stage's own, rad or m.
        names: Of the parameters: offsets, screws of the joints' frames, of camera and marker.
        sigma: Standard deviations of the prior about zero; 0 holds a parameter.
        whiten: 1/noise of each row of a pose's residual.
    """

    tree: Tree
    link: int
    X_LB: Pose
    offsets: Float[np.ndarray, "joint"]
    X_WC: Pose
    X_BM: Pose
    names: tuple[str, ...]
    sigma: Float[np.ndarray, "params"]
    whiten: Float[np.ndarray, "row"]

    def residual(
        self, p: Float[Tensor, "*pose params"], marker: Marker
    ) -> Float[Tensor, "pose row"]:
        """Return whitened residuals; each pose may have parameters of its own."""
        n = len(self.tree.joints)
        offsets = torch.from_numpy(self.offsets) + p[..., :n]
        screws = p[..., n : 7 * n].reshape(*p.shape[:-1], n, 6)
        q = torch.from_numpy(marker.q)
        X_WL = forward_kinematics(self.tree, q, offsets, screws)[self.link]
        X_WC = torch.from_numpy(self.X_WC) @ exponential(p[..., -12:-6])
        X_LM = torch.from_numpy(self.X_LB @ self.X_BM) @ exponential(p[..., -6:])
        X_CM = torch.linalg.inv(X_WC) @ X_WL @ X_LM
        return marker.residual(X_CM) * torch.from_numpy(self.whiten)

    def solve(self, p: Float[np.ndarray, "params"], marker: Marker) -> Float[np.ndarray, "params"]:
        """Return the parameters that fit best, by Gauss–Newton with step halving."""
        free = self.sigma > 0
        precision = np.diag(1 / self.sigma[free] ** 2)

        def cost(x: Float[np.ndarray, "params"]) -> float:
            r, own = self.values(x, marker), x[free] / self.sigma[free]
            return float(r @ r + own @ own)

        now = cost(p)
        for _ in range(STEPS):
            J, r = self.jacobian(p, marker), self.values(p, marker)
            gradient = J.T @ r + precision @ p[free]
            step = np.linalg.solve(J.T @ J + precision, gradient)
            for _ in range(12):
                trial = p.copy()
                trial[free] -= step
                then = cost(trial)
                if then < now:
                    break
                step = step / 2
            else:
                return p
            done = now - then < 1e-10 * now
            p, now = trial, then
            if done:
                return p
        return p

    def values(self, p: Float[np.ndarray, "params"], marker: Marker) -> Float[np.ndarray, "rows"]:
        """Return the residuals as one array."""
        with torch.no_grad():
            r = self.residual(torch.from_numpy(p), marker).numpy()
        return np.asarray(r.ravel())

    def jacobian(
        self, p: Float[np.ndarray, "params"], marker: Marker
    ) -> Float[np.ndarray, "rows free"]:
        """Return the derivative of the residuals with respect to the free parameters.

        Each pose gets a copy of the parameters, so that one backward pass a row gives all poses.
        """
        copies = torch.from_numpy(p).expand(len(marker.q), -1).clone().requires_grad_()
        rows = self.residual(copies, marker)
        J = [
            torch.autograd.grad(rows[:, k].sum(), copies, retain_graph=True)[0]
            for k in range(rows.shape[1])
        ]
        found = torch.stack(J, 1).flatten(0, 1).numpy()
        return np.asarray(found[:, self.sigma > 0])

    def fit(
        self, p: Float[np.ndarray, "params"], marker: Marker
    ) -> tuple["_Model", Float[np.ndarray, "params"]]:
        """Return the parameters, and the model with the noise that they leave."""
        model = self
        for _ in range(ROUNDS):
            p = model.solve(p, marker)
            J = model.jacobian(p, marker)
            r = model.values(p, marker).reshape(len(marker.q), -1)
            left = 1 - np.linalg.matrix_rank(J) / J.shape[0]
            kinds = np.array(marker.kinds)
            scale = np.array([np.sqrt((r[:, kinds == k] ** 2).mean() / left) for k in kinds])
            model = replace(model, whiten=model.whiten / np.maximum(scale, 1e-9))
        return model, model.solve(p, marker)

    def distances(
        self, p: Float[np.ndarray, "params"], marker: Marker
    ) -> dict[str, Float[np.ndarray, "pose"]]:
        """Return how far each pose is from what was measured: m, rad or pixels."""
        r = self.values(p, marker).reshape(len(marker.q), -1) / self.whiten
        kinds = np.array(marker.kinds)
        return {
            f"{kind}_{unit}": np.linalg.norm(r[:, kinds == kind], axis=1)
            for kind, unit in KINDS.items()
            if kind in marker.kinds
        }

    def errors(self, p: Float[np.ndarray, "params"], marker: Marker) -> dict[str, float]:
        """Return the root mean squares of the distances."""
        found = self.distances(p, marker)
        return {kind: float(np.sqrt((d**2).mean())) for kind, d in found.items()}


def fit_kinematics(
    scene: Scene,
    joints: Sequence[str],
    train: Marker,
    *,
    heldout: Marker,
    body: str,
    geometry: bool,
    provenance: Mapping[str, Any] | None = None,
) -> CalibrationResult:
    """Identify encoder offsets, and with `geometry` the joints' frames as well.

    Args:
        scene: With the robot as it should be.
        joints: Of the columns of q, in the stage's order; all others are welded at 0.
        train: What was measured, to fit.
        heldout: What was measured, to judge by.
        body: The body that carries the marker.
        geometry: Whether the joints' frames are free.
        provenance: Goes into the result's.

    Returns:
        `JOINT.encoder_offset` and, with `geometry`, `JOINT.frame.x` … `.rz`: the screw that moves
        its frame in the parent, m and rad. Metrics: `heldout` and `nominal` errors, the latter of
        the stage as it is with camera and marker fitted all the same; `rank` of the parameters, and
        `unknown`: what the poses leave open, in words.

    Raises:
        CalibrationError: The joints or the body do not fit the stage, or poses are too few.
    """
    robot, tree = scene.robot, reduce_tree(scene.robot, joints, scene.gravity_mps2)
    if tree.joints != tuple(joints):
        raise CalibrationError(
            f"the joints must be in the stage's order, {', '.join(tree.joints)}; "
            f"found {', '.join(joints)}"
        )
    if not len(heldout.q):
        raise CalibrationError("no pose is held out to judge the calibration by")
    nominal, zero = _stage(scene, tree, train, body)
    nominal, of_stage = nominal.fit(zero, train)
    n = len(joints)
    sigma = nominal.sigma.copy()
    sigma[:n] = OFFSET
    if geometry:
        sigma[n : 7 * n] = np.tile(np.repeat([SHIFT_M, TURN_RAD], 3), n)
    model, p = replace(nominal, sigma=sigma).fit(of_stage, train)
    free = sigma > 0
    J, precision = model.jacobian(p, train), np.diag(1 / sigma[free] ** 2)
    covariance = np.linalg.inv(J.T @ J + precision)
    share = prior_share(J, precision, np.eye(len(precision)))
    rank, open_ones = unknown_directions(
        J * sigma[free], [m for m, f in zip(model.names, free, strict=True) if f]
    )
    reported = 7 * n if geometry else n
    units = _units([robot.joint(j).kind for j in joints])
    start = np.concatenate([model.offsets, np.zeros(6 * n)])
    return CalibrationResult(
        parameters={
            model.names[i]: Parameter(
                value=float(start[i] + p[i]),
                std=float(np.sqrt(covariance[i, i])),
                nominal=float(start[i]),
                unit=units[i],
                method="kinematics",
                identifiable=bool(share[i] < PRIOR_SHARE),
                n=len(train.q),
            )
            for i in range(reported)
        },
        covariance=covariance[:reported, :reported],
        provenance={
            "method": "kinematics",
            "poses": len(train.q),
            "heldout_poses": len(heldout.q),
            "body": body,
            "versions": {name: version(name) for name in ("numpy", "torch")},
            **(provenance or {}),
        },
        metrics={
            "heldout": model.errors(p, heldout),
            "nominal": nominal.errors(of_stage, heldout),
            "train": model.errors(p, train),
            "rank": rank,
            "parameters": int(free.sum()),
            "unknown": open_ones,
        },
    )


def stage_errors(
    scene: Scene, joints: Sequence[str], train: Marker, heldout: Marker, body: str
) -> dict[str, Float[np.ndarray, "pose"]]:
    """Return how far a stage, as it stands, is from each held-out measurement: m, rad or pixels.

    Camera and marker, of which a stage says nothing, are fitted to the training part.
    """
    tree = reduce_tree(scene.robot, joints, scene.gravity_mps2)
    model, zero = _stage(scene, tree, train, body)
    model, p = model.fit(zero, train)
    return model.distances(p, heldout)


def _stage(
    scene: Scene, tree: Tree, marker: Marker, body: str
) -> tuple[_Model, Float[np.ndarray, "params"]]:
    """Return the model of the stage as it is, only camera and marker free, from a first guess."""
    carried = {name: (i, X) for i, group in enumerate(tree.groups) for name, X in group.items()}
    if body not in carried:
        raise CalibrationError(unknown("body", body, carried, where="what the joints move"))
    link, X_LB = carried[body]
    n = len(tree.joints)
    offsets = np.array([scene.robot.joint(j).encoder_offset for j in tree.joints])
    with torch.no_grad():
        X_WL = forward_kinematics(
            tree,
            torch.from_numpy(marker.q),
            torch.from_numpy(offsets),
            torch.zeros((n, 6), dtype=torch.float64),
        )[link]
    X_WC, X_BM = first_guess(marker, X_WL.numpy() @ X_LB)
    place = np.repeat([PLACE_M, PLACE_RAD], 3)
    names = (
        *(f"{j}.encoder_offset" for j in tree.joints),
        *(f"{j}.frame.{part}" for j in tree.joints for part in SCREW),
        *(f"{what}.{part}" for what in ("camera", "marker") for part in SCREW),
    )
    sigma = np.concatenate([np.zeros(7 * n), place, place])
    whiten = np.array([1 / PRECISION[kind] for kind in marker.kinds])
    model = _Model(tree, link, X_LB, offsets, X_WC, X_BM, names, sigma, whiten)
    return model, np.zeros(len(names))


def unknown_directions(
    jacobian: Float[np.ndarray, "rows params"], names: Sequence[str]
) -> tuple[int, list[str]]:
    """Return the rank of a scaled Jacobian, and each combination that it leaves open, in words.

    The null space is brought to reduced echelon form, so that each direction names as few
    parameters as possible.
    """
    _, s, Vt = np.linalg.svd(jacobian, full_matrices=True)
    rank = int((s > NEGLIGIBLE * s[0]).sum())
    null, told = Vt[rank:].copy(), []
    for i in range(len(null)):
        # The largest entry left is the pivot, for a stable elimination.
        row, column = divmod(int(np.abs(null[i:]).argmax()), null.shape[1])
        null[[i, i + row]] = null[[i + row, i]]
        null[i] /= null[i, column]
        others = np.arange(len(null)) != i
        null[others] -= np.outer(null[others, column], null[i])
    for direction in null:
        told.append(_words([names[k] for k in np.flatnonzero(np.abs(direction) > SHARE).tolist()]))
    return rank, sorted(dict.fromkeys(told))


def _words(names: Sequence[str]) -> str:
    """Return what a direction moves; camera and marker as wholes."""
    whole = {"camera": "the camera's pose", "marker": "the marker's pose"}
    parts = list(dict.fromkeys(whole.get(name.split(".")[0], name) for name in names))
    if len(parts) == 1:
        return f"{parts[0]} does not show in what was measured"
    return f"{', '.join(parts[:-1])} and {parts[-1]} cannot be told apart"


def _units(kinds: Sequence[str]) -> list[str]:
    offsets = ["m" if kind == "prismatic" else "rad" for kind in kinds]
    return [*offsets, *(["m"] * 3 + ["rad"] * 3) * len(kinds)]
