"""
Items before and after training
===============================

What does training make of the features? Here items have a hidden character of two dimensions, seen
in a picture and in a text that both show it under heavy noise. Users choose by the character, and
know nothing of the noise.
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
# Characters
# ----------
#
# `correlation` says how much of the character both modalities share. The direction of the shared
# part gives each item its name, one of six; models do not see it. All items are equally famous
# (`popularity`), so that popularity plays no part in the picture.

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
# Learn from the clicks
# ---------------------

model = MDERecommender(
    n_factors=32, learning_rate=2e-3, max_epochs=max_epochs, early_stopping=False, random_state=0
)
model.fit(data.interactions, item_features=data.item_features)

# %%
# The picture
# -----------
#
# Above are the features as they were given, below the vectors that the model learned from them and
# from the clicks, split by modality: with ``fusion="concat"``, the default, they lie side by side
# in `item_embedding_`. Each panel has a projection of its own: compare which items lie
# together, not where they lie. Items of one character that were mixed with others
# before, and lie side by side afterwards, were brought together by the people who took them.

EmbeddingDisplay.from_estimator(
    model, data.item_features, labels=character, label_name="character", random_state=0
)
plt.show()

# %%
# Counted, not seen
# -----------------
#
# Two dimensions can deceive. So we also count, in all dimensions, how many of the ten items nearest
# to an item have its character. It becomes more, in both modalities, and stays far from all: the
# names are sharp borders in a world without any, and each modality keeps a part of its own.


def agreement(vectors):
    """Share of the ten nearest by cosine that have the same character."""
    unit = normalize(vectors)
    nearest = NearestNeighbors(n_neighbors=11).fit(unit).kneighbors(unit, return_distance=False)
    return np.mean(character[nearest[:, 1:]] == character[:, None])


parts = np.split(model.item_embedding_, len(model.modality_names_), axis=1)
learned = dict(zip(model.modality_names_, parts, strict=True))
for name, features in data.item_features.items():
    print(f"{name:8s} before {agreement(features):.2f}, after {agreement(learned[name]):.2f}")
chance = np.mean(character[:, None] == character)
print(f"{'chance':8s} {chance:.2f}")
