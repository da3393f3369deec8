"""
Sequential recommendation: the next item of a session
=====================================================

In a session, the next item depends on the last ones. :class:`~recsk.MDSRecRecommender` reads
histories in order, and the features of the items. Without features the same estimator is SASRec,
which uses ids alone. Both continue sessions that were not in training.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse import csr_array

from recsk import MDSRecRecommender
from recsk.datasets import make_multimodal
from recsk.metrics import ndcg_at_k, recall_at_k
from recsk.plotting import LossCurveDisplay

QUICK = os.environ.get("RECSK_EXAMPLES") == "quick"
n_users, n_items, max_epochs = (150, 100, 2) if QUICK else (2000, 800, 60)

# %%
# Data
# ----
#
# With ``sequential=0.7``, seven of ten steps go to one of the five items that are most similar to
# the last one. The others follow the taste of the user.

data = make_multimodal(n_users=n_users, n_items=n_items, sequential=0.7, random_state=0)
X = data.interactions
print(X)

# %%
# Hold out whole sessions
# -----------------------
#
# Two fifths of the users are not in training: they are the visitors of tomorrow. All items of their
# sessions but the last are the history, and the last one is the answer. The model is not fitted
# again.

visitor = X.user >= n_users * 3 // 5
train = X[~visitor]
sessions = [session for session in X[visitor].sequences() if len(session) > 1]
begun = [session[:-1].tolist() for session in sessions]
last = np.array([session[-1] for session in sessions])
print(f"{len(train)} interactions in training, {len(sessions)} sessions to continue")

# %%
# Fit with and without features
# -----------------------------
#
# Each fit holds out the last items of some training users for early stopping. Stopping by the test
# sessions would be a leak.

parameters = {
    "n_factors": 32,
    "max_epochs": max_epochs,
    "early_stopping": True,
    "n_iter_no_change": 5,
    "random_state": 0,
}
models = {
    "SASRec (ids alone)": MDSRecRecommender(**parameters).fit(train),
    "MDSRec (with features)": MDSRecRecommender(**parameters).fit(
        train, item_features=data.item_features
    ),
}
for name, model in models.items():
    print(f"{name:24s} kept epoch {model.best_iter_} of {model.n_iter_}")
LossCurveDisplay.from_estimator(models["MDSRec (with features)"])

# %%
# How often the next item is found
# --------------------------------
#
# ``recommend(user_items=...)`` continues any history, oldest item first, and leaves out its items.
# Popular items are the baseline, with the same items left out.

truth = csr_array((np.ones(len(last)), (np.arange(len(last)), last)), shape=(len(last), n_items))
famous = np.argsort(-np.bincount(train.item, minlength=n_items), kind="stable")
lists = {"Popularity": np.array([famous[~np.isin(famous, past)][:20] for past in begun])}
for name, model in models.items():
    lists[name], _ = model.recommend(user_items=begun, k=20)
for name, ids in lists.items():
    print(
        f"{name:24s} recall@10 {recall_at_k(ids, truth, k=10):.3f}  "
        f"ndcg@10 {ndcg_at_k(ids, truth, k=10):.3f}"
    )

# %%
# With features the model finds more of the next items in the first ten and twenty. At the top of
# the list ids are as good or better: any of five items may follow an item here, and content cannot
# tell which.

colours = dict(zip(lists, ("#999999", "#E69F00", "#0072B2"), strict=True))
# sphinx_gallery_thumbnail_number = 3
_, curve = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
_, bars = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
for name, model in models.items():
    epochs = np.arange(1, model.n_iter_ + 1)
    curve.plot(epochs, model.validation_curve_, color=colours[name], marker=".", label=name)
curve.set(xlabel="epoch", ylabel="validation NDCG@10", title="Validation")
curve.xaxis.get_major_locator().set_params(integer=True)
curve.legend(frameon=False)
cutoffs = (1, 5, 10, 20)
for place, (name, ids) in enumerate(lists.items()):
    drawn = bars.bar(
        np.arange(len(cutoffs)) + 0.27 * (place - 1),
        [recall_at_k(ids, truth, k=k) for k in cutoffs],
        width=0.27,
        color=colours[name],
        label=name,
    )
    bars.bar_label(drawn, fmt="%.2f", fontsize=8, padding=2)
bars.set_xticks(range(len(cutoffs)), [f"first {k}" for k in cutoffs])
bars.set(ylabel="share of sessions", title="Next item found, new sessions")
bars.legend(frameon=False, loc="upper left")
for ax in (curve, bars):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
