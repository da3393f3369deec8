"""Lists of items that are good and differ from each other: maximal marginal relevance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recsk.ranking.engine import Ranking

__all__ = ["diversify"]

Floats = npt.NDArray[np.float32]


def diversify(
    ids: npt.NDArray[np.int64],
    scores: Floats,
    vectors: Sequence[Floats],
    weights: Sequence[float],
    k: int,
) -> Ranking:
    r"""Choose k of the candidates of each user, one after the other.

    The next item has the largest

    .. math:: \Big(1 - \sum_m \lambda_m\Big) r_i
              - \sum_m \lambda_m \max_{j \in S} \cos(f_{jm}, f_{im})

    where S are the items that are chosen already, and :math:`r_i` is the score on a scale from 0,
    the lowest of the candidates, to 1, the highest. The first item is the one with the highest
    score.

    Parameters
    ----------
    ids : ndarray of shape (n, n_candidates), int64
        Best first; -1 is padding at the end.
    scores : ndarray of shape (n, n_candidates), float32
        -inf for padding.
    vectors : sequence of ndarray of shape (n, n_candidates, n_columns), float32
        Those of the candidates by modality, of length one or zero.
    weights : sequence of float
        :math:`\lambda_m`, with a sum of at most one.
    k : int

    Returns
    -------
    ids, scores : ndarray of shape (n, k)
        In the order in which they are chosen; -1 and -inf where there are fewer candidates.

    References
    ----------
    .. [1] Carbonell, J., & Goldstein, J. (1998). "The Use of MMR, Diversity-Based Reranking for
       Reordering Documents and Producing Summaries." SIGIR. https://doi.org/10.1145/290941.291025

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.ranking.diversify import diversify
    >>> colours = np.float32([[[1, 0], [1, 0], [0, 1]]])  # two red items and a blue one
    >>> diversify(np.array([[7, 8, 9]]), np.float32([[3, 2, 1]]), [colours], [0.5], k=2)[0]
    array([[7, 9]])
    """
    n, n_candidates = ids.shape
    found = np.full((n, k), -1, dtype=np.int64)
    best = np.full((n, k), -np.inf, dtype=np.float32)
    left = ids >= 0
    relevance = (1 - sum(weights)) * _scale(scores, left)
    nearest = [np.full(ids.shape, -np.inf, dtype=np.float32) for _ in vectors]
    row = np.arange(n)
    for place in range(min(k, n_candidates)):
        value = relevance.copy()
        if place:
            for weight, similarity in zip(weights, nearest, strict=True):
                value -= weight * similarity
        else:
            value = np.where(left, scores, -np.inf)
        value[~left] = -np.inf
        chosen = value.argmax(axis=1)
        some = left[row, chosen]
        found[some, place] = ids[row, chosen][some]
        best[some, place] = scores[row, chosen][some]
        left[row, chosen] = False
        for part, similarity in zip(vectors, nearest, strict=True):
            cosines = part @ part[row, chosen][:, :, None]
            np.maximum(similarity, cosines[:, :, 0], out=similarity)
    return found, best


def _scale(scores: Floats, given: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Scale the scores of each row to reach from 0 to 1; equal ones are 0."""
    values = scores.astype(np.float64)
    low = np.where(given, values, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    high = np.where(given, values, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    span = np.where(high > low, high - low, 1.0)
    scaled: npt.NDArray[np.float64] = np.zeros_like(values)
    np.divide(values - np.where(np.isfinite(low), low, 0), span, out=scaled, where=given)
    return scaled
