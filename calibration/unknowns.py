"""What a fit over rollouts looks for, as one vector of coordinates; and what robots those make.

A coordinate is 0 where the search starts, and its unit is as far as the start may be off; see
`coordinates.Coordinates`. A field that is shared has one coordinate for all joints: a common factor
of stiffness or damping, a common shift of delays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from calibration.contacts import FAR, Touch
from calibration.coordinates import Coordinates
from calibration.inertia import Group, from_pseudo_inertia, rigid_groups, upper_factor
from calibration.result import INERTIAL
from calibration.segments import FITTED
from envs.errors import CalibrationError, unknown
from envs.frames import Pose
from envs.stage.scene import Articulation, Inertial, JointKind
from envs.stage.tree import Tree, inertial_parameters, to_inertial
from envs.world.actuators import ActuatorParameters

NAMES = {
    "coulomb": "friction.coulomb",
    "viscous": "friction.viscous",
    "armature": "armature",
    "stiffness": "drive.stiffness",
    "damping": "drive.damping",
    "delay_s": "delay_s",
}
"""Field of `ActuatorParameters` → field of a joint."""
UNITS: dict[JointKind, tuple[str, ...]] = {
    "revolute": ("N.m", "N.m.s/rad", "kg.m2", "N.m/rad", "N.m.s/rad", "s"),
    "prismatic": ("N", "N.s/m", "kg", "N/m", "N.s/m", "s"),
}
"""Of `FITTED`."""
MATTER = (
    *("scale", "stretch_x", "stretch_y", "stretch_z", "shear_xy", "shear_yz", "shear_xz"),
    *("shift_x", "shift_y", "shift_z"),
)
"""Log-Cholesky coordinates of a rigid group's matter, see `inertia`: physical whatever they are."""
MATTER_SCALE = 0.2
PAYLOAD = {"mass": "kg", "com_x": "m", "com_y": "m", "com_z": "m"}
PAYLOAD_SCALE = np.array([1.0, 0.1, 0.1, 0.1])
"""Of its mass, kg, and of its mass moment, kg·m."""
OTHER_LAW = 1e-3
"""Of Coulomb friction: a step to take slopes by."""
PAYLOAD_START_KG, PAYLOAD_LEAST_KG = 0.2, 1e-3
"""A payload of no mass has no place, so a search starts with some."""


@dataclass(frozen=True)
class Payload:
    """A compact thing that a body holds: a point of mass in that body's frame.

    Attributes:
        body: Name of the body.
        link: Index of the link that carries it.
        X_LB: Pose of the body in the link's frame.
    """

    body: str
    link: int
    X_LB: Pose

    def matter(self, z: Float[np.ndarray, "trial 4"]) -> Float[np.ndarray, "trial 10"]:
        """Return its inertial parameters about the link's frame, from its coordinates."""
        m, moment = np.split(z * PAYLOAD_SCALE, [1], axis=1)
        moment = moment @ self.X_LB[:3, :3].T + m * self.X_LB[:3, 3]
        c = moment / m
        square = (c * c).sum(axis=1)[:, None, None] * np.eye(3) - c[:, :, None] * c[:, None]
        inertia = m[..., None] * square
        upper = inertia[:, [0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2]]
        return np.concatenate([m, moment, upper], axis=1)


class Robots(NamedTuple):
    """What coordinates stand for: robots, one for each trial, and what they touch.

    Attributes:
        drives: Of each trial.
        pi: Inertial parameters of each trial.
        touched: Values of `Unknowns.touch`, of each trial.
    """

    drives: ActuatorParameters
    pi: Float[np.ndarray, "trial link 10"]
    touched: Float[np.ndarray, "trial unknown"]


@dataclass(frozen=True)
class Unknowns:
    """The coordinates of a search.

    Attributes:
        robot: Whose joints they are of.
        tree: Its moving part; its inertias are those without the payload.
        actuators: Values of all that is not searched.
        coordinates: Start and unit of each field of each joint.
        free: The fields of `FITTED` that are searched.
        shared: Those among them that all joints share a coordinate of.
        groups: Rigid groups of bodies whose inertias are searched.
        payload: What is carried, if that is searched.
        touch: What of contact is searched; its coordinates follow the joints'.
    """

    robot: Articulation
    tree: Tree
    actuators: ActuatorParameters
    coordinates: Coordinates
    free: tuple[str, ...] = FITTED
    shared: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    payload: Payload | None = None
    touch: Touch | None = None

    def __post_init__(self) -> None:
        """Refuse unknown fields, and sharing what is not searched."""
        for name in self.free:
            if name not in FITTED:
                raise CalibrationError(unknown("field", name, FITTED, where="a rollout fit"))
        for name in self.shared:
            if name not in self.free:
                raise CalibrationError(unknown("shared field", name, self.free, where="the search"))
        if self.payload is not None and any(g.link == self.payload.link for g in self.groups):
            raise CalibrationError(
                f"a payload on '{self.payload.body}' and the inertias of what carries it are one "
                "and the same to any motion; search one of them"
            )

    @cached_property
    def spread(self) -> Float[np.ndarray, "joint 6 params"]:
        """Which coordinate moves which field of which joint."""
        n, columns = len(self.tree.joints), []
        single = [name for name in self.free if name not in self.shared]
        moves = [([i], name) for i in range(n) for name in FITTED if name in single]
        moves += [(list(range(n)), name) for name in FITTED if name in self.shared]
        for joints, name in moves:
            column = np.zeros((n, len(FITTED)))
            column[joints, FITTED.index(name)] = 1.0
            columns.append(column)
        others = len(MATTER) * len(self.groups) + len(PAYLOAD) * (self.payload is not None)
        others += 0 if self.touch is None else self.touch.size
        columns += [np.zeros((n, len(FITTED)))] * others
        return np.stack(columns, axis=-1)

    @property
    def size(self) -> int:
        """How many coordinates there are."""
        return int(self.spread.shape[-1])

    @property
    def touched(self) -> slice:
        """The coordinates of what is touched."""
        size = 0 if self.touch is None else self.touch.size
        first = self.size - len(PAYLOAD) * (self.payload is not None)
        first -= len(MATTER) * len(self.groups) + size
        return slice(first, first + size)

    def start(self) -> Float[np.ndarray, "params"]:
        """Return where a search starts: nowhere, but for a payload that has some mass."""
        z = np.zeros(self.size)
        if self.payload is not None:
            z[-len(PAYLOAD)] = PAYLOAD_START_KG
        return z

    def bounds(self) -> tuple[Float[np.ndarray, "params"], Float[np.ndarray, "params"]]:
        """Return the lowest and the highest coordinates; a shared one suits all its joints."""
        low, high = self.coordinates.bounds()
        used = self.spread > 0
        lowest = np.where(used, low[..., None], -np.inf).max(axis=(0, 1))
        highest = np.where(used, high[..., None], np.inf).min(axis=(0, 1))
        lowest[self.touched], highest[self.touched] = -FAR, FAR
        if self.payload is not None:
            lowest[-len(PAYLOAD)] = PAYLOAD_LEAST_KG / PAYLOAD_SCALE[0]
        return lowest, highest

    def robots(self, z: Float[np.ndarray, "trial params"]) -> Robots:
        """Return what coordinates stand for."""
        moved = self.coordinates.values(np.einsum("jfp,tp->tjf", self.spread, z))
        own = {
            f.name: np.broadcast_to(getattr(self.actuators, f.name), moved.shape[:2])
            for f in fields(ActuatorParameters)
        }
        found = {name: moved[..., FITTED.index(name)] for name in self.free}
        pi = np.repeat(self.tree.pi[None], len(z), axis=0)
        for group, whole in zip(self.groups, self._wholes(z), strict=True):
            pi[:, group.link] = from_pseudo_inertia(whole @ whole.mT).numpy()
        if self.payload is not None:
            pi[:, self.payload.link] += self.payload.matter(z[:, -len(PAYLOAD) :])
        return Robots(ActuatorParameters(**own | found), pi, self._touched_values(z))

    def other_laws(self, z: Float[np.ndarray, "params"]) -> tuple[Robots, Float[np.ndarray, "law"]]:
        """Return robots with a little of another friction law in one joint each, and how much.

        First Stribeck's excess of each joint, then a friction that differs between the directions.
        """
        n = len(self.tree.joints)
        robots = self.robots(np.repeat(z[None], 2 * n, axis=0))
        drives = robots.drives
        amount = OTHER_LAW * np.maximum(drives.coulomb[0], self.coordinates.scale[:, 0])
        excess, lopsided = drives.stribeck.copy(), drives.torque_offset.copy()
        excess[np.arange(n), np.arange(n)] += amount
        lopsided[n + np.arange(n), np.arange(n)] += amount
        changed = replace(drives, stribeck=excess, torque_offset=lopsided)
        return robots._replace(drives=changed), np.tile(amount, 2)

    def inertials(self, z: Float[np.ndarray, "params"]) -> dict[str, Inertial]:
        """Return the mass properties of all bodies that a search changes, a payload included."""
        found: dict[str, Inertial] = {}
        if self.touch is not None:
            found |= self.touch.inertials(self._touched_values(z[None])[0])
        for group, whole in zip(self.groups, self._wholes(z[None]), strict=True):
            found |= group.inertials(whole[0])
        if self.payload is None:
            return found
        body = next(b for b in self.robot.bodies if b.name == self.payload.body)
        own = inertial_parameters(body.inertial, np.eye(4))
        at_body = replace(self.payload, X_LB=np.eye(4))
        found[body.name] = to_inertial(own + at_body.matter(z[None, -len(PAYLOAD) :])[0])
        return found

    def fields_of_joints(self) -> list[str]:
        """Return "joint.field" of all joints and all of `FITTED`."""
        return [f"{joint}.{NAMES[name]}" for joint in self.tree.joints for name in FITTED]

    def reported(self) -> list[tuple[str, str, float]]:
        """Return name, unit and the stage's value of all that is reported, in `values`' order."""
        rows = [
            (
                f"{joint}.{NAMES[name]}",
                UNITS[self.robot.joint(joint).kind][FITTED.index(name)],
                float(getattr(self.actuators, name)[i]),
            )
            for i, joint in enumerate(self.tree.joints)
            for name in FITTED
            if name in self.free
        ]
        if self.touch is not None:
            touch = self.touch
            rows += zip(touch.names(), touch.units(), touch.nominal().tolist(), strict=True)
        start = self._wholes(np.zeros((1, self.size)))
        for group, whole in zip(self.groups, start, strict=True):
            own = group.bodies(whole[0])[group.heaviest].tolist()
            body = group.names[group.heaviest]
            rows += [
                (f"{body}.inertial.{field}", unit, value)
                for (field, unit), value in zip(INERTIAL.items(), own, strict=True)
            ]
        if self.payload is not None:
            rows += [(f"{self.payload.body}.payload.{k}", u, 0.0) for k, u in PAYLOAD.items()]
        return rows

    def values(self, z: Float[np.ndarray, "params"]) -> Float[np.ndarray, "values"]:
        """Return the values of all that is reported, in SI."""
        drives = self.robots(z[None]).drives
        rows = [
            np.stack([getattr(drives, name)[0] for name in FITTED if name in self.free], axis=-1)
        ]
        rows.append(self._touched_values(z[None]))
        for group, whole in zip(self.groups, self._wholes(z[None]), strict=True):
            rows.append(group.bodies(whole[0])[group.heaviest].numpy())
        if self.payload is not None:
            m, *moment = z[-len(PAYLOAD) :] * PAYLOAD_SCALE
            rows.append(np.array([m, *np.asarray(moment) / m]))
        return np.concatenate([row.ravel() for row in rows])

    def slope(self, z: Float[np.ndarray, "params"]) -> Float[np.ndarray, "values params"]:
        """Return the derivative of the values, by central differences."""
        step = 1e-6
        ahead, behind = (
            np.array([self.values(z + s * e) for e in np.eye(len(z))]).T for s in (step, -step)
        )
        return np.asarray((ahead - behind) / (2 * step))

    def _touched_values(
        self, z: Float[np.ndarray, "trial params"]
    ) -> Float[np.ndarray, "trial unknown"]:
        if self.touch is None:
            return np.zeros((len(z), 0))
        return self.touch.values(z[:, self.touched])

    def _wholes(self, z: Float[np.ndarray, "trial params"]) -> list[torch.Tensor]:
        """Return the factors of each group's pseudo-inertia, of each trial."""
        first = self.size - len(PAYLOAD) * (self.payload is not None)
        first -= len(MATTER) * len(self.groups)
        parts = [
            z[:, first + k * len(MATTER) : first + (k + 1) * len(MATTER)]
            for k in range(len(self.groups))
        ]
        return [
            torch.from_numpy(group.factor) @ upper_factor(torch.from_numpy(MATTER_SCALE * part))
            for group, part in zip(self.groups, parts, strict=True)
        ]


def groups_of(tree: Tree, robot: Articulation, bodies: Sequence[str]) -> tuple[Group, ...]:
    """Return the rigid groups that hold these bodies.

    Raises:
        CalibrationError: A body does not move, or has no mass in its group.
    """
    groups = {name: group for group in rigid_groups(tree, robot) for name in group.names}
    for body in bodies:
        if body not in groups:
            raise CalibrationError(unknown("body", body, groups, where="what moves and has mass"))
    links = {groups[body].link for body in bodies}
    return tuple(g for g in rigid_groups(tree, robot) if g.link in links)


def held_by(tree: Tree, body: str) -> Payload:
    """Return a payload on a body.

    Raises:
        CalibrationError: No moving body has that name.
    """
    moving = {name: i for i, group in enumerate(tree.groups) for name in group}
    if body not in moving:
        raise CalibrationError(unknown("body", body, moving, where="the moving part of the robot"))
    link = moving[body]
    return Payload(body, link, tree.groups[link][body])
