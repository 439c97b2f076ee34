"""Tiny hand-written stages: the pieces that the tests put together."""

from pathlib import Path

from envs.stage.reader import read_stage
from envs.stage.scene import Scene

HEADER = """#usda 1.0
(
    defaultPrim = "World"
    metersPerUnit = {length}
    kilogramsPerUnit = {mass}
    upAxis = "{up}"
)
"""


def read(
    folder: Path, body: str, *, length: float = 1.0, mass: float = 1.0, up: str = "Z"
) -> Scene:
    file = folder / f"stage_{len(list(folder.iterdir()))}.usda"
    # USD wants a line's end before a closing brace; the stages below read better without.
    file.write_text(HEADER.format(length=length, mass=mass, up=up) + body.replace("}", "\n}\n"))
    return read_stage(file)


def rigid(name: str, content: str = "", schemas: str = "", metadata: str = "") -> str:
    return f"""
    def Xform "{name}" (
        prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"{schemas}]{metadata}
    )
    {{
        float physics:mass = 2
        float3 physics:diagonalInertia = (0.1, 0.2, 0.3)
        {content}
    }}
"""


def joint(content: str, kind: str = "Revolute", schemas: str = "") -> str:
    return f"""
    def Physics{kind}Joint "joint" (prepend apiSchemas = ["PhysxJointAPI"{schemas}]) {{
        {content}
    }}
"""


FIXED = 'def PhysicsFixedJoint "base" { rel physics:body1 = </World/a> }'
BOTH = "rel physics:body0 = </World/a>\n rel physics:body1 = </World/b>\n"


def world(content: str) -> str:
    return f'def Xform "World" {{\n{content}\n}}\n'
