"""Depth of field and motion blur: several pictures of one moment, averaged in linear light.

Each sample sees through another point of the lens's opening, at another instant of the shutter.
Labels are those of the middle of both, so they are exact as ever.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from envs.frames import Pose
from envs.telemetry.trajectory import Trajectory
from generators.camera import Camera
from generators.optics import Exposure
from generators.renderer import Frame, Renderer
from generators.scenario import Scenario, Studio, body_poses
from generators.srgb import to_bytes, to_linear

GOLDEN_ANGLE_RAD = np.pi * (3 - np.sqrt(5))
"""Points on a spiral with this step cover a disc evenly (Vogel, Math. Biosciences 44, 1979)."""

PosesAt = Callable[[float], Mapping[str, Pose]]
"""From a time (s) to where bodies are that move: name → X_WB."""


def expose(
    renderer: Renderer,
    scenario: Scenario,
    exposure: Exposure,
    poses_at: PosesAt,
    rng: np.random.Generator,
) -> Frame:
    """Draw one scenario as a lens and a shutter see it.

    Args:
        renderer: Draws each sample.
        scenario: The moment that the labels are of.
        exposure: What blurs.
        poses_at: Where bodies are at a time.
        rng: Turns the samples, so that no two pictures share their pattern.
    """
    sharp = renderer.render(scenario)
    if not exposure.blurs:
        return sharp
    light = np.zeros(sharp.rgb.shape, np.float32)
    for sample in samples_of(scenario, exposure, poses_at, rng):
        light += to_linear(renderer.render(sample).rgb)
    return replace(sharp, rgb=to_bytes(light / np.float32(exposure.samples)))


def samples_of(
    scenario: Scenario, exposure: Exposure, poses_at: PosesAt, rng: np.random.Generator
) -> list[Scenario]:
    """Return the scenarios whose pictures are averaged."""
    count = exposure.samples
    eyes = exposure.aperture_m / 2 * _disc(count, rng.uniform(0, 2 * np.pi))
    opened, closed = exposure.shutter_s
    # One instant in each equal part of the shutter's time, in an order that the lens does not know.
    times = scenario.t_s + opened + (closed - opened) * (rng.permutation(count) + 0.5) / count
    focus = exposure.focus_m
    if focus is None:
        focus = float(scenario.camera.project(scenario.lighting.focus_W)[1])
    samples = []
    for eye, t_s in zip(eyes, times.tolist(), strict=True):
        camera, poses = scenario.camera, scenario.poses
        if exposure.aperture_m > 0:
            camera = seen_from(camera, eye, focus)
        if opened < closed:
            poses = {**poses, **poses_at(t_s)}
        samples.append(replace(scenario, poses=poses, camera=camera))
    return samples


def seen_from(camera: Camera, eye: Float[np.ndarray, "2"], focus_m: float) -> Camera:
    """Return the camera as seen through another point of its lens.

    The eye moves within the plane of the lens, and what it sees is sheared so that everything at
    `focus_m` stays where it was (Haeberli and Akeley, The accumulation buffer, SIGGRAPH 1990). The
    lens distorts what is sheared: all light that one pixel gathers comes from one point in focus.

    Args:
        camera: Through the middle of the lens.
        eye: The point, to the right and down, m.
        focus_m: Distance along the axis at which things are sharp.
    """
    X_WC = camera.X_WC.copy()
    X_WC[:3, 3] += camera.X_WC[:3, :2] @ eye
    right, down = camera.fx * eye[0] / focus_m, camera.fy * eye[1] / focus_m
    return replace(camera, X_WC=X_WC, shift_px=(float(right), float(down)))


def robot_poses(studio: Studio, trajectory: Trajectory) -> PosesAt:
    """Return where the robot's bodies are at any time, between its samples in a straight line.

    Before the recording starts and after it ends, the robot stands still.
    """
    columns = [trajectory.joints.index(joint) for joint in studio.tree.joints]
    measured = trajectory.measured
    t_s, q = trajectory.t_s[measured], trajectory.q[measured][:, columns]

    def at(time_s: float) -> Mapping[str, Pose]:
        return body_poses(studio.tree, np.array([np.interp(time_s, t_s, column) for column in q.T]))

    return at


def _disc(count: int, turn_rad: float) -> Float[np.ndarray, "count 2"]:
    """Return points that cover the unit disc evenly."""
    k = np.arange(count)
    radius, angle = np.sqrt((k + 0.5) / count), k * GOLDEN_ANGLE_RAD + turn_rad
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
