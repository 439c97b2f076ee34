"""Standard deviations that survive residuals which are not independent.

Residuals of a robot are correlated over time: they are low-passed, and a law that is a little wrong
errs for as long as the motion stays where it is wrong. The covariance is therefore taken from
blocks of time, as the data themselves vary from block to block.
"""

import numpy as np
from jaxtyping import Float, Int

from envs.errors import CalibrationError

PRIOR_SHARE = 0.5
"""A value that owes more than this share of its variance to the prior is not told by the data."""


def time_blocks(t_s: Float[np.ndarray, "rows"], block_s: float) -> Int[np.ndarray, "rows"]:
    """Return the number of the block that each row lies in; they need not come in order."""
    return np.asarray(np.floor((t_s - t_s.min()) / block_s), dtype=int)


def sandwich(
    jacobian: Float[np.ndarray, "rows params"],
    residual: Float[np.ndarray, "rows"],
    blocks: Int[np.ndarray, "rows"],
    prior_precision: Float[np.ndarray, "params params"] | None = None,
) -> Float[np.ndarray, "params params"]:
    """Return the cluster-robust covariance of least-squares parameters, by the block jackknife.

    Without a prior this is the estimator CV3 of MacKinnon, Nielsen and Webb (Cluster-robust
    inference: a guide to empirical practice, Journal of Econometrics 232, 2023):
    `(G − 1)/G Σ δ_g δ_gᵀ`, δ_g being the change of the parameters when block g of the G blocks is
    left out, `δ_g = −(H − J_gᵀJ_g)⁻¹ J_gᵀ r_g`. Unlike the plain sandwich (Liang and Zeger, 1986)
    it is not too small where a block weighs much in its own fit. A Gaussian prior adds its
    precision P to H, and `H⁻¹ P H⁻¹` to the covariance: what the data leave open keeps the prior's.

    Args:
        jacobian: Of the whitened residuals with respect to the parameters, at the solution.
        residual: Whitened residuals at the solution.
        blocks: The block of each row; rows of one block may be correlated, blocks may not.
        prior_precision: P, symmetric.

    Raises:
        CalibrationError: There are fewer than two blocks, or no prior and the data leave a
            combination of the parameters open when one block is left out.
    """
    names, block = np.unique(blocks, return_inverse=True)
    if len(names) < 2:
        raise CalibrationError(
            f"standard deviations need two blocks of time or more; the data fill {len(names)}"
        )
    params = jacobian.shape[1]
    prior = np.zeros((params, params)) if prior_precision is None else prior_precision
    H = jacobian.T @ jacobian + prior
    # Scaled to a unit diagonal, so that units do not decide what is singular.
    diagonal = np.diag(H)
    if (diagonal <= 0).any():
        raise CalibrationError(f"parameter {int(diagonal.argmin())} does not enter the residuals")
    scale = 1 / np.sqrt(diagonal)
    J, H = jacobian * scale, H * scale * scale[:, None]
    covariance = np.zeros((params, params))
    for g in range(len(names)):
        rows = block == g
        left = H - J[rows].T @ J[rows]
        if np.linalg.cond(left) > 1 / np.finfo(float).eps:
            raise CalibrationError(
                f"without the data of block {names[g]} the parameters are not determined; "
                "use longer data, fewer parameters or a prior"
            )
        delta = np.linalg.solve(left, J[rows].T @ residual[rows])
        covariance += np.outer(delta, delta)
    covariance *= (len(names) - 1) / len(names)
    if prior_precision is not None:
        inverse = np.linalg.inv(H)
        covariance += inverse @ (prior * scale * scale[:, None]) @ inverse
    return np.asarray(covariance * scale * scale[:, None])


def at_least(
    robust: Float[np.ndarray, "values values"], independent: Float[np.ndarray, "values values"]
) -> Float[np.ndarray, "values values"]:
    """Return a covariance widened where that of independent residuals is wider.

    Where a value is told by a few moments only (Stribeck's excess by those of low speed) just as
    few blocks vary, and their scatter may come out as almost none by chance. Correlations stay.

    Args:
        robust: Of blocks of time.
        independent: Of the same values, if each independent sample erred for itself.
    """
    ours, least = np.diag(robust), np.diag(independent)
    wider = np.sqrt(np.maximum(least / np.where(ours > 0, ours, 1.0), 1.0))
    return np.asarray(robust * wider * wider[:, None])


def prior_share(
    jacobian: Float[np.ndarray, "rows params"],
    prior_precision: Float[np.ndarray, "params params"],
    of: Float[np.ndarray, "values params"],
) -> Float[np.ndarray, "values"]:
    """Return how much of each value's posterior variance comes from the prior, from 0 to 1.

    Values near 1 are as uncertain as the prior makes them: widen it, and they widen. The posterior
    covariance is `H⁻¹ = H⁻¹ (JᵀJ) H⁻¹ + H⁻¹ P H⁻¹`; the second part is the prior's.

    Args:
        jacobian: Of the whitened residuals with respect to the parameters.
        prior_precision: P.
        of: Derivative of the values of interest with respect to the parameters.
    """
    H = jacobian.T @ jacobian + prior_precision
    rows = np.linalg.solve(H, of.T).T
    own = np.einsum("vp,pq,vq->v", rows, prior_precision, rows)
    total = np.einsum("vp,vp->v", rows, of)
    return np.asarray(own / total)
