"""Interests: clusters of items by the direction of their features in one modality."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from recsk.features.dense import Features

__all__ = ["cluster_items"]


def cluster_items(
    features: Features, n_interests: int, seed: int
) -> tuple[sp.csr_array, npt.NDArray[np.int64]]:
    r"""Cluster the items that have a modality (MDSRec, ICA).

    .. math:: c_j = \frac{1}{|\{i : z_i = j\}|} \sum_{i : z_i = j} e_i

    with :math:`z_i` the cluster of item i from k-means on features of length one.

    Parameters
    ----------
    features : Features
        Features of I items. Items that lack the modality are in no cluster.
    n_interests : int
        Number of clusters. Some stay empty if there are fewer distinct items.
    seed : int
        Seed of k-means.

    Returns
    -------
    mean : csr_array of shape (n_interests + 1, I), float32
        Maps item vectors to centers: ``mean @ e`` is :math:`c`. The last row is empty.
    cluster : ndarray of shape (I,), int64
        :math:`z`; `n_interests` for items in no cluster.
    """
    values, present = features
    members = np.flatnonzero(present)
    # In float64: the squares of very large or small values overflow or underflow in float32.
    length = np.linalg.norm(values[members].astype(np.float64), axis=1, keepdims=True)
    unit = (values[members] / np.where(length > 0, length, 1)).astype(np.float32)
    cluster = np.full(len(values), n_interests, dtype=np.int64)
    with warnings.catch_warnings():
        # With fewer distinct rows than clusters, k-means warns and leaves some clusters empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        k_means = KMeans(min(n_interests, len(members)), n_init=1, random_state=seed)
        cluster[members] = k_means.fit_predict(unit)
    share = 1 / np.bincount(cluster[members], minlength=n_interests)[cluster[members]]
    shape = (n_interests + 1, len(values))
    mean = sp.csr_array((share.astype(np.float32), (cluster[members], members)), shape=shape)
    return mean, cluster
