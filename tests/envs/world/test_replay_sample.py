"""Another engine's robot, replayed: MuJoCo made the sample, by RK4 at a quarter of our step."""

from dataclasses import replace

import numpy as np

from calibration.residuals import rmse
from envs.telemetry.alignment import align
from envs.telemetry.read import read
from envs.world.replay import replay_dynamic, replay_kinematic
from tests.envs.telemetry.tiny import PANDA, shipped
from tests.true_panda import TRUTH, true_panda


def test_at_the_truth_nothing_but_the_sensors_noise_is_left() -> None:
    measured = align(read(shipped("sample")), PANDA).span(0.0, 9.0)
    # White noise of 250 Hz samples has this part below a zero-phase 4th-order filter's 10 Hz.
    share = np.sqrt(10.0 / 125.0) * 0.97
    noise = [TRUTH[f"{name}_noise"] * share for name in ("position", "velocity", "effort")]
    use = (measured.t_s > 1.0) & (measured.t_s < 8.5)
    scene = true_panda()
    dynamic = rmse(replay_dynamic(scene, measured), measured, use=use, cutoff_hz=10.0)
    assert dynamic.qd is not None and dynamic.tau is not None
    # A late command, a biased gain or a wrong sign of friction is ten times as much.
    np.testing.assert_array_less(dynamic.q, 1.5 * noise[0])
    np.testing.assert_array_less(dynamic.qd, 1.3 * noise[1])
    np.testing.assert_array_less(dynamic.tau, 1.3 * noise[2])
    kinematic = rmse(replay_kinematic(scene, measured), measured, use=use, cutoff_hz=10.0)
    assert kinematic.tau is not None
    np.testing.assert_array_less(kinematic.tau, 1.3 * noise[2])

    late = replace(
        scene.robot, joints=tuple(replace(j, delay_s=j.delay_s + 1e-3) for j in scene.robot.joints)
    )
    short = measured.span(0.0, 4.0)
    inside = (short.t_s > 1.0) & (short.t_s < 3.5)
    wrong = rmse(
        replay_dynamic(replace(scene, articulations=(late,)), short),
        short,
        use=inside,
        cutoff_hz=10.0,
    )
    assert np.all(wrong.q > 3 * noise[0])
