"""The parts of a score, and what it owes to each item of the history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.contract.answers import Query
from recsk.contract.explanation import Explanation
from recsk.contract.pairs import Pairs
from recsk.data.checks import describe
from recsk.data.interactions import Interactions
from recsk.ranking.scores import CombinedScores
from recsk.ranking.threads import one_thread_in_forks
from recsk.ranking.users import Users

__all__ = ["Explaining"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
_PAIR_NUMBERS = 2**20  # numbers in the vectors of the pairs whose scores are split at once
_MAX_INTERACTIONS, _MAX_VARIANTS = 2**18, 512  # of histories that are folded in at once


class _Variant(NamedTuple):
    """A history that is folded in: that of a user, or all but one of its items."""

    user: int
    row: int  # of the effects; -1 for the whole history
    items: Ids


class Explaining(Pairs):
    """Why an item has its score."""

    # Attributes that are made when they are needed, and kept for the next call.
    _made_when_needed: ClassVar[tuple[str, ...]] = ()

    def explain(
        self, user_ids: Any, items: Any, *, user_items: Any = None, history: bool = True
    ) -> Explanation:
        """Split scores into parts, and find the effect of each item of the history.

        The parts depend on the model. Vectors of both networks have two parts for each modality:
        what the content of the item predicts of its vector, and what else is learned of the item
        from interactions. Others are the item-to-item weights of the history, a bias of the item,
        and the popularity, which is the score for users without a history.

        Parameters
        ----------
        user_ids : label, int or array-like of shape (n,), or None
            Users of the fit.
        items : label, int, or array-like of shape (m,) or (n, m)
            Items for all users, or those of each user in its row, such as `recommend` returns.
        user_items : sparse matrix of shape (n, n_items), Interactions, list of lists or mapping, \
                default=None
            Histories of new users, as in `recommend`. Pass ``user_ids=None``, or they follow the
            known users.
        history : bool, default=True
            Whether to fold in every user without each item of the history. It takes as many
            fold-ins as the histories have items.

        Returns
        -------
        Explanation
            `Explanation.parts` add up to the scores of `recommend`, up to rounding.
            `Explanation.effects` are differences of two folded-in scores: of the whole history,
            and of the history without the item. Without its only item, a history has score 0.

        Raises
        ------
        ImportError
            If folding in needs PyTorch, which cannot be imported.
        IndexError, KeyError, TypeError
            As `recommend`.
        ValueError
            If a shape is wrong, or `score_parts` of a class does not add up to its scores.

        Examples
        --------
        >>> from recsk import MDERecommender
        >>> from recsk.datasets import make_multimodal
        >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
        >>> model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
        >>> model = model.fit(data.interactions, item_features=data.item_features)
        >>> items, scores = model.recommend([3], k=2)
        >>> why = model.explain([3], items)
        >>> list(why.parts)[:3]
        ['v: content', 'v: learned', 't: content']
        >>> abs(sum(why.parts.values()) - scores).max() < 1e-5
        np.True_
        """
        kept = self.__dict__
        self = self._as_fitted()
        if not isinstance(history, bool | np.bool_):
            raise TypeError(f"history must be a bool, got {history!r}")
        query = self._resolve_users(user_ids, user_items)
        columns = self._check_explained(items, query)
        scores, parts = self._split_scores(query, columns)
        of_users: list[Ids] = []
        effects: list[Floats] = []
        if history:
            of_users = self._list_histories(user_ids, user_items)
            try:
                effects = self._effects(of_users, query.seen, columns)
            except ImportError as error:
                raise ImportError(f"{error}. explain(..., history=False) works too") from error
        self._keep_made(kept)
        return Explanation(
            query.names,
            self._name_items(columns),
            scores,
            parts,
            [self._name_items(list_distinct(one)) for one in of_users],
            effects,
        )

    def _keep_made(self, attributes: dict[str, Any]) -> None:
        """Add what this copy of a model made when it was needed to the attributes of the model."""
        for name in self._made_when_needed:
            if name in self.__dict__:
                attributes[name] = self.__dict__[name]

    def score_parts(self, users: Users, rows: Ids, items: Ids) -> dict[str, Floats]:
        """Split the scores of pairs of a user and an item into parts that add up to them.

        `explain` calls it. Override it in a recommender whose vectors have parts with a meaning, or
        that has a `score_block`; a part of zeros may be left out.

        Parameters
        ----------
        users : Users
            As `score_block` gets them.
        rows : ndarray of shape (n_pairs,), int64
            The user of each pair, as a row of `users`.
        items : ndarray of shape (n_pairs,), int64
            The item of each pair.

        Returns
        -------
        dict of str to ndarray of shape (n_pairs,), float32
            By the names that users read. By default "vectors" and "item-to-item", or "score" for a
            class with a `score_block`.
        """
        n = _count(users)
        if self._scores_blocks():
            return {"score": self._scores(users, n).of_pairs(rows, items)}
        parts, shape = {}, (n, self.n_features_in_)
        if users.vectors is not None and self._has_vectors():
            vectors = CombinedScores(Users(users.vectors), self.item_embedding_, None, *shape)
            parts["vectors"] = vectors.of_pairs(rows, items)
        if users.weights is not None and hasattr(self, "item_to_item_"):
            related = CombinedScores(replace(users, vectors=None), None, self.item_to_item_, *shape)
            parts["item-to-item"] = related.of_pairs(rows, items)
        return parts

    def _check_explained(self, items: Any, query: Query) -> Ids:
        """Return the items of each user, (n, m), with -1 as padding."""
        n = query.seen.shape[0]
        if isinstance(items, list | tuple):
            items = _stack(items, "item" in self._labels)
        is_array = isinstance(items, np.ndarray)
        if not (is_array and (items.ndim == 2 or query.scalar)):
            flat = self._check_items(items, "items", (0, 1)).reshape(-1)
            return np.tile(flat, (n, 1))
        table = np.atleast_2d(np.asarray(items))
        if len(table) != n:
            raise ValueError(
                f"items must have one row for each of {n} users, or be a list for all of them; "
                f"got {describe(items)}"
            )
        flat = table.reshape(-1)
        padding = np.array([x is None for x in flat], dtype=bool)
        if "item" not in self._labels and table.dtype.kind == "i":
            padding = flat == -1
        ids = np.full(len(flat), -1, dtype=np.int64)
        ids[~padding] = self._check_items(flat[~padding], "items")
        return ids.reshape(table.shape)

    def _split_scores(self, query: Query, columns: Ids) -> tuple[Floats, dict[str, Floats]]:
        """Return scores and their parts, with NaN for padding."""
        users, seen = query.users, query.seen
        if not self._relates_seen():
            users = replace(users, unrelated=seen)
        row, place = np.nonzero(columns >= 0)
        items = columns[row, place]
        with one_thread_in_forks():
            found = self._scores(users, len(columns)).of_pairs(row, items)
            split = self._split_pairs(users, row, items)
        total = np.sum([np.zeros_like(found), *split.values()], axis=0)
        wrong = np.abs(total - found) > 1e-4 * max(1.0, np.abs(found).max(initial=0))
        if wrong.any():
            raise ValueError(
                f"score_parts of {type(self).__name__} must add up to the score "
                f"{found[wrong][0]:g}; got {total[wrong][0]:g} from {', '.join(split)}"
            )
        empty = (np.diff(seen.indptr) == 0)[row]
        if empty.any():
            user, popularity = self._popularity_vectors()
            split = {name: np.where(empty, np.float32(0), part) for name, part in split.items()}
            other = split.get("popularity", np.zeros_like(found))
            split["popularity"] = np.where(empty, popularity[items] @ user[0], other)
            found = np.where(empty, split["popularity"], found)

        def to_table(values: Floats) -> Floats:
            table = np.full(columns.shape, np.nan, dtype=np.float32)
            table[row, place] = values
            return table

        return to_table(found), {name: to_table(part) for name, part in split.items()}

    def _split_pairs(self, users: Users, rows: Ids, items: Ids) -> dict[str, Floats]:
        """Split the scores of pairs in blocks of bounded memory."""
        width = 1 if users.vectors is None else users.vectors.shape[1]
        step = max(_PAIR_NUMBERS // max(width, 1), 1)
        parts: dict[str, Floats] = {}
        for start in range(0, max(len(rows), 1), step):  # once without pairs, for the names
            some = slice(start, start + step)
            for name, part in self.score_parts(users, rows[some], items[some]).items():
                whole = parts.setdefault(name, np.zeros(len(rows), dtype=np.float32))
                whole[some] = part
        return parts

    def _list_histories(self, user_ids: Any, user_items: Any) -> list[Ids]:
        """Return the history of each user of a call, with repeats where the model reads them."""
        histories: list[Ids] = []
        if user_items is None or user_ids is not None:
            ids, _ = self._check_users(user_ids)
            if self.ordered:
                histories = _split(*self._known_interactions().sequences(packed=True), ids)
            else:
                histories = _split(self.interactions_.indptr, self.interactions_.indices, ids)
        if user_items is not None:
            new = self._check_histories(user_items)[1]
            rows = np.arange(new.n_users)
            if self.ordered:
                histories += _split(*new.sequences(packed=True), rows)
            else:
                matrix = new.to_csr()
                histories += _split(matrix.indptr, matrix.indices, rows)
        return histories

    def _effects(self, histories: list[Ids], seen: sp.csr_matrix, columns: Ids) -> list[Floats]:
        """Return for each user how much lower the scores are without each item of the history."""
        m = columns.shape[1]
        effects = [np.zeros((len(list_distinct(one)), m), np.float32) for one in histories]
        whole = np.zeros((len(histories), m), np.float32)
        for variants in _batches(histories):
            owner = np.array([variant.user for variant in variants])
            scores = self._fold_in_scores(variants, seen[owner], columns[owner])
            for variant, row in zip(variants, scores, strict=True):
                if variant.row < 0:
                    whole[variant.user] = row
                else:  # the whole history comes before its variants
                    effects[variant.user][variant.row] = whole[variant.user] - row
        for effect, row in zip(effects, columns, strict=True):
            effect[:, row < 0] = np.nan
        return effects

    def _fold_in_scores(
        self, variants: list[_Variant], seen: sp.csr_matrix, columns: Ids
    ) -> Floats:
        """Fold in histories and score their items, (n_variants, m)."""
        lengths = np.array([len(variant.items) for variant in variants])
        flat = np.concatenate([variant.items for variant in variants])
        histories = Interactions(
            np.repeat(np.arange(len(variants)), lengths),
            flat,
            timestamp=np.arange(len(flat)),
            n_users=len(variants),
            n_items=self.n_features_in_,
        )
        users = self._new_users(histories, histories.to_csr())
        if not self._relates_seen():
            users = replace(users, unrelated=seen)
        rows = np.repeat(np.arange(len(variants)), columns.shape[1])
        with one_thread_in_forks():
            items = np.maximum(columns, 0).reshape(-1)
            scores = self._scores(users, len(variants)).of_pairs(rows, items)
        scores = scores.reshape(columns.shape)
        scores[lengths == 0] = 0
        return scores


def _stack(items: Any, labelled: bool) -> Any:
    """Return a list of rows as a table, and another list as it is."""
    kinds = list | np.ndarray if labelled else list | tuple | np.ndarray  # a tuple may be a label
    rows = [x for x in items if isinstance(x, kinds) and not (hasattr(x, "ndim") and x.ndim == 0)]
    lengths = [len(row) for row in rows]
    if not lengths or len(lengths) < len(items):
        return items
    if len(set(lengths)) > 1:
        raise ValueError(
            f"items must have rows of one length, padded with {'None' if labelled else -1}; got "
            f"{describe(items)}"
        )
    if not labelled:
        return np.asarray(items)
    table = np.empty((len(lengths), lengths[0]), dtype=object)
    for row, some in zip(table, items, strict=True):
        for place, label in enumerate(some):  # or NumPy would take tuples apart
            row[place] = label
    return table


def list_distinct(items: Ids) -> Ids:
    """Return the items of a history in the order of their first appearance."""
    return np.fromiter(dict.fromkeys(items.tolist()), dtype=np.int64)


def _split(indptr: Any, items: Any, rows: Ids) -> list[Ids]:
    return [np.asarray(items[indptr[row] : indptr[row + 1]], dtype=np.int64) for row in rows]


def _batches(histories: list[Ids]) -> Iterator[list[_Variant]]:
    """Yield all histories, each followed by those without one of its items, some at a time."""
    batch: list[_Variant] = []
    n = 0
    for user, items in enumerate(histories):
        if not len(items):
            continue
        for row, left_out in enumerate([None, *list_distinct(items)], start=-1):
            batch.append(
                _Variant(user, row, items if left_out is None else items[items != left_out])
            )
            n += len(items)
            if n >= _MAX_INTERACTIONS or len(batch) == _MAX_VARIANTS:
                yield batch
                batch, n = [], 0
    if batch:
        yield batch


def _count(users: Users) -> int:
    part: Any = users.weights if users.vectors is None else users.vectors
    return int(part.shape[0])
