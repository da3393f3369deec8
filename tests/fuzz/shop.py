"""A shop that grows at random: its days, and a slow record of what a model must know of it."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from recsk import Interactions

N_USERS, N_ITEMS = 8, 9  # names that a day may have; a model of ids may have some more
FEATURES = {
    name: np.random.default_rng(len(name)).normal(size=(60, width))
    for name, width in (("v", 3), ("text", 2))
}


class Day(NamedTuple):
    """Interactions of a day, by the numbers of users and items."""

    user: list[int]
    item: list[int]
    weight: list[float] | None
    gap: int  # users and items of the space that have no interactions

    def __len__(self):
        return sum(w > 0 for w in self.weight) if self.weight else len(self.user)


@st.composite
def days(draw, most=4):
    """Draw the parts of a log, the first one with interactions; later ones may have none."""
    found = []
    for place in range(draw(st.integers(1, most))):
        pairs = st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1))
        drawn = draw(st.lists(pairs, min_size=0 if place else 3, max_size=12))
        user, item = map(list, zip(*drawn, strict=True)) if drawn else ([], [])
        weights = st.lists(
            st.sampled_from([0, 0.5, 1, 1, 3]), min_size=len(user), max_size=len(user)
        )
        weight = draw(st.none() | weights)
        if not place and weight is not None:
            weight[0] = 1
        found.append(Day(user, item, weight, draw(st.sampled_from([0, 0, 0, 1]))))
    return found


def user_label(number):
    """Return texts whose order is not that of the numbers."""
    return f"u{(7 * number + 3) % 10}" if number < 10 else f"v{number}"


def item_label(number):
    """Return the position of another item."""
    return number ^ 1


class Record:
    """What a model must know, kept in the obvious way.

    Parameters
    ----------
    labelled : bool
        Whether the model speaks labels.
    """

    def __init__(self, labelled):
        self.labelled = labelled
        self.pairs = []  # with repeats, in order
        self.weights = []
        self.users, self.items = [], []  # labels or ids

    def interactions(self, day):
        """A day as the model gets it; the clock starts anew every day."""
        time = np.arange(len(day.user))
        if not self.labelled:
            sizes = (
                max([*known, *(number for number in numbers)], default=0) + 1 + day.gap
                for known, numbers in ((self.users, day.user), (self.items, day.item))
            )
            n_users, n_items = sizes
            return Interactions(
                day.user, day.item, timestamp=time, n_users=n_users, n_items=n_items
            )
        frame = pd.DataFrame(
            {
                "user": [user_label(u) for u in day.user],
                "item": [item_label(i) for i in day.item],
                "time": time,
            }
        )
        return Interactions.from_frame(frame, user="user", item="item", timestamp="time")

    def features(self, X, day):
        """Rows of new items, by label; rows of all items by position."""
        if not self.labelled:
            return {name: rows[: X.n_items] for name, rows in FEATURES.items()}
        new = [i for i in dict.fromkeys(day.item) if item_label(i) not in self.items]
        index = [item_label(i) for i in new]
        return {name: pd.DataFrame(rows[new], index=index) for name, rows in FEATURES.items()}

    def learn(self, X, day):
        """Take a day in."""
        weights = day.weight or [1.0] * len(day.user)
        for user, item, weight in zip(day.user, day.item, weights, strict=True):
            if weight > 0:
                names = (user_label(user), item_label(item)) if self.labelled else (user, item)
                self.pairs.append(names)
                self.weights.append(weight)
        if self.labelled:
            for known, labels in ((self.users, X.user_labels), (self.items, X.item_labels)):
                known += [label for label in labels.tolist() if label not in known]
        else:
            self.users, self.items = list(range(X.n_users)), list(range(X.n_items))

    def check(self, model):
        """Check counts, labels, histories, popularities, and what is recommended."""
        assert (model.n_users_, model.n_features_in_) == (len(self.users), len(self.items))
        if self.labelled:
            assert (model.users_.tolist(), model.items_.tolist()) == (self.users, self.items)
        user, item = model.interactions_.nonzero()
        seen = {(self.users[u], self.items[i]) for u, i in zip(user, item, strict=True)}
        assert seen == set(self.pairs) and len(user) == len(seen)
        counts = Counter(item for _, item in self.pairs)
        popularity = [counts[i] / max(counts.values()) for i in self.items]
        np.testing.assert_allclose(model.item_popularity_, popularity, rtol=1e-6)
        lists, scores = model.recommend(k=len(self.items))
        for name, row, values in zip(self.users, lists.tolist(), scores, strict=True):
            wanted = {i for i in self.items if (name, i) not in seen}
            n = len(wanted)
            assert set(row[:n]) == wanted and np.isfinite(values[:n]).all()
            assert set(row[n:]) <= {-1, None} and (values[n:] == -np.inf).all()
