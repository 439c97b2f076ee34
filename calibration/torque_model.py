"""The torque model of an arm: which numbers are identified, and what torque they give."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.linalg import block_diag
from torch import Tensor

from calibration.drive_gain import Gains
from calibration.inertia import (
    Group,
    factor,
    from_pseudo_inertia,
    jacobian,
    tangent,
    upper_factor,
)
from calibration.regression import (
    STRIBECK_NODES,
    bodies_end,
    first_node,
    stribeck_weights,
)
from calibration.result import INERTIAL
from envs.stage.scene import Articulation, Friction, Inertial, Joint
from envs.stage.tree import Tree
from envs.telemetry.filtering import Motion, lowpass
from envs.world.dynamics import TreeDynamics
from envs.world.sensing import reading, sensor_torque

# Share of the way to the edge of what is feasible that one step may go.
MOST_OF_THE_WAY = 0.95

FIELDS = (
    ("armature", "kg.m2", "kg"),
    ("friction.coulomb", "N.m", "N"),
    ("friction.viscous", "N.m.s/rad", "N.s/m"),
    ("torque_offset", "N.m", "N"),
    ("spring", "N.m/rad", "N/m"),
    ("torque_lag_s", "s", "s"),
    ("friction.asymmetry", "N.m.s/rad", "N.s/m"),
    ("friction.load", "", ""),
    ("friction.stribeck", "N.m", "N"),
    ("friction.stribeck_velocity", "rad/s", "m/s"),
)
"""What is identified of each joint, in the order of the parameters; unit if it turns, if slides."""


OF_TORQUE = np.array(["N" in unit or "kg" in unit for _, unit, _ in FIELDS])
"""Which of FIELDS are a torque over something, and so grow with the drive gain."""


def field_values(joints: Sequence[Joint]) -> Float[np.ndarray, "field joint"]:
    """Return what joints have of FIELDS."""
    return np.array([[attrgetter(name)(j) for j in joints] for name, *_ in FIELDS], float)


@dataclass(frozen=True)
class TorqueModel:
    """How parameters p become coefficients of the regression, and values to report.

    p holds the inertial parameters π of each group (10 each), then FIELDS, one block of a number a
    joint after the other, the Stribeck velocity as its logarithm. A step, and what is uncertain, is
    told in local coordinates: for each group the log-Cholesky coordinates about its present π, and
    for all the rest the differences themselves.

    Where currents were measured, what is fitted as torque is the current times its nominal gain.
    FIELDS are then in these units, π in the true ones, and p ends with the logarithms of true over
    nominal gain, by which the bodies' torque is divided: no unit of FIELDS' priors can bend a gain.
    """

    tree: Tree
    groups: tuple[Group, ...]
    gains: Gains | None = None

    def split(
        self, p: Float[np.ndarray, "params"]
    ) -> tuple[Float[np.ndarray, "group 10"], Float[np.ndarray, "field joint"]]:
        """Return the groups' inertial parameters, and FIELDS' blocks."""
        size, n = 10 * len(self.groups), len(self.tree.joints)
        end = size + n * len(FIELDS)
        return p[:size].reshape(-1, 10), p[size:end].reshape(len(FIELDS), -1)

    def ratios(self, p: Float[np.ndarray, "params"]) -> Float[np.ndarray, "joint"]:
        """Return each joint's drive gain over its nominal one; 1 where torque was measured."""
        n = len(self.tree.joints)
        return np.ones(n) if self.gains is None else np.exp(p[-n:])

    def _units(self, p: Float[np.ndarray, "params"]) -> Float[np.ndarray, "field joint"]:
        """Return what FIELDS as fitted are multiplied by to be the joint's own."""
        return np.where(OF_TORQUE[:, None], self.ratios(p), 1.0)

    def link_parameters(self, p: Float[np.ndarray, "params"]) -> Float[np.ndarray, "joint 10"]:
        """Return the inertial parameters of all links."""
        pi = np.zeros((len(self.tree.joints), 10))
        pi[[group.link for group in self.groups]] = self.split(p)[0]
        return pi

    def coefficients(self, p: Float[np.ndarray, "params"]) -> Float[np.ndarray, "coefficients"]:
        """Return the coefficients in `Regression`'s order."""
        *linear, stribeck, log_velocity = self.split(p)[1]
        nodes = stribeck[:, None] * stribeck_weights(log_velocity)
        bodies = self.link_parameters(p).ravel()
        if self.gains is not None:
            bodies = np.outer(1 / self.ratios(p), bodies).ravel()
        return np.concatenate([bodies, *linear, nodes.ravel()])

    def derivative(
        self, p: Float[np.ndarray, "params"]
    ) -> Float[np.ndarray, "coefficients params"]:
        """Return the derivative of the coefficients with respect to the local coordinates."""
        *_, stribeck, log_velocity = self.split(p)[1]
        groups, n = len(self.groups), len(self.tree.joints)
        by_joint = self.gains is not None
        D = np.zeros((first_node(n, by_joint=by_joint) + STRIBECK_NODES * n, len(p)))
        ratios = self.ratios(p) if by_joint else np.ones(1)
        pairs = list(zip(self.groups, self.inertia_basis(p), strict=True))
        for j, ratio in enumerate(ratios):
            for g, (group, basis) in enumerate(pairs):
                start = 10 * (n * j + group.link)
                D[start : start + 10, 10 * g : 10 * g + 10] = basis / ratio
            if by_joint:
                bodies = self.link_parameters(p).ravel()
                D[10 * n * j : 10 * n * (j + 1), len(p) - n + j] = -bodies / ratio
        linear = np.arange((len(FIELDS) - 2) * n)
        D[bodies_end(n, by_joint=by_joint) + linear, 10 * groups + linear] = 1.0
        excess = 10 * groups + len(linear)
        weights, slopes = stribeck_weights(log_velocity), stribeck_weights(log_velocity, slope=True)
        for j in range(n):
            start = first_node(n, by_joint=by_joint) + j * STRIBECK_NODES
            nodes = slice(start, start + STRIBECK_NODES)
            D[nodes, excess + j] = weights[j]
            D[nodes, excess + n + j] = stribeck[j] * slopes[j]
        return D

    def enters(self, joint: int) -> Int[np.ndarray, "entering"]:
        """Return which parameters a joint's torque depends on: of what it carries, its own last."""
        carried = [g for g, group in enumerate(self.groups) if self._carries(joint, group.link)]
        links = np.add.outer(10 * np.array(carried, int), np.arange(10)).ravel()
        first, n = 10 * len(self.groups), len(self.tree.joints)
        own = first + n * np.arange(len(FIELDS)) + joint
        gain = [] if self.gains is None else [first + n * len(FIELDS) + joint]
        return np.concatenate([links, np.array(gain, int), own])

    def _carries(self, joint: int, link: int) -> bool:
        while link > joint:
            link = int(self.tree.parent[link])
        return link == joint

    def inertia_basis(self, p: Float[np.ndarray, "params"]) -> Float[np.ndarray, "group 10 10"]:
        """Return the derivative of each group's π with respect to its local coordinates."""
        L = factor(self.split(p)[0])[:, None]
        J = L @ tangent() @ L.swapaxes(-1, -2)
        return np.asarray(from_pseudo_inertia(torch.from_numpy(J)).mT.numpy())

    def move(
        self, p: Float[np.ndarray, "params"], step: Float[np.ndarray, "params"]
    ) -> Float[np.ndarray, "params"]:
        """Return p moved along a local step, or as far along it as all links stay feasible.

        π moves on a straight line, along which the cost is convex, and not on the curve of U.
        """
        size = 10 * len(self.groups)
        theta = step[:size].reshape(-1, 10)
        # J + ΔJ = L (1 + Σ θ_k S_k) Lᵀ stays positive definite while no eigenvalue reaches −1.
        least = np.linalg.eigvalsh(np.tensordot(theta, tangent(), 1)).min()
        fraction = min(1.0, MOST_OF_THE_WAY / -least) if least < 0 else 1.0
        change = (self.inertia_basis(p) @ theta[..., None]).ravel()
        return p + fraction * np.concatenate([change, step[size:]])

    def values(
        self, p: Float[np.ndarray, "params"]
    ) -> tuple[Float[np.ndarray, "values"], Float[np.ndarray, "values params"]]:
        """Return the numbers to report (ten a group, FIELDS, gains), and their local derivative."""
        pi, blocks = self.split(p)
        units = self._units(p).ravel()
        fields = np.concatenate([blocks[:-1].ravel(), np.exp(blocks[-1])]) * units
        scale = units.copy()
        scale[-blocks.shape[1] :] = fields[-blocks.shape[1] :]
        bodies, derivatives = [], []
        for group, L in zip(self.groups, torch.from_numpy(factor(pi)), strict=True):

            def heaviest(
                theta: Float[Tensor, "10"], group: Group = group, L: Tensor = L
            ) -> Float[Tensor, "10"]:
                return group.bodies(L @ upper_factor(theta))[group.heaviest]

            here = torch.zeros(10, dtype=torch.float64)
            bodies.append(heaviest(here).numpy())
            derivatives.append(jacobian(heaviest, here))
        if self.gains is None:
            return np.concatenate([*bodies, fields]), block_diag(*derivatives, np.diag(scale))
        gains, n = self.gains.nominal * self.ratios(p), len(self.tree.joints)
        derivative = block_diag(*derivatives, np.diag(scale), np.diag(gains))
        rows = 10 * len(self.groups) + np.arange(len(fields))
        grows = np.where(np.repeat(OF_TORQUE, n), fields, 0.0)
        derivative[rows, len(p) - n + np.arange(len(fields)) % n] = grows
        return np.concatenate([*bodies, fields, gains]), derivative

    def inertials(self, p: Float[np.ndarray, "params"]) -> dict[str, Inertial]:
        """Return the mass properties of all bodies that change."""
        factors = torch.from_numpy(factor(self.split(p)[0]))
        pairs = zip(self.groups, factors, strict=True)
        return {name: i for group, L in pairs for name, i in group.inertials(L).items()}

    def names(self) -> list[tuple[str, str]]:
        """Return name and unit of each of `values`."""
        bodies = [group.names[group.heaviest] for group in self.groups]
        inertial = [
            (f"{body}.inertial.{field}", unit)
            for body in bodies
            for field, unit in INERTIAL.items()
        ]
        joints = zip(self.tree.joints, self.tree.prismatic, strict=True)
        units = [(joint, 2 if slides else 1) for joint, slides in joints]
        fields = (*FIELDS, ("drive_gain", "N.m/A", "N.A-1")) if self.gains is not None else FIELDS
        return inertial + [
            (f"{joint}.{field[0]}", field[unit]) for field in fields for joint, unit in units
        ]

    def nominal(self, robot: Articulation, joints: Sequence[Joint]) -> list[float]:
        """Return what the stage says for each of `values`."""
        inertials = {body.name: body.inertial for body in robot.bodies}
        numbers = []
        for group in self.groups:
            inertial = inertials[group.names[group.heaviest]]
            moment = inertial.inertia_kgm2[[0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2]]
            numbers += [inertial.mass_kg, *inertial.com_m.tolist(), *moment.tolist()]
        rows = field_values(joints)
        gains = [] if self.gains is None else self.gains.nominal.tolist()
        return [*numbers, *rows.ravel().tolist(), *gains]

    def fitted(
        self, p: Float[np.ndarray, "params"], joints: Sequence[Joint]
    ) -> tuple[Tree, list[Joint]]:
        """Return the tree and its joints with the identified numbers in them."""
        blocks = self.split(p)[1]
        rows = (np.array([*blocks[:-1], np.exp(blocks[-1])]) * self._units(p)).T.tolist()
        names = [name for name, *_ in FIELDS]
        changed = []
        for joint, row in zip(joints, rows, strict=True):
            of = dict(zip(names, row, strict=True))
            friction = {k.split(".")[1]: of.pop(k) for k in names if k.startswith("friction.")}
            changed.append(replace(joint, friction=Friction(**friction), **of))
        return replace(self.tree, pi=self.link_parameters(p)), changed


def model_torque(
    tree: Tree, joints: Sequence[Joint], motion: Motion, cutoff_hz: float
) -> Float[np.ndarray, "time joint"]:
    """Return the torque that a model needs for a motion, low-passed like the measured one.

    Args:
        tree: Inertias.
        joints: All else, in the tree's order.
        motion: Low-passed at `cutoff_hz`.
        cutoff_hz: Of the filter.
    """
    dt_s = float(motion.t_s[1] - motion.t_s[0])
    tau = sensor_torque(tree, joints, motion.q, motion.qd, motion.qdd, dt_s)
    return lowpass(tau, dt_s, cutoff_hz)


def torque_near(
    tree: Tree,
    joints: Sequence[Joint],
    motion: Motion,
    cutoff_hz: float,
    lags_s: Float[np.ndarray, "joint"],
) -> tuple[Float[np.ndarray, "time joint"], Float[np.ndarray, "time joint"]]:
    """Return a model's low-passed torque, late by the mean of two lags, and its bodies' part.

    Args:
        tree: Inertias.
        joints: All else, in the tree's order.
        motion: Low-passed at `cutoff_hz`.
        cutoff_hz: Of the filter.
        lags_s: Between these and the sensors' lags the torque is half way.
    """
    half = [
        replace(joint, torque_lag_s=(joint.torque_lag_s + float(lag_s)) / 2)
        for joint, lag_s in zip(joints, lags_s, strict=True)
    ]
    bodies = TreeDynamics(tree).inverse_dynamics(motion.q, motion.qd, motion.qdd)
    dt_s = float(motion.t_s[1] - motion.t_s[0])
    tau = reading(bodies, half, motion.q, motion.qd, motion.qdd, dt_s)
    return lowpass(tau, dt_s, cutoff_hz), bodies
