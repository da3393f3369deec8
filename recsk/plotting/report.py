"""A page of a few users: histories, recommendations, and why."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.contract import BaseRecommender, Explanation
from recsk.data.checks import check_positive_int, describe
from recsk.data.labels import is_missing
from recsk.plotting.fitted import check_explanation, check_fitted
from recsk.plotting.pictures import picture_source
from recsk.plotting.report_page import Item, Recommended, UserSection, make_page

__all__ = ["RecommendationReport"]


class RecommendationReport:
    """A page of HTML that shows what some users are recommended, and why.

    For each user it has the history, the recommended items with their scores, the parts of each
    score as bars, and the item of the history that counts most. The page is one file without
    scripts; names are escaped. A notebook shows it as the value of a cell.

    Create it with `from_estimator`. The constructor keeps its arguments as attributes.

    Parameters
    ----------
    explanation : Explanation
        Of the users and their recommended items. Without histories, the page says so.
    heading : str, default="Recommendations"
        Title of the page.
    facts : list of str, default=()
        Lines below the title.
    item_table : DataFrame, default=None
        What items are called and how they look. The index has the labels or ids of items.
    title, image : str, default=None
        Columns of `item_table`: names, and pictures (paths of files, which become part of the page,
        or addresses).
    n_history : int, default=10
        Items of a history that are shown: the latest of an ordered one, else those that count most.
    ordered : bool, default=False
        Whether histories are in the order of time.

    Examples
    --------
    >>> from recsk import MDERecommender
    >>> from recsk.datasets import make_multimodal
    >>> from recsk.plotting import RecommendationReport
    >>> data = make_multimodal(n_users=40, n_items=30, random_state=0)
    >>> model = MDERecommender(n_factors=8, max_epochs=2, random_state=0)
    >>> model = model.fit(data.interactions, item_features=data.item_features)
    >>> report = RecommendationReport.from_estimator(model, [3, 14], k=5)
    >>> report.to_html()[:15]
    '<!DOCTYPE html>'
    >>> report.save("report.html")  # doctest: +SKIP
    """

    def __init__(
        self,
        explanation: Explanation,
        *,
        heading: str = "Recommendations",
        facts: Any = (),
        item_table: Any = None,
        title: str | None = None,
        image: str | None = None,
        n_history: int = 10,
        ordered: bool = False,
    ) -> None:
        self.explanation = explanation
        self.heading = heading
        self.facts = facts
        self.item_table = item_table
        self.title = title
        self.image = image
        self.n_history = n_history
        self.ordered = ordered

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseRecommender,
        users: Any = None,
        k: int = 10,
        item_table: Any = None,
        title: str | None = None,
        image: str | None = None,
        *,
        user_items: Any = None,
        n_history: int = 10,
    ) -> RecommendationReport:
        """Recommend items to users and explain them.

        Parameters
        ----------
        estimator : recommender
            A fitted recommender.
        users : label, int or array-like of shape (n,), default=None
            Users of the fit. A few: the page has a section for each of them.
        k : int, default=10
            Items per user.
        item_table, title, image, n_history
            As in the constructor.
        user_items : mapping of label to list, or another form of `recommend`, default=None
            Histories of new users, which follow those of the fit.

        Returns
        -------
        RecommendationReport

        Raises
        ------
        TypeError
            If `estimator` is no recommender, or `item_table` no data frame.
        ValueError
            If there are neither users nor histories, `title` or `image` is no column, or the index
            of `item_table` repeats an item.

        Warns
        -----
        UserWarning
            If pictures are neither an address nor a file that can be read.
        """
        check_fitted(estimator)
        if users is None and user_items is None:
            raise ValueError("users must name the users to look at, such as users=[0, 1]; got None")
        k = check_positive_int(k)
        check_positive_int(n_history, "n_history")
        _check_table(item_table, title, image)
        items, _ = estimator.recommend(users, k, user_items=user_items)
        explanation = estimator.explain(users, items, user_items=user_items)
        names = getattr(estimator, "modality_names_", [])
        facts = [
            f"{type(estimator).__name__} of {estimator.n_users_:,} users and "
            f"{estimator.n_features_in_:,} items"
            + (f", with {' and '.join(names)}" if names else "")
        ]
        report = cls(
            explanation,
            facts=facts,
            item_table=item_table,
            title=title,
            image=image,
            n_history=n_history,
            ordered=estimator.ordered,
        )
        report._warn_of_items()
        report._warn_of_pictures()
        return report

    def to_html(self) -> str:
        """Return the page as text.

        Returns
        -------
        str
        """
        check_explanation(self.explanation)
        _check_table(self.item_table, self.title, self.image)
        known = self._read_items()
        return make_page(self.heading, self.facts, list(self._sections(known)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file.

        Parameters
        ----------
        path : str or path-like
        """
        Path(path).write_bytes(self.to_html().encode("utf-8", "replace"))

    def _repr_html_(self) -> str:
        """Return the page in a frame, where its styles stay."""
        style = "width:100%;height:40rem;border:1px solid #ddd"
        return f'<iframe sandbox srcdoc="{escape(self.to_html())}" style="{style}"></iframe>'

    def _sections(self, known: dict[Any, Item]) -> Iterator[UserSection]:
        why = self.explanation
        for u, user in enumerate(why.users):
            history = why.history[u] if why.history else np.empty(0, dtype=object)
            yield UserSection(
                f"User {user}" if isinstance(user, int | np.integer) else str(user),
                [_find(known, item) for item in self._order(history, u)[: self.n_history]]
                if why.history
                else None,
                len(history),
                [
                    Recommended(
                        _find(known, why.items[u, m]),
                        float(why.scores[u, m]),
                        [(name, float(part[u, m])) for name, part in why.parts.items()],
                        self._reason(known, u, int(m)),
                    )
                    for m in np.flatnonzero(~np.isnan(why.scores[u]))
                ],
            )

    def _order(self, history: npt.NDArray[Any], u: int) -> npt.NDArray[Any]:
        """Return a history with the items that a reader wants to see first at the start."""
        if self.ordered or not len(history):
            return history[::-1]
        effects = np.nansum(self.explanation.effects[u], axis=1)
        return history[np.argsort(-effects, kind="stable")]

    def _reason(self, known: dict[Any, Item], u: int, m: int) -> tuple[Item, float] | None:
        """Return the item of the history without which the score is lowest."""
        why = self.explanation
        if not why.history or not len(why.history[u]):
            return None
        effects = why.effects[u][:, m]
        most = int(np.argmax(effects))
        if effects[most] <= 0:
            return None
        return _find(known, why.history[u][most]), float(effects[most])

    def _read_items(self) -> dict[Any, Item]:
        """Return the items that the page shows, by label or id, as the table has them."""
        if self.item_table is None:
            return {}
        rows = {label: row for row, label in enumerate(self.item_table.index.tolist())}
        titles, images = (
            None if name is None else self.item_table[name].tolist()
            for name in (self.title, self.image)
        )
        found = {}
        for label in self._shown_items():
            if label in rows:
                name = str(label)
                if titles is not None and not is_missing(titles[rows[label]]):
                    name = str(titles[rows[label]])
                picture = None if images is None else picture_source(images[rows[label]])
                found[label] = Item(name, picture)
        return found

    def _shown_items(self) -> set[Any]:
        why = self.explanation
        arrays: list[npt.NDArray[Any]] = [why.items.ravel(), *why.history]
        return {item for array in arrays for item in array.tolist()}

    def _warn_of_items(self) -> None:
        if self.title is None and self.image is None:
            return
        shown = [item for item in self._shown_items() if item is not None and item != -1]
        if shown and not self._read_items():
            warnings.warn(
                f"item_table has none of the {len(shown)} items of the page, such as {shown[0]!r}: "
                f"its index, {describe(self.item_table.index.tolist())}, must have the labels or "
                "ids of items, as by item_table.set_index('item')",
                stacklevel=3,
            )

    def _warn_of_pictures(self) -> None:
        if self.image is None:
            return
        given = dict(
            zip(self.item_table.index.tolist(), self.item_table[self.image].tolist(), strict=True)
        )
        found = self._read_items()
        lost = [
            given[label]
            for label, item in found.items()
            if item.picture is None and not is_missing(given[label])
        ]
        if lost:
            warnings.warn(
                f"item_table[{self.image!r}] has {len(lost)} pictures that are neither an address "
                f"nor a file of a picture, such as {lost[0]!r}: they are left out",
                stacklevel=3,
            )


def _find(known: dict[Any, Item], item: Any) -> Item:
    item = item.item() if isinstance(item, np.generic) else item
    return known.get(item) or Item(str(item), None)


def _check_table(item_table: Any, title: Any, image: Any) -> None:
    """Raise an error unless the table is a data frame with these columns."""
    if item_table is None:
        if title is not None or image is not None:
            raise ValueError(
                "title and image are columns of item_table, which is missing: pass a data frame "
                "whose index has the items"
            )
        return
    if not (hasattr(item_table, "columns") and hasattr(item_table, "index")):
        raise TypeError(
            "item_table must be a pandas data frame whose index has the labels or ids of items; "
            f"got {describe(item_table)}"
        )
    for name, column in (("title", title), ("image", image)):
        if column is not None and column not in list(item_table.columns):
            raise ValueError(
                f"{name} must be a column of item_table, one of {list(item_table.columns)}; got "
                f"{column!r}"
            )
        if column is not None and list(item_table.columns).count(column) > 1:
            raise ValueError(f"item_table must have the column {column!r} once")
    if not item_table.index.is_unique:
        twice = item_table.index[item_table.index.duplicated()].tolist()[0]
        raise ValueError(
            f"the index of item_table must have each item once; {twice!r} is there again"
        )
