"""The content of an item as one vector."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recsk.ranking.vectors import unit_rows

__all__ = ["content_vectors"]


def content_vectors(features: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    r"""Put the features of all modalities side by side, so that all count the same.

    .. math:: \langle x_i, x_j \rangle = \frac{1}{\sqrt{M_i M_j}} \sum_m \cos(f_{im}, f_{jm})

    where the sum is over the modalities that both items have, and item i has :math:`M_i`.

    Parameters
    ----------
    features : dict of str to ndarray of shape (n_items, n_columns), float32
        A row of NaN is an item without the modality. Not changed.

    Returns
    -------
    ndarray of shape (n_items, sum of the columns), float32
        Of length one; zero for an item without any modality.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.features.content import content_vectors
    >>> text, image = np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[2.0], [np.nan]])
    >>> vectors = content_vectors({"text": text, "image": image})
    >>> (vectors @ vectors.T).round(2)
    array([[1.  , 0.42],
           [0.42, 1.  ]], dtype=float32)
    """
    unit = [unit_rows(np.nan_to_num(rows, nan=0.0)) for rows in features.values()]
    return np.asarray(unit_rows(np.hstack(unit)), dtype=np.float32)
