"""The users that a call asks about, and rankings as a data frame."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.data.optional import import_pandas
from recsk.ranking.users import Users

__all__ = ["Query", "ranking_frame"]


class Query(NamedTuple):
    """The users that a call asks about.

    Attributes
    ----------
    users : Users
        What scores them.
    seen : csr_matrix of shape (n, n_items)
        Their histories.
    names : ndarray of shape (n,)
        Labels or ids of known users; keys, labels or positions of histories.
    scalar : bool
        Whether the call names one user, not a list.
    """

    users: Users
    seen: sp.csr_matrix
    names: npt.NDArray[Any]
    scalar: bool


def ranking_frame(
    users: npt.NDArray[Any], items: npt.NDArray[Any], scores: npt.NDArray[np.float32]
) -> Any:
    """Return rankings as a long pandas frame: user, item, rank (from 1), score; no padding."""
    pd = import_pandas("as_frame=True")
    row, column = np.nonzero(np.isfinite(scores))
    frame = {
        "user": users[row],
        "item": items[row, column],
        "rank": column + 1,
        "score": scores[row, column],
    }
    return pd.DataFrame(frame).infer_objects()
