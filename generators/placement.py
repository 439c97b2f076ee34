"""Objects on the table: where they may stand without touching the robot or one another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.spatial import ConvexHull

from envs.frames import Pose, axis_angle, inverse, pose
from envs.stage.scene import Articulation, Body, Scene
from envs.world.primitives import to_mesh

Point2 = Float[np.ndarray, "2"]

SAMPLE_SPACING_M = 0.01
"""Longest edge between the points that stand for an object's surface; of a large one, a thirtieth
of its size."""

TRIES = 60
"""Places that are tried for one object before the picture goes without it."""


@dataclass(frozen=True)
class Hull:
    """The convex hull of a shape, in the frame of its body.

    Attributes:
        body: Name of the body.
        points: Its corners, m.
        normals: Outward unit normals of its faces.
        offsets: A point x is inside where normals @ x ≤ offsets, m.
    """

    body: str
    points: Float[np.ndarray, "p 3"]
    normals: Float[np.ndarray, "f 3"]
    offsets: Float[np.ndarray, "f"]


@dataclass(frozen=True)
class Footing:
    """How an object stands: upright as the stage has it.

    Attributes:
        R_WB: Its authored orientation, to be turned about the world's z.
        samples: Points that cover the surface of its convex hull, and the centre, in the body, m.
        spacing_m: No point of that surface is farther than this from a sample.
        centre: Middle of its footprint in the body's axes turned by R_WB, m.
        radius_m: Of the circle about that middle which holds the whole object, seen from above.
        drop_m: Height of the body's origin over the ground.
    """

    R_WB: Float[np.ndarray, "3 3"]
    samples: Float[np.ndarray, "s 3"]
    spacing_m: float
    centre: Point2
    radius_m: float
    drop_m: float


@dataclass(frozen=True)
class Region:
    """Where objects may stand: a part of a ring around the robot, on a table.

    Attributes:
        tops: Names of the bodies that are the table's top.
        height_m: Of the table top.
        low: Corner of the table in x and y, m; −inf where there is no table.
        high: Its other corner.
        origin: The middle of the ring, in x and y, m.
        heading_rad: Direction in which the robot faces, about z.
    """

    tops: tuple[str, ...]
    height_m: float
    low: Point2
    high: Point2
    origin: Point2
    heading_rad: float


def robot_hulls(robot: Articulation) -> tuple[Hull, ...]:
    """Return the convex hulls of all that is seen or collides of a robot."""
    return tuple(
        hull
        for body in robot.bodies
        for shape in (*body.visuals, *body.colliders)
        for hull in [_hull(body.name, _corners(shape.X_BS, to_mesh(shape).vertices))]
        if hull is not None
    )


def footing(body: Body) -> Footing:
    """Return how an object stands on a plane."""
    shapes = body.visuals + body.colliders
    points = np.concatenate([_corners(s.X_BS, to_mesh(s).vertices) for s in shapes])
    hull = trimesh.Trimesh(points, ConvexHull(points).simplices, process=False)
    edge = max(SAMPLE_SPACING_M, float(np.ptp(points, axis=0).max()) / 30)
    samples, _ = trimesh.remesh.subdivide_to_size(hull.vertices, hull.faces, max_edge=edge)
    upright = points @ body.X_WB[:3, :3].T
    low, high = upright.min(axis=0), upright.max(axis=0)
    centre = (low + high)[:2] / 2
    return Footing(
        R_WB=body.X_WB[:3, :3],
        samples=np.concatenate([samples, [points.mean(axis=0)]]),
        # The farthest point of a triangle is no farther from a corner than edge / √3.
        spacing_m=edge / float(np.sqrt(3)),
        centre=centre,
        radius_m=float(np.linalg.norm(upright[:, :2] - centre, axis=1).max()),
        drop_m=float(-low[2]),
    )


def region_of(scene: Scene) -> Region:
    """Return where objects may stand: on what is labelled "table", else on the plane z = 0."""
    base = scene.robot.bodies[0].X_WB
    points = {
        body.name: _corners(body.X_WB @ shape.X_BS, to_mesh(shape).vertices)
        for body in scene.static
        if body.label == "table"
        for shape in body.visuals
    }
    height = max((p[:, 2].max() for p in points.values()), default=0.0)
    tops = {name: p[:, :2] for name, p in points.items() if p[:, 2].max() > height - 1e-3}
    corners = np.concatenate(list(tops.values()) or [np.array([[-np.inf] * 2, [np.inf] * 2])])
    return Region(
        tops=tuple(tops),
        height_m=float(height),
        low=corners.min(axis=0),
        high=corners.max(axis=0),
        origin=base[:2, 3],
        heading_rad=float(np.arctan2(base[1, 0], base[0, 0])),
    )


def stand(foot: Footing, xy: Point2, yaw_rad: float, height_m: float) -> Pose:
    """Return X_WB of an object that stands at a place, turned by an angle about z."""
    turn = axis_angle(np.array([0.0, 0.0, 1.0]), np.asarray(yaw_rad))
    p_xy = xy - turn[:2, :2] @ foot.centre
    return pose(turn @ foot.R_WB, np.array([*p_xy, height_m + foot.drop_m]))


def place(
    feet: Mapping[str, Footing],
    names: Sequence[str],
    hulls: Sequence[Hull],
    robot_poses: Mapping[str, Pose],
    region: Region,
    *,
    radius_m: tuple[float, float],
    azimuth_rad: tuple[float, float],
    clearance_m: float,
    rng: np.random.Generator,
) -> dict[str, Pose]:
    """Return poses for objects, in the order of their names; one that finds no place is left out.

    Args:
        feet: Name → how the object stands.
        names: Those to be placed.
        hulls: Of the robot.
        robot_poses: X_WB of the robot's bodies.
        region: Where they may stand.
        radius_m: From and to which distance from the robot.
        azimuth_rad: From and to which angle, counted from where the robot faces.
        clearance_m: Kept between objects, and between them and the robot.
        rng: What the places are drawn with.
    """
    placed: dict[str, Pose] = {}
    circles: list[tuple[Point2, float]] = []
    for name in names:
        foot = feet[name]
        for _ in range(TRIES):
            # Uniform over the area of the ring.
            distance = np.sqrt(rng.uniform(radius_m[0] ** 2, radius_m[1] ** 2))
            angle = region.heading_rad + rng.uniform(*azimuth_rad)
            yaw = rng.uniform(-np.pi, np.pi)
            xy = region.origin + distance * np.array([np.cos(angle), np.sin(angle)])
            margin = foot.radius_m + clearance_m
            if (xy - margin < region.low).any() or (xy + margin > region.high).any():
                continue
            if any(np.linalg.norm(xy - other) < margin + r for other, r in circles):
                continue
            X_WB = stand(foot, xy, yaw, region.height_m)
            if touches(foot, X_WB, hulls, robot_poses, clearance_m):
                continue
            placed[name] = X_WB
            circles.append((xy, foot.radius_m))
            break
    return placed


def touches(
    foot: Footing,
    X_WB: Pose,
    hulls: Iterable[Hull],
    robot_poses: Mapping[str, Pose],
    clearance_m: float,
) -> bool:
    """Return whether an object comes nearer to the robot's hulls than the clearance.

    It may say so too early, by the spacing of the object's samples, but never too late: a hull
    that reached the surface between them would reach a sample when grown by the spacing.
    """
    margin = foot.spacing_m + clearance_m
    samples = foot.samples @ X_WB[:3, :3].T + X_WB[:3, 3]
    low, high = samples.min(axis=0) - margin, samples.max(axis=0) + margin
    for hull in hulls:
        X_WH = robot_poses[hull.body]
        points = hull.points @ X_WH[:3, :3].T + X_WH[:3, 3]
        if (points.max(axis=0) < low).any() or (points.min(axis=0) > high).any():
            continue
        X_HW = inverse(X_WH)
        if _reaches(hull, samples @ X_HW[:3, :3].T + X_HW[:3, 3], margin):
            return True
    return False


def _reaches(hull: Hull, points: Float[np.ndarray, "n 3"], margin_m: float) -> bool:
    """Return whether any point lies in a hull whose faces are moved out by a margin."""
    inside = (points @ hull.normals.T <= hull.offsets + margin_m).all(axis=1)
    return bool(inside.any())


def _corners(X: Pose, vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """Return points moved by a pose."""
    moved: Float[np.ndarray, "v 3"] = vertices @ X[:3, :3].T + X[:3, 3]
    return moved


def _hull(body: str, points: Float[np.ndarray, "p 3"]) -> Hull | None:
    """Return the convex hull of points, or None where they lie in a plane."""
    if np.linalg.matrix_rank(points - points.mean(axis=0), tol=1e-6) < 3:
        return None
    hull = ConvexHull(points)
    faces = np.unique(np.round(hull.equations, 9), axis=0)
    return Hull(body, points[hull.vertices], faces[:, :3], -faces[:, 3])
