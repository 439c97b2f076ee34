"""What one picture shows: drawn for (seed, index), the same in every process and order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from envs.errors import RecordingError
from envs.frames import Pose
from envs.stage.following import followers
from envs.stage.looks import Light, StageCamera
from envs.stage.scene import Articulation, Scene
from envs.stage.tree import Tree, reduce_tree
from envs.telemetry.trajectory import Trajectory
from envs.world.dynamics import forward_kinematics
from generators.camera import Camera, Lens
from generators.colors import RGB, from_oklch, from_temperature, scaled
from generators.distributions import stream
from generators.environment import Dome, stage_dome
from generators.framing import framed
from generators.lamps import levelled, stage_lamps
from generators.placement import Footing, Hull, Region, footing, place, region_of, robot_hulls
from generators.ranges import Ranges
from generators.shading import Lighting
from generators.sky import TURBIDITY, daylight
from generators.textures import COARSE, COUNT

GOLDEN_RATIO = (np.sqrt(5) - 1) / 2
"""Multiples of it, modulo one, fill an interval evenly however many there are."""

FLOORS = ("floor", "ground")
"""Labels of what everything stands on."""

DEFAULT_CAMERA = StageCamera("camera", "", np.eye(4), 0.0189, (0.020955, 0.0152908), 0.05, 20.0)
"""Its lens is used where a stage has no camera."""


@dataclass(frozen=True)
class Look:
    """How a body is painted.

    Attributes:
        color: Linear RGB in place of its materials' colours; None keeps them.
        tint: Linear RGB that is multiplied in.
        texture: Index of the pattern that is multiplied in, see `textures`.
    """

    color: RGB | None = None
    tint: RGB = (1.0, 1.0, 1.0)
    texture: int | None = None


@dataclass(frozen=True)
class Scenario:
    """All that a renderer is told about one picture.

    Attributes:
        index: Of the picture in its data set.
        t_s: Time in the recording.
        q: Positions of the recorded joints in the order of `Studio.tree`, rad or m.
        poses: Body name → X_WB; a body that is not named is not there.
        looks: Body name → paint; a body that is not named looks as the stage has it.
    """

    index: int
    t_s: float
    q: Float[np.ndarray, "joint"]
    poses: Mapping[str, Pose]
    looks: Mapping[str, Look]
    lighting: Lighting
    camera: Camera


@dataclass(frozen=True)
class Studio:
    """What drawing a scenario takes from a scene, made ready once.

    Attributes:
        scene: Where everything is.
        tree: Its robot with the recorded joints; all others are welded at 0.
        hulls: Of the robot's bodies.
        feet: Object name → how it stands.
        region: Where objects may stand.
        lens: A calibrated one, which is never zoomed; None for that of the stage's camera.
        dome: The stage's picture of what is all around; None where it has none.
        lamps: Of the stage, domes left out.
    """

    scene: Scene
    tree: Tree
    hulls: tuple[Hull, ...]
    feet: Mapping[str, Footing]
    region: Region
    lens: Lens | None = None
    dome: Dome | None = None
    lamps: tuple[Light, ...] = ()


def prepare(scene: Scene, joints: tuple[str, ...], lens: Lens | None = None) -> Studio:
    """Return a scene made ready for drawing scenarios of recordings with these joints."""
    robot = scene.robot
    return Studio(
        scene=scene,
        tree=reduce_tree(robot, joints, scene.gravity_mps2),
        hulls=robot_hulls(robot),
        feet={body.name: footing(body) for body in scene.objects},
        region=region_of(scene),
        lens=lens,
        dome=stage_dome(scene.lights),
        lamps=stage_lamps(scene.lights),
    )


def with_followers(robot: Articulation, trajectory: Trajectory) -> Trajectory:
    """Return the positions of a recording with those of the joints that follow recorded ones.

    A gripper is recorded by one joint, and all of its fingers are to move in the pictures. A
    follower that was recorded itself keeps what was measured.
    """
    found = {
        name: follower
        for name, follower in followers(robot.joints).items()
        if follower.leader in trajectory.joints and name not in trajectory.joints
    }
    columns = [
        f.position(trajectory.q[:, trajectory.joints.index(f.leader)]) for f in found.values()
    ]
    return Trajectory(
        t_s=trajectory.t_s,
        joints=(*trajectory.joints, *found),
        q=np.column_stack([trajectory.q, *columns]),
        valid=trajectory.valid,
    )


def stage_camera(scene: Scene) -> StageCamera:
    """Return the camera whose lens is used: the stage's first, or a usual one."""
    return (*scene.cameras, DEFAULT_CAMERA)[0]


def body_poses(tree: Tree, q: Float[np.ndarray, "joint"]) -> dict[str, Pose]:
    """Return X_WB of all bodies of the robot at joint positions in the tree's order."""
    poses = dict(tree.base)
    for X_WL, group in zip(forward_kinematics(tree, q), tree.groups, strict=True):
        poses |= {name: X_WL @ X_LB for name, X_LB in group.items()}
    return poses


def draw(
    studio: Studio,
    trajectory: Trajectory,
    ranges: Ranges,
    *,
    seed: int,
    index: int,
    size: tuple[int, int],
) -> Scenario:
    """Draw what picture `index` shows.

    Args:
        studio: The scene, made ready.
        trajectory: The recording; only measured samples are shown.
        ranges: How far things vary.
        seed: Of the data set.
        index: Of the picture.
        size: Of the picture, (width, height).
    """
    sample = _sample(trajectory, seed, index)
    columns = [trajectory.joints.index(joint) for joint in studio.tree.joints]
    q = trajectory.q[sample, columns]
    robot = body_poses(studio.tree, q)
    objects = _objects(studio, robot, ranges, stream(seed, index, "objects"))
    poses = robot | objects | {body.name: body.X_WB for body in studio.scene.static}
    points = [h.points @ robot[h.body][:3, :3].T + robot[h.body][:3, 3] for h in studio.hulls]
    points += [X_WB[None, :3, 3] for X_WB in objects.values()]
    camera, target = _camera(
        studio, np.concatenate(points), ranges, stream(seed, index, "camera"), size
    )
    paint = stream(seed, index, "paint")
    floor = from_oklch(paint.uniform(0.55, 0.92), paint.uniform(0.0, 0.03), paint.uniform(0, 360))
    return Scenario(
        index=index,
        t_s=float(trajectory.t_s[sample]),
        q=q,
        poses=poses,
        looks=_looks(studio, ranges, paint, floor),
        lighting=_lighting(studio, ranges, stream(seed, index, "light"), target, floor),
        camera=camera,
    )


def at_another_time(
    studio: Studio, trajectory: Trajectory, shown: Scenario, by_s: float
) -> Scenario:
    """Return what is seen some time later (or earlier): only the robot has moved.

    Args:
        studio: The scene, made ready.
        trajectory: The recording; the measured sample nearest to that time is shown.
        shown: The present.
        by_s: How much later, s.
    """
    measured = np.flatnonzero(trajectory.measured)
    sample = measured[np.abs(trajectory.t_s[measured] - (shown.t_s + by_s)).argmin()]
    q = trajectory.q[sample, [trajectory.joints.index(joint) for joint in studio.tree.joints]]
    poses = dict(shown.poses) | body_poses(studio.tree, q)
    return replace(shown, t_s=float(trajectory.t_s[sample]), q=q, poses=poses)


def _sample(trajectory: Trajectory, seed: int, index: int) -> int:
    """Return which sample is shown: evenly spread over the measured ones, for any number."""
    measured = np.flatnonzero(trajectory.measured)
    if len(measured) == 0:
        raise RecordingError("the recording has no measured sample to be shown")
    start = stream(seed, 0, "recording").random()
    return int(measured[int((start + index * GOLDEN_RATIO) % 1.0 * len(measured))])


def _objects(
    studio: Studio, robot: Mapping[str, Pose], ranges: Ranges, rng: np.random.Generator
) -> dict[str, Pose]:
    """Choose objects and put them down, the widest first, since they find a place less easily."""
    names = [body.name for body in studio.scene.objects]
    count = int(np.clip(round(ranges.object_count.sample(rng)), 0, len(names)))
    chosen = [names[i] for i in rng.permutation(len(names))[:count]]
    chosen.sort(key=lambda name: -studio.feet[name].radius_m)
    low, high = np.radians(ranges.object_azimuth_deg)
    return place(
        studio.feet,
        chosen,
        studio.hulls,
        robot,
        studio.region,
        radius_m=ranges.object_radius_m,
        azimuth_rad=(float(low), float(high)),
        clearance_m=ranges.object_clearance_m,
        rng=rng,
    )


def _camera(
    studio: Studio,
    points: Float[np.ndarray, "n 3"],
    ranges: Ranges,
    rng: np.random.Generator,
    size: tuple[int, int],
) -> tuple[Camera, Float[np.ndarray, "3"]]:
    """Return a camera that has all points in its picture, and the middle of them."""
    azimuth = studio.region.heading_rad + np.radians(ranges.camera_azimuth_deg.sample(rng))
    elevation = np.radians(ranges.camera_elevation_deg.sample(rng))
    zoom = ranges.camera_zoom.sample(rng)
    fill = ranges.camera_fill.sample(rng)
    roll = np.radians(ranges.camera_roll_deg.sample(rng))
    back = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    camera = Camera.from_stage(stage_camera(studio.scene), size, studio.lens)
    if studio.lens is None:
        camera = replace(camera, fx=zoom * camera.fx, fy=zoom * camera.fy)
    # What is left of the picture lets the robot stand off its middle.
    return framed(
        camera,
        points,
        back,
        roll_rad=float(roll),
        fill=fill,
        off_middle=rng.uniform(-0.8, 0.8, 2),
    )


def _lighting(
    studio: Studio,
    ranges: Ranges,
    rng: np.random.Generator,
    target: Float[np.ndarray, "3"],
    floor: RGB,
) -> Lighting:
    """Return a sun, and a sky whose colour leans the other way."""
    azimuth = studio.region.heading_rad + np.radians(ranges.light_azimuth_deg.sample(rng))
    elevation = np.radians(ranges.light_elevation_deg.sample(rng))
    kelvin = ranges.light_temperature_k.sample(rng)
    sky = ranges.light_sky.sample(rng)
    sun = ranges.light_sun.sample(rng)
    white = from_temperature(kelvin)
    # Shade looks blue under a warm lamp and neutral under a cold one.
    shade = from_temperature(float(np.clip(13500 - kelvin, 6000, 9500)))
    backdrop = float(rng.uniform(0.9, 1.3))
    total = sky + 0.6 * sun
    direction = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    dome, turbidity = studio.dome, rng.uniform(*TURBIDITY)
    if rng.random() >= ranges.light_dome_share:
        dome = None
    elif dome is None:
        # The ground gives back the sun's light too, which the picture of the sky leaves out.
        lit = 1 + sun * direction[2] / max(sky, 0.05)
        picture = daylight(direction, turbidity=turbidity, ground=scaled(floor, lit))
        dome = Dome.levelled(picture, np.eye(3))
    penumbra_m = ranges.light_penumbra_m.sample(rng)
    lamps: tuple[Light, ...] = ()
    if studio.lamps and rng.random() < ranges.light_lamp_share:
        lamps = levelled(studio.lamps, target, sun)
    return Lighting(
        direction_W=direction,
        sun=scaled(white, sun),
        sky=scaled(shade, sky),
        ground=scaled(white, 0.45 * sky),
        backdrop=scaled(floor, backdrop * total),
        penumbra_m=penumbra_m,
        focus_W=target,
        dome=dome,
        lamps=lamps,
    )


def _looks(studio: Studio, ranges: Ranges, rng: np.random.Generator, floor: RGB) -> dict[str, Look]:
    """Paint the robot nearly white, the surroundings calmly, the objects in clear colours."""
    scene = studio.scene

    def pattern(numbers: Sequence[int] = range(COUNT)) -> int | None:
        number = int(rng.choice(numbers))
        return number if rng.random() < ranges.texture_share else None

    tint = from_oklch(
        ranges.robot_lightness.sample(rng), rng.uniform(0.0, 0.02), rng.uniform(0, 360)
    )
    looks = {body.name: Look(tint=tint) for body in scene.robot.bodies}
    ground = Look(color=floor, texture=pattern(COARSE))
    top = Look(color=_table(rng), texture=pattern())
    looks |= {body.name: ground for body in scene.static if body.label in FLOORS}
    looks |= dict.fromkeys(studio.region.tops, top)
    # Hues go around the circle, so that no two objects of a picture look alike.
    hue, step = rng.uniform(0, 360), 360 / max(len(scene.objects), 1)
    order = rng.permutation(len(scene.objects))
    for turn, body in zip(order, scene.objects, strict=True):
        looks[body.name] = Look(color=_vivid(rng, hue + step * turn), texture=pattern())
    return looks


def _table(rng: np.random.Generator) -> RGB:
    """Wood, slate or plain: browns, greys, off-whites."""
    if rng.random() < 0.5:
        return from_oklch(rng.uniform(0.5, 0.8), rng.uniform(0.03, 0.08), rng.uniform(50, 85))
    return from_oklch(rng.uniform(0.35, 0.92), rng.uniform(0.0, 0.03), rng.uniform(0, 360))


def _vivid(rng: np.random.Generator, hue_deg: float) -> RGB:
    """A clear colour; one in six is nearly grey."""
    chroma = rng.uniform(0.0, 0.03) if rng.random() < 1 / 6 else rng.uniform(0.09, 0.17)
    return from_oklch(rng.uniform(0.5, 0.78), chroma, hue_deg + rng.uniform(-12, 12))
