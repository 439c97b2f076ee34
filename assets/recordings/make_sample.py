"""Make the sample recording: a simulated Panda with hidden truth, and that truth as JSON beside it.

Run as `python -m assets.recordings.make_sample` (needs the `dev` extra: MuJoCo). Nothing here uses
Kinetwin's own stage, dynamics or world, so that a calibration is judged by somebody else's physics.

How the signals come about, all on one true clock:
- `/joint_commands`: sent every 4 ms exactly by a real-time controller. The drive holds a command
  from `delay_s` after it was sent until the next one takes effect.
- `/joint_states`: sampled every 4 ms, give or take 0.5 ms. The header stamp is honest: the values
  are those of the stamped instant; it is the sampling that jitters, not the stamp that lies.
- Position is that of the instant, plus noise. Velocity and effort (the drive's torque) are averaged
  over the 4 ms around it, plus noise: sensors without such an anti-aliasing window would turn the
  250 Hz ripple of the held command into a false torque and velocity proportional to speed.
- A message's log time is its stamp plus a transport latency. Duplicates are logged twice with one
  stamp; a dropout loses all states of a stretch, never a command.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pybullet_data
import yourdfpy
from jaxtyping import Float, Int
from mcap.writer import CompressionType, Writer

FOLDER = Path(__file__).parent
MCAP, TRUTH = FOLDER / "panda_excitation.mcap", FOLDER / "panda_excitation.truth.json"
URDF = Path(pybullet_data.getDataPath()) / "franka_panda" / "panda.urdf"

SEED = 23
JOINTS = tuple(f"panda_joint{i}" for i in range(1, 8))
START_NS = 1_700_000_000_000_000_000
DURATION_S, SETTLE_S, RAMP_S = 28.0, 2.0, 1.5
STEP_S, PERIOD_S = 0.25e-3, 4e-3
JITTER_STEPS = 2
HOME_RAD = np.array([0.0, -0.35, 0.0, -1.95, 0.0, 2.05, 0.6])
# The command's slow and fast parts: bands of frequency (Hz), and the speed each adds (rad/s).
BANDS_HZ = ((0.06, 0.11), (0.18, 0.35), (0.45, 0.75), (0.9, 1.4))
SPEEDS_RADPS = np.array(
    [
        [0.40, 0.40, 0.40, 0.40],
        [0.18, 0.32, 0.40, 0.40],
        [0.30, 0.40, 0.40, 0.45],
        [0.20, 0.35, 0.40, 0.45],
        [0.40, 0.42, 0.45, 0.45],
        [0.28, 0.38, 0.42, 0.42],
        [0.42, 0.42, 0.42, 0.42],
    ]
)
STICTION_RADPS = 0.01


@dataclass(frozen=True)
class Truth:
    """What a calibration should find. Lists follow `joints`; all in SI.

    Attributes:
        links: Link → mass (kg), centre of mass in the link frame (m), inertia about it in the axes
            of the link frame (kg·m²).
        dropouts_s: (start, end) of the stretches without states, since the recording's start.
        duplicates: Messages logged twice, by topic.
        velocity_scale: Of the friction's sign(q̇) = tanh(q̇ / scale), rad/s.
    """

    joints: tuple[str, ...]
    links: dict[str, dict[str, Any]]
    armature: list[float]
    coulomb: list[float]
    viscous: list[float]
    stribeck: list[float]
    stribeck_velocity: list[float]
    stiffness: list[float]
    damping: list[float]
    max_force: list[float]
    delay_s: float = 0.012
    velocity_scale: float = STICTION_RADPS
    position_noise: float = 2e-4
    velocity_noise: float = 2e-3
    effort_noise: float = 0.3
    jitter_s: float = JITTER_STEPS * STEP_S
    dropouts_s: tuple[tuple[float, float], ...] = ((9.3, 9.48), (20.1, 20.46))
    duplicates: dict[str, int] = field(
        default_factory=lambda: {"/joint_states": 24, "/joint_commands": 9}
    )
    seed: int = SEED
    versions: dict[str, str] = field(
        default_factory=lambda: {p: version(p) for p in ("mujoco", "numpy", "pybullet")}
    )


def perturbed(link: yourdfpy.Link, rng: np.random.Generator) -> dict[str, Any]:
    """Return mass properties off by up to 15 %: mass, place of the COM, principal inertias."""
    inertial = link.inertial
    R, p = inertial.origin[:3, :3], inertial.origin[:3, 3]
    direction = rng.normal(size=3)
    shift = 0.15 * rng.uniform() * np.linalg.norm(p) * direction / np.linalg.norm(direction)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    stretch = axes @ np.diag(np.sqrt(1 + rng.uniform(-0.15, 0.15, 3))) @ axes.T
    inertia = stretch @ R @ inertial.inertia @ R.T @ stretch.T
    return {
        "mass_kg": float(inertial.mass * (1 + rng.uniform(-0.15, 0.15))),
        "com_m": (p + shift).tolist(),
        "inertia_kgm2": ((inertia + inertia.T) / 2).tolist(),
    }


def draw_truth(urdf: yourdfpy.URDF, rng: np.random.Generator) -> Truth:
    """Draw the hidden parameters. A link of mass 0 is a frame: it stays without inertia."""
    coulomb = rng.uniform([0.6, 0.6, 0.6, 0.6, 0.35, 0.35, 0.35], [1.5] * 4 + [0.8] * 3)
    kp = np.array([4500.0, 4500, 3500, 3500, 2000, 2000, 2000])
    signs = rng.choice([-1.0, 1.0], (2, 7))
    efforts = [urdf.joint_map[name].limit.effort for name in JOINTS]
    return Truth(
        joints=JOINTS,
        links={
            link.name: perturbed(link, rng)
            for link in urdf.robot.links
            if link.inertial is not None and link.inertial.mass > 0 and link.name != "panda_link0"
        },
        armature=rng.uniform([0.1] * 4 + [0.03] * 3, [0.3] * 4 + [0.1] * 3).tolist(),
        coulomb=coulomb.tolist(),
        viscous=rng.uniform([0.5] * 4 + [0.3] * 3, [1.5] * 4 + [0.8] * 3).tolist(),
        stribeck=(coulomb * rng.uniform(0.10, 0.25, 7)).tolist(),
        stribeck_velocity=rng.uniform(0.03, 0.08, 7).tolist(),
        stiffness=(kp * (1 + signs[0] * rng.uniform(0.1, 0.3, 7))).tolist(),
        damping=(0.1 * kp * (1 + signs[1] * rng.uniform(0.1, 0.3, 7))).tolist(),
        max_force=[float(effort) for effort in efforts],
    )


def build_model(urdf: yourdfpy.URDF, truth: Truth) -> mujoco.MjModel:
    """Return the MuJoCo model of the true robot; every joint but the seven is welded at 0."""
    spec = mujoco.MjSpec()
    spec.option.gravity = [0, 0, -9.81]
    spec.option.timestep = STEP_S
    bodies = {urdf.base_link: spec.worldbody}
    for joint in urdf.robot.joints:
        X = np.eye(4) if joint.origin is None else joint.origin
        wxyz = np.empty(4)
        mujoco.mju_mat2Quat(wxyz, X[:3, :3].flatten())
        body = bodies[joint.parent].add_body(name=joint.child, pos=X[:3, 3], quat=wxyz)
        bodies[joint.child] = body
        if joint.child in truth.links:
            link = truth.links[joint.child]
            J = np.array(link["inertia_kgm2"])
            body.mass, body.ipos, body.explicitinertial = link["mass_kg"], link["com_m"], True
            body.fullinertia = [J[0, 0], J[1, 1], J[2, 2], J[0, 1], J[0, 2], J[1, 2]]
        if joint.name in truth.joints:
            armature = truth.armature[truth.joints.index(joint.name)]
            hinge = mujoco.mjtJoint.mjJNT_HINGE
            body.add_joint(name=joint.name, type=hinge, axis=joint.axis, armature=armature)
    return spec.compile()


def excitation(
    t_s: Float[np.ndarray, "time"], rng: np.random.Generator
) -> Float[np.ndarray, "time 7"]:
    """Return commanded positions (rad): sums of sines, faded in from rest and out again."""
    low, high = np.array(BANDS_HZ).T
    omega = 2 * np.pi * rng.uniform(low, high, (7, len(BANDS_HZ)))
    phase = rng.uniform(0, 2 * np.pi, omega.shape)
    angle = omega * t_s[:, None, None] + phase
    x = np.clip(np.minimum(t_s, DURATION_S - t_s) / RAMP_S, 0, 1)
    ramp = x**3 * (10 - 15 * x + 6 * x**2)
    swing = (SPEEDS_RADPS / omega * np.sin(angle)).sum(axis=2)
    return np.asarray(HOME_RAD + ramp[:, None] * swing)


@dataclass(frozen=True)
class Motion:
    """True motion on the physics grid: q (rad), qd (rad/s), and the mean torque of each step."""

    q: Float[np.ndarray, "step 7"]
    qd: Float[np.ndarray, "step 7"]
    tau: Float[np.ndarray, "step 7"]


def simulate(
    model: mujoco.MjModel,
    truth: Truth,
    commands: Float[np.ndarray, "command 7"],
    *,
    step_s: float = STEP_S,
) -> Motion:
    """Integrate by RK4 with the drive and the friction evaluated at each stage.

    A step's command is constant, because commands and delay are multiples of the step.

    Args:
        model: The true robot, without friction.
        truth: Its drive and friction.
        commands: One each `PERIOD_S` from time 0; the first is held for `SETTLE_S` before that.
        step_s: Step of the integration.
    """
    data = mujoco.MjData(model)
    names = ("stiffness", "damping", "max_force", "coulomb", "viscous", "stribeck")
    kp, kd, limit, coulomb, viscous, stribeck = (np.array(getattr(truth, n)) for n in names)
    v_s = np.array(truth.stribeck_velocity)

    def acceleration(
        q: Float[np.ndarray, "7"], qd: Float[np.ndarray, "7"], command: Float[np.ndarray, "7"]
    ) -> tuple[Float[np.ndarray, "7"], Float[np.ndarray, "7"]]:
        drive = np.clip(kp * (command - q) - kd * qd, -limit, limit)
        dry = (coulomb + stribeck * np.exp(-((qd / v_s) ** 2))) * np.tanh(qd / STICTION_RADPS)
        data.qpos[:], data.qvel[:] = q, qd
        data.qfrc_applied[:] = drive - dry - viscous * qd
        mujoco.mj_forward(model, data)
        return data.qacc.copy(), drive

    settle, delay = round(SETTLE_S / step_s), round(truth.delay_s / step_s)
    hold = round(PERIOD_S / step_s)
    steps = settle + round(DURATION_S / step_s) + 2 * hold
    q, qd, h = commands[0].copy(), np.zeros(7), step_s
    log = np.empty((steps, 3, 7))
    for n in range(steps):
        sent = np.clip((n - settle - delay) // hold, 0, len(commands) - 1)
        command = commands[sent]
        a1, t1 = acceleration(q, qd, command)
        a2, t2 = acceleration(q + h / 2 * qd, qd + h / 2 * a1, command)
        a3, t3 = acceleration(q + h / 2 * qd + h * h / 4 * a1, qd + h / 2 * a2, command)
        a4, t4 = acceleration(q + h * qd + h * h / 2 * a2, qd + h * a3, command)
        log[n] = q, qd, (t1 + 2 * t2 + 2 * t3 + t4) / 6
        q = q + h * qd + h * h / 6 * (a1 + a2 + a3)
        qd = qd + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
    # Two periods before time 0 are kept for the averaging window of the first sample.
    return Motion(*np.moveaxis(log[settle - 2 * hold :], 1, 0))


@dataclass(frozen=True)
class Log:
    """Messages of one topic in the order they were logged; stamps since the recording's start."""

    topic: str
    t_ns: Int[np.ndarray, "message"]
    log_ns: Int[np.ndarray, "message"]
    fields: dict[str, Float[np.ndarray, "message 7"]]

    def keep(self, rows: Int[np.ndarray, "row"]) -> "Log":
        """Return the messages of these indices, which may repeat."""
        fields = {name: values[rows] for name, values in self.fields.items()}
        return Log(self.topic, self.t_ns[rows], self.log_ns[rows], fields)


def sense(motion: Motion, truth: Truth, rng: np.random.Generator) -> Log:
    """Return `/joint_states`: jittered sampling, noise and dropouts."""
    period = round(PERIOD_S / STEP_S)
    grid = np.arange(round(DURATION_S / PERIOD_S)) * period
    step = grid + rng.integers(-JITTER_STEPS, JITTER_STEPS + 1, len(grid))
    step[0] = 0
    row = step + 2 * period
    before, after = row - period // 2, row + period // 2
    total = np.concatenate([np.zeros((1, 7)), np.cumsum(motion.tau, axis=0)])
    effort = (total[after] - total[before]) / period
    velocity = (motion.q[after] - motion.q[before]) / PERIOD_S
    fields = {
        "position": motion.q[row] + rng.normal(0, truth.position_noise, (len(row), 7)),
        "velocity": velocity + rng.normal(0, truth.velocity_noise, (len(row), 7)),
        "effort": effort + rng.normal(0, truth.effort_noise, (len(row), 7)),
    }
    t_ns = np.round(step * STEP_S * 1e9).astype(np.int64)
    states = Log("/joint_states", t_ns, t_ns + latency_ns(len(t_ns), rng), fields)
    t_s = t_ns * 1e-9
    lost = np.any([(t_s >= a) & (t_s < b) for a, b in truth.dropouts_s], axis=0)
    return states.keep(np.flatnonzero(~lost))


def latency_ns(messages: int, rng: np.random.Generator) -> Int[np.ndarray, "message"]:
    """Return the time from stamp to log, 0.2 to 0.8 ms."""
    return rng.integers(200_000, 800_000, messages)


def repeat(log: Log, count: int, rng: np.random.Generator) -> Log:
    """Log some messages twice, the copy right behind the original."""
    twice = rng.choice(np.arange(1, len(log.t_ns)), count, replace=False)
    rows = np.sort(np.concatenate([np.arange(len(log.t_ns)), twice]))
    return log.keep(rows)


def messages(logs: list[Log]) -> Iterator[tuple[int, int, str, bytes]]:
    """Yield (log time, stamp, topic, JSON) of all topics, by log time."""
    entries = sorted(
        (int(log.log_ns[i]), which, i)
        for which, log in enumerate(logs)
        for i in range(len(log.t_ns))
    )
    # Digits well below the noise; more would be incompressible.
    digits = {"position": 6, "velocity": 5, "effort": 3}
    for log_ns, which, i in entries:
        log = logs[which]
        stamp_ns = START_NS + int(log.t_ns[i])
        sec, nanosec = divmod(stamp_ns, 1_000_000_000)
        message: dict[str, Any] = {"header": {"stamp": {"sec": sec, "nanosec": nanosec}}}
        message["name"] = JOINTS
        for name, values in log.fields.items():
            message[name] = [round(float(v), digits[name]) for v in values[i]]
        text = json.dumps(message, separators=(",", ":"))
        yield START_NS + log_ns, stamp_ns, log.topic, text.encode()


def write_mcap(path: Path, logs: list[Log]) -> None:
    """Write the messages in zstd chunks, under a temporary name until the file is whole."""
    numbers = {"type": "array", "items": {"type": "number"}}
    temporary = path.with_suffix(".mcap.part")
    with temporary.open("wb") as stream:
        writer = Writer(stream, chunk_size=1 << 20, compression=CompressionType.ZSTD)
        writer.start(profile="", library="kinetwin sample")
        channels = {}
        for log in logs:
            stamp = {"sec": {"type": "integer"}, "nanosec": {"type": "integer"}}
            header = {"stamp": {"type": "object", "properties": stamp}}
            properties: dict[str, Any] = {"header": {"type": "object", "properties": header}}
            properties["name"] = {"type": "array", "items": {"type": "string"}}
            properties |= dict.fromkeys(log.fields, numbers)
            schema = json.dumps({"type": "object", "properties": properties}).encode()
            schema_id = writer.register_schema(log.topic.strip("/"), "jsonschema", schema)
            channels[log.topic] = writer.register_channel(log.topic, "json", schema_id)
        for sequence, (log_ns, stamp_ns, topic, data) in enumerate(messages(logs)):
            writer.add_message(channels[topic], log_ns, data, stamp_ns, sequence)
        writer.finish()
    temporary.replace(path)


def command_log(commands: Float[np.ndarray, "command 7"], rng: np.random.Generator) -> Log:
    """Return `/joint_commands`: every command, stamped when it was sent."""
    t_ns = np.arange(len(commands)) * round(PERIOD_S * 1e9)
    return Log("/joint_commands", t_ns, t_ns + latency_ns(len(t_ns), rng), {"position": commands})


def make() -> tuple[Truth, list[Log]]:
    """Draw the truth, move the robot, and return the truth and what was logged."""
    urdf = yourdfpy.URDF.load(URDF, load_meshes=False)
    parameters, path, sensors, loss = np.random.default_rng(SEED).spawn(4)
    truth = draw_truth(urdf, parameters)
    commands = excitation(np.arange(round(DURATION_S / PERIOD_S)) * PERIOD_S, path)
    motion = simulate(build_model(urdf, truth), truth, commands)
    states, sent = sense(motion, truth, sensors), command_log(commands, sensors)
    logs = [repeat(log, truth.duplicates[log.topic], loss) for log in (states, sent)]
    return truth, logs


def main() -> None:
    """Write the recording and its truth."""
    truth, logs = make()
    write_mcap(MCAP, logs)
    temporary = TRUTH.with_suffix(".json.part")
    temporary.write_text(json.dumps(asdict(truth), indent=1) + "\n")
    temporary.replace(TRUTH)
    print(f"{MCAP.name}: {MCAP.stat().st_size / 1e6:.2f} MB; {TRUTH.name}")


if __name__ == "__main__":
    main()
