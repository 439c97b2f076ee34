"""What a calibration takes by itself, from what was recorded, and what it says of it."""

from types import SimpleNamespace
from typing import Any

import pytest

from calibration.segments import FITTED
from conf.choosing import alone, choose
from conf.schema import Fitted, Method
from conf.split import Split, part
from conf.telemetry import RecordingConfig, ServoConfig
from envs.errors import CalibrationError


def config(method: Method = Method.auto, **recording: Any) -> Any:
    test = part("recording.test", recording.pop("test", None))
    split = Split(train=None, test=test, train_fraction=0.7)
    described = RecordingConfig(name="log", format="csv", path="log.csv", **recording)
    return SimpleNamespace(method=method, recording=described, split=lambda: split)


def data(*, effort: bool = False, current: bool = False, command: bool = False) -> Any:
    return SimpleNamespace(
        motion=object() if effort or current else None,
        gains=object() if current else None,
        trajectory=SimpleNamespace(q_command=object() if command else None),
        recording=SimpleNamespace(name="log"),
    )


SERVO: dict[str, Any] = {
    "servo": ServoConfig(gain="kp", duty_per_rad=1.0, supply="v"),
    "runs": ["a.csv", "b.csv"],
}


@pytest.mark.parametrize(
    ("effort", "command", "methods", "left"),
    [
        (True, True, [Method.torch, Method.lm], ""),
        (True, False, [Method.torch], "left out: lm needs recorded commands"),
        (False, True, [Method.lm], "left out: torch needs measured effort or current"),
    ],
)
def test_auto_takes_what_there_are_signals_for(
    effort: bool, command: bool, methods: list[Method], left: str
) -> None:
    assert alone(config()) is None
    taken, why = choose(config(), data(effort=effort, command=command))
    assert taken == methods
    assert why.startswith("method auto takes") and all(m.name in why for m in methods)
    assert why.endswith(left)


def test_currents_are_taken_for_what_they_tell() -> None:
    taken, why = choose(config(), data(current=True))
    assert taken == [Method.torch]
    assert "the motors' currents were measured" in why and "effort" not in why


def test_nothing_to_fit_is_refused_with_what_is_lacking() -> None:
    with pytest.raises(CalibrationError, match="torch needs measured effort or current; lm needs"):
        choose(config(), data())
    with pytest.raises(CalibrationError, match="cmaes needs recorded commands"):
        choose(config(Method.cmaes), data(effort=True))


def test_auto_takes_the_servo_and_the_marker_where_only_they_can_use_the_log() -> None:
    found = alone(config(**SERVO, test={"kp": 100}))
    assert found is not None and found[0] is Method.servo and "hobby servo" in found[1]
    found = alone(config(marker=SimpleNamespace()))
    assert found is not None and found[0] is Method.kinematics
    # A servo's log of which nobody says what judges goes to the rollouts, and is told.
    described = config(**SERVO)
    assert alone(described) is None
    _, why = choose(described, data(command=True))
    assert "servo needs recording.test={kp: VALUE}" in why


def test_what_is_asked_for_is_taken() -> None:
    assert alone(config(Method.lm, **SERVO, test={"kp": 100})) is None
    assert choose(config(Method.cmaes), data(command=True))[0] == [Method.cmaes]


def test_the_configuration_knows_what_rollouts_fit() -> None:
    assert tuple(field.name for field in Fitted) == tuple(FITTED)
