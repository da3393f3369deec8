"""Graphs of users and items, built from interactions and features with NumPy and SciPy."""

from recsk.graphs.cooccurrence import window_cooccurrence_graph
from recsk.graphs.ease import ease
from recsk.graphs.interests import cluster_items
from recsk.graphs.items import item_similarity_graph, mix_with_identity, relation_graph
from recsk.graphs.random_walks import rp3beta
from recsk.graphs.regression import neighbor_regression
from recsk.graphs.spectral import spectral_vectors
from recsk.graphs.succession import recency_weights, succession_graph
from recsk.graphs.user_item import interaction_graph, normalize_symmetric
from recsk.graphs.users import similar_histories, user_cooccurrence_graph, user_walk_graph

__all__ = [
    "cluster_items",
    "ease",
    "interaction_graph",
    "item_similarity_graph",
    "mix_with_identity",
    "neighbor_regression",
    "normalize_symmetric",
    "recency_weights",
    "relation_graph",
    "rp3beta",
    "similar_histories",
    "spectral_vectors",
    "succession_graph",
    "user_cooccurrence_graph",
    "user_walk_graph",
    "window_cooccurrence_graph",
]
