"""
Modality preferences of users
=============================

Some users choose by the picture, others by the text. :class:`~recsk.MDERecommender` learns a weight
of each modality for each user. Are these weights right? Real data has no answer.
:func:`~recsk.datasets.make_multimodal` has one: it draws how much the choices of a user depend on
each modality.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.plotting import PreferenceDisplay

QUICK = os.environ.get("RECSK_EXAMPLES") == "quick"
n_users, n_items, max_epochs = (200, 200, 5) if QUICK else (1000, 1000, 25)

# %%
# Data
# ----
#
# The true preferences come from a Dirichlet distribution. With a `concentration` of 0.5 most users
# depend on one modality much more than on the other. `correlation` is low: if both modalities show
# the same, nobody can tell which one a user followed.

data = make_multimodal(
    n_users=n_users,
    n_items=n_items,
    modalities=("picture", "text"),
    interactions_per_user=20,
    correlation=0.3,
    concentration=0.5,
    random_state=0,
)
true = data.user_preference[:, 0]

# %%
# Which settings find the preferences
# -----------------------------------
#
# With ``fusion="concat"``, the default, a score is a sum over the modalities, weighted by the
# preferences of user and item. With ``fusion="sum"`` the vectors of both modalities are mixed
# before they are compared, so that a weight changes the effect of *both*. The learning rate decides
# how far weights get from the equal ones that they start with.

settings = {
    "the defaults": {},
    "learning_rate=1e-3": {"learning_rate": 1e-3},
    'fusion="sum"': {"fusion": "sum"},
}
models = {}
print("rank correlation of learned and true weight of the picture, and spread of the learned")
for name, setting in settings.items():
    model = MDERecommender(**setting, max_epochs=max_epochs, early_stopping=False, random_state=0)
    models[name] = model.fit(data.interactions, item_features=data.item_features)
    weight = model.user_preference_[:, 0]
    print(f"  {name:34s} {spearmanr(weight, true).statistic:.2f}   {weight.std():.3f}")
print(f"  {'(the truth)':34s} {1:.2f}   {true.std():.3f}")

# %%
# The defaults find the order of the users. With a small learning rate the weights stay near one
# half. With ``fusion="sum"`` much of the order is lost.
#
# The learned weights
# -------------------
#
# :class:`~recsk.plotting.PreferenceDisplay` shows the distribution of the weights of users and
# items.

model = models["the defaults"]
PreferenceDisplay.from_estimator(model)

# %%
# Compared with the truth
# -----------------------
#
# The order of the users is right, but the weights are too close to one half. Use them to sort and
# compare users, not as shares of their decisions. Users with few interactions are uncertain.

weight = model.user_preference_[:, 0]
length = np.bincount(data.interactions.user, minlength=n_users)
edges = np.unique(np.quantile(length, [0, 0.25, 0.5, 0.75]).astype(int))
quarter = np.searchsorted(edges, length, side="right")
groups = [np.flatnonzero(quarter == i) for i in np.unique(quarter)]
found = [spearmanr(weight[group], true[group]).statistic for group in groups]
names = [f"{length[group].min()} to {length[group].max()}" for group in groups]
for name, value in zip(names, found, strict=True):
    print(f"users with {name} items: rank correlation {value:.2f}")

# sphinx_gallery_thumbnail_number = 2
_, ax = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
_, bars = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
ax.scatter(true, weight, s=9, color="#0072B2", alpha=0.5, linewidths=0)
ax.plot([0, 1], [0, 1], color="0.4", linestyle=":")
ax.text(0.84, 0.9, "as large as\nthe truth", color="0.3", fontsize=9, ha="right", va="center")
ax.set(xlabel="true weight of the picture", ylabel="learned weight", xlim=(0, 1), ylim=(0, 1))
ax.set_title("One point is one user")
bars.bar_label(bars.bar(names, found, color="#009E73"), fmt="%.2f", padding=2)
bars.set(xlabel="items in the history", ylabel="rank correlation", ylim=(0, 1.05))
bars.set_title("By length of history")
for each in (ax, bars):
    each.spines[["top", "right"]].set_visible(False)
plt.show()
