"""Lens distortion as OpenCV has it: the rational radial model and the tangential terms.

Coordinates are normalised: x = X/Z and y = Y/Z of a point in the optical frame. Without distortion
that is where it is seen; with distortion it is seen at

    x' = x·g(r²) + 2·p1·x·y + p2·(r² + 2x²)      g(s) = (1 + k1·s + k2·s² + k3·s³)
    y' = y·g(r²) + p1·(r² + 2y²) + 2·p2·x·y             / (1 + k4·s + k5·s² + k6·s³)

(Brown, Decentering distortion of lenses, 1966; OpenCV, "Camera Calibration and 3D Reconstruction").
Such a model is good up to some radius only: where r·g(r²) stops growing, it folds the picture over.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from envs.errors import ConfigError

MAX_RADIUS = 1e3
"""Nothing is seen farther off the axis: 0.06 degrees short of sideways."""

NEWTON_STEPS = 50
TABLE_SIZE = 4097
"""Of the radial part's inverse, from which Newton's method starts."""

CONVERGED = 1e-13
"""Residual of an inverse, relative to the coordinate: some units in float64's last place."""

XY = Float[np.ndarray, "*n 2"]


@dataclass(frozen=True)
class Distortion:
    """The coefficients, in OpenCV's order; all of them 0 is a pinhole."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    k5: float = 0.0
    k6: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no number."""
        if not np.isfinite(astuple(self)).all():
            raise ConfigError(f"distortion coefficients must be finite, not {astuple(self)}")

    @staticmethod
    def from_opencv(coefficients: Sequence[float]) -> "Distortion":
        """Return the distortion of a list as OpenCV and ROS (plumb_bob, rational) give it.

        Raises:
            ConfigError: It has not 0, 4, 5 or 8 numbers.
        """
        if len(coefficients) not in (0, 4, 5, 8):
            raise ConfigError(
                f"distortion has {len(coefficients)} numbers; allowed: none, or "
                "[k1, k2, p1, p2], [… k3], [… k3, k4, k5, k6]"
            )
        return Distortion(*map(float, coefficients))

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float, float, float]:
        """(k1, k2, p1, p2, k3, k4, k5, k6)."""
        return self.k1, self.k2, self.p1, self.p2, self.k3, self.k4, self.k5, self.k6

    @property
    def present(self) -> bool:
        """Whether there is any."""
        return any(self.coefficients)

    @cached_property
    def valid_radius(self) -> float:
        """Undistorted radius up to which r·g(r²) grows and its denominator is positive."""
        # s = r². d(r·g)/dr = (N·D + 2s·(N'·D − N·D')) / D².
        N = np.polynomial.Polynomial([1.0, self.k1, self.k2, self.k3])
        D = np.polynomial.Polynomial([1.0, self.k4, self.k5, self.k6])
        s = np.polynomial.Polynomial([0.0, 1.0])
        slope = N * D + 2 * s * (N.deriv() * D - N * D.deriv())
        # Roots in 1/s: there the leading coefficient is 1, however small the others are.
        furthest = MAX_RADIUS**-2
        for polynomial in (slope, D):
            roots = np.roots(polynomial.coef)
            real = roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real
            furthest = max([furthest, *real.tolist()])
        return float(furthest**-0.5)

    def distort(self, xy: XY) -> XY:
        """Return where points are seen; NaN beyond the radius up to which the model is good."""
        seen, J = self._model(xy)
        good = (np.hypot(xy[..., 0], xy[..., 1]) < self.valid_radius) & (_determinant(J) > 0)
        seen[~good] = np.nan
        return seen

    def undistort(self, seen: XY) -> XY:
        """Return the coordinates that are seen at `seen`, to float64's precision.

        Newton's method in the plane, from the solution of the radial part. NaN where the model
        shows nothing.
        """
        target = np.asarray(seen, float).reshape(-1, 2)
        radius = np.hypot(target[:, 0], target[:, 1])
        start = self._radial_inverse(radius) / np.where(radius > 0, radius, 1.0)
        xy = target * np.where(radius > 0, start, 1.0)[:, None]
        tolerance = CONVERGED * (1 + radius)
        found = np.zeros(len(xy), bool)
        open_ = np.arange(len(xy))
        for _ in range(NEWTON_STEPS):
            ahead, J = self._model(xy[open_])
            error = ahead - target[open_]
            determinant = _determinant(J)
            good = np.abs(error).max(axis=-1) <= tolerance[open_]
            found[open_[good]] = determinant[good] > 0
            on = ~good & (determinant > 0)
            if not on.any():
                break
            J, error, open_ = J[on], error[on], open_[on]
            step = np.stack(
                [
                    J[:, 1, 1] * error[:, 0] - J[:, 0, 1] * error[:, 1],
                    J[:, 0, 0] * error[:, 1] - J[:, 1, 0] * error[:, 0],
                ],
                axis=1,
            )
            xy[open_] -= step / determinant[on, None]
        xy[~(found & (np.hypot(xy[:, 0], xy[:, 1]) < self.valid_radius))] = np.nan
        return xy.reshape(np.shape(seen))

    def _radial_inverse(self, seen: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Return about the radius whose r·g(r²) is `seen`: at most the valid radius."""
        furthest, reach = seen.max(initial=0.0), 1.0
        while reach < self.valid_radius and reach * self._gain(np.array(reach**2))[0] < furthest:
            reach *= 2
        r = np.linspace(0.0, min(reach, self.valid_radius), TABLE_SIZE)
        inverse: Float[np.ndarray, n] = np.interp(seen, r * self._gain(r * r)[0], r)
        return inverse

    def _gain(
        self, s: Float[np.ndarray, "*n"]
    ) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
        """Return g(s) and its derivative."""
        N = 1 + s * (self.k1 + s * (self.k2 + s * self.k3))
        D = 1 + s * (self.k4 + s * (self.k5 + s * self.k6))
        dN = self.k1 + s * (2 * self.k2 + s * 3 * self.k3)
        dD = self.k4 + s * (2 * self.k5 + s * 3 * self.k6)
        with np.errstate(divide="ignore", invalid="ignore"):
            return N / D, (dN * D - N * dD) / (D * D)

    def _model(self, xy: XY) -> tuple[XY, Float[np.ndarray, "*n 2 2"]]:
        """Return where the formulas put points, and the Jacobian."""
        x, y = xy[..., 0], xy[..., 1]
        s = x * x + y * y
        g, dg = self._gain(s)
        seen = np.stack(
            [
                x * g + 2 * self.p1 * x * y + self.p2 * (s + 2 * x * x),
                y * g + self.p1 * (s + 2 * y * y) + 2 * self.p2 * x * y,
            ],
            axis=-1,
        )
        cross = 2 * x * y * dg + 2 * self.p1 * x + 2 * self.p2 * y
        J = np.stack(
            [
                g + 2 * x * x * dg + 2 * self.p1 * y + 6 * self.p2 * x,
                cross,
                cross,
                g + 2 * y * y * dg + 6 * self.p1 * y + 2 * self.p2 * x,
            ],
            axis=-1,
        )
        return seen, J.reshape((*x.shape, 2, 2))


def _determinant(J: Float[np.ndarray, "*n 2 2"]) -> Float[np.ndarray, "*n"]:
    """Return the determinants; without distortion they are 1."""
    determinant: Float[np.ndarray, "*n"] = J[..., 0, 0] * J[..., 1, 1] - J[..., 0, 1] * J[..., 1, 0]
    return determinant


NONE = Distortion()
"""A pinhole's."""
