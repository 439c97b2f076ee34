"""What of a stage no picture will show."""

from envs.stage.scene import Scene
from generators.lamps import MOST, stage_lamps
from generators.renderer import parts_of


def left_out(scene: Scene) -> list[str]:
    """Return what the renderer leaves out of a stage, a line each.

    Raises:
        StageError: The image of a lamp cannot be read.
    """
    lines = []
    lamps = len(stage_lamps(scene.lights))
    if lamps > MOST:
        lines.append(f"the stage has {lamps} lamps: the {MOST} that light a picture most are taken")
    materials = {shape.material for part in parts_of(scene) for shape in part.body.visuals}
    clear = sorted(m.name for m in materials if m and (m.opacity < 1 or m.opacity_texture))
    if clear:
        lines.append(f"drawn solid, though not opaque: {', '.join(clear)}")
    return lines
