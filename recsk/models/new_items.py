"""Vectors of new items by what training learned of items with similar content."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.graphs.neighbors import top_k_per_row
from recsk.models.content_regression import ContentRegression
from recsk.ranking.users import Users, combine_scores
from recsk.ranking.vectors import unit_rows

__all__ = [
    "NewItemEstimate",
    "NewItemModel",
    "extend_item_to_item",
    "grow_item_to_item",
    "mix_vectors",
]

Floats = npt.NDArray[np.float32]
_RELIABLE = 5.0  # interactions from which a learned vector counts more than half in the regression
_LEAST_AGREEMENT = 1e-3  # of a user with the direction that most users share
_LIST_LENGTH = 20  # places that new items compete for
_N_LEFT_OUT = 1000  # a sample of known items
_MAX_RELATED = 500  # largest item-to-item weights of a new item


class NewItemEstimate(NamedTuple):
    """What is estimated of new items.

    Attributes
    ----------
    vectors : ndarray of shape (n, width), float32
        Zero for an item without any content.
    similar : csr_matrix of shape (n, n_items), float32
        Weights of the known items that are most similar; rows sum to one, or are empty.
    scale : float
        Factor of item-to-item weights; the vectors have it already.
    """

    vectors: Floats
    similar: sp.csr_matrix
    scale: float


class NewItemModel:
    r"""Predicts what training would have learned of an item from its content.

    `ContentRegression` predicts a direction. All new items get the same length. As they are, they
    would hardly ever reach the first places, or too often. Where they lack something, a multiple
    of one direction, on which all users nearly agree, is added:

    .. math:: x_i = \hat x_i + b m, \qquad m = \arg\min_m \sum_u (\langle x_u, m \rangle - 1)^2

    Where they have too much, their scores are scaled down. A model with a bias has this direction
    already, and shifts both ways. Known items, left out and predicted, would then reach the first
    20 places of users `share` times as often as known items do.

    Parameters
    ----------
    content : ndarray of shape (n_items, n_columns), float32
        Vectors of length one; zero for an item without content.
    item_vectors : ndarray of shape (n_items, width), float32
    n_predicted : int
        Columns of the vectors that content predicts. A column behind them is a bias: 1 in the
        vectors of users. New items have the mean of the biases.
    n_interactions : ndarray of shape (n_items,)
        Nothing is learned from items without any.
    item_to_item : csr_matrix of shape (n_items, n_items) or None
    users : Users
        A sample of the users of the fit.
    seen : csr_matrix of shape (n_users, n_items)
        Their interactions.
    share : float or None
        0 or more. 0 keeps new items out of the first places; None leaves them as they are.
    basis : ndarray of shape (n_columns, n_directions), float32, default=None
        Directions of the content that an earlier model of the same items chose.
    """

    def __init__(
        self,
        content: Floats,
        item_vectors: Floats,
        n_predicted: int,
        n_interactions: npt.NDArray[Any],
        item_to_item: sp.csr_matrix | None,
        users: Users,
        seen: sp.csr_matrix,
        share: float | None,
        basis: Floats | None = None,
    ) -> None:
        self.share = share
        self.known = np.flatnonzero((n_interactions > 0) & content.any(axis=1))
        learned = item_vectors[self.known, :n_predicted]
        self.rest = item_vectors[self.known, n_predicted:].mean(axis=0)
        count = n_interactions[self.known].astype(np.float64)
        # The same length for all, 1 where scores are cosines.
        self.length = float(np.linalg.norm(learned, axis=1).mean())
        assert users.vectors is not None
        self.direction = _common_direction(users.vectors)
        if len(self.rest):
            self.direction = np.eye(1, item_vectors.shape[1], n_predicted, dtype=np.float32)[0]
        self.boost, self.scale = 0.0, 1.0
        left_out = np.unique(np.linspace(0, len(self.known) - 1, _N_LEFT_OUT).astype(np.int64))
        self.regression = ContentRegression(
            content[self.known],
            np.asarray(unit_rows(learned), dtype=np.float32),
            count / (count + _RELIABLE),
            left_out,
            basis,
        )
        if share is None:
            return
        predicted = self._complete(self.regression.predicted)
        related = None
        if item_to_item is not None:
            similar = self._among(self.regression.similar, len(content))
            related = _columns(item_to_item, similar)
        own = combine_scores(users, predicted, related)
        scores = combine_scores(users, item_vectors, item_to_item)
        self._calibrate(scores, own, users, seen, left_out, share)

    def _complete(self, directions: Floats) -> Floats:
        """Give predicted directions their length and the columns that are not predicted."""
        rest = np.tile(self.rest, (len(directions), 1))
        return np.hstack([self.length * directions, rest])

    def _among(self, similar: sp.csr_matrix, n_items: int) -> sp.csr_matrix:
        """Return weights of known items as weights of all items."""
        parts = similar.data, self.known[similar.indices], similar.indptr
        return sp.csr_matrix(parts, shape=(similar.shape[0], n_items), dtype=np.float32)

    def _calibrate(
        self,
        scores: Floats,
        own: Floats,
        users: Users,
        seen: sp.csr_matrix,
        left_out: npt.NDArray[np.int64],
        share: float,
    ) -> None:
        """Choose the scale of new items, or how much of the common direction they get.

        `scores` are those of all items; `own` those that left-out items have as new ones.
        """
        unseen = seen[:, self.known[left_out]].toarray() == 0
        row = np.repeat(np.arange(len(scores)), np.diff(seen.indptr))
        scores[row, seen.indices] = -np.inf
        n_places = min(_LIST_LENGTH, len(self.known))
        last = np.partition(scores[:, self.known], -n_places, axis=1)[:, -n_places]
        wanted = int(share * n_places * len(scores) * len(left_out) / len(self.known))
        compared = unseen & np.isfinite(last)[:, None]
        lacking = (last[:, None] - own)[compared]
        if (lacking <= 0).sum() > wanted and not len(self.rest) and (last > 0).all():
            # Up to a scale s, a pair reaches the list if s times its score does.
            positive = compared & (own > 0)
            ratios = last[:, None] / np.where(positive, own, 1)
            self.scale = _smallest(ratios[positive], wanted)
        elif lacking.size:
            assert users.vectors is not None
            agreement = np.maximum(users.vectors @ self.direction, _LEAST_AGREEMENT)
            self.boost = _smallest(
                (lacking / np.broadcast_to(agreement[:, None], own.shape)[compared]), wanted
            )

    def __call__(self, content: Floats, n_items: int) -> NewItemEstimate:
        """Estimate vectors of new items, and their similar items among `n_items`."""
        direction, similar = self.regression(content)
        vectors = self.scale * self._complete(direction) + self.boost * self.direction
        vectors[~content.any(axis=1)] = 0
        similar = self._among(similar, n_items)  # items may have been added
        return NewItemEstimate(vectors.astype(np.float32), similar, self.scale)

    def leave_out(self, items: npt.NDArray[np.int64], item_vectors: Floats) -> Floats:
        """Predict vectors of known items from their content, each without the item itself.

        Parameters
        ----------
        items : ndarray of shape (n,), int64
            Known items with content and interactions.
        item_vectors : ndarray of shape (n_items, width), float32
            Those that the model was made from.

        Returns
        -------
        ndarray of shape (n, n_predicted), float32
        """
        vectors = item_vectors[items, : item_vectors.shape[1] - len(self.rest)]
        learned = np.asarray(unit_rows(vectors), dtype=np.float32)
        return self.length * self.regression.leave_out(np.searchsorted(self.known, items), learned)


def mix_vectors(
    learned: Floats, predicted: Floats, part: Floats, n_predicted: int
) -> npt.NDArray[np.float32]:
    """Mix learned vectors of items with those that their content predicts.

    The mean of two directions is shorter than both. The mixture gets the mean of their lengths, so
    that such items are in as many lists.

    Parameters
    ----------
    learned, predicted : ndarray of shape (n, width), float32
    part : ndarray of shape (n,), float32
        Of the predicted vectors, from 0 to 1.
    n_predicted : int
        Columns of the direction. Those behind them are means of both.
    """
    weight = part[:, None]
    mixed = (1 - weight) * learned + weight * predicted

    def length(vectors: Floats) -> Floats:
        return np.linalg.norm(vectors[:, :n_predicted], axis=1, keepdims=True)

    wanted = (1 - weight) * length(learned) + weight * length(predicted)
    mixed[:, :n_predicted] *= wanted / np.maximum(length(mixed), np.finfo(np.float32).tiny)
    return np.where(weight < 1, mixed, predicted)


def extend_item_to_item(
    item_to_item: sp.csr_matrix,
    similar: sp.csr_matrix,
    items: npt.NDArray[np.int64],
    part: npt.NDArray[np.float32],
) -> sp.csr_matrix:
    """Add means of the columns of similar items to the columns of items.

    What a few interactions with an item give is small: it adds up with the mean, and nothing is
    taken from it.

    Parameters
    ----------
    item_to_item : csr_matrix of shape (n_items, n_items)
        Columns of items without interactions are empty. Not changed.
    similar : csr_matrix of shape (n, n_items)
        Weights of the similar items.
    items : ndarray of shape (n,)
        Positions of the items.
    part : ndarray of shape (n,), float32
        Factors of the means.
    """
    columns = sp.csr_matrix(_columns(item_to_item, similar) @ sp.diags_array(part)).tocoo()
    rows, places = columns.row, items[columns.col]
    other = rows != places  # nothing follows from an item for itself
    added = columns.data[other], (rows[other], places[other])
    filled = item_to_item + sp.csr_matrix(added, shape=item_to_item.shape, dtype=np.float32)
    filled.sort_indices()
    return sp.csr_matrix(filled)


def grow_item_to_item(item_to_item: sp.csr_matrix, estimate: NewItemEstimate) -> sp.csr_matrix:
    """Return item-to-item weights with rows and columns of new items behind the others.

    Rows are means of the rows of similar items too, so that interactions with a new item count.
    """
    similar = estimate.similar
    columns = estimate.scale * _columns(item_to_item, similar)
    rows = top_k_per_row(sp.csr_array(similar @ item_to_item), _MAX_RELATED, diagonal_offset=None)
    among = sp.csr_array(similar @ columns)
    among.setdiag(0)
    among = top_k_per_row(among, _MAX_RELATED, diagonal_offset=None)
    grown = sp.block_array([[item_to_item, columns], [rows, among]], format="csr")
    grown.sum_duplicates()
    return sp.csr_matrix(grown, dtype=np.float32)


def _columns(item_to_item: sp.csr_matrix, similar: sp.csr_matrix) -> sp.csr_matrix:
    by_new = sp.csr_array(similar @ item_to_item.T)
    return sp.csr_matrix(top_k_per_row(by_new, _MAX_RELATED, diagonal_offset=None).T)


def _smallest(values: npt.NDArray[Any], n: int) -> float:
    """Return the value below which `n` others are, or the largest one."""
    n = min(n, len(values) - 1)
    return float(np.partition(values, n)[n])


def _common_direction(users: Floats) -> Floats:
    """Return the vector whose products with the vectors of users are as near to 1 as can be."""
    gram = users.T.astype(np.float64) @ users
    gram[np.diag_indices_from(gram)] += 1e-3 * np.trace(gram) / len(gram) + 1e-12
    return np.linalg.solve(gram, users.sum(axis=0)).astype(np.float32)
