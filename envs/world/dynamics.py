"""Rigid-body dynamics of a tree in numpy, batched over leading axes.

The algebra is that of Legnani, Casolo, Righettini and Zappa (A homogeneous matrix approach to 3D
kinematics and dynamics, Mechanism and Machine Theory 31, 1996): velocities, accelerations and
inertias are 4×4 matrices in one common frame, so that all links are worked on in the same few
matrix products, and only the poses need a loop over the joints.

* Joint j moves all links above it with the velocity matrix `Ŝ_j q̇_j`: a point x (homogeneous) of
  such a link moves with `Ŝ_j x q̇_j`.
* A link's velocity is `V̂ = Σ Ŝ_j q̇_j` over its supporting joints, and its acceleration
  `Â = Ẍ X⁻¹ = Σ Ŝ_j q̈_j + (V̂_parent(j) + V̂_j) Ŝ_j q̇_j`: a point x is accelerated by `Â x`.
* Its pseudo-inertia `J = ∫ x xᵀ dm` gives the torque of joint j by virtual work:
  `τ_j = Σ ∫ (Ŝ_j x)·(Â x) dm = Σ tr(Ŝ_j J Âᵀ)` over the links above it. Gravity is an acceleration
  of all links by −g.
"""

import numpy as np
from jaxtyping import Float

from envs.frames import pose
from envs.stage.tree import Tree

# The rows of a cross-product matrix: vec([z]×) = z @ CROSS.
CROSS = np.array(
    [[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]],
    float,
)


def pseudo_inertia(pi: Float[np.ndarray, "*n 10"]) -> Float[np.ndarray, "*n 4 4"]:
    """Return `J = ∫ x xᵀ dm` of inertial parameters, x = (point, 1) in the same frame.

    Wensing, Kim and Slotine (Linear matrix inequalities for physically consistent inertial
    parameter identification, RA-L 2018), eq. 8: the upper left block is tr(I)/2·1 − I.
    """
    moment = np.asarray(pi)[..., [[4, 5, 7], [5, 6, 8], [7, 8, 9]]]
    J = np.empty((*moment.shape[:-2], 4, 4))
    J[..., :3, :3] = np.trace(moment, axis1=-2, axis2=-1)[..., None, None] / 2 * np.eye(3) - moment
    J[..., :3, 3] = J[..., 3, :3] = pi[..., 1:4]
    J[..., 3, 3] = pi[..., 0]
    return J


class TreeDynamics:
    """The dynamics of one tree, with everything that does not depend on the state made ready.

    All methods take q, qd, qdd with the joint as the last axis ("rad or m" and so on) and any
    equal leading axes. Inside, arrays are (joint, batch, rows, columns): a joint's slice is whole.
    """

    def __init__(self, tree: Tree) -> None:
        n = len(tree.joints)
        self.tree = tree
        self._parent = [int(p) for p in tree.parent]
        # support[i, j]: joint j moves link i.
        self._support = np.zeros((n, n))
        for i, parent in enumerate(self._parent):
            if parent >= 0:
                self._support[i] = self._support[parent]
            self._support[i, i] = 1.0
        self._carried = np.ascontiguousarray(self._support.T)
        self._above = self._carried - np.eye(n)

        # The common frame has the world's axes and stands at the root joints, so that numbers stay
        # small (and figures good) for a robot far from the world's origin.
        roots = [i for i, parent in enumerate(self._parent) if parent < 0]
        self._origin = tree.X_PJ[roots, :3, 3].mean(axis=0)
        X_PJ = tree.X_PJ.astype(float).copy()
        X_PJ[roots, :3, 3] -= self._origin

        # X_PJ · motion(q) = fixed + first·sin q + second·(1 − cos q); fixed + first·q if it slides.
        cross = (tree.axis @ CROSS).reshape(n, 3, 3)
        turns = ~tree.prismatic[:, None, None]
        motion = np.zeros((2, n, 4, 4))
        motion[0, :, :3, :3] = cross * turns
        motion[0, :, :3, 3] = tree.axis * tree.prismatic[:, None]
        motion[1, :, :3, :3] = (cross @ cross) * turns
        self._fixed = X_PJ[:, None]
        self._first, self._second = (X_PJ @ motion)[:, :, None]
        self._slides = np.flatnonzero(tree.prismatic)
        self._turns = np.flatnonzero(~tree.prismatic)
        self._axis = tree.axis[:, None, :, None].astype(float)
        self._J = pseudo_inertia(tree.pi)[:, None]
        self._minus_gravity = -tree.gravity.astype(float)

    def forward_kinematics(
        self, q: Float[np.ndarray, "*n joint"]
    ) -> Float[np.ndarray, "*n joint 4 4"]:
        """Return the pose of each link's frame in the world."""
        X = self._poses(self._columns(q)).swapaxes(0, 1)
        return pose(X[..., :3, :3], X[..., :3, 3] + self._origin).reshape(*q.shape, 4, 4)

    def inverse_dynamics(
        self,
        q: Float[np.ndarray, "*n joint"],
        qd: Float[np.ndarray, "*n joint"],
        qdd: Float[np.ndarray, "*n joint"],
    ) -> Float[np.ndarray, "*n joint"]:
        """Return the torques (N·m, N) of the motion: inertia, Coriolis and gravity, no friction."""
        X = self._poses(self._columns(q))
        S = self._screws(X)
        A = self._bias_accelerations(S, self._columns(qd))
        A += _total(self._support, S * self._columns(qdd))
        W = _total(self._carried, A @ self._inertias(X))
        tau: Float[np.ndarray, "*n joint"] = np.einsum("nbij,nbij->bn", S, W).reshape(q.shape)
        return tau

    def mass_matrix_and_bias(
        self, q: Float[np.ndarray, "*n joint"], qd: Float[np.ndarray, "*n joint"]
    ) -> tuple[Float[np.ndarray, "*n joint joint"], Float[np.ndarray, "*n joint"]]:
        """Return M and h of `τ = M q̈ + h`: h is the Coriolis, centrifugal and gravity torque."""
        X = self._poses(self._columns(q))
        n, batch = X.shape[:2]
        S = self._screws(X)
        J = self._inertias(X)
        # M_ij = tr(Ŝ_i Jc Ŝ_jᵀ) where joint i supports link j, and Jc is all that joint j carries.
        F = (S @ _total(self._carried, J)).reshape(n, batch, 12)
        S12 = S.reshape(n, batch, 12).swapaxes(0, 1)
        M = S12 @ F.transpose(1, 2, 0)
        above = M * self._above
        M *= self._carried
        M += above.swapaxes(1, 2)

        A = self._bias_accelerations(S, self._columns(qd))
        W = _total(self._carried, A @ J).reshape(n, batch, 12).swapaxes(0, 1)
        h = (S12 * W).sum(axis=2)
        return M.reshape(*q.shape, n), h.reshape(q.shape)

    def _columns(self, x: Float[np.ndarray, "*n joint"]) -> Float[np.ndarray, "joint batch 1 1"]:
        return x.reshape(-1, len(self._parent)).T[:, :, None, None]

    def _poses(
        self, q: Float[np.ndarray, "joint batch 1 1"]
    ) -> Float[np.ndarray, "joint batch 4 4"]:
        """Return the pose of each link in the common frame."""
        f, g = np.sin(q), 1.0 - np.cos(q)
        if len(self._slides):
            f[self._slides] = q[self._slides]
        X = self._first * f
        X += self._second * g
        X += self._fixed
        for i, parent in enumerate(self._parent):
            if parent >= 0:
                X[i] = X[parent] @ X[i]
        poses: Float[np.ndarray, "joint batch 4 4"] = X
        return poses

    def _screws(
        self, X: Float[np.ndarray, "joint batch 4 4"]
    ) -> Float[np.ndarray, "joint batch 3 4"]:
        """Return the upper rows of Ŝ: how a joint moves the points of what it carries."""
        z = X[..., :3, :3] @ self._axis
        S = np.empty((*X.shape[:2], 3, 4))
        S[..., :3] = (z[..., 0] @ CROSS).reshape(*X.shape[:2], 3, 3)
        if len(self._slides):
            S[self._slides, :, :, :3] = 0.0
        S[..., 3:] = S[..., :3] @ -X[..., :3, 3:]
        if len(self._slides):
            S[self._slides, :, :, 3:] = z[self._slides]
        return S

    def _inertias(
        self, X: Float[np.ndarray, "joint batch 4 4"]
    ) -> Float[np.ndarray, "joint batch 4 4"]:
        """Return the links' pseudo-inertias in the common frame."""
        J: Float[np.ndarray, "joint batch 4 4"] = X @ (self._J @ X.swapaxes(2, 3))
        return J

    def _bias_accelerations(
        self,
        S: Float[np.ndarray, "joint batch 3 4"],
        qd: Float[np.ndarray, "joint batch 1 1"],
    ) -> Float[np.ndarray, "joint batch 3 4"]:
        """Return the upper rows of each link's Â at q̈ = 0, less gravity."""
        S = S * qd
        V = _total(self._support, S)
        V += V
        V -= S
        A = _total(self._support, V[..., :3] @ S)
        A[..., 3] += self._minus_gravity
        return A


def _total(
    rows: Float[np.ndarray, "joint joint"], x: Float[np.ndarray, "joint *m"]
) -> Float[np.ndarray, "joint *m"]:
    """Return sums over joints: over the supporting ones, or over those that are carried."""
    return np.asarray((rows @ x.reshape(len(rows), -1)).reshape(x.shape))


def forward_kinematics(
    tree: Tree, q: Float[np.ndarray, "*n joint"]
) -> Float[np.ndarray, "*n joint 4 4"]:
    """Return the pose of each link's frame in the world; see `TreeDynamics`."""
    return TreeDynamics(tree).forward_kinematics(q)


def inverse_dynamics(
    tree: Tree,
    q: Float[np.ndarray, "*n joint"],
    qd: Float[np.ndarray, "*n joint"],
    qdd: Float[np.ndarray, "*n joint"],
) -> Float[np.ndarray, "*n joint"]:
    """Return the torques (N·m, N) of the motion; see `TreeDynamics`."""
    return TreeDynamics(tree).inverse_dynamics(q, qd, qdd)


def mass_matrix_and_bias(
    tree: Tree, q: Float[np.ndarray, "*n joint"], qd: Float[np.ndarray, "*n joint"]
) -> tuple[Float[np.ndarray, "*n joint joint"], Float[np.ndarray, "*n joint"]]:
    """Return M and h of `τ = M q̈ + h`; in a loop, make one `TreeDynamics` and call that."""
    return TreeDynamics(tree).mass_matrix_and_bias(q, qd)
