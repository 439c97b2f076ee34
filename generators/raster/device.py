"""Which device draws, and what its first use costs."""

from typing import Literal

import warp as wp

from envs.errors import ConfigError
from envs.world.quiet import quiet_stderr

Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda")


def choose(device: str) -> str:
    """Return the name of Warp's device for what a user asked for.

    Raises:
        ConfigError: It is not one of `DEVICES`, or there is no such device here.
    """
    if device not in DEVICES:
        raise ConfigError(f"device is '{device}'; allowed: {', '.join(DEVICES)}")
    _quietly()
    if device == "cpu":
        return "cpu"
    if wp.is_cuda_available():
        return "cuda:0"
    if device == "cuda":
        raise ConfigError(
            "device is 'cuda', but no NVIDIA GPU with its driver is found here; "
            "use device=cpu, or device=auto to take one where there is one"
        )
    return "cpu"


def _quietly() -> None:
    """Start Warp without its greeting."""
    wp.config.log_level = wp.LOG_ERROR
    # That there is no driver is said without being asked.
    with quiet_stderr():
        wp.init()
