"""New interactions behind known ones, among users and items that may be more than before."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.data.interactions import Interactions
from recsk.data.labels import Labels, check_same_type
from recsk.data.matching import FitLabels, check_same_terms, get_labels

__all__ = ["by_user", "join", "place", "warn_if_unknown"]

_FEW = 10  # labels that may well all be new


def place(
    X: Interactions, known: FitLabels, sizes: dict[str, int], name: str
) -> tuple[Interactions, dict[str, Labels]]:
    """Return new interactions in the ids of a fit, and its labels followed by new ones.

    Parameters
    ----------
    X : Interactions
        With labels where the fit has labels. Its own ids count where it has none.
    known : mapping of str to Labels
        Labels of the fit under "user" and "item", where it has any.
    sizes : dict of str to int
        Users and items of the fit, under the same names.
    name : str
        Name of `X` in error messages.

    Returns
    -------
    interactions : Interactions
        In ids, without labels. Its space has all users and items of the fit and of `X`.
    labels : dict of str to Labels

    Raises
    ------
    ValueError
        If one side has labels and the other ids, or no new label is of a type that the fit has.

    Examples
    --------
    >>> from recsk import Interactions
    >>> from recsk.data.growth import place
    >>> from recsk.data.labels import Labels
    >>> X = Interactions([0, 1], [0, 1], n_items=2).with_labels(item_labels=["new", "old"])
    >>> placed, labels = place(X, {"item": Labels(["old"])}, {"user": 2, "item": 1}, "X")
    >>> placed.item, labels["item"].values.tolist()
    (array([1, 0]), ['old', 'new'])
    """
    own = get_labels(X)
    ids: dict[str, npt.NDArray[np.int64]] = {}
    labels: dict[str, Labels] = {}
    sizes = dict(sizes)
    for kind, given, n in (("user", X.user, X.n_users), ("item", X.item, X.n_items)):
        check_same_terms(own, known, kind, name)
        if kind not in own:
            ids[kind], sizes[kind] = given, max(n, sizes[kind])
            continue
        labels[kind] = known[kind]
        if own[kind] is not known[kind]:
            values = own[kind].decode(np.arange(n)).tolist()
            new = [label for label in values if label not in known[kind]]
            if new:
                check_same_type(new, known[kind], f"{name} has {kind}s with labels")
                together = known[kind].values.tolist() + new
                labels[kind] = Labels(together, column=known[kind].column)
            given = labels[kind].find(values)[given]
        ids[kind], sizes[kind] = given, len(labels[kind])
    columns = {c: getattr(X, c) for c in ("timestamp", "value")}
    placed = Interactions(
        ids["user"], ids["item"], n_users=sizes["user"], n_items=sizes["item"], **columns
    )
    return placed, labels


def warn_if_unknown(
    placed: Interactions, known: FitLabels, labels: FitLabels, name: str, stacklevel: int
) -> None:
    """Warn if none of many items is known, or of many users who may be spelled in another way.

    That all users are new is normal where users are sessions. So of users at least one must be
    equal to a known one but for case and spaces.

    Parameters
    ----------
    placed : Interactions
        As `place` returns them.
    known, labels : mapping of str to Labels
        Of the fit, and with new ones behind them.
    name : str
        Name of the new interactions in the warning.
    stacklevel : int
    """
    for kind, before in known.items():
        ids = np.unique(getattr(placed, kind))
        if len(ids) < _FEW or ids[0] < len(before):
            continue
        if kind == "user" and not _are_spelled_alike(labels[kind].decode(ids), before.values):
            continue
        new, old = labels[kind].decode(ids[:2]).tolist(), before.values[:2].tolist()
        warnings.warn(
            f"the model knows none of the {len(ids)} {kind}s of {name}, such as "
            f"{' and '.join(map(repr, new))}; its own are such as {' and '.join(map(repr, old))}. "
            "If these are the same in another spelling, bring them to that of the fit: they have "
            f"been added as new {kind}s",
            stacklevel=stacklevel,
        )


def _are_spelled_alike(new: npt.NDArray[Any], known: npt.NDArray[Any]) -> bool:
    """Whether a new label is equal to a known one but for case and spaces."""
    if known.dtype.kind in "iu":
        return False
    plain = {str(label).strip().casefold() for label in new.tolist()}
    return any(str(label).strip().casefold() in plain for label in known.tolist())


def join(known: Interactions, new: Interactions) -> Interactions:
    """Return known interactions followed by new ones, in the space of the new ones.

    Ordered ones are by user and time, each user's new ones behind the known ones.
    """
    new = by_user(new)
    weights: list[npt.NDArray[Any]] = []
    if known.value is not None or new.value is not None:
        weights = [np.ones(len(x)) if x.value is None else x.value for x in (known, new)]
    joined = Interactions(
        np.concatenate([known.user, new.user]),
        np.concatenate([known.item, new.item]),
        timestamp=None if new.timestamp is None else np.arange(len(known) + len(new)),
        value=np.concatenate(weights) if weights else None,
        n_users=new.n_users,
        n_items=new.n_items,
    )
    return by_user(joined)


def by_user(interactions: Interactions) -> Interactions:
    """Sort interactions by user and, if they have times, by time; times become ranks."""
    user, time = interactions.user, interactions.timestamp
    order = np.argsort(user, kind="stable") if time is None else np.lexsort((time, user))
    value = interactions.value
    return Interactions(
        user[order],
        interactions.item[order],
        timestamp=None if time is None else np.arange(len(order)),
        value=None if value is None else value[order],
        n_users=interactions.n_users,
        n_items=interactions.n_items,
    )
