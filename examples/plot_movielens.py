"""
General recommendation: MovieLens and genres
============================================

Genres describe the films of MovieLens. Do they help beside the ratings, and do recommendations
match the genres that users like? Set ``RECSK_MOVIELENS`` to a folder or zip from
https://grouplens.org/datasets/movielens/ to run on real ratings (up to ml-1m it takes minutes on a
CPU). Otherwise the example makes synthetic data of that shape.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.utils import Bunch

from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.metrics import evaluate
from recsk.model_selection import LeaveLastOut

QUICK = os.environ.get("RECSK_EXAMPLES") == "quick"
n_users, n_items, max_epochs = (150, 120, 3) if QUICK else (900, 1500, 30)
GENRES = (
    "Action Adventure Animation Children Comedy Crime Documentary Drama Fantasy Film-Noir Horror "
    "Musical Mystery Romance Sci-Fi Thriller War Western"
).split()

# %%
# Read the data
# -------------
#
# A low rating is no interaction: the user has seen the film and did not like it. So only ratings of
# 4 and more count; on real data, ``min_rating=4``.


def synthetic():
    """Films with up to three genres, and people who choose by genre."""
    made = make_multimodal(
        n_users,
        n_items,
        modalities=("genre",),
        n_factors=len(GENRES),
        interactions_per_user=30,
        popularity=1.0,
        random_state=0,
    )
    factors = made.item_factors["genre"]
    third = np.sort(factors, axis=1)[:, [-3]]
    genre = (factors >= np.maximum(third, 1.0)) | (factors == factors.max(axis=1, keepdims=True))
    return Bunch(
        interactions=made.interactions,
        titles=np.array([f"Film {i}" for i in range(n_items)]),
        genres=GENRES,
        item_features={"genre": genre.astype(np.float32)},
    )


if path := os.environ.get("RECSK_MOVIELENS"):
    from recsk.datasets import load_movielens

    data, source = load_movielens(path, min_rating=4), "MovieLens"
else:
    data, source = synthetic(), "Synthetic data in the shape of MovieLens"
# 4 stars or 5: both mean that the film was liked. Positions index the genres.
X = data.interactions.with_value(None).without_labels()
genre = np.nan_to_num(data.item_features["genre"])
print(f"{source}: {X.n_users} users, {X.n_items} films, {len(X)} ratings of 4 or more")
print(f"half of the films have at least {np.median(np.bincount(X.item)):.0f} of them")

# %%
# Split
# -----
#
# The last three films of each user are held out. MovieLens has the times of rating, not of
# watching: most users rate many films at once, so that a split at one point in time would leave few
# users with ratings on both sides.

train, test = next(LeaveLastOut(n_last=3).split(X))
train, test = X[train], X[test]


class Popularity:
    """What most people took, without what the user has seen."""

    def __init__(self, X):
        self.seen = X.to_csr()
        self.order = np.argsort(-np.bincount(X.item, minlength=X.n_items), kind="stable")

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        lists = []
        for user in user_ids:
            past = self.seen[[user]].indices
            first = self.order[: k + len(past)]
            lists.append(first[~np.isin(first, past)][:k])
        return np.array(lists), np.tile(-np.arange(k, dtype=float), (len(lists), 1))


parameters = {"learning_rate": 5e-3, "max_epochs": max_epochs, "random_state": 0}
models = {
    "Popularity": Popularity(train),
    "MDE, ids alone": MDERecommender(**parameters).fit(train),
    "MDE with genres": MDERecommender(**parameters).fit(train, item_features=data.item_features),
}
results = {}
for name, model in models.items():
    results[name] = evaluate(model, test, metrics=("recall", "ndcg"), k=(10, 20))
    figures = "  ".join(f"{metric} {value:.3f}" for metric, value in results[name].items())
    print(f"{name:16s} {figures}")

# %%
# The list of one user
# --------------------


def describe(item):
    """Title and genres."""
    named = [name for name, has in zip(data.genres, genre[item], strict=True) if has]
    return f"{data.titles[item]} ({', '.join(named)})"


user = int(np.argmax(np.bincount(test.user) > 0))
mde = models["MDE with genres"]
print("saw, among others:", *map(describe, train.item[train.user == user][-5:]), sep="\n  ")
print("is recommended:", *map(describe, mde.recommend(user, k=5)[0]), sep="\n  ")

# %%
# Do lists match the genres of users?
# -----------------------------------
#
# For each model, we compare the genres of a user's history with those of the first ten films: the
# mean over users of the cosine between the two profiles. On the right are the genres of all
# histories and of all lists.
#
# On the synthetic data genres add nothing to the ranking: most films have a dozen ratings and more,
# and three labels add little to that. Both models match the genres of the users; popularity
# recommends the genres of a few popular films to all. For new films the answer is different: see
# the example on cold items.

users = np.unique(test.user)
history = train.to_csr()[users] @ genre
shares, cosines = {"histories": history.sum(axis=0)}, {}
for name, model in models.items():
    ids, _ = model.recommend(users, k=10)
    listed = np.where(ids[:, :, None] >= 0, genre[ids], 0).sum(axis=1)
    shares[name] = listed.sum(axis=0)
    norms = np.linalg.norm(history, axis=1) * np.linalg.norm(listed, axis=1)
    cosines[name] = np.mean((history * listed).sum(axis=1) / np.maximum(norms, 1e-12))
    print(f"{name:16s} cosine of genres, lists against history: {cosines[name]:.3f}")

colours = dict(zip(models, ("#999999", "#E69F00", "#0072B2"), strict=True))
markers = dict(zip(models, "s^o", strict=True))
_, bars = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
_, dots = plt.subplots(figsize=(5.4, 4.4), layout="constrained")
shown = ["recall@10", "recall@20", "ndcg@20"]
for place, (name, values) in enumerate(results.items()):
    x = np.arange(len(shown)) + 0.27 * (place - 1)
    drawn = bars.bar(x, [values[m] for m in shown], 0.27, color=colours[name], label=name)
    bars.bar_label(drawn, fmt="%.2f", fontsize=8, padding=2)
bars.set_xticks(range(len(shown)), shown)
bars.set(ylabel="mean over users", title="Last three films found")
bars.legend(frameon=False, loc="upper left")
bars.margins(y=0.25)
order = np.argsort(shares["histories"])
share = {name: counts[order] / counts.sum() for name, counts in shares.items()}
rows = np.arange(len(order))
dots.barh(rows, share["histories"], color="0.88", label="histories")
for name in models:
    dots.plot(share[name], rows, markers[name], color=colours[name], markersize=5, label=name)
dots.set_yticks(rows, [data.genres[i] for i in order], fontsize=8)
dots.xaxis.set_major_formatter("{x:.0%}")
dots.set(xlabel="share of all genre labels", title="Genres watched and recommended")
dots.legend(frameon=False, loc="lower right", fontsize=9)
for ax in (bars, dots):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
