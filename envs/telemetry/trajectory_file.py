"""A trajectory as a Parquet file: what the recording became on one clock, for other programs."""

from pathlib import Path

from envs.telemetry.trajectory import Trajectory


def write_trajectory(path: Path, trajectory: Trajectory) -> Path:
    """Write `t_s`, `measured` and a column for each signal and joint, in SI, whole or not at all.

    A column is called `q_JOINT` (`qd_`, `tau_`, `q_command_`, `current_`), so that a recording of
    format parquet with `source: "q_{joint}"` reads it again.

    Returns:
        The path.
    """
    import polars as pl

    columns = {"t_s": trajectory.t_s, "measured": trajectory.measured}
    for signal in ("q", "qd", "tau", "q_command", "current"):
        values = getattr(trajectory, signal)
        if values is not None:
            columns |= {f"{signal}_{j}": values[:, i] for i, j in enumerate(trajectory.joints)}
    part = path.with_name(f".{path.name}.part")
    try:
        pl.DataFrame(columns).write_parquet(part)
        return part.replace(path)
    finally:
        part.unlink(missing_ok=True)
