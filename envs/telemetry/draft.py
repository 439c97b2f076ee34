"""A description of a recording as YAML, with what nobody can tell from the file left open."""

import json
import re
from collections.abc import Mapping
from typing import Any

from assets import catalog
from envs.telemetry.recording import Signal
from envs.telemetry.source import UNITS

# What Hydra takes as "must be filled in".
UNKNOWN = "???"
# The units that ROS prescribes: https://www.ros.org/reps/rep-0103.html.
ROS_UNITS: Mapping[Signal, str] = {"position": "rad", "velocity": "rad/s", "effort": "N.m"}
# Endings of names, without what is no letter or digit → units.
ENDINGS = {
    "rad": "rad", "radians": "rad", "deg": "deg", "degrees": "deg", "mm": "mm",
    "rads": "rad/s", "radpers": "rad/s", "degs": "deg/s", "rpm": "rpm", "mps": "m/s",
    "nm": "N.m", "mnm": "mN.m", "ma": "mA", "amps": "A", "amp": "A", "mv": "mV", "volts": "V",
    "volt": "V", "degc": "degC", "percent": "%",
}  # fmt: skip


def unit_of(signal: Signal, name: str, *, kind: str = "") -> str:
    """Return the unit that a name or a type of message tells, or `UNKNOWN`.

    Args:
        signal: What it is the unit of.
        name: Of the column or field.
        kind: The type of the message.
    """
    if kind.endswith("JointState") and signal in ROS_UNITS:
        return ROS_UNITS[signal]
    if len(UNITS[signal]) == 1:
        return next(iter(UNITS[signal]))
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w]
    for count in (3, 2, 1):
        ending = "".join(words[-count:])
        if ENDINGS.get(ending) in UNITS[signal]:
            return ENDINGS[ending]
    return UNKNOWN


def assumed(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a description with the first unit of each signal where it is open, and those units."""
    streams = {}
    taken: dict[str, None] = {}
    for name, stream in values["streams"].items():
        signals = {}
        for signal, source in stream["signals"].items():
            if source["unit"] == UNKNOWN:
                source = source | {"unit": next(iter(UNITS[signal]))}
                taken[f"{signal} in {source['unit']}"] = None
            signals[signal] = source
        streams[name] = stream | {"signals": signals}
    return dict(values) | {"streams": streams}, tuple(taken)


def draft(values: Mapping[str, Any]) -> str:
    """Return a description as YAML, short values on one line."""
    robots = ", ".join(catalog.robot_names())
    lines = [
        f"name: {_scalar(values['name'])}",
        f"robot: {_scalar(UNKNOWN)}  # one of: {robots}; task=import brings yours in",
        f"format: {_scalar(values['format'])}",
        f"path: {_scalar(values['path'])}",
    ]
    if "episode" in values:
        lines.append(f"episode: {values['episode']}")
    if not values["streams"]:
        lines.append("streams: {}  # nothing that looks like joint signals was found")
        return "\n".join(lines) + "\n"
    lines.append("streams:")
    for name, stream in values["streams"].items():
        lines.append(f"  {_scalar(name)}:")
        for key, value in stream.items():
            if key == "signals":
                lines.append("    signals:")
                lines += [_signal(signal, source) for signal, source in value.items()]
            else:
                lines.append(f"    {key}: {_scalar(value)}")
    return "\n".join(lines) + "\n"


def _signal(signal: Signal, source: Mapping[str, Any]) -> str:
    comment = f"  # unit: {', '.join(UNITS[signal])}" if source["unit"] == UNKNOWN else ""
    return f"      {signal}: {_scalar(dict(source))}{comment}"


def _scalar(value: Any) -> str:
    """Return a value as flow YAML; JSON's quoting is YAML's, too."""
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_/][\w./%-]*", value)
        reserved = value.lower() in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
        return value if plain and not reserved else json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {_scalar(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_scalar(v) for v in value) + "]"
    return str(value)
