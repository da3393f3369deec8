"""Recommendations for the users of a Dask data frame, by partition."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from recsk.data.checks import check_positive_int, describe
from recsk.data.optional import import_pandas
from recsk.ranking.allowed import is_for_each

__all__ = ["recommend"]

# Users that a worker ranks at once: their lists and histories stay small beside a model.
_BLOCK = 2**16
_FOR_ALL = ("items", "filter_items")


def recommend(
    model: Any,
    users: Any,
    k: int = 10,
    *,
    column: str | None = None,
    client: Any = None,
    exclude_seen: bool = True,
    items: Any = None,
    filter_items: Any = None,
) -> Any:
    """Recommend items to all users of a Dask data frame, partition by partition.

    The model is sent to the cluster once. Each worker fetches it once, for all of its partitions.
    The result is lazy and has the partitions of `users`: write it with ``to_parquet``, so that no
    process ever holds all lists.

    Parameters
    ----------
    model : fitted recommender
        Any recommender of the library or of the contract.
    users : dask DataFrame or Series
        Users of the fit, labels or ids, in any partitions. Repeats get the same list again.
    k : int, default=10
        Items per user.
    column : str, default=None
        Column of `users` that holds them. May be left out for a Series or a single column.
    client : distributed.Client, default=None
        The cluster that will compute the result. None: the client of this process if there is one,
        else Dask's threads or processes on this machine, which share or copy the model.
    exclude_seen : bool, default=True
        Leave out the items of the user's history.
    items, filter_items : array-like of labels or int, default=None
        Only these items may be recommended, or all but these; the same for all users.

    Returns
    -------
    dask DataFrame
        Columns user, item, rank (from 1) and score, best first; fewer than `k` rows for users with
        fewer allowed items, as ``recommend(as_frame=True)`` gives them.

    Raises
    ------
    TypeError
        If `users` is no Dask data frame, or `client` no client.
    ValueError
        If `column` is not one of its columns, is there twice or must be given, `items` or
        `filter_items` are sets for each user, or `k` is below 1.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.
    IndexError, KeyError, ValueError
        When the result is computed: if an id or a label of `users` is unknown, or one is missing.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> import pandas as pd
    >>> from recsk import Interactions
    >>> from recsk.baselines import PopularRecommender
    >>> from recsk.distributed import recommend
    >>> log = pd.DataFrame({"user": ["ann", "ann", "bob"], "item": ["tea", "cup", "tea"]})
    >>> model = PopularRecommender().fit(Interactions.from_frame(log))
    >>> users = dd.from_pandas(pd.DataFrame({"user": ["ann", "bob"]}), npartitions=2)
    >>> lists = recommend(model, users, k=1, exclude_seen=False)
    >>> lists.npartitions
    2
    >>> lists[["user", "item"]].compute().values.tolist()
    [['ann', 'tea'], ['bob', 'tea']]
    """
    names = _users_of(users, column)
    check_is_fitted(model)
    k = check_positive_int(k, "k")
    options = {"exclude_seen": exclude_seen, "items": items, "filter_items": filter_items}
    for name in _FOR_ALL:
        if is_for_each(options[name]):
            raise ValueError(
                f"{name} must be one list for all users: sets for each user cannot be split by "
                f"partition; got {describe(options[name])}"
            )
    model.recommend([], k, **options)  # wrong arguments fail here, not on a worker
    types = {
        "user": _user_type(names, model),
        "item": _type_of(getattr(model, "items_", None)),
        "rank": np.dtype(np.int64),
        "score": np.dtype(np.float32),
    }
    meta = import_pandas("recommend on a cluster").DataFrame([], columns=list(types)).astype(types)
    sent = _send(model, client)
    return names.map_partitions(_answer, sent, k, options, types, meta=meta)


def _users_of(users: Any, column: str | None) -> Any:
    """Return the column of a Dask data frame that holds the users."""
    try:
        import dask.dataframe as dd
    except ImportError as error:
        raise ImportError(
            'recommend on a cluster needs Dask: pip install "recsk[cluster]"'
        ) from error
    if isinstance(users, dd.Series):
        if column not in (None, users.name):
            raise ValueError(f"column must be the name of users, {users.name!r}; got {column!r}")
        return users
    if not isinstance(users, dd.DataFrame):
        raise TypeError(
            "users must be a Dask data frame, such as dask.dataframe.from_pandas(frame, "
            f"npartitions=8); got {describe(users)}"
        )
    columns = list(users.columns)
    if column is None and len(columns) == 1:
        column = columns[0]
    if column not in columns:
        raise ValueError(f"column must be the column of users, one of {columns}; got {column!r}")
    if columns.count(column) > 1:
        raise ValueError(f"column must be one column of users; {column!r} is there twice or more")
    return users[column]


def _send(model: Any, client: Any) -> Any:
    """Return a handle of the model on the cluster, or the model where there is none."""
    try:
        from distributed import default_client
    except ImportError:
        return model
    if client is None:
        try:
            client = default_client()
        except ValueError:
            return model
    if not hasattr(client, "scatter"):
        raise TypeError(f"client must be a distributed.Client or None; got {describe(client)}")
    # Without a hash of the contents, which takes longer than to send them.
    return client.scatter(model, hash=False)


def _user_type(names: Any, model: Any) -> Any:
    """Return the type of the users: that of their column, unless Dask has yet to see it."""
    categories = getattr(names.dtype, "categories", None)
    if categories is None or names.cat.known:
        return names.dtype
    # Each partition has categories of its own.
    return _type_of(getattr(model, "users_", None))


def _type_of(labels: Any) -> Any:
    """Return the type that pandas gives to users or items; without labels, that of ids."""
    pd = import_pandas("recommend on a cluster")
    return np.dtype(np.int64) if labels is None else pd.Series(labels).infer_objects().dtype


def _answer(users: Any, model: Any, k: int, options: dict[str, Any], types: dict[str, Any]) -> Any:
    """Rank for the users of one partition, some at a time."""
    pd = import_pandas("recommend on a cluster")
    if n_missing := int(users.isna().sum()):
        raise ValueError(
            f"users must not be missing; {n_missing} of the {len(users)} in this partition are: "
            "leave them out, as by users.dropna()"
        )
    asked = users.to_numpy()
    starts = range(0, max(len(asked), 1), _BLOCK)
    frames = [
        model.recommend(asked[start : start + _BLOCK], k, as_frame=True, **options)
        for start in starts
    ]
    return pd.concat(frames, ignore_index=True).astype(types)
