"""Where a value of a stage comes from: every layer that has an opinion of it, strongest first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.errors import StageError, unknown
from envs.stage.attributes import CUSTOM_DATA, JOINT_FIELDS, authored
from envs.stage.opening import open_stage
from envs.stage.reader import read_stage
from envs.stage.scene import Scene


@dataclass(frozen=True)
class Opinion:
    """What one layer says of an attribute.

    Attributes:
        layer: The layer's file.
        attribute: The attribute that it speaks through.
        value: In the attribute's unit.
        about: What a calibration noted beside it: standard_deviation (in the attribute's unit),
            method, n.
        layer_about: What the layer notes of itself: hashes, versions, date.
    """

    layer: Path
    attribute: str
    value: Any
    about: dict[str, Any]
    layer_about: dict[str, Any]


def joint_opinions(stage: Path, joint: str, field: str) -> tuple[Opinion, ...]:
    """Return who says what of a joint's field; the first one is in force.

    Opinions through the attribute of a schema that is read first come first (newton before physx
    and so on), and among these the stronger layer's.

    Args:
        stage: The stage's root layer, with one articulation.
        joint: The joint's name.
        field: A key of `attributes.JOINT_FIELDS`.

    Raises:
        StageError: The stage cannot be read, or has no such joint; or there is no such field.
    """
    if field not in JOINT_FIELDS:
        raise StageError(unknown("field", field, JOINT_FIELDS, where="a joint"))
    found = read_stage(stage).robot.joint(joint)
    usd = open_stage(stage)
    prim = usd.GetPrimAtPath(found.prim)
    opinions = []
    for candidate in JOINT_FIELDS[field]:
        name = candidate.attribute.format(dof=found.dof)
        if authored(prim, name) is None:
            continue
        for spec in prim.GetAttribute(name).GetPropertyStack():
            if not spec.HasInfo("default"):
                continue
            opinions.append(
                Opinion(
                    Path(spec.layer.realPath),
                    name,
                    spec.default,
                    dict(spec.customData.get(CUSTOM_DATA, {})),
                    dict(spec.layer.customLayerData.get(CUSTOM_DATA, {})),
                )
            )
    return tuple(opinions)


def speaking_layers(stage: Path, scene: Scene) -> dict[str, dict[str, str]]:
    """Return whose value is in force: joint → field → file name of the strongest layer.

    Fields of which nothing is authored are left out.

    Args:
        stage: The stage's root layer.
        scene: What was read from it.
    """
    usd = open_stage(stage)
    found: dict[str, dict[str, str]] = {}
    for joint in (j for robot in scene.articulations for j in robot.joints):
        prim = usd.GetPrimAtPath(joint.prim)
        for field, candidates in JOINT_FIELDS.items() if joint.kind != "fixed" else ():
            names = (c.attribute.format(dof=joint.dof) for c in candidates)
            name = next((n for n in names if authored(prim, n) is not None), None)
            if name is not None:
                strongest = prim.GetAttribute(name).GetPropertyStack()[0]
                found.setdefault(joint.name, {})[field] = strongest.layer.GetDisplayName()
    return found
