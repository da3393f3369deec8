"""Graphs between items: by content, by co-occurrence, and by both."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from recsk.graphs.cooccurrence import item_cooccurrence, top_cooccurring
from recsk.graphs.neighbors import cosine_neighbors, top_k_by_blocks, unit_features
from recsk.graphs.user_item import normalize_symmetric

__all__ = ["item_similarity_graph", "mix_with_identity", "relation_graph"]


def item_similarity_graph(
    features: np.ndarray,
    n_neighbors: int,
    *,
    present: np.ndarray | None = None,
) -> sp.csr_array:
    r"""Link every item to its nearest items by cosine similarity (MDE, Eq. 4).

    The search is exact, in blocks of bounded memory.

    Parameters
    ----------
    features : ndarray of shape (n_items, n_columns)
        :math:`F_m`.
    n_neighbors : int
        Links per item. An item is never its own neighbour. Only links of positive similarity
        are kept.
    present : ndarray of bool of shape (n_items,), default=None
        Which items have this modality. The others have no links and are never neighbours. None
        means all.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        Symmetrically normalised similarities. The graph is not symmetric: a can be among the
        neighbours of b without b among those of a.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.graphs import item_similarity_graph
    >>> features = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> item_similarity_graph(features, n_neighbors=1).toarray().round(2)
    array([[0.  , 0.95, 0.  ],
           [1.  , 0.  , 0.  ],
           [0.  , 0.3 , 0.  ]], dtype=float32)
    """
    return normalize_symmetric(sp.csr_array(cosine_neighbors(features, present, n_neighbors)))


def relation_graph(
    interactions: sp.csr_array,
    features: np.ndarray | None,
    n_neighbors: int,
    *,
    relation: Literal["blend", "sum", "product", "semantic", "behavior"] = "sum",
    behavior_share: float = 0.25,
    present: np.ndarray | None = None,
    max_length: int | None = 1000,
    block_size: int = 1024,
    behavior: sp.csr_array | None = None,
    links: sp.csr_array | None = None,
) -> sp.csr_array:
    r"""Link every item to related items by co-occurrence and content (MDSRec, MRGC).

    .. math:: A_m = \frac{D^{-1/2} C D^{-1/2}}{\max D^{-1/2} C D^{-1/2}} + S_m

    with :math:`C_{ij} = \sum_u \sqrt{r_{ui} r_{uj}}`, the number of users who interacted with
    both items where all weights r are one, and :math:`S_m` the cosine
    similarity of their features. The largest entries of each row are kept, every item is linked
    to itself with weight one, and the result is normalised symmetrically. The search is exact, in
    blocks. The formula is that of ``relation="sum"``.

    Parameters
    ----------
    interactions : csr_array of shape (n_users, n_items)
        One, or a weight, where a user interacted with an item.
    features : ndarray of shape (n_items, n_columns) or None
        :math:`F_m`. Only ``relation="behavior"`` accepts None.
    n_neighbors : int
        Links per item in addition to the link to itself. Only positive affinities are kept.
    relation : {"blend", "sum", "product", "semantic", "behavior"}, default="sum"
        How co-occurrence :math:`C` (normalised as above) and similarity :math:`S` are combined.
        "sum" is :math:`C + S`, "product" is :math:`C S`, "semantic" is :math:`S` alone and
        "behavior" is :math:`C` alone. "blend" is a weighted mean of the graphs for "behavior" and
        "semantic", with `n_neighbors` links from each. Neither graph then hides the other, even
        if all items have similar features or few items co-occur.
    behavior_share : float, default=0.25
        Weight of the "behavior" graph in the blend, from 0 to 1. The "semantic" graph has the
        rest.
    present : ndarray of bool of shape (n_items,), default=None
        Which items have this modality. The others have similarity zero to every item. None means
        all.
    max_length : int or None, default=1000
        Users with more items than this are not counted in :math:`C`: they show little about
        which items belong together, and n items cost n^2 operations. None counts all.
    block_size : int, default=1024
        Items whose co-occurrence with all others is held at once: ``block_size * n_items`` floats,
        or fewer if few items co-occur.
    behavior : csr_array of shape (n_items, n_items), default=None
        The graph for ``relation="behavior"``, if it is already known. Only the blend uses it. It
        is the same for all modalities. None computes it.
    links : csr_array of shape (n_items, n_items), default=None
        Cosines of the `n_neighbors` most similar items of each item, if they are already known.
        Only "blend" and "semantic" use them. None computes them.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        Not symmetric: a can be among the neighbours of b without b among those of a.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import relation_graph
    >>> interactions = sp.csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> relation_graph(interactions, None, 2, relation="behavior").toarray().round(2)
    array([[0.5 , 0.41, 0.  ],
           [0.41, 0.33, 0.41],
           [0.  , 0.41, 0.5 ]], dtype=float32)
    """
    if relation == "blend":
        options: dict[str, Any] = {"max_length": max_length, "block_size": block_size}
        if behavior is None:
            behavior = relation_graph(
                interactions, None, n_neighbors, relation="behavior", **options
            )
        options |= {"present": present, "links": links}
        semantic = relation_graph(
            interactions, features, n_neighbors, relation="semantic", **options
        )
        blend = behavior_share * behavior + (1 - behavior_share) * semantic
        return sp.csr_array(blend, dtype=np.float32)
    n_items = interactions.shape[1]
    if relation == "semantic":
        if links is None:
            assert features is not None
            links = sp.csr_array(cosine_neighbors(features, present, n_neighbors))
    elif relation == "behavior":
        links = top_cooccurring(interactions, n_neighbors, max_length, block_size)
    else:
        assert features is not None
        unit_rows, members = unit_features(features, present)
        unit = np.zeros((n_items, unit_rows.shape[1]), dtype=np.float32)
        unit[members] = unit_rows
        cooccurrence = item_cooccurrence(interactions, max_length, block_size)

        def affinity(rows: np.ndarray) -> np.ndarray:
            behavior, semantic = cooccurrence(rows).toarray(), unit[rows] @ unit.T
            return behavior * semantic if relation == "product" else behavior + semantic

        links = top_k_by_blocks(affinity, n_items, n_neighbors, block_size=block_size)
    self_links = sp.eye_array(n_items, dtype=np.float32, format="csr")
    return normalize_symmetric(sp.csr_array(links) + self_links)


def mix_with_identity(graph: sp.csr_array, count: np.ndarray, strength: float) -> sp.csr_array:
    r"""Mix a graph with the identity: the more users an item has, the less its links count.

    .. math:: A' = \Lambda + (I - \Lambda) A, \quad \lambda_i = \frac{n_i}{n_i + s}

    Parameters
    ----------
    graph : csr_array of shape (n_items, n_items)
        :math:`A`, such as a relation graph.
    count : ndarray of shape (n_items,)
        :math:`n`, the number of users of each item.
    strength : float
        :math:`s`. The links of an item count as much as this many users: :math:`\lambda_i = 1/2`
        at :math:`n_i = s`.

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        New items, with :math:`n_i = 0`, keep their row of :math:`A`.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from recsk.graphs import mix_with_identity
    >>> swap = sp.csr_array([[0.0, 1.0], [1.0, 0.0]])
    >>> mix_with_identity(swap, np.array([0, 30]), strength=10).toarray()
    array([[0.  , 1.  ],
           [0.25, 0.75]], dtype=float32)
    """
    share = count / (count + strength)
    mixed = sp.diags_array(share) + sp.diags_array(1 - share) @ graph
    return sp.csr_array(mixed, dtype=np.float32)
