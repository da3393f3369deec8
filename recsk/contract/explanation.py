"""Why items are recommended: parts of scores, and what each item of a history changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.optional import import_pandas

__all__ = ["Explanation"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """Scores of some users for some items, split into parts, and effects of the history.

    `explain` of a fitted recommender returns it.

    Attributes
    ----------
    users : ndarray of shape (n,)
        As in a frame of `recommend`: labels or ids, or the names of histories.
    items : ndarray of shape (n, m)
        Items of each user: labels or ids; None or -1 is padding.
    scores : ndarray of shape (n, m), float32
        NaN for padding.
    parts : dict of str to ndarray of shape (n, m), float32
        They add up to `scores`.
    history : list of ndarray
        The items of each user's history, oldest first where the model reads the order. Repeats
        count once. Empty without ``history=True``.
    effects : list of ndarray of shape (n_history, m), float32
        For each item of the history: how much lower the score is without it.

    Examples
    --------
    >>> from recsk import Interactions
    >>> from recsk.baselines import ItemKNNRecommender
    >>> model = ItemKNNRecommender(weighting="cosine")
    >>> model = model.fit(Interactions([0, 0, 1, 1], [0, 1, 1, 2]))
    >>> why = model.explain([0], [2])
    >>> list(why.parts), why.history
    (['item-to-item'], [array([0, 1])])
    >>> why.effects[0][:, 0] > 0
    array([False,  True])
    """

    users: npt.NDArray[Any]
    items: npt.NDArray[Any]
    scores: Floats
    parts: dict[str, Floats]
    history: list[npt.NDArray[Any]]
    effects: list[Floats]

    def to_frame(self) -> Any:
        """Return a long pandas frame, without padding.

        Returns
        -------
        DataFrame
            Columns: user, item, kind ("part" or "history"), name (of the part, or the item of the
            history) and value. The values of the parts of a user and an item add up to the score.
        """
        pd = import_pandas("to_frame")
        rows: list[tuple[Any, ...]] = []
        for u, user in enumerate(self.users):
            for m in np.flatnonzero(~np.isnan(self.scores[u])):
                key = user, self.items[u, m]
                rows += [(*key, "part", name, part[u, m]) for name, part in self.parts.items()]
                if self.history:
                    pairs = zip(self.history[u], self.effects[u][:, m], strict=True)
                    rows += [(*key, "history", item, effect) for item, effect in pairs]
        columns = ["user", "item", "kind", "name", "value"]
        frame = {}
        for at, name in enumerate(columns[:-1]):
            values = np.empty(len(rows), dtype=object)
            for row, cells in enumerate(rows):  # or NumPy would take tuples apart
                values[row] = cells[at]
            frame[name] = values
        frame["value"] = np.array([cells[-1] for cells in rows], dtype=np.float32)
        return pd.DataFrame(frame).infer_objects()
