"""
Item embeddings before and after training
=========================================

What does training make of the features? Synthetic items have a hidden character of two dimensions.
A picture and a text show it, both with much noise. Users choose by the character, and the noise
means nothing to them.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.plotting import EmbeddingDisplay

QUICK = os.environ.get("RECSK_EXAMPLES") == "quick"
n_users, n_items, max_epochs = (150, 100, 3) if QUICK else (1000, 300, 6)

# %%
# Data
# ----
#
# `correlation` is the share of the character that both modalities show. The direction of this share
# gives each item one of six names, which the model does not see. All items are equally popular
# (``popularity=0``).

data = make_multimodal(
    n_users=n_users,
    n_items=n_items,
    modalities=("picture", "text"),
    n_factors=2,
    correlation=0.8,
    interactions_per_user=30,
    strength=2.0,
    popularity=0.0,
    feature_noise=3.0,
    random_state=0,
)
x, y = data.shared_item_factors.T
names = np.array(["calm", "dark", "light", "loud", "odd", "plain"])
character = names[((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 6).astype(int) % 6]

# %%
# Fit
# ---

model = MDERecommender(
    n_factors=32, learning_rate=2e-3, max_epochs=max_epochs, early_stopping=False, random_state=0
)
model.fit(data.interactions, item_features=data.item_features)

# %%
# Plot
# ----
#
# Features are above, learned vectors below, by modality: with ``fusion="concat"``, the default,
# they lie side by side in `item_embedding_`. Each panel has its own projection. Compare which items
# lie together, not where. Items of one character were mixed before; the users brought them
# together.

EmbeddingDisplay.from_estimator(
    model, data.item_features, labels=character, label_name="character", random_state=0
)
plt.show()

# %%
# Count
# -----
#
# Two dimensions can deceive. So we count in all dimensions: how many of the ten nearest items have
# the same character? The share grows in both modalities. It stays far from all, because the names
# are sharp borders in a space without borders, and each modality keeps a part of its own.


def agreement(vectors):
    """Share of the ten nearest by cosine that have the same character."""
    unit = normalize(vectors)
    nearest = NearestNeighbors(n_neighbors=11).fit(unit).kneighbors(unit, return_distance=False)
    return np.mean(character[nearest[:, 1:]] == character[:, None])


parts = np.split(model.item_embedding_, len(model.modality_names_), axis=1)
learned = dict(zip(model.modality_names_, parts, strict=True))
chance = np.mean(character[:, None] == character)
shares = {
    "before": [agreement(features) for features in data.item_features.values()],
    "after": [agreement(learned[name]) for name in data.item_features],
}
for name, before, after in zip(data.item_features, *shares.values(), strict=True):
    print(f"{name:8s} before {before:.2f}, after {after:.2f}")
print(f"{'chance':8s} {chance:.2f}")

# sphinx_gallery_thumbnail_number = 2
_, ax = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
for place, (name, colour) in enumerate({"before": "#999999", "after": "#0072B2"}.items()):
    x = np.arange(len(shares[name])) + 0.4 * (place - 0.5)
    ax.bar_label(ax.bar(x, shares[name], 0.4, color=colour, label=name), fmt="%.2f", padding=2)
ax.axhline(chance, color="0.4", linestyle=":", label="chance")
ax.set_xticks(range(len(data.item_features)), list(data.item_features))
ax.set(ylabel="neighbours of the same character", title="Before and after training")
ax.legend(frameon=False)
ax.margins(y=0.2)
ax.spines[["top", "right"]].set_visible(False)
plt.show()
