"""Interests: clusters of items by the direction of their features in one modality."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from recsk.features.dense import Features
from recsk.ranking.vectors import unit_rows

__all__ = ["cluster_items", "extend_clusters"]


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
    from sklearn.cluster import KMeans

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
    return _mean_of_clusters(cluster, n_interests), cluster


def extend_clusters(
    features: Features, known: npt.NDArray[np.int64], n_interests: int
) -> tuple[sp.csr_array, npt.NDArray[np.int64]]:
    """Put new items into the clusters of known ones, by the nearest center of the features.

    Parameters
    ----------
        features : Features
            Features of I items.
        known : ndarray of shape (n_known,)
            Cluster of each of the first items; `n_interests` for items in no cluster.
        n_interests : int
            Number of clusters.

    Returns
    -------
        mean, cluster
            As `cluster_items`.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.features.dense import Features
    >>> from recsk.graphs.interests import extend_clusters
    >>> values = np.float32([[1, 0], [0, 1], [0.1, 0.9]])
    >>> extend_clusters(Features(values, np.ones(3, bool)), np.array([0, 1]), 2)[1]
    array([0, 1, 1])
    """
    values, present = features
    unit = unit_rows(values)
    cluster = np.full(len(values), n_interests, dtype=np.int64)
    cluster[: len(known)] = known
    new = np.flatnonzero(present & (cluster == n_interests))
    filled = np.unique(cluster[cluster < n_interests])
    if len(new) and len(filled):
        centers = (_mean_of_clusters(cluster, n_interests) @ unit)[filled]
        nearness = unit[new] @ centers.T - np.sum(centers**2, axis=1) / 2
        cluster[new] = filled[nearness.argmax(axis=1)]
    return _mean_of_clusters(cluster, n_interests), cluster


def _mean_of_clusters(cluster: npt.NDArray[np.int64], n_interests: int) -> sp.csr_array:
    members = np.flatnonzero(cluster < n_interests)
    share = 1 / np.bincount(cluster[members], minlength=n_interests)[cluster[members]]
    shape = (n_interests + 1, len(cluster))
    return sp.csr_array((share.astype(np.float32), (cluster[members], members)), shape=shape)
