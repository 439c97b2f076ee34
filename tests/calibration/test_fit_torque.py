"""Torque-level calibration of a small arm whose truth is known; Pinocchio makes the torques."""

from dataclasses import replace

import numpy as np
import pinocchio
import pytest

from calibration.gradient import fit_torque
from calibration.inertia import is_feasible
from calibration.result import CalibrationResult
from calibration.structure import Structure
from envs.errors import CalibrationError
from envs.stage.scene import MASSLESS, Articulation, Scene
from envs.stage.tree import inertial_parameters, reduce_tree
from envs.telemetry.filtering import motion
from envs.telemetry.trajectory import Trajectory
from envs.world.sensing import sensor_torque
from tests.calibration.torque_arm import (
    NOISE_NM,
    SPLIT_S,
    fitted,
    nominal_of,
    recorded,
    told,
    with_vertical_first_axis,
)
from tests.small_arm import GRAVITY, arm_joints, pinocchio_model, scene


@pytest.fixture(scope="module")
def result(truth: Articulation, nominal: Scene) -> CalibrationResult:
    return fitted(nominal, recorded(truth, np.random.default_rng(13)))


def test_friction_and_offsets_are_found(result: CalibrationResult, truth: Articulation) -> None:
    for i, name in enumerate(arm_joints()):
        friction, p = truth.joint(name).friction, result.parameters
        assert p[f"{name}.friction.coulomb"].value == pytest.approx(friction.coulomb, rel=0.1)
        assert p[f"{name}.friction.viscous"].value == pytest.approx(friction.viscous, rel=0.1)
        assert p[f"{name}.torque_offset"].value == pytest.approx(0.1 * i, abs=0.05)
        for field in ("coulomb", "viscous"):
            found = p[f"{name}.friction.{field}"]
            assert found.identifiable
            assert 0 < found.std < 0.05
            assert abs(found.value - getattr(friction, field)) < 4 * found.std
            assert (found.nominal, found.unit) == (
                0.0,
                "N.m" if field == "coulomb" else "N.m.s/rad",
            )


def test_the_heldout_error_is_down_to_the_noise(result: CalibrationResult) -> None:
    # White noise of 1 kHz below 10 Hz (the filter's noise bandwidth is about 18.6 Hz, two-sided).
    floor = NOISE_NM * np.sqrt(2 * 9.3 / 1000)
    assert (np.array(result.metrics["heldout_rmse_nm"]) < 2 * floor).all()
    assert (np.array(result.metrics["nominal_rmse_nm"]) > 10 * floor).all()
    assert result.metrics["fit_s"] > 0


@pytest.mark.parametrize("structure", [None, (frozenset[str](),) * 3])
def test_progress_goes_up_by_steps_to_the_end(
    structure: Structure | None, truth: Articulation, nominal: Scene
) -> None:
    reported: list[tuple[int, int]] = []
    m = recorded(truth, np.random.default_rng(13))
    fit_torque(
        nominal,
        m,
        train=m.t_s < SPLIT_S,
        heldout=None,
        structure=structure,
        progress=lambda done, steps: reported.append((done, steps)),
    )
    (steps,) = {steps for _, steps in reported}
    assert steps > 10
    assert [done for done, _ in reported] == list(range(steps + 1))


def test_what_cannot_be_seen_is_said(result: CalibrationResult) -> None:
    # The first joint only ever turns link 0 about one axis: of its ten numbers few matter, and its
    # inertia about that axis adds to the rotor's. The mass of link 0 then is the model's.
    mass = result.parameters["link0.inertial.mass"]
    assert not mass.identifiable
    assert not result.parameters["joint0.armature"].identifiable
    assert result.parameters["joint2.armature"].identifiable
    assert mass.std > 0.3 * mass.value


def test_links_are_feasible_and_reported_in_full(result: CalibrationResult, nominal: Scene) -> None:
    assert result.infeasible_links == ()
    # link2 carries the fixed tool and the finger, which are welded to it.
    assert set(result.inertials) == {"link0", "link1", "link2", "link3", "link4"}
    for name, inertial in result.inertials.items():
        assert is_feasible(inertial_parameters(inertial, np.eye(4))), name
    heaviest = max(("link2", "link3", "link4"), key=lambda n: mass_of(nominal, n))
    parameter = result.parameters[f"{heaviest}.inertial.com_y"]
    assert parameter.value == pytest.approx(result.inertials[heaviest].com_m[1], abs=1e-12)
    names = list(result.parameters)
    at = names.index(f"{heaviest}.inertial.com_y")
    assert np.sqrt(result.covariance[at, at]) == pytest.approx(parameter.std)


def mass_of(nominal: Scene, name: str) -> float:
    return next(b.inertial.mass_kg for b in nominal.robot.bodies if b.name == name)


def test_provenance_says_what_it_rests_on(result: CalibrationResult) -> None:
    assert result.provenance["sha256"] == {"log": "abc"}
    assert result.provenance["cutoff_hz"] == 10.0
    assert result.provenance["dt_s"] == pytest.approx(1e-3)
    start, end = result.provenance["train_s"]
    # 0.3 s at the start are the filter's.
    assert (start, end) == (pytest.approx(0.3, abs=2e-3), pytest.approx(SPLIT_S, abs=2e-3))
    assert {"numpy", "scipy", "torch"} <= set(result.provenance["versions"])


def test_a_gap_in_the_recording_does_no_harm(truth: Articulation, nominal: Scene) -> None:
    m = recorded(truth, np.random.default_rng(13), gap=True)
    found = fitted(nominal, m)
    for name in arm_joints():
        coulomb = found.parameters[f"{name}.friction.coulomb"]
        assert coulomb.value == pytest.approx(truth.joint(name).friction.coulomb, rel=0.1)


def test_friction_never_turns_negative(truth: Articulation, nominal: Scene) -> None:
    """Torque that helps the motion instead of braking it has no friction to be explained by."""
    m = recorded(truth, np.random.default_rng(13))
    helped = replace(m, tau=m.tau - 2.0 * np.tanh(m.qd / 0.01) - 1.5 * m.qd - 0.5 * m.qdd)
    found = fitted(nominal, helped)
    for name in arm_joints():
        for field in ("armature", "friction.coulomb", "friction.viscous", "friction.stribeck"):
            assert found.parameters[f"{name}.{field}"].value >= 0.0
    assert found.parameters["joint1.friction.coulomb"].value == 0.0
    assert found.infeasible_links == ()


def test_what_ends_at_a_bound_is_named_and_not_called_known(
    truth: Articulation, nominal: Scene
) -> None:
    m = recorded(truth, np.random.default_rng(17))
    joint = arm_joints()[0]
    # A motor that helps the motion along: friction below zero, which no joint has.
    tau = m.tau.copy()
    tau[:, 0] -= 2.0 * (truth.joint(joint).friction.viscous + 1.0) * m.qd[:, 0]
    result = fitted(nominal, replace(m, tau=tau))
    bounded = result.metrics["identifiability"]["at_bounds"]
    assert f"{joint}.friction.viscous" in bounded
    assert not any(".inertial." in name for name in bounded)
    assert not any(result.parameters[name].identifiable for name in bounded)


def test_what_the_data_do_not_move_stays_at_the_model(truth: Articulation, nominal: Scene) -> None:
    m = recorded(truth, np.random.default_rng(13))
    tree = reduce_tree(truth, arm_joints(), GRAVITY)
    hold = np.tile(m.q[0], (len(m.t_s), 1))
    model = pinocchio_model(tree)
    gravity = pinocchio.rnea(model, model.createData(), hold[0], np.zeros(3), np.zeros(3))
    rng = np.random.default_rng(14)
    still = replace(
        m, q=hold, qd=0 * hold, qdd=0 * hold, tau=gravity + rng.normal(size=hold.shape) * 1e-3
    )
    found = fitted(nominal, still)
    for name in arm_joints():
        for field in ("armature", "friction.coulomb", "friction.viscous", "friction.stribeck"):
            parameter = found.parameters[f"{name}.{field}"]
            assert not parameter.identifiable
            assert parameter.value == pytest.approx(0.0, abs=1e-6)


def test_inputs_that_do_not_fit_are_refused(truth: Articulation, nominal: Scene) -> None:
    m = recorded(truth, np.random.default_rng(13))
    everything, nothing = np.ones(len(m.t_s), bool), np.zeros(len(m.t_s), bool)
    swapped = replace(m, joints=("joint1", "joint0", "joint2"))
    with pytest.raises(
        CalibrationError, match="stage's order, joint0, joint1, joint2; found joint1"
    ):
        fit_torque(nominal, swapped, train=everything, heldout=everything)
    with pytest.raises(CalibrationError, match="no usable instant is held out"):
        fit_torque(nominal, m, train=everything, heldout=nothing)
    with pytest.raises(CalibrationError, match="0 usable instants are too few"):
        fit_torque(nominal, m, train=nothing, heldout=everything)
    light = tuple(replace(b, inertial=MASSLESS) for b in nominal.robot.bodies)
    weightless = scene(replace(nominal.robot, bodies=light))
    with pytest.raises(CalibrationError, match="no link of /World/robot has mass"):
        fit_torque(weightless, m, train=everything, heldout=everything)


def test_a_first_joint_about_gravity_is_named_and_its_rotor_is_not_called_known(
    truth: Articulation,
) -> None:
    upright = with_vertical_first_axis(truth)
    nominal = nominal_of(upright, np.random.default_rng(12))
    found = fitted(nominal, recorded(upright, np.random.default_rng(13)))
    assert "joint0 turns about the vertical: gravity does not act on it" in told(found)
    for name in ("joint0.armature", "link0.inertial.mass", "link0.inertial.izz"):
        assert not found.parameters[name].identifiable, name
    assert found.parameters["joint0.friction.coulomb"].identifiable


def test_too_little_motion_is_named_and_nothing_of_the_joint_is_called_known(
    truth: Articulation, nominal: Scene
) -> None:
    """The last joint shivers by a milliradian, at 5 mrad/s; the torque has ordinary noise."""
    m = recorded(truth, np.random.default_rng(13))
    tree = reduce_tree(truth, arm_joints(), GRAVITY)
    joints = [truth.joint(name) for name in tree.joints]
    q, qd, qdd = m.q.copy(), m.qd.copy(), m.qdd.copy()
    wave = 2 * np.pi * 0.8 * m.t_s
    q[:, 2] = 0.3 + 1e-3 * np.sin(wave)
    qd[:, 2] = 1e-3 * 2 * np.pi * 0.8 * np.cos(wave)
    qdd[:, 2] = -1e-3 * (2 * np.pi * 0.8) ** 2 * np.sin(wave)
    tau = sensor_torque(tree, joints, q, qd, qdd, 1e-3)
    tau += np.random.default_rng(14).normal(size=tau.shape) * NOISE_NM
    raw = Trajectory(t_s=m.t_s, joints=tree.joints, q=q, qd=qd, tau=tau)
    found = fitted(nominal, motion(raw))
    assert "joint2 hardly moves" in told(found)
    for field in ("armature", "friction.viscous", "friction.stribeck", "spring"):
        assert not found.parameters[f"joint2.{field}"].identifiable, field
    assert found.parameters["joint1.friction.coulomb"].identifiable
