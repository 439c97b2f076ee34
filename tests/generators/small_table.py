"""A little scene for pictures: a two-joint arm on a table with four objects, and its recording."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from omegaconf import OmegaConf

from envs.frames import Pose, pose
from envs.stage.looks import Material, StageCamera
from envs.stage.scene import MASSLESS, Articulation, Body, Joint, Mesh, Scene, Shape, ShapeKind
from envs.telemetry.trajectory import Trajectory
from generators.camera import look_at
from generators.ranges import Ranges

ROOT = Path(__file__).resolve().parents[2]
RANGES_FILE = ROOT / "conf" / "randomization" / "tabletop.yaml"


def at(x: float, y: float, z: float) -> Pose:
    return pose(np.eye(3), np.array([x, y, z]))


def shape(
    name: str,
    kind: ShapeKind,
    size: tuple[float, ...],
    color: tuple[float, float, float] = (0.5, 0.5, 0.5),
    X_BS: Pose | None = None,
) -> Shape:
    return Shape(
        f"/{name}", kind, np.eye(4) if X_BS is None else X_BS, size, None, Material(name, color)
    )


def body(name: str, label: str, X_WB: Pose, *shapes: Shape) -> Body:
    return Body(name, f"/{name}", X_WB, MASSLESS, shapes, shapes, label)


def wedge() -> Mesh:
    """A roof without normals: 8 cm long, 6 cm wide, 5 cm high."""
    x, y, z = 0.04, 0.03, 0.05
    vertices = [[-x, -y, 0], [x, -y, 0], [0, -y, z], [-x, y, 0], [x, y, 0], [0, y, z]]
    faces = [[0, 1, 2], [3, 5, 4], [0, 3, 4], [0, 4, 1], [1, 4, 5], [1, 5, 2], [2, 5, 3], [2, 3, 0]]
    return Mesh(np.array(vertices, float), np.array(faces))


def hinge(name: str, parent: str, child: str, X_PJ: Pose) -> Joint:
    axis = np.array([0.0, 1.0, 0.0])
    return Joint(name, f"/{name}", "revolute", parent, child, X_PJ, np.eye(4), axis, -2.0, 2.0)


def robot() -> Articulation:
    white = (0.8, 0.8, 0.8)
    base = shape("base", "cylinder", (0.07, 0.1), white, at(0, 0, 0.05))
    upper = shape("upper", "capsule", (0.04, 0.25), white, at(0, 0, 0.15))
    lower = shape("lower", "box", (0.06, 0.06, 0.25), (0.2, 0.2, 0.25), at(0, 0, 0.14))
    tool = shape("tool", "sphere", (0.035,), (0.8, 0.3, 0.1), at(0, 0, 0.03))
    bodies = tuple(
        body(name, "robot", np.eye(4), part)
        for name, part in [("base", base), ("upper", upper), ("lower", lower), ("tool", tool)]
    )
    joints = (
        hinge("shoulder", "base", "upper", at(0, 0, 0.1)),
        hinge("elbow", "upper", "lower", at(0, 0, 0.3)),
        Joint(
            "mount", "/mount", "fixed", "lower", "tool", at(0, 0, 0.27), np.eye(4),
            np.array([0.0, 0.0, 1.0]),
        ),
    )  # fmt: skip
    return Articulation("arm", "/arm", bodies, joints, fixed_base=True)


def scene() -> Scene:
    roof = Shape("/roof", "mesh", np.eye(4), (), wedge(), Material("roof", (0.05, 0.4, 0.45)))
    objects = (
        body(
            "cube", "cube", at(0.3, 0.2, 0.03), shape("cube", "box", (0.06,) * 3, (0.7, 0.1, 0.1))
        ),
        body("ball", "ball", at(0.4, 0, 0.04), shape("ball", "sphere", (0.04,), (0.8, 0.5, 0.1))),
        body("can", "can", at(0.3, -0.2, 0.05), shape("can", "cylinder", (0.03, 0.1))),
        body("roof", "roof", at(0.45, 0.25, 0.0), roof),
    )
    static = (
        body("floor", "floor", at(0, 0, -0.7), shape("floor", "box", (6.0, 6.0, 0.1))),
        body("top", "table", at(0.3, 0, -0.02), shape("top", "box", (1.0, 1.2, 0.04))),
        body("leg", "table", at(0.74, -0.54, -0.345), shape("leg", "box", (0.1, 0.1, 0.61))),
    )
    camera = StageCamera(
        "camera", "/camera",
        look_at(np.array([1.2, -0.7, 0.7]), np.array([0.2, 0, 0.2])),
        0.01 / float(np.tan(np.radians(25))), (0.02, 0.015), near_m=0.05, far_m=10.0,
    )  # fmt: skip
    return Scene((robot(),), objects, static, (), (camera,), np.array([0.0, 0.0, -9.81]))


def recording() -> Trajectory:
    """Ten seconds at 100 Hz; the fourth second was not measured."""
    t_s = np.arange(1000) * 0.01
    q: Float[np.ndarray, "time 2"] = np.stack(
        [0.9 * np.sin(1.3 * t_s), 0.6 + 0.9 * np.sin(2.1 * t_s + 1)], axis=1
    )
    # The order of the columns is not that of the stage.
    valid = (t_s < 3) | (t_s >= 4)
    return Trajectory(t_s, ("elbow", "shoulder"), q[:, ::-1].copy(), valid=valid)


def ranges() -> Ranges:
    """What the command line uses."""
    bounds = OmegaConf.to_container(OmegaConf.load(RANGES_FILE))
    assert isinstance(bounds, dict)
    return Ranges.from_bounds(
        {
            str(key): [float(v) for v in value] if isinstance(value, list) else value
            for key, value in bounds.items()
        }
    )
