"""A stage held open, and samples of joint values in its session layer.

A layer on disk is for what was identified. What is drawn anew for each frame goes to the anonymous
session layer, which is stronger than all others, and is never saved.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import StageError, unknown
from envs.stage.attributes import EXACT, TWIN, read_exact
from envs.stage.identified import OVERRIDABLE, joint_attribute
from envs.stage.joints import SIGNED
from envs.stage.opening import open_stage
from envs.stage.reader import read_stage
from envs.stage.scene import Articulation, Drive, Joint, Scene
from envs.stage.units import read_units


class StageSession:
    """A stage with one articulation whose joint values can be sampled.

    Args:
        path: The stage's root layer.

    Raises:
        StageError: See `reader.read_stage`; or there is not exactly one articulation.
    """

    def __init__(self, path: Path) -> None:
        from pxr import Sdf

        self._stage = open_stage(path)
        self._nominal = read_stage(path)
        self._robot = self._nominal.robot
        self._units = read_units(self._stage, str(path))
        self._layer = Sdf.Layer.CreateAnonymous("sample.usda")
        self._stage.GetSessionLayer().subLayerPaths.append(self._layer.identifier)
        self._index = {joint.name: i for i, joint in enumerate(self._robot.joints)}
        self._specs: dict[tuple[str, str], Any] = {}

    def sample(self, joints: Mapping[str, Mapping[str, float]]) -> Scene:
        """Put values into the session layer and return the scene that the stage now tells.

        Earlier samples are gone: what is not given is nominal.

        Args:
            joints: Joint name → field (one of `identified.OVERRIDABLE`) → value in SI.

        Raises:
            StageError: A joint or a field is not there, or a value is not finite or negative.
        """
        from pxr import Sdf

        wanted = [
            (self._joint(name), field, *self._attribute(name, field, value))
            for name, fields in joints.items()
            for field, value in fields.items()
        ]
        with Sdf.ChangeBlock():
            for spec in self._specs.values():
                spec.ClearDefaultValue()
            for joint, _, name, number, _ in wanted:
                self._write(joint, name, number)
        changed = list(self._robot.joints)
        for joint, field, name, _, factor in wanted:
            i = self._index[joint.name]
            read = read_exact(self._stage.GetPrimAtPath(joint.prim), name)
            assert read is not None, "just written"
            changed[i] = _updated(changed[i], field, float(read) * factor)
        robot: Articulation = replace(self._robot, joints=tuple(changed))
        return replace(self._nominal, articulations=(robot,))

    def _joint(self, name: str) -> Joint:
        if name not in self._index:
            return self._robot.joint(name)  # which says what there is
        return self._robot.joints[self._index[name]]

    def _attribute(self, name: str, field: str, value: float) -> tuple[str, float, float]:
        """Return the attribute to write, the number in its unit, and the factor back to SI."""
        if field not in OVERRIDABLE:
            raise StageError(unknown("field", field, OVERRIDABLE, where="what can be sampled"))
        if not np.isfinite(value) or (value < 0 and field not in SIGNED):
            raise StageError(
                f"{field} of joint '{name}' must be a finite number of 0 or more, not {value}"
            )
        attribute, factor = joint_attribute(self._joint(name), field, self._units)
        return attribute, float(value) / factor, factor

    def _write(self, joint: Joint, name: str, number: float) -> None:
        own = name.startswith(TWIN)
        self._spec(joint, name, exact=own).default = number
        if not own:
            self._spec(joint, EXACT + name, exact=True).default = number

    def _spec(self, joint: Joint, name: str, *, exact: bool) -> Any:
        from pxr import Sdf

        key = (joint.prim, name)
        if key not in self._specs:
            prim = Sdf.CreatePrimInLayer(self._layer, joint.prim)
            types = Sdf.ValueTypeNames
            self._specs[key] = Sdf.AttributeSpec(prim, name, types.Double if exact else types.Float)
        return self._specs[key]


def _updated(joint: Joint, field: str, value: float) -> Joint:
    group, _, part = field.partition(".")
    if group == "friction":
        return replace(joint, friction=replace(joint.friction, **{part: value}))
    if group == "drive":
        drive = joint.drive or Drive(0.0, 0.0, joint.effort_limit)
        return replace(joint, drive=replace(drive, **{part: value}))
    if group == "servo":
        assert joint.servo is not None, "checked by joint_attribute"
        return replace(joint, servo=replace(joint.servo, **{part: value}))
    changes: dict[str, Any] = {field: value}
    return replace(joint, **changes)
