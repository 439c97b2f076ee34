"""Write what was found: `quality.json`, and the samples that are not used as Parquet."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from envs.files import write_whole
from envs.telemetry.finding import Finding
from envs.telemetry.recording import Recording

# Samples with these faults are not used, and kept where one can look at them.
QUARANTINED = ("clock_jump", "conflict", "not_finite")


def write_quality(
    folder: Path, recording: Recording, findings: Sequence[Finding]
) -> tuple[Path, Path]:
    """Write `quality.json` and `quarantine.parquet`, each under its name only once it is whole.

    Args:
        folder: Where they go.
        recording: What was read.
        findings: What `check` said of it.

    Returns:
        The two files.
    """
    import polars as pl

    rows = list(_quarantined(recording, findings))
    kinds = {
        "stream": pl.String,
        "row": pl.Int64,
        "t_ns": pl.Int64,
        "reason": pl.String,
        "signal": pl.String,
        "joint": pl.String,
        "value": pl.Float64,
    }
    quarantine = folder / "quarantine.parquet"
    part = folder / "quarantine.parquet.part"
    pl.DataFrame(rows, schema=kinds, orient="row").write_parquet(part)
    part.replace(quarantine)
    told = {
        "recording": recording.name,
        "files": {
            name: {"sha256": digest, "protection": recording.protection.get(name, "unprotected")}
            for name, digest in recording.sha256.items()
        },
        "metadata": dict(recording.metadata),
        "damage": [
            {"file": d.file, "at": d.at, "lost_s": d.lost_s, "detail": d.detail}
            for d in recording.damage
        ],
        "clocks": {
            name: {
                "offset_s": c.offset_ns * 1e-9,
                "offset_std_s": c.fit.offset_std_s,
                "skew": c.fit.skew,
                "skew_std": c.fit.skew_std,
                "seen": c.seen,
                "offset_taken_out": c.separable,
            }
            for name, c in recording.clocks.items()
        },
        "quarantined": len({row[:2] for row in rows}),
        "findings": [
            {
                "kind": f.kind,
                "channel": f.channel,
                "count": f.count,
                "first_s": f.first_s,
                "first_row": int(f.rows[0]) if len(f.rows) else None,
                "action": f.action,
                "detail": f.detail,
            }
            for f in findings
        ],
    }
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    return write_whole(folder / "quality.json", text), quarantine


def _quarantined(
    recording: Recording, findings: Sequence[Finding]
) -> list[tuple[str, int, int, str, str, str, Any]]:
    """Return each value of the samples that are not used: what it is, and why."""
    rows: list[tuple[str, int, int, str, str, str, Any]] = []
    for finding in findings:
        if finding.kind not in QUARANTINED:
            continue
        for stream in recording.streams:
            labels = {signal: recording.label(stream, signal) for signal in stream.signals}
            if finding.channel not in (stream.name, *labels.values()):
                continue
            for row in finding.rows.tolist():
                for signal, values in stream.signals.items():
                    if finding.channel in (stream.name, labels[signal]):
                        rows.extend(
                            (stream.name, row, int(stream.t_ns[row]), finding.kind, signal, j, v)
                            for j, v in zip(stream.joints, values[row].tolist(), strict=True)
                        )
    return rows
