"""Synthetic interactions and item features whose truth is known."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from recsk.interactions import Interactions

_BLOCK_ELEMENTS = 1 << 22  # users x items scored at once: 16 MB of float32
_YEAR = 365 * 24 * 3600

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
    r"""Make users who choose items by what the items' modalities show.

    An item has one vector of hidden factors per modality, and a user one taste
    per modality together with a preference: how much of their choice follows
    each modality. With :math:`p_{um}` the preference, :math:`g_{um}` the taste
    and :math:`f_{im}` the factors, user *u* finds item *i* as useful as

    .. math:: s \sum_m \sqrt{p_{um}} \, g_{um}^\top f_{im} / \sqrt{d} - a \log r_i

    where *s* is `strength`, *d* `n_factors`, *a* `popularity` and :math:`r_i`
    the item's place in a random order of fame. A user picks items one after
    another, without repetition, each with odds that grow exponentially with
    its usefulness. The features are a random linear image of the factors, with
    noise.

    Time and memory are those of one block of users at a time: a full
    `n_users` x `n_items` array is never made.

    Parameters
    ----------
    n_users : int, default=2000
        Number of users. Everyone has at least one interaction.
    n_items : int, default=4000
        Number of items. Some may have no interaction.
    modalities : sequence of str, default=("v", "t")
        Names of the modalities, one or more, all different.
    n_features : int or dict of str to int, default=32
        Number of features of every modality, or of each by its name.
    n_factors : int, default=16
        Number of hidden factors of each modality.
    interactions_per_user : float, default=10.0
        Mean number of interactions of a user. Single users vary about it
        (one plus a negative binomial), and have `n_items` at most.
    strength : float, default=5.0
        How far taste decides: 0 leaves popularity and chance alone.
    popularity : float, default=0.4
        Exponent of the power law of item popularity: 0 makes all items
        equally famous.
    correlation : float, default=0.3
        Correlation between the factors that two modalities show of the same
        item, and between a user's tastes in two modalities: 0 for modalities
        that have nothing in common, 1 for modalities that say the same.
    concentration : float, default=0.5
        Parameter of the symmetric Dirichlet distribution of the preferences:
        small values give users who look at one modality only, large ones
        users who weigh all modalities alike.
    sequential : float, default=0.0
        Probability that an interaction follows from the one before it: the
        user turns to one of the `n_successors` of the last item instead of
        what taste would bring next. Nobody takes an item twice: where it was
        taken before, taste decides after all, so that with few successors
        and long histories fewer interactions follow than this share.
    n_successors : int, default=5
        How many items may follow from an item: those most like it over all
        modalities.
    feature_noise : float, default=0.5
        Standard deviation of the noise on the features, where that of the
        signal is 1.
    missing : float, default=0.0
        Share of rows of each feature array that are set to NaN: items that
        lack this modality.
    random_state : int, RandomState instance or None, default=None
        Determines everything drawn. Pass an int for the same data each time.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes:

        interactions : :class:`~recsk.Interactions`
            Who took what and when (seconds), sorted by user and time.
        item_features : dict of str to ndarray of shape (n_items, n_features), float32
            What a recommender may see of the items.
        user_preference : ndarray of shape (n_users, n_modalities)
            How much the user's choices follow each modality; rows sum to 1.
        user_factors : dict of str to ndarray of shape (n_users, n_factors)
            Tastes by modality.
        item_factors : dict of str to ndarray of shape (n_items, n_factors)
            Hidden factors by modality: the shared and the specific ones,
            mixed so that their correlation is as asked.
        shared_item_factors : ndarray of shape (n_items, n_factors)
            The part that all modalities show.
        specific_item_factors : dict of str to ndarray of shape (n_items, n_factors)
            The part that only this modality shows.
        popularity : ndarray of shape (n_items,)
            Odds of the items by fame alone; they sum to 1.
        successors : ndarray of shape (n_items, n_successors), int64
            Items that may follow from each item, most alike first; all other
            items where there are fewer than `n_successors`.
        modality_names : list of str
            Names in the order of the columns of `user_preference`.

    Raises
    ------
    ValueError
        If a parameter is out of its range, a modality name is repeated, or
        `n_features` is a dict with other names than `modalities`.

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
    log_fame = -popularity * np.log(rng.permutation(n_items) + 1.0)

    # All modalities side by side, so that one product gives the whole utility.
    users = np.hstack([np.sqrt(preference[:, [m]]) * user_factors[n] for m, n in enumerate(names)])
    users = (strength / np.sqrt(n_factors) * users).astype(np.float32)
    items = np.hstack([item_factors[name] for name in names]).astype(np.float32)

    dispersion = 3.0
    chance = dispersion / (dispersion + interactions_per_user - 1.0)
    lengths = np.minimum(1 + rng.negative_binomial(dispersion, chance, size=n_users), n_items)
    successors = _most_alike(items, min(n_successors, n_items - 1))
    choices = _choose(rng, users, items, log_fame.astype(np.float32), lengths)
    if sequential > 0:
        choices = _follow(rng, choices, lengths, successors, sequential)

    taken = np.arange(choices.shape[1]) < lengths[:, None]
    item_features = {}
    for name in names:
        mixing = rng.standard_normal((n_factors, widths[name])) / np.sqrt(n_factors)
        noise = rng.standard_normal((n_items, widths[name]))
        features = (item_factors[name] @ mixing + feature_noise * noise).astype(np.float32)
        features[rng.permutation(n_items)[: round(missing * n_items)]] = np.nan
        item_features[name] = features

    fame = np.exp(log_fame)
    return Bunch(
        interactions=Interactions(
            np.repeat(np.arange(n_users), lengths),
            choices[taken],
            timestamp=_draw_times(rng, lengths, taken),
            n_users=n_users,
            n_items=n_items,
        ),
        item_features=item_features,
        user_preference=preference,
        user_factors=user_factors,
        item_factors=item_factors,
        shared_item_factors=shared_items,
        specific_item_factors=specific_items,
        popularity=fame / fame.sum(),
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
    """Shared factors, specific ones, and their mix with the correlation asked for."""
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


def _largest(scores: npt.NDArray, k: int) -> npt.NDArray:
    """Columns of the k largest of each row, largest first."""
    if k < scores.shape[1]:
        columns = np.argpartition(scores, -k, axis=1)[:, -k:]
    else:
        columns = np.broadcast_to(np.arange(k), (len(scores), k))
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _most_alike(items: npt.NDArray, k: int) -> npt.NDArray:
    """The k items of largest cosine similarity to each item, itself left out."""
    unit = items / np.linalg.norm(items, axis=1, keepdims=True)
    found = np.empty((len(items), k), dtype=np.int64)
    for rows in _blocks(len(items), len(items)):
        similarity = unit[rows] @ unit.T
        similarity[np.arange(len(similarity)), np.arange(rows.start, rows.stop)] = -np.inf
        found[rows] = _largest(similarity, k)
    return found


def _choose(
    rng: np.random.Generator,
    users: npt.NDArray,
    items: npt.NDArray,
    log_fame: npt.NDArray,
    lengths: npt.NDArray,
) -> npt.NDArray:
    """Draw without replacement; column t of row u is the user's choice number t.

    The order of utility plus Gumbel noise is the order of draws without
    replacement with odds exp(utility), so no draw needs a renormalisation.
    """
    longest = int(lengths.max())
    choices = np.zeros((len(users), longest), dtype=np.int64)
    for rows in _blocks(len(users), len(items)):
        utility = users[rows] @ items.T + log_fame
        noise = rng.standard_exponential(utility.shape, dtype=np.float32)
        utility -= np.log(np.maximum(noise, np.finfo(np.float32).tiny))
        k = int(lengths[rows].max())
        choices[rows, :k] = _largest(utility, k)
    return choices


def _follow(
    rng: np.random.Generator,
    choices: npt.NDArray,
    lengths: npt.NDArray,
    successors: npt.NDArray,
    probability: float,
) -> npt.NDArray:
    """Walk through the choices, now and then taking a successor of the last item instead."""
    walk = choices.copy()
    position = np.ones(len(choices), dtype=np.int64)  # the next choice not looked at yet
    for step in range(1, choices.shape[1]):
        active = np.flatnonzero(lengths > step)
        past = walk[active, :step]
        jump = rng.random(len(active)) < probability
        column = rng.integers(successors.shape[1], size=len(active))
        candidate = successors[past[:, -1], column]
        jump &= ~(past == candidate[:, None]).any(axis=1)

        # Of a user's first `step + 1` choices at most `step` are taken: one is always left.
        waiting = np.flatnonzero(~jump)
        while len(waiting):
            ahead = choices[active[waiting], position[active[waiting]]]
            position[active[waiting]] += 1
            candidate[waiting] = ahead
            waiting = waiting[(past[waiting] == ahead[:, None]).any(axis=1)]
        walk[active, step] = candidate
    return walk


def _draw_times(
    rng: np.random.Generator, lengths: npt.NDArray, taken: npt.NDArray
) -> npt.NDArray[np.int64]:
    """Seconds within about a year, strictly rising for each user."""
    start = rng.integers(_YEAR // 2, size=len(lengths))
    gaps = rng.standard_exponential(taken.shape) * (_YEAR / 2 / lengths[:, None])
    steps = 1 + gaps.astype(np.int64)
    steps[:, 0] = 0
    return (start[:, None] + np.cumsum(steps, axis=1))[taken]
