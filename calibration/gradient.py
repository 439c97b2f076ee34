"""Torque-level identification: inertias, rotors and friction from measured torques or currents.

A convex fit on the compressed regression: the torque is linear in the inertial parameters (and in
all else but the Stribeck velocity), and the prior, a log-det divergence from the model's links, is
convex, keeps every link feasible, and leaves what the data do not excite where the model has it.
Newton's steps are taken in the log-Cholesky coordinates about the present links. Armature, friction
and Stribeck's excess are held at zero where the data would make them negative.

Coordinates about the model's links with a Gaussian prior were tried first: where the data press a
link against the edge of what is feasible, as on a real Panda, Levenberg–Marquardt crawled along
curved valleys and had not settled after 100 steps. This takes about 10 steps a round.

Of currents the torque is divided by each joint's drive gain, and the fit no longer convex; from the
gains that the model suggests it takes two thirds more steps (`drive_gain.py`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import count
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from calibration.drive_gain import Gains
from calibration.identifiability import degenerate_cases, still_joints
from calibration.inertia import is_feasible, rigid_groups
from calibration.regression import LAG, Regression, build_regression
from calibration.result import CalibrationResult, Parameter
from calibration.structure import BLOCKS, TERMS, Choice, Structure, choose, left_out
from calibration.torque_fit import ROUNDS, Loss, TorqueFit, fit, start
from calibration.torque_model import FIELDS, TorqueModel, model_torque, torque_near
from calibration.torque_prior import model_prior
from calibration.torque_told import known_values, uncertainty, vague_values
from envs.errors import CalibrationError
from envs.stage.scene import Inertial, Joint, Scene
from envs.stage.tree import inertial_parameters, reduce_tree
from envs.telemetry.filtering import Motion, reach_s


def fit_torque(
    scene: Scene,
    motion: Motion,
    *,
    train: Bool[np.ndarray, "time"],
    heldout: Bool[np.ndarray, "time"] | None,
    cutoff_hz: float = 10.0,
    structure: Structure | None = None,
    loss: Loss = "huber",
    gains: Gains | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationResult:
    """Identify inertias, armature, friction and offset of the joints that move.

    Where the motors' currents were measured the drive gains are identified, too.

    Args:
        scene: The nominal stage; its robot's joints include those of the motion, all others are
            welded at 0.
        motion: Low-passed, with measured torque on the joint's side that the drive acts on.
        train: Instants to fit; those outside `motion.use` are left out.
        heldout: Instants to judge by, likewise; None where another recording judges.
        cutoff_hz: Of the filter that the motion went through.
        structure: The terms of each joint's equation; chosen by cross-validation within `train`
            where it is not given.
        loss: How residuals count.
        gains: Where currents were measured: the motion's torque is the current times the nominal
            gain.
        provenance: Goes into the result's: hashes of the recording and the like.
        progress: Called with (steps done, steps in all): rounds of fits, and blocks of time.

    Returns:
        Values for each joint, and for each rigid group of bodies the numbers of its heaviest one;
        `inertials` holds all bodies that change. Metrics: `heldout_rmse_nm`, `nominal_rmse_nm`
        (the stage as it is, same instants) and `train_rmse_nm`, in the order of the joints; of
        currents the same in A (`heldout_rmse_a` …), and as torques at the identified gains.

    Raises:
        CalibrationError: The joints do not fit the stage, no link has mass, the torque is not
            finite, or the spans are too short.
    """
    begun = time.perf_counter()
    tree = reduce_tree(scene.robot, motion.joints, scene.gravity_mps2)
    if tree.joints != motion.joints:
        raise CalibrationError(
            f"the motion's joints must be in the stage's order, {', '.join(tree.joints)}; "
            f"found {', '.join(motion.joints)}"
        )
    train = train & motion.use
    judged = None if heldout is None else heldout & motion.use
    if judged is not None and not judged.any():
        raise CalibrationError("no usable instant is held out to judge the calibration by")
    model = TorqueModel(tree, rigid_groups(tree, scene.robot), gains)
    if not model.groups:
        raise CalibrationError(f"no link of {scene.robot.prim} has mass in the model")
    joints = [scene.robot.joint(name) for name in tree.joints]
    prior = model_prior(model, joints, motion, train)
    fits = 3 if structure is not None else 4
    steps = fits * ROUNDS + (0 if structure is not None else BLOCKS)
    done = count(1)

    def tick() -> None:
        if progress is not None:
            progress(next(done), steps)

    if progress is not None:
        progress(0, steps)
    # What a late sensor and a load change depends on the torque, which is found first without them.
    by_joint = gains is not None
    regression = build_regression(tree, motion, train, cutoff_hz, by_joint=by_joint)
    n = len(joints)
    plain = left_out(frozenset(TERMS) - {"lag", "load"})
    begin = start(regression, prior)
    found = fit(model, regression, prior, begin, (plain,) * n, "squares", tick=tick)
    regression = _near(model, regression, found, joints, motion, cutoff_hz)
    choice: Choice | None = None
    if structure is None:
        every = left_out(frozenset(TERMS))
        found = fit(model, regression, prior, found, (every,) * n, loss, tick=tick)
        choice = choose(model, regression, prior, found, reach_s(cutoff_hz), tick=tick)
        structure = choice.structure
    absent = tuple(map(left_out, structure))
    found = fit(model, regression, prior, found, absent, loss, tick=tick)
    lags_s = model.split(found.p)[1][LAG]
    if lags_s.any():
        regression = build_regression(
            tree, motion, train, cutoff_hz, lags_s=lags_s, by_joint=by_joint
        )
    regression = _near(model, regression, found, joints, motion, cutoff_hz)
    found = fit(model, regression, prior, found, absent, loss, tick=tick)
    warnings = degenerate_cases(tree, motion.qd, train)
    while driving := _driving(model, found.p):
        structure = tuple(
            terms - {"asymmetric"} if joint in driving else terms
            for joint, terms in zip(tree.joints, structure, strict=True)
        )
        absent = tuple(map(left_out, structure))
        found = fit(model, regression, prior, found, absent, loss)
        warnings.append(
            f"the data ask for a friction of {', '.join(driving)} that would drive it in one "
            "direction: both directions are given one viscous friction"
        )

    p = found.p
    values, _ = model.values(p)
    covariance, told = uncertainty(model, regression, found, prior, absent, warnings)
    still = still_joints(tree, motion.qd, train)
    known = known_values(model, absent, told, still) - vague_values(model, values, covariance)
    inertials = model.inertials(p)
    ratios = model.ratios(p)
    error = model_torque(*model.fitted(p, joints), motion, cutoff_hz) / ratios - motion.tau
    nominal_error = model_torque(tree, joints, motion, cutoff_hz) - motion.tau
    errors = {"train": (error, train)}
    if judged is not None:
        errors = {"heldout": (error, judged), "nominal": (nominal_error, judged), **errors}
    return CalibrationResult(
        parameters={
            name: Parameter(
                value=value,
                std=std,
                nominal=nominal,
                unit=unit,
                method="torch",
                identifiable=name in known,
                n=len(regression.t_s),
            )
            for (name, unit), value, std, nominal in zip(
                model.names(),
                values.tolist(),
                np.sqrt(np.diag(covariance)).tolist(),
                model.nominal(scene.robot, joints),
                strict=True,
            )
        },
        covariance=covariance,
        inertials=inertials,
        infeasible_links=_infeasible(inertials),
        provenance={
            "method": "torch",
            "train_s": _span(motion, train),
            **({} if judged is None else {"heldout_s": _span(motion, judged)}),
            "dt_s": float(motion.t_s[1] - motion.t_s[0]),
            "cutoff_hz": cutoff_hz,
            "samples": len(regression.t_s),
            "versions": {name: version(name) for name in ("numpy", "scipy", "torch")},
            **(provenance or {}),
        },
        metrics={
            **{f"{name}_rmse_nm": _rms(off[use] * ratios) for name, (off, use) in errors.items()},
            **(
                {}
                if gains is None
                else {
                    f"{name}_rmse_a": _rms(off[use] / gains.nominal)
                    for name, (off, use) in errors.items()
                }
            ),
            "outliers": [float(x) for x in (found.weights < 1).mean(axis=1)],
            **(
                {}
                if choice is None
                else {"structure": replace(choice, structure=structure).to_dict()}
            ),
            "identifiability": told.to_dict(),
            "fit_s": time.perf_counter() - begun,
        },
    )


def _near(
    model: TorqueModel,
    regression: Regression,
    found: TorqueFit,
    joints: Sequence[Joint],
    motion: Motion,
    cutoff_hz: float,
) -> Regression:
    """Return the regression with the columns that depend on the torque, about that of a fit."""
    tau, load = torque_near(*model.fitted(found.p, joints), motion, cutoff_hz, regression.lags_s)
    ratios = model.ratios(found.p)
    return regression.near(motion, cutoff_hz, tau / ratios, load / ratios)


def _driving(model: TorqueModel, p: Float[np.ndarray, "params"]) -> list[str]:
    """Return the joints whose viscous friction, as it differs by direction, is negative in one."""
    fields = dict(zip((name for name, *_ in FIELDS), model.split(p)[1], strict=True))
    negative = np.abs(fields["friction.asymmetry"]) > fields["friction.viscous"]
    return [name for name, there in zip(model.tree.joints, negative, strict=True) if there]


def _infeasible(inertials: Mapping[str, Inertial]) -> tuple[str, ...]:
    """Return the bodies whose mass properties no matter could have; a massless frame has none."""
    return tuple(
        name
        for name, inertial in inertials.items()
        if (inertial.mass_kg != 0 or inertial.inertia_kgm2.any())
        and not is_feasible(inertial_parameters(inertial, np.eye(4)))
    )


def _span(motion: Motion, rows: Bool[np.ndarray, "time"]) -> list[float]:
    return [float(t) for t in motion.t_s[rows][[0, -1]]]


def _rms(error: Float[np.ndarray, "time joint"]) -> list[float]:
    return [float(x) for x in np.sqrt((error**2).mean(axis=0))]
