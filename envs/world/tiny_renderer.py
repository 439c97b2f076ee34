"""PyBullet's software rasteriser as a source of image buffers, in a physics client of its own.

Every visual shape is a body of the client without mass or collider, so that the identity found in
a pixel names the shape. Nothing is simulated. What a picture shows is set as a whole by `arrange`,
so that no picture depends on the one before.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8

from envs.errors import StageError
from envs.frames import Pose, inverse, pose, to_quaternion
from envs.stage.scene import Body, Shape
from envs.world.primitives import drawable
from envs.world.quiet import quiet_stderr

# PyBullet greets each process with its build time.
with quiet_stderr():
    import pybullet

Color = tuple[float, float, float]

MAX_VERTICES = 131072
"""Of one mesh, PyBullet's limit for vertices given inline."""

_NOWHERE = pose(np.eye(3), np.array([0.0, 0.0, -1e4]))
"""Where bodies stand that a picture does not show: far beyond any far plane."""

_OPTICAL_TO_GL = np.array([1.0, -1.0, -1.0, 1.0])
"""Turns an optical frame (y down, z forward) into OpenGL's (y up, z backward), by column."""


@dataclass(frozen=True)
class Paint:
    """How one shape is coloured: linear RGB, multiplied with an image where there is one."""

    color: Color
    image: Path | None = None


@dataclass(frozen=True)
class Buffers:
    """What the rasteriser saw at the centre of each pixel.

    Attributes:
        rgb: sRGB colours; white where there is nothing.
        depth_m: Distance along the optical axis; inf where there is nothing.
        body: Index into the bodies the renderer was made of; −1 where there is nothing.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    depth_m: Float32[np.ndarray, "h w"]
    body: Int32[np.ndarray, "h w"]


def to_srgb(linear: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Return sRGB values of linear ones, both in 0..1 (IEC 61966-2-1)."""
    x = np.clip(linear, 0.0, 1.0)
    srgb: Float[np.ndarray, "*n"] = np.where(
        x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055
    )
    return srgb


class TinyRenderer:
    """The visual shapes of some bodies, ready to be posed, painted and captured."""

    def __init__(self, bodies: Sequence[Body]) -> None:
        self._client = pybullet.connect(pybullet.DIRECT)
        if self._client < 0:
            raise StageError("PyBullet gave no physics client for rendering")
        try:
            self._fill(bodies)
        except BaseException:
            self.close()
            raise

    def _fill(self, bodies: Sequence[Body]) -> None:
        """Upload all visual shapes."""
        self._names = tuple(body.name for body in bodies)
        self._texture_of: dict[Path, int] = {}
        self._white = self._load_white()
        # Per body its shapes: the identity in a picture, and the pose in the body.
        self._shapes = [[(self._add(s), s.X_BS) for s in body.visuals] for body in bodies]
        identities = [identity for shapes in self._shapes for identity, _ in shapes]
        # One more than there are, so that an empty pixel's −1 finds the last entry.
        self._body_of = np.full(max(identities, default=-1) + 2, -1, np.int32)
        for index, shapes in enumerate(self._shapes):
            self._body_of[[identity for identity, _ in shapes]] = index
        self._image_of = dict.fromkeys(identities, self._white)

    def __enter__(self) -> "TinyRenderer":
        """Return itself; the client is given back at the end of the `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Give the physics client back."""
        if self._client >= 0:
            pybullet.disconnect(physicsClientId=self._client)
            self._client = -1

    def arrange(self, poses: Mapping[str, Pose], paints: Mapping[str, Sequence[Paint]]) -> None:
        """Set where every body stands and how it is painted.

        Args:
            poses: Body name → X_WB; a body that is not named is not seen.
            paints: Body name → the paint of each of its visual shapes, for all bodies in `poses`.
        """
        for name, shapes in zip(self._names, self._shapes, strict=True):
            if name not in poses:
                for identity, _ in shapes:
                    self._move(identity, _NOWHERE)
                continue
            for (identity, X_BS), paint in zip(shapes, paints[name], strict=True):
                self._move(identity, poses[name] @ X_BS)
                self._color(identity, paint)

    def capture(
        self,
        X_WC: Pose,
        intrinsics: tuple[float, float, float, float],
        size: tuple[int, int],
        depth_range_m: tuple[float, float],
        *,
        light_W: Float[np.ndarray, "3"] | None = None,
    ) -> Buffers:
        """Return one picture of the arranged bodies, without shadows.

        Args:
            X_WC: The camera's optical frame (x right, y down, z forward).
            intrinsics: (fx, fy, cx, cy) in pixels; the centre of the top-left pixel is (0, 0).
            size: (width, height).
            depth_range_m: The near and the far plane.
            light_W: Direction towards a distant light; the colours are then multiplied by the
                cosine to the normal (Lambert). None gives the colours themselves.
        """
        width, height = size
        near, far = depth_range_m
        _, _, rgba, depth, identity = pybullet.getCameraImage(
            width,
            height,
            inverse(X_WC * _OPTICAL_TO_GL).T.ravel().tolist(),
            projection(intrinsics, size, depth_range_m).T.ravel().tolist(),
            lightDirection=(0.0, 0.0, 1.0) if light_W is None else light_W.tolist(),
            lightColor=(1.0, 1.0, 1.0),
            lightAmbientCoeff=1.0 if light_W is None else 0.0,
            lightDiffuseCoeff=0.0 if light_W is None else 1.0,
            lightSpecularCoeff=0.0,
            shadow=0,
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )
        body = self._body_of[np.asarray(identity, np.int32).reshape(height, width)]
        z = np.asarray(depth, np.float32).reshape(height, width)
        metres = np.float32(far * near) / (np.float32(far) - np.float32(far - near) * z)
        metres[body < 0] = np.inf
        rgb = np.ascontiguousarray(np.asarray(rgba, np.uint8).reshape(height, width, 4)[..., :3])
        return Buffers(rgb, metres, body)

    def photograph(
        self,
        X_WC: Pose,
        intrinsics: tuple[float, float, float, float],
        size: tuple[int, int],
        depth_range_m: tuple[float, float],
        light_W: Float[np.ndarray, "3"],
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Return the colours that PyBullet's own shading and shadows give; see `capture`."""
        width, height = size
        rgba = pybullet.getCameraImage(
            width,
            height,
            inverse(X_WC * _OPTICAL_TO_GL).T.ravel().tolist(),
            projection(intrinsics, size, depth_range_m).T.ravel().tolist(),
            lightDirection=light_W.tolist(),
            # By default it is so near that the whole scene lies in shadow, and so weak that nothing
            # is white.
            lightDistance=10.0,
            lightDiffuseCoeff=0.6,
            shadow=1,
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )[2]
        return np.ascontiguousarray(np.asarray(rgba, np.uint8).reshape(height, width, 4)[..., :3])

    def _add(self, shape: Shape) -> int:
        """Upload one shape and return the identity it has in a picture."""
        mesh = drawable(shape)
        assert mesh.normals is not None and mesh.uvs is not None
        if len(mesh.vertices) > MAX_VERTICES:
            raise StageError(
                f"{shape.prim}: a visual mesh of {len(mesh.vertices)} vertices; "
                f"PyBullet's renderer takes at most {MAX_VERTICES}, split it"
            )
        # A texture repeats, but PyBullet draws black at negative coordinates.
        uvs = mesh.uvs - np.floor(mesh.uvs.min(axis=0))
        visual = pybullet.createVisualShape(
            pybullet.GEOM_MESH,
            vertices=mesh.vertices.tolist(),
            indices=mesh.triangles.ravel().tolist(),
            normals=mesh.normals.tolist(),
            uvs=uvs.tolist(),
            physicsClientId=self._client,
        )
        if visual < 0:
            raise StageError(f"{shape.prim}: PyBullet refused the mesh of this visual")
        identity: int = pybullet.createMultiBody(0.0, -1, visual, physicsClientId=self._client)
        return identity

    def _move(self, identity: int, X_WS: Pose) -> None:
        """Put one shape somewhere."""
        w, x, y, z = to_quaternion(X_WS[:3, :3]).tolist()
        pybullet.resetBasePositionAndOrientation(
            identity, X_WS[:3, 3].tolist(), (x, y, z, w), physicsClientId=self._client
        )

    def _color(self, identity: int, paint: Paint) -> None:
        """Paint one shape; an image is copied by PyBullet, so only a new one is sent."""
        rgba = (*to_srgb(np.array(paint.color)).tolist(), 1.0)
        image = self._white if paint.image is None else self._load(paint.image)
        options = {"rgbaColor": rgba, "physicsClientId": self._client}
        if image != self._image_of[identity]:
            options["textureUniqueId"] = self._image_of[identity] = image
        pybullet.changeVisualShape(identity, -1, **options)

    def _load(self, path: Path) -> int:
        """Return the identity of an image file, reading it when it is first asked for."""
        if path not in self._texture_of:
            try:
                loaded = pybullet.loadTexture(str(path), physicsClientId=self._client)
            except pybullet.error:
                loaded = -1
            if loaded < 0:
                raise StageError(f"{path}: not an image that PyBullet's renderer can read")
            self._texture_of[path] = loaded
        return self._texture_of[path]

    def _load_white(self) -> int:
        """Return the texture of a shape without one, since none can be taken away again."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "white.png"
            path.write_bytes(cv2.imencode(".png", np.full((2, 2, 3), 255, np.uint8))[1].tobytes())
            return self._load(path)


def projection(
    intrinsics: tuple[float, float, float, float],
    size: tuple[int, int],
    depth_range_m: tuple[float, float],
) -> Float[np.ndarray, "4 4"]:
    """Return the clip matrix of a pinhole camera, which acts on column vectors.

    The rasteriser samples at the corner of a pixel that has the lowest x and y, counted from the
    lower left, where the centre is meant: the picture is moved by half a pixel against that.
    """
    (fx, fy, cx, cy), (width, height), (near, far) = intrinsics, size, depth_range_m
    P = np.zeros((4, 4))
    P[0, 0], P[0, 2] = 2 * fx / width, 1 - 2 * cx / width
    P[1, 1], P[1, 2] = 2 * fy / height, 2 * (cy + 1) / height - 1
    P[2, 2], P[2, 3] = (far + near) / (near - far), 2 * far * near / (near - far)
    P[3, 2] = -1.0
    return P
