"""Interests: clusters of the items of a modality by the direction of their features."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from recsk.features import Features

__all__ = ["cluster_matrices"]


def cluster_matrices(
    features: Features, n_interests: int, seed: int
) -> tuple[sp.csr_array, sp.csr_array]:
    r"""Cluster the items that have a modality (MDSRec, ICA).

    .. math:: c_j = \frac{1}{|\{i : z_i = j\}|} \sum_{i : z_i = j} e_i

    with :math:`z_i` the cluster of item i by k-means over features of length one.

    Parameters
    ----------
    features : Features
        Of I items, some of which may lack the modality: these are in no cluster.
    n_interests : int
        Clusters, or as many as there are items where these are fewer.
    seed : int
        Of k-means.

    Returns
    -------
    mean : csr_array of shape (n_interests, I), float32
        From the vectors :math:`e` of items to the centers :math:`c`.
    member : csr_array of shape (I, n_interests), float32
        From centers to items: one where an item belongs.
    """
    values, present = features
    members = np.flatnonzero(present)
    # In float64: the squares of very large or small values leave float32.
    length = np.linalg.norm(values[members].astype(np.float64), axis=1, keepdims=True)
    rows = (values[members] / np.where(length > 0, length, 1)).astype(np.float32)
    n_clusters = min(n_interests, len(members))
    with warnings.catch_warnings():
        # Where fewer rows differ, some clusters stay empty, and nobody belongs to them.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = KMeans(n_clusters, n_init=1, random_state=seed).fit_predict(rows)
    one = np.ones(len(members), np.float32)
    cluster = sp.csr_array((one, (labels, members)), shape=(n_clusters, len(values)))
    sizes = np.maximum(np.bincount(labels, minlength=n_clusters), 1).astype(np.float32)
    return sp.csr_array(sp.diags_array(1 / sizes) @ cluster), sp.csr_array(cluster.T)
