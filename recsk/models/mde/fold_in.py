"""Vectors of new users, from their histories."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import scipy.sparse as sp

from recsk.graphs.neighbors import normalize_rows
from recsk.graphs.users import HistoryIndex, user_cooccurrence_graph, user_walk_graph
from recsk.storage.state import StateReader, matrix_state

__all__ = ["MAX_DEGREE", "USER_GRAPHS", "FoldIn", "fuse"]

# Items with more users say little about who is similar, and one costs the square of its users.
MAX_DEGREE = 1000
USER_GRAPHS = {"counts": user_cooccurrence_graph, "walks": user_walk_graph}
# Chosen on TikTok and ML-100K: known users are folded in, with and without their own history among
# the similar ones, and their lists are compared with those of the fit.
_N_SIMILAR = 50
_SHARPNESS = 8
_SHRINKAGE = 0.1
_ARRAYS = ("messages", "items", "propagated_users", "coefficients", "residuals")


def fuse(nodes: np.ndarray, preference: np.ndarray, *, fusion: str, similarity: str) -> np.ndarray:
    """Join the modalities of users or items in NumPy, as the network does.

    Parameters
    ----------
    nodes : ndarray of shape (n, n_modalities * n_factors)
    preference : ndarray of shape (n, n_modalities)
    fusion : {"concat", "sum"}
    similarity : {"dot", "cosine"}

    Returns
    -------
    ndarray of shape (n, width), float32
    """
    weighted = nodes.reshape(*preference.shape, -1) * preference[:, :, None]
    fused = weighted.reshape(len(nodes), -1) if fusion == "concat" else weighted.sum(axis=1)
    if similarity == "cosine":
        fused = fused / np.maximum(np.linalg.norm(fused, axis=1, keepdims=True), 1e-12)
    return fused.astype(np.float32)


class FoldIn:
    r"""Vectors of new users from a trained graph model, without retraining.

    What reaches a user through the graphs is exact for a new user too:

    .. math:: x_u = \frac{1}{L + 1} \Big( x_u^{(0)} + \sum_{i \in H} \frac{1}{\sqrt{|H| g_i}}
              \sum_{l < L} x_i^{(l)} \Big)

    and then the step on the user-user graph. What training would have learned for the user alone,
    :math:`x_u^{(0)}` and the preference, is estimated. A ridge regression on the known users
    predicts both from the items of the history. The residuals of the known users with the most
    similar histories, weighted by a power of the cosine, correct the prediction.

    With weights of the training interactions, :math:`g_i` is the sum of the weights of item i. A
    new user's interactions have no weights and count as one, the mean weight. So similar users and
    histories are found by the items in common, without weights.

    Parameters
    ----------
    interactions : csr_matrix of shape (n_users, n_items)
        Interactions of the training set: ones, or weights with a mean of one.
    initial_users : ndarray of shape (n_users, width)
        :math:`x_u^{(0)}`, all modalities side by side.
    preference_logits : ndarray of shape (n_users, n_modalities)
        Their softmax is the preference.
    item_layers : ndarray of shape (n_items, width)
        :math:`\sum_{l < L} x_i^{(l)}`.
    items : ndarray of shape (n_items, width)
        Items after all propagation, another input of the regression.
    propagated_users : ndarray of shape (n_users, width)
        Users before the step on the user-user graph; kept only with that graph.
    n_layers, user_neighbors, max_degree, user_links, normalize
        Parameters of the model.
    """

    _index: HistoryIndex | None = None  # of `interactions`; made for the first new user

    def __init__(
        self,
        interactions: sp.csr_matrix,
        *,
        initial_users: np.ndarray,
        preference_logits: np.ndarray,
        item_layers: np.ndarray,
        items: np.ndarray,
        propagated_users: np.ndarray,
        n_layers: int,
        user_neighbors: int,
        max_degree: int | None,
        user_links: str,
        normalize: bool,
    ) -> None:
        indices = interactions.indices, interactions.indptr
        ones = np.ones(interactions.nnz, dtype=np.float32)
        self.interactions = sp.csr_matrix((ones, *indices), shape=interactions.shape)
        self.width = initial_users.shape[1]
        self.n_layers = n_layers
        self.user_neighbors = user_neighbors
        self.max_degree = max_degree
        self.user_links = user_links
        self.normalize = normalize
        degree = np.bincount(
            interactions.indices, weights=interactions.data, minlength=interactions.shape[1]
        )
        scale = np.where(degree > 0, degree, 1) ** -0.5
        self.messages = (item_layers * scale[:, None]).astype(np.float32)
        self.items = items
        # Only the user-user graph reads them.
        self.propagated_users = propagated_users if user_neighbors else propagated_users[:0]
        known = np.diff(interactions.indptr) > 0
        learned = np.hstack([initial_users, preference_logits])
        inputs = self._inputs(interactions)
        self.coefficients = _ridge(inputs[known], learned[known])
        self.residuals = (learned - inputs @ self.coefficients).astype(np.float32)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made again when it is needed, in pickles and copies."""
        return {name: value for name, value in vars(self).items() if name != "_index"}

    def get_state(self) -> dict[str, Any]:
        """Return all arrays and settings, as a dict of arrays, numbers and dicts."""
        return {
            "interactions": matrix_state(self.interactions),
            "n_layers": self.n_layers,
            "user_neighbors": self.user_neighbors,
            "max_degree": self.max_degree,
            "normalize": self.normalize,
            **{name: getattr(self, name) for name in _ARRAYS},
        }

    @classmethod
    def from_state(
        cls,
        state: StateReader,
        shape: tuple[int, int],
        width: int,
        n_modalities: int,
        user_links: str,
    ) -> FoldIn:
        """Make a fold-in from the dict that `get_state` returned.

        Parameters
        ----------
        state : StateReader
        shape : tuple of int
            Shape of the interactions.
        width : int
            Width of all modalities side by side.
        n_modalities : int
        user_links : str
            The user-user graph, a key of `USER_GRAPHS`.

        Raises
        ------
        ValueError
            If anything is missing or does not fit the rest.
        """
        n_users, n_items = shape
        if width % n_modalities:
            raise ValueError(f"{n_modalities} modalities do not share a width of {width}")
        fold = cls.__new__(cls)
        fold.interactions = state.matrix("interactions", shape)
        fold.width = width
        fold.n_layers = state.integer("n_layers", 0)
        fold.user_neighbors = state.integer("user_neighbors", 0)
        fold.max_degree = state.optional_integer("max_degree", 1)
        fold.user_links = user_links
        fold.normalize = state.flag("normalize")
        fold.messages = state.array("messages", (n_items, width))
        fold.items = state.array("items", (n_items, width))
        n_propagated = n_users if fold.user_neighbors else 0
        fold.propagated_users = state.array("propagated_users", (n_propagated, width))
        fold.coefficients = state.array("coefficients", (2 * width + 1, width + n_modalities))
        fold.residuals = state.array("residuals", (n_users, width + n_modalities))
        return fold

    def with_new_items(self, similar: sp.csr_matrix) -> FoldIn:
        """Return a fold-in with new items behind the others; this one stays as it is.

        Parameters
        ----------
        similar : csr_matrix of shape (n, n_items)
            Weights of the known items that a new item is like: it sends what they send.
        """
        grown = copy(self)
        grown.messages = np.vstack([self.messages, similar @ self.messages]).astype(np.float32)
        grown.items = np.vstack([self.items, similar @ self.items]).astype(np.float32)
        known = self.interactions
        shape = known.shape[0], len(grown.items)
        grown.interactions = sp.csr_matrix((known.data, known.indices, known.indptr), shape=shape)
        return grown

    def estimate(
        self, histories: sp.csr_matrix, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what training learned of the known users, and an estimate for active ones.

        Parameters
        ----------
        histories : csr_matrix of shape (n, n_items)
            Of the known users and of new ones behind them; new items may be behind the known ones.
        active : ndarray of shape (n,), bool
            Users whose history is not that of the training: their vectors are estimated anew.

        Returns
        -------
        initial : ndarray of shape (n, width)
        preference_logits : ndarray of shape (n, n_modalities)
        """
        known = self.interactions
        learned = self._inputs(known) @ self.coefficients + self.residuals
        estimate = np.zeros((histories.shape[0], learned.shape[1]), dtype=np.float32)
        estimate[: len(learned)] = learned
        if active.any():
            estimate[active] = self._estimate(histories[active][:, : known.shape[1]])
        return estimate[:, : self.width], estimate[:, self.width :]

    def __call__(self, histories: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """Compute vectors and preferences of new users.

        Parameters
        ----------
        histories : csr_matrix of shape (n, n_items)

        Returns
        -------
        users : ndarray of shape (n, width), float32
            All modalities side by side.
        preference_logits : ndarray of shape (n, n_modalities), float32
        """
        estimate = self._estimate(histories)
        n_modalities = estimate.shape[1] - self.width
        initial = estimate[:, : self.width].reshape(len(estimate), n_modalities, -1)
        if self.normalize:
            initial /= np.maximum(np.linalg.norm(initial, axis=2, keepdims=True), 1e-12)
        users = (initial.reshape(len(estimate), -1) + self._received(histories)) / (
            self.n_layers + 1
        )
        if self.user_neighbors:
            near = USER_GRAPHS[self.user_links](
                histories, self.user_neighbors, others=self.interactions, max_degree=self.max_degree
            )
            users = users + near @ self.propagated_users
        return users.astype(np.float32), estimate[:, self.width :].astype(np.float32)

    def _estimate(self, histories: sp.csr_matrix) -> np.ndarray:
        """Estimate what training would have learned for these users alone."""
        index = self._index
        if index is None:
            index = self._index = HistoryIndex(self.interactions, self.max_degree)
        near = index.similar(histories, _N_SIMILAR)
        near.data **= _SHARPNESS
        total = np.asarray(near.sum(axis=1)).reshape(-1, 1) + _SHRINKAGE
        return self._inputs(histories) @ self.coefficients + (near @ self.residuals) / total

    def _received(self, histories: sp.csr_matrix) -> np.ndarray:
        if not self.n_layers:
            return np.zeros((histories.shape[0], self.width), dtype=np.float32)
        return np.asarray(normalize_rows(histories) @ self.messages)

    def _inputs(self, histories: sp.csr_matrix) -> np.ndarray:
        scaled = normalize_rows(histories)
        ones = np.ones((histories.shape[0], 1), dtype=np.float32)
        return np.hstack([scaled @ self.messages, scaled @ self.items, ones])


def _ridge(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    # A small penalty, which only keeps the system from being singular.
    inputs = inputs.astype(np.float64)
    gram = inputs.T @ inputs
    penalty = 1e-3 * np.trace(gram) / len(gram) + 1e-12
    gram[np.diag_indices_from(gram)] += penalty
    return np.linalg.solve(gram, inputs.T @ targets).astype(np.float32)
