# mypy: ignore-errors
# ruff: noqa: RUF046, UP018
"""The rollout of the fast twin as Warp kernels: one thread plays one robot over one stretch.

All links are worked on in one frame, with the world's axes, that stands at the root joints. Mass
matrix and bias torque come from composite inertias and Newton–Euler (Featherstone, Rigid Body
Dynamics Algorithms, 2008, chapters 5 and 6), and the step is solved with the factorisation that
keeps a tree's zeros (section 6.5 there): for up to some 30 joints that is less work than
articulated bodies, and the drive needs the diagonal of the mass matrix anyway. What a step does is
told in `envs.world.actuators`, whose arithmetic this repeats.
"""

from typing import Any

import numpy as np
import warp as wp

# What Warp compiles is Python in its looks alone: types are calls there, which mypy does not know,
# and a number that changes in a loop is made by int(…), which is no cast.
f64 = wp.float64
vec3 = wp.vec3d
mat33 = wp.mat33d
MAX_JOINTS = 48
"""What a robot's local memory has room for; one kernel serves them all, so that none waits for a
compiler twice."""
MAX, MAX_LINKS = wp.constant(MAX_JOINTS), wp.constant(MAX_JOINTS + 1)


@wp.struct
class Joint:
    """What a joint is; its parent is an index into the links, of which 0 is the base."""

    parent: wp.int32
    slides: wp.int32
    R_PJ: mat33
    p_PJ: vec3
    axis: vec3


def joint_rows(n: int) -> Any:
    """Return n empty joints as a structured numpy array."""
    return np.zeros(n, Joint.numpy_dtype())


@wp.struct
class Link:
    """A link in the common frame.

    Its pose, how its joint moves it (turning part w, moving part v at the origin), its velocity and
    bias acceleration; mass, mass moment and inertia about the origin of all it carries, and the
    wrench (moment N, force F) that all this needs at q̈ = 0.
    """

    R: mat33
    p: vec3
    Sw: vec3
    Sv: vec3
    w: vec3
    v: vec3
    aw: vec3
    av: vec3
    m: f64
    mc: vec3
    moment: mat33
    N: vec3
    F: vec3


@wp.func
def turned(a: vec3, angle: f64) -> mat33:
    """Return the rotation about a unit axis (Rodrigues' formula)."""
    s, c = wp.sin(angle), wp.cos(angle)
    t = f64(1.0) - c
    # fmt: off
    return mat33(
        c + t * a[0] * a[0], t * a[0] * a[1] - s * a[2], t * a[0] * a[2] + s * a[1],
        t * a[0] * a[1] + s * a[2], c + t * a[1] * a[1], t * a[1] * a[2] - s * a[0],
        t * a[0] * a[2] - s * a[1], t * a[1] * a[2] + s * a[0], c + t * a[2] * a[2],
    )
    # fmt: on


@wp.func
def moved(parent: Link, joint: Joint, q: f64, qd: f64) -> Link:
    """Return the motion of a link: pose, screw, velocity, acceleration at q̈ = 0."""
    link = Link()
    link.R = parent.R * joint.R_PJ
    link.p = parent.p + parent.R * joint.p_PJ
    z = link.R * joint.axis
    if joint.slides == 1:
        link.p += z * q
        link.Sv = z
    else:
        link.R = link.R * turned(joint.axis, q)
        link.Sw = z
        link.Sv = wp.cross(link.p, z)
    rate_w = link.Sw * qd
    rate_v = link.Sv * qd
    link.aw = parent.aw + wp.cross(parent.w, rate_w)
    link.av = parent.av + wp.cross(parent.w, rate_v) + wp.cross(parent.v, rate_w)
    link.w = parent.w + rate_w
    link.v = parent.v + rate_v
    return link


@wp.func
def loaded(link: Link, m: f64, mc: vec3, second: mat33) -> Link:
    """Return the link with its own matter: `second` is ∫ x xᵀ dm about its frame's origin."""
    arm = link.R * mc
    link.m = m
    link.mc = arm + m * link.p
    J = link.R * second * wp.transpose(link.R)
    J += wp.outer(link.p, link.mc) + wp.outer(arm, link.p)
    link.moment = wp.trace(J) * wp.identity(n=3, dtype=f64) - J
    momentum = m * link.v + wp.cross(link.w, link.mc)
    spin = link.moment * link.w + wp.cross(link.mc, link.v)
    link.F = m * link.av + wp.cross(link.aw, link.mc) + wp.cross(link.w, momentum)
    link.N = (
        link.moment * link.aw
        + wp.cross(link.mc, link.av)
        + wp.cross(link.w, spin)
        + wp.cross(link.v, momentum)
    )
    return link


@wp.func
def dynamics(
    tree: wp.array(dtype=Joint),
    pi: wp.array2d(dtype=f64),
    links: wp.array(dtype=Link),
    q: wp.array(dtype=f64),
    qd: wp.array(dtype=f64),
    M: wp.array2d(dtype=f64),
    bias: wp.array(dtype=f64),
):
    """Fill mass matrix (where a joint supports another) and bias torque."""
    n = tree.shape[0]
    for i in range(n):
        joint = tree[i]
        link = moved(links[joint.parent], joint, q[i], qd[i])
        # fmt: off
        second = mat33(
            pi[i, 4], pi[i, 5], pi[i, 6],
            pi[i, 5], pi[i, 7], pi[i, 8],
            pi[i, 6], pi[i, 8], pi[i, 9],
        )
        # fmt: on
        links[i + 1] = loaded(link, pi[i, 0], vec3(pi[i, 1], pi[i, 2], pi[i, 3]), second)
    for k in range(n):
        j = n - 1 - k
        link = links[j + 1]
        bias[j] = wp.dot(link.Sw, link.N) + wp.dot(link.Sv, link.F)
        force = link.m * link.Sv + wp.cross(link.Sw, link.mc)
        torque = link.moment * link.Sw + wp.cross(link.mc, link.Sv)
        M[j, j] = wp.dot(link.Sw, torque) + wp.dot(link.Sv, force)
        above = tree[j].parent
        if above > 0:
            links[above].m += link.m
            links[above].mc += link.mc
            links[above].moment += link.moment
            links[above].N += link.N
            links[above].F += link.F
        while above > 0:
            M[j, above - 1] = wp.dot(links[above].Sw, torque) + wp.dot(links[above].Sv, force)
            above = tree[above - 1].parent


@wp.func
def solve(tree: wp.array(dtype=Joint), A: wp.array2d(dtype=f64), x: wp.array(dtype=f64)):
    """Replace x by A⁻¹ x; only what supports what is looked at of A, which is used up."""
    n = tree.shape[0]
    for r in range(n):
        k = n - 1 - r
        i = tree[k].parent - 1
        while i >= 0:
            part = A[k, i] / A[k, k]
            j = int(i)
            while j >= 0:
                A[i, j] -= part * A[k, j]
                j = tree[j].parent - 1
            A[k, i] = part
            x[i] -= part * x[k]
            i = tree[i].parent - 1
    for k in range(n):
        x[k] /= A[k, k]
        i = tree[k].parent - 1
        while i >= 0:
            x[k] -= A[k, i] * x[i]
            i = tree[i].parent - 1


@wp.kernel(module="unique", module_options={"max_unroll": 0}, enable_backward=False)
def rollout(
    tree: wp.array(dtype=Joint),
    minus_gravity: vec3,
    pi: wp.array3d(dtype=f64),
    actuator: wp.array3d(dtype=f64),
    command: wp.array2d(dtype=f64),
    start: wp.array(dtype=wp.int32),
    q0: wp.array3d(dtype=f64),
    qd0: wp.array3d(dtype=f64),
    steps: wp.int32,
    width: wp.int32,
    dt: f64,
    stiction: f64,
    out: wp.array4d(dtype=vec3),
):
    """Roll out one candidate on one stretch; see `twin.FastTwin.roll` for the arguments.

    Args:
        tree: Parents before children.
        minus_gravity: −g in the world, m/s².
        pi: Of each candidate and link: mass, mass moment, second moments.
        actuator: Of each candidate and joint: the fields of `ActuatorParameters`, in order.
        command: Of the whole recording.
        start: First sample of each stretch.
        q0: Of each candidate and stretch.
        qd0: Likewise.
        steps: To take.
        width: Samples in a mean.
        dt: Step, s.
        stiction: Speed at which the sign of friction has reached tanh 1.
        out: q, qd, torque by candidate, stretch, mean, joint.
    """
    candidate, segment = wp.tid()
    n = tree.shape[0]
    drive = actuator[candidate]
    zero, one, half, two = f64(0.0), f64(1.0), f64(0.5), f64(2.0)
    links = wp.zeros(shape=(MAX_LINKS,), dtype=Link)
    links[0].R = wp.identity(n=3, dtype=f64)
    links[0].av = minus_gravity
    M = wp.zeros(shape=(MAX, MAX), dtype=f64)
    A = wp.zeros(shape=(MAX, MAX), dtype=f64)
    q = wp.zeros(shape=(MAX,), dtype=f64)
    qd = wp.zeros(shape=(MAX,), dtype=f64)
    qdd = wp.zeros(shape=(MAX,), dtype=f64)
    bias = wp.zeros(shape=(MAX,), dtype=f64)
    hold = wp.zeros(shape=(MAX,), dtype=f64)
    give = wp.zeros(shape=(MAX,), dtype=f64)
    load = wp.zeros(shape=(MAX,), dtype=f64)
    added = wp.zeros(shape=(MAX,), dtype=f64)
    total = wp.zeros(shape=(MAX,), dtype=vec3)
    whole = wp.zeros(shape=(MAX,), dtype=wp.int32)
    part = wp.zeros(shape=(MAX,), dtype=f64)
    rows = command.shape[0] - 1
    for i in range(n):
        q[i] = q0[candidate, segment, i]
        qd[i] = qd0[candidate, segment, i]
        at = f64(start[segment]) - half - drive[i, 9] / dt
        whole[i] = wp.int32(wp.floor(at))
        part[i] = at - wp.floor(at)

    for k in range(steps):
        dynamics(tree, pi[candidate], links, q, qd, M, bias)
        rate = f64(1.0)
        for i in range(n):
            stiff = dt * (drive[i, 1] + dt * drive[i, 0])
            rate = wp.max(rate, stiff / (M[i, i] + drive[i, 3]))
        theta = wp.max(half, one - one / rate)
        alpha = two * theta - one
        for i in range(n):
            row = k + whole[i]
            before = command[wp.clamp(row, 0, rows), i]
            after = command[wp.clamp(row + 1, 0, rows), i]
            acting = (one - part[i]) * before + part[i] * after
            hold[i] = drive[i, 0] * (acting - q[i] - alpha * dt * qd[i]) - drive[i, 1] * qd[i]
            give[i] = dt * (theta * drive[i, 1] + alpha * dt * drive[i, 0])
            sign = wp.tanh(qd[i] / stiction)
            level = f64(drive[i, 4])
            slope = f64(drive[i, 5])
            if drive[i, 6] > zero:
                ratio = qd[i] / drive[i, 7]
                excess = drive[i, 6] * wp.exp(-ratio * ratio)
                level += excess
                slope -= excess * two * ratio / drive[i, 7] * sign
            slope += level * (one - sign * sign) / stiction
            load[i] = bias[i] + level * sign + drive[i, 5] * qd[i] + drive[i, 8]
            added[i] = drive[i, 3] + dt * slope

        # Once, and again for the others where a drive has just met its limit.
        again = int(1)
        while again == 1:
            for i in range(n):
                j = int(i)
                while j >= 0:
                    A[i, j] = M[i, j]
                    j = tree[j].parent - 1
                A[i, i] += added[i] + give[i]
                qdd[i] = hold[i] - load[i]
            solve(tree, A, qdd)
            again = int(0)
            for i in range(n):
                torque = hold[i] - give[i] * qdd[i]
                if wp.abs(torque) > drive[i, 2]:
                    hold[i] = wp.clamp(torque, -drive[i, 2], drive[i, 2])
                    again = int(1)
                    give[i] = zero

        for i in range(n):
            faster = qd[i] + dt * qdd[i]
            middle = half * (qd[i] + faster)
            if k == 0:
                middle = qd[i]
            total[i] += vec3(q[i], middle, hold[i] - give[i] * qdd[i])
            qd[i] = faster
            q[i] += dt * faster
        if (k + 1) % width == 0:
            for i in range(n):
                out[candidate, segment, k / width, i] = total[i] / f64(width)
                total[i] = vec3(zero, zero, zero)
