"""
Cold items: recommend what nobody has clicked
=============================================

A shop gets new items every day. Models of clicks know nothing about them, but their pictures and
texts are there from the first hour. Here a sixth of the catalogue is held out: training has no
interaction with these items. Which users will choose them?
"""

import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.preprocessing import StandardScaler, normalize

from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.metrics import evaluate
from recsk.model_selection import PredefinedInteractionSplit

QUICK = os.environ.get("RECSK_EXAMPLES") == "quick"
n_users, n_items, max_epochs = (200, 300, 5) if QUICK else (1000, 1500, 30)

# %%
# Hold out items
# --------------
#
# A random split of the interactions leaves nearly every item in training, and measures nothing
# about new ones. :class:`~recsk.model_selection.PredefinedInteractionSplit` splits by a label of
# each interaction: 0 (test) for all interactions with a new item, -1 (training) for the others.

data = make_multimodal(n_users=n_users, n_items=n_items, interactions_per_user=20, random_state=0)
X = data.interactions
rng = np.random.default_rng(0)
new = np.sort(rng.choice(n_items, n_items // 6, replace=False))
labels = np.where(np.isin(X.item, new), 0, -1)
train, test = next(PredefinedInteractionSplit(labels).split(X))
train, test = X[train], X[test]
print(f"{len(train)} interactions with {n_items - len(new)} items to learn from")
print(f"{len(test)} interactions with {len(new)} new items to foresee")

# %%
# Four rankings
# -------------
#
# - Popularity: all new items have a count of zero, so their order is arbitrary. (Counts from all of
#   ``X`` would be a leak.)
# - Content kNN: the cosine of an item's features with the mean features of the history, for each
#   modality.
# - :class:`~recsk.MDERecommender` learns which features matter to which user. Known items also have
#   a learned vector. New items get a vector predicted from content, on a scale at which they are
#   recommended as often as known items.
# - The same with ``id_embedding="none"``: features alone, for all items.


class Scores:
    """Scores of all items for all users, with the method that `evaluate` asks for."""

    def __init__(self, scores, seen, items=None):
        self.scores = np.where(seen.toarray() > 0, -np.inf, scores)
        if items is not None:
            self.scores[:, np.setdiff1d(np.arange(n_items), items)] = -np.inf

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        scores = self.scores[user_ids]
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return ids, np.take_along_axis(scores, ids, axis=1)


seen = train.to_csr()
popularity = np.broadcast_to(np.bincount(train.item, minlength=n_items), (n_users, n_items))
content = np.zeros((n_users, n_items))
for features in data.item_features.values():
    unit = normalize(StandardScaler().fit_transform(features))
    content += normalize(seen @ unit) @ unit.T

rankings = {"Popularity": popularity, "Content kNN": content}
for name, id_embedding in (("MDE", "add"), ("MDE without ids", "none")):
    model = MDERecommender(id_embedding=id_embedding, max_epochs=max_epochs, random_state=0)
    model.fit(train, item_features=data.item_features)
    rankings[name] = model.user_embedding_ @ model.item_embedding_.T

# %%
# Among new items, and among all
# ------------------------------
#
# A page of new items ranks these alone: ``model.recommend(..., items=new)``. On the front page they
# compete with all unseen items.

cutoffs = (1, 5, 10, 20, 30, 40, 50)
among_new, among_all = {}, {}
for name, scores in rankings.items():
    only_new = Scores(scores, seen, items=new)
    among_new[name] = evaluate(only_new, test, metrics="recall", k=cutoffs)
    among_all[name] = evaluate(Scores(scores, seen), test, metrics="recall", k=cutoffs)
    ids, _ = Scores(scores, seen).recommend(np.arange(n_users), k=20)
    print(
        f"{name:16s} recall@20 among the new items {among_new[name]['recall@20']:.3f}, "
        f"among all items {among_all[name]['recall@20']:.3f}; "
        f"{np.isin(ids, new).mean():4.0%} of the lists are new"
    )
print(f"{'Chance':16s} recall@20 among the new items {20 / len(new):.3f}")

print(f"{len(new) / n_items:.0%} of the catalogue are new")

# %%
# Among new items, features find about seven times as many as chance, and MDE finds more than
# content kNN, which treats all features as equally important.
#
# Among all items, MDE finds more new items than content kNN, with and without ids. Check how many
# new items the lists contain before you call a model better: a list with more new items finds more
# of them. Recall of new items shows what competition with known items costs, not how good the whole
# list is.

colours = {
    "Popularity": "#999999",
    "Content kNN": "#E69F00",
    "MDE": "#0072B2",
    "MDE without ids": "#009E73",
}
markers = {"Popularity": "s", "Content kNN": "^", "MDE": "o", "MDE without ids": "D"}
# sphinx_gallery_thumbnail_number = 2
axes = [plt.subplots(figsize=(5.4, 3.7), layout="constrained")[1] for _ in range(2)]
for ax, measured, title in (
    (axes[0], among_new, "Only new items are ranked"),
    (axes[1], among_all, "All items compete"),
):
    for name, values in measured.items():
        recalls = [values[f"recall@{k}"] for k in cutoffs]
        ax.plot(cutoffs, recalls, color=colours[name], marker=markers[name], label=name)
    if measured is among_new:
        ax.axline((0, 0), slope=1 / len(new), color="0.4", linestyle=":", label="chance")
    ax.set(
        title=title, xlabel="length k of the list", ylabel="recall@k of new items", ylim=(0, None)
    )
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
