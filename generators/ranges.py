"""What is varied from picture to picture, and how far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from envs.errors import ConfigError, unknown
from generators.distributions import Distribution, Uniform

LIMITS = {
    "object_count": (0, 1000),
    "object_radius_m": (0.0, 100.0),
    "object_azimuth_deg": (-720.0, 720.0),
    "object_clearance_m": (0.0, 10.0),
    "texture_share": (0.0, 1.0),
    "robot_lightness": (0.0, 1.0),
    "camera_azimuth_deg": (-720.0, 720.0),
    "camera_elevation_deg": (-90.0, 90.0),
    "camera_zoom": (0.1, 20.0),
    "camera_fill": (0.05, 5.0),
    "camera_roll_deg": (-720.0, 720.0),
    "light_azimuth_deg": (-720.0, 720.0),
    "light_elevation_deg": (1.0, 90.0),
    "light_temperature_k": (1667.0, 25000.0),
    "light_sun": (0.0, 100.0),
    "light_sky": (0.0, 100.0),
    "light_penumbra_m": (0.0, 0.5),
    "light_dome_share": (0.0, 1.0),
    "light_lamp_share": (0.0, 1.0),
}
"""Between which values a number, or both ends of a range, make sense."""


@dataclass(frozen=True)
class Ranges:
    """One distribution per varied value; azimuths are counted from where the robot faces.

    Attributes:
        object_count: How many of the stage's objects are shown; rounded, at most all.
        object_radius_m: Lower and upper distance of objects from the robot's base.
        object_azimuth_deg: Lower and upper azimuth of objects.
        object_clearance_m: Kept free around each object.
        texture_share: How many of the surfaces carry a pattern, 0..1.
        robot_lightness: Of the robot's tint, 1 leaves it as it is.
        camera_azimuth_deg: Where the camera stands around the robot.
        camera_elevation_deg: How far above the horizon it stands.
        camera_zoom: Multiplies the focal length of the stage's camera.
        camera_fill: How much of the picture's width or height robot and objects take up.
        camera_roll_deg: Turn about its axis.
        light_azimuth_deg: Where the sun stands.
        light_elevation_deg: How high it stands.
        light_temperature_k: Colour of the sun.
        light_sun: Strength of the sun on a white surface that faces it.
        light_sky: Strength of the light from all around.
        light_penumbra_m: Half the width of a shadow's edge.
        light_dome_share: How many pictures have the image of the stage's dome light around them,
            0..1, or a daylight sky where it has none; behind the others is a plain backdrop.
        light_lamp_share: How many pictures the stage's own lamps light, where it has any, in place
            of the sun, 0..1.
    """

    object_count: Distribution
    object_radius_m: tuple[float, float]
    object_azimuth_deg: tuple[float, float]
    object_clearance_m: float
    texture_share: float
    robot_lightness: Distribution
    camera_azimuth_deg: Distribution
    camera_elevation_deg: Distribution
    camera_zoom: Distribution
    camera_fill: Distribution
    camera_roll_deg: Distribution
    light_azimuth_deg: Distribution
    light_elevation_deg: Distribution
    light_temperature_k: Distribution
    light_sun: Distribution
    light_sky: Distribution
    light_penumbra_m: Distribution
    light_dome_share: float
    light_lamp_share: float

    def __post_init__(self) -> None:
        """Refuse what lies outside `LIMITS`, intervals the wrong way round, and no numbers."""
        for name, (lowest, highest) in LIMITS.items():
            held = getattr(self, name)
            if isinstance(held, Uniform):
                held = (held.low, held.high)
            if isinstance(held, tuple):
                low, high = held
                if not lowest <= low <= high <= highest:
                    raise ConfigError(
                        f"{name} must go from low to high in {lowest}..{highest}, "
                        f"not [{low}, {high}]"
                    )
            elif isinstance(held, float) and not lowest <= held <= highest:
                raise ConfigError(f"{name} must lie in {lowest}..{highest}, not {held}")

    @staticmethod
    def from_bounds(bounds: Mapping[str, float | Sequence[float]]) -> "Ranges":
        """Return ranges from a number or [low, high] per attribute, as a configuration has them.

        Raises:
            ConfigError: A name is missing or unknown, or a value cannot be used.
        """
        names = [field.name for field in fields(Ranges)]
        for name in bounds:
            if name not in names:
                raise ConfigError(unknown("range", name, names, where="generators.ranges"))
        values: dict[str, Any] = {}
        for field in fields(Ranges):
            if field.name not in bounds:
                raise ConfigError(f"randomization lacks {field.name}")
            values[field.name] = _value(field.name, bounds[field.name], field.type)
        return Ranges(**values)


def _value(name: str, bound: float | Sequence[float], kind: object) -> Any:
    """Return one attribute's value."""
    if kind is float:
        if not isinstance(bound, (int, float)):
            raise ConfigError(f"{name} must be a number, not {bound}")
        return float(bound)
    if isinstance(bound, (int, float)) or len(bound) != 2:
        raise ConfigError(f"{name} must be [low, high], not {bound}")
    low, high = float(bound[0]), float(bound[1])
    if kind is not Distribution:
        return low, high
    try:
        return Uniform(low, high)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
