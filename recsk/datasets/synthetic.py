"""Generate synthetic interactions and item features from known factors."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from recsk.data import Interactions

_BLOCK_ELEMENTS = 1 << 22  # users x items scored at once: 16 MB of float32
_YEAR = 365 * 24 * 3600  # seconds

_CONSTRAINTS = {
    "n_users": [Interval(Integral, 1, None, closed="left")],
    "n_items": [Interval(Integral, 2, None, closed="left")],
    "n_features": [Interval(Integral, 1, None, closed="left"), Mapping],
    "n_factors": [Interval(Integral, 1, None, closed="left")],
    "interactions_per_user": [Interval(Real, 1, None, closed="left")],
    "strength": [Interval(Real, 0, None, closed="left")],
    "popularity": [Interval(Real, 0, None, closed="left")],
    "correlation": [Interval(Real, 0, 1, closed="both")],
    "concentration": [Interval(Real, 0, None, closed="neither")],
    "sequential": [Interval(Real, 0, 1, closed="both")],
    "n_successors": [Interval(Integral, 1, None, closed="left")],
    "feature_noise": [Interval(Real, 0, None, closed="left")],
    "missing": [Interval(Real, 0, 1, closed="both")],
    "random_state": ["random_state"],
}


def make_multimodal(
    n_users: int = 2000,
    n_items: int = 4000,
    *,
    modalities: Sequence[str] = ("v", "t"),
    n_features: int | Mapping[str, int] = 32,
    n_factors: int = 16,
    interactions_per_user: float = 10.0,
    strength: float = 5.0,
    popularity: float = 0.4,
    correlation: float = 0.3,
    concentration: float = 0.5,
    sequential: float = 0.0,
    n_successors: int = 5,
    feature_noise: float = 0.5,
    missing: float = 0.0,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    r"""Generate users who choose items by the content of the items' modalities.

    Every item has a vector of hidden factors per modality. Every user has a taste vector per
    modality, and a preference: how much their choices depend on each modality. With
    :math:`p_{um}` the preference, :math:`g_{um}` the taste and :math:`f_{im}` the factors, the
    utility of item *i* for user *u* is

    .. math:: s \sum_m \sqrt{p_{um}} \, g_{um}^\top f_{im} / \sqrt{d} - a \log r_i

    where *s* is `strength`, *d* `n_factors`, *a* `popularity` and :math:`r_i` the rank of the
    item in a random order of popularity. A user chooses items one after another, without
    repetition. The odds of an item grow exponentially with its utility. The features are a
    random linear map of the factors, plus noise.

    Users are processed in blocks, which bounds the memory: a full `n_users` x `n_items` array is
    never made.

    Parameters
    ----------
    n_users : int, default=2000
        Number of users. Every user has at least one interaction.
    n_items : int, default=4000
        Number of items. Some may have no interaction.
    modalities : sequence of str, default=("v", "t")
        Names of the modalities, one or more, all different.
    n_features : int or dict of str to int, default=32
        Number of features of every modality, or a dict of modality name to number.
    n_factors : int, default=16
        Number of hidden factors of each modality.
    interactions_per_user : float, default=10.0
        Mean number of interactions per user. The numbers are drawn as one plus a negative
        binomial, with `n_items` as the upper limit.
    strength : float, default=5.0
        How much choices depend on taste. 0: only on popularity and chance.
    popularity : float, default=0.4
        Exponent of the power law of item popularity. 0: all items are equally popular.
    correlation : float, default=0.3
        Correlation between the factors of an item in two modalities, and between the tastes of a
        user in two modalities. 0: the modalities are independent. 1: they are identical.
    concentration : float, default=0.5
        Parameter of the symmetric Dirichlet distribution of the preferences. With small values
        each user depends on a single modality, with large values on all modalities equally.
    sequential : float, default=0.0
        Probability that the next item is a random one of the `n_successors` of the last item, in
        place of a choice by taste. Users never choose an item twice: if this successor is in the
        history already, the choice is by taste. With few successors and long histories, the
        share of interactions with a successor is therefore smaller than `sequential`.
    n_successors : int, default=5
        Number of successors of each item: the most similar items over all modalities.
    feature_noise : float, default=0.5
        Standard deviation of the noise on the features. That of the signal is 1.
    missing : float, default=0.0
        Share of the rows of each feature array that are NaN: items without this modality.
    random_state : int, RandomState instance or None, default=None
        Seed of all random draws. Pass an int to get the same data each time.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes:

        interactions : :class:`~recsk.Interactions`
            Interactions with times in seconds, sorted by user and time.
        item_features : dict of str to ndarray of shape (n_items, n_features), float32
            Item features by modality, as a recommender may use them.
        user_preference : ndarray of shape (n_users, n_modalities)
            How much the choices of each user depend on each modality; rows sum to 1.
        user_factors : dict of str to ndarray of shape (n_users, n_factors)
            Tastes by modality.
        item_factors : dict of str to ndarray of shape (n_items, n_factors)
            Hidden factors by modality: a mix of the shared and the specific factors with the
            given correlation.
        shared_item_factors : ndarray of shape (n_items, n_factors)
            The factors that all modalities have in common.
        specific_item_factors : dict of str to ndarray of shape (n_items, n_factors)
            The factors that only this modality has.
        popularity : ndarray of shape (n_items,)
            Probability of each item by popularity alone; sums to 1.
        successors : ndarray of shape (n_items, n_successors), int64
            Successors of each item, most similar first; all other items if there are fewer than
            `n_successors`.
        modality_names : list of str
            In the order of the columns of `user_preference`.

    Raises
    ------
    ValueError
        If a parameter is out of range, a modality name is repeated, or `n_features` is a dict
        with other names than `modalities`.

    Examples
    --------
    >>> from recsk.datasets import make_multimodal
    >>> data = make_multimodal(n_users=50, n_items=40, random_state=0)
    >>> data.interactions.n_users, data.interactions.n_items
    (50, 40)
    >>> {name: features.shape for name, features in data.item_features.items()}
    {'v': (40, 32), 't': (40, 32)}
    >>> data.user_preference.shape
    (50, 2)
    """
    parameters = {name: value for name, value in locals().items() if name in _CONSTRAINTS}
    validate_parameter_constraints(_CONSTRAINTS, parameters, caller_name="make_multimodal")
    names = _check_modalities(modalities)
    widths = _check_widths(n_features, names)
    rng = np.random.default_rng(check_random_state(random_state).randint(np.iinfo(np.int32).max))

    shared_items, specific_items, item_factors = _draw_factors(
        rng, names, n_items, n_factors, correlation
    )
    _, _, user_factors = _draw_factors(rng, names, n_users, n_factors, correlation)
    preference = rng.dirichlet(np.full(len(names), concentration), size=n_users)
    log_popularity = -popularity * np.log(rng.permutation(n_items) + 1.0)

    # Concatenate the modalities, so that one matrix product gives the sum over them.
    users = np.hstack([np.sqrt(preference[:, [m]]) * user_factors[n] for m, n in enumerate(names)])
    users = (strength / np.sqrt(n_factors) * users).astype(np.float32)
    items = np.hstack([item_factors[name] for name in names]).astype(np.float32)

    dispersion = 3.0
    success = dispersion / (dispersion + interactions_per_user - 1.0)
    lengths = np.minimum(1 + rng.negative_binomial(dispersion, success, size=n_users), n_items)
    successors = _most_similar(items, min(n_successors, n_items - 1))
    choices = _draw_choices(rng, users, items, log_popularity.astype(np.float32), lengths)
    if sequential > 0:
        choices = _insert_successors(rng, choices, lengths, successors, sequential)

    is_choice = np.arange(choices.shape[1]) < lengths[:, None]
    item_features = {}
    for name in names:
        mixing = rng.standard_normal((n_factors, widths[name])) / np.sqrt(n_factors)
        noise = rng.standard_normal((n_items, widths[name]))
        features = (item_factors[name] @ mixing + feature_noise * noise).astype(np.float32)
        features[rng.permutation(n_items)[: round(missing * n_items)]] = np.nan
        item_features[name] = features

    odds = np.exp(log_popularity)
    return Bunch(
        interactions=Interactions(
            np.repeat(np.arange(n_users), lengths),
            choices[is_choice],
            timestamp=_draw_times(rng, lengths, is_choice),
            n_users=n_users,
            n_items=n_items,
        ),
        item_features=item_features,
        user_preference=preference,
        user_factors=user_factors,
        item_factors=item_factors,
        shared_item_factors=shared_items,
        specific_item_factors=specific_items,
        popularity=odds / odds.sum(),
        successors=successors,
        modality_names=names,
    )


def _check_modalities(modalities: Sequence[str]) -> list[str]:
    if isinstance(modalities, str):
        raise ValueError(
            f"modalities must be a sequence of names, got the string {modalities!r}; "
            f"for one modality pass ({modalities!r},)."
        )
    names = list(modalities)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"modalities must be one or more strings, got {modalities!r}.")
    if len(set(names)) < len(names):
        raise ValueError(f"modalities must all have different names, got {names}.")
    return names


def _check_widths(n_features: int | Mapping[str, int], names: list[str]) -> dict[str, int]:
    if not isinstance(n_features, Mapping):
        return dict.fromkeys(names, int(n_features))
    if set(n_features) != set(names):
        raise ValueError(
            f"n_features must have the names of modalities, {sorted(names)}, "
            f"got {sorted(n_features)}."
        )
    for name, width in n_features.items():
        if not isinstance(width, Integral) or width < 1:
            raise ValueError(f"n_features[{name!r}] must be an int of at least 1, got {width!r}.")
    return {name: int(n_features[name]) for name in names}


def _draw_factors(
    rng: np.random.Generator, names: list[str], n: int, n_factors: int, correlation: float
) -> tuple[npt.NDArray, dict[str, npt.NDArray], dict[str, npt.NDArray]]:
    """Draw shared factors, specific factors, and their mix with the given correlation."""
    shared = rng.standard_normal((n, n_factors))
    specific = {name: rng.standard_normal((n, n_factors)) for name in names}
    mixed = {
        name: np.sqrt(correlation) * shared + np.sqrt(1.0 - correlation) * own
        for name, own in specific.items()
    }
    return shared, specific, mixed


def _blocks(n_rows: int, n_columns: int) -> list[slice]:
    size = max(1, _BLOCK_ELEMENTS // n_columns)
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def _top_k_columns(scores: npt.NDArray, k: int) -> npt.NDArray:
    """Return the columns of the k largest scores of each row, largest first."""
    if k < scores.shape[1]:
        columns = np.argpartition(scores, -k, axis=1)[:, -k:]
    else:
        columns = np.broadcast_to(np.arange(k), (len(scores), k))
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _most_similar(items: npt.NDArray, k: int) -> npt.NDArray:
    """Return the k other items with the largest cosine similarity to each item."""
    unit = items / np.linalg.norm(items, axis=1, keepdims=True)
    neighbors = np.empty((len(items), k), dtype=np.int64)
    for rows in _blocks(len(items), len(items)):
        similarity = unit[rows] @ unit.T
        similarity[np.arange(len(similarity)), np.arange(rows.start, rows.stop)] = -np.inf
        neighbors[rows] = _top_k_columns(similarity, k)
    return neighbors


def _draw_choices(
    rng: np.random.Generator,
    users: npt.NDArray,
    items: npt.NDArray,
    log_popularity: npt.NDArray,
    lengths: npt.NDArray,
) -> npt.NDArray:
    """Draw items without replacement; entry (u, t) is choice t of user u.

    Sorting by utility plus Gumbel noise is the same as drawing without replacement with odds
    exp(utility). This needs no renormalisation after each draw.
    """
    longest = int(lengths.max())
    choices = np.zeros((len(users), longest), dtype=np.int64)
    for rows in _blocks(len(users), len(items)):
        utility = users[rows] @ items.T + log_popularity
        noise = rng.standard_exponential(utility.shape, dtype=np.float32)
        utility -= np.log(np.maximum(noise, np.finfo(np.float32).tiny))
        k = int(lengths[rows].max())
        choices[rows, :k] = _top_k_columns(utility, k)
    return choices


def _insert_successors(
    rng: np.random.Generator,
    choices: npt.NDArray,
    lengths: npt.NDArray,
    successors: npt.NDArray,
    probability: float,
) -> npt.NDArray:
    """Make histories from choices by taste, with some steps to a successor of the last item."""
    history = choices.copy()
    position = np.ones(len(choices), dtype=np.int64)  # of the next unused choice of each user
    for step in range(1, choices.shape[1]):
        users = np.flatnonzero(lengths > step)
        past = history[users, :step]
        to_successor = rng.random(len(users)) < probability
        column = rng.integers(successors.shape[1], size=len(users))
        item = successors[past[:, -1], column]
        to_successor &= ~(past == item[:, None]).any(axis=1)

        # The others take their next choice that is not in the history yet. There always is one,
        # because the history has at most `step` of the first `step + 1` choices.
        pending = np.flatnonzero(~to_successor)
        while len(pending):
            choice = choices[users[pending], position[users[pending]]]
            position[users[pending]] += 1
            item[pending] = choice
            pending = pending[(past[pending] == choice[:, None]).any(axis=1)]
        history[users, step] = item
    return history


def _draw_times(
    rng: np.random.Generator, lengths: npt.NDArray, is_choice: npt.NDArray
) -> npt.NDArray[np.int64]:
    """Draw times in seconds within about a year, strictly increasing for each user."""
    start = rng.integers(_YEAR // 2, size=len(lengths))
    gaps = rng.standard_exponential(is_choice.shape) * (_YEAR / 2 / lengths[:, None])
    steps = 1 + gaps.astype(np.int64)
    steps[:, 0] = 0
    return (start[:, None] + np.cumsum(steps, axis=1))[is_choice]
