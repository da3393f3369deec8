"""
Missing modalities
==================

Half of the items have no picture: what does that cost? A row of NaN in ``item_features`` means that
an item lacks a modality. We remove the pictures of more and more items, and compare rows of NaN
with two other ways: rows of zeros, and no pictures at all.
"""

import os

import matplotlib.pyplot as plt
import numpy as np

from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.metrics import evaluate
from recsk.model_selection import RandomHoldout

QUICK = os.environ.get("RECSK_EXAMPLES") == "quick"
n_users, n_items, max_epochs = (150, 120, 3) if QUICK else (700, 800, 15)
shares = (0.0, 0.5, 0.9) if QUICK else (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)

# %%
# Data
# ----
#
# One random order decides whose pictures are removed first. So the items without a picture at 20 %
# have none at 40 % either, and the curve does not depend on the draw.

data = make_multimodal(
    n_users=n_users, n_items=n_items, modalities=("picture", "text"), random_state=0
)
X = data.interactions
train, test = next(RandomHoldout(test_size=0.2, random_state=0).split(X))
train, test = X[train], X[test]
order = np.random.default_rng(0).permutation(n_items)


def recall(item_features):
    """Fit, and measure on what was held out."""
    model = MDERecommender(n_factors=32, learning_rate=5e-3, max_epochs=max_epochs, random_state=0)
    model.fit(train, item_features=item_features)
    return evaluate(model, test, metrics="recall", k=20)["recall@20"]


# %%
# Remove pictures
# ---------------
#
# Raw features are often not centred (outputs of ReLU layers are never negative), so we shift the
# pictures by 3. Zeros then mean something definite, and the same for all items without a picture.

picture, text = data.item_features["picture"] + 3, data.item_features["text"]
as_nan, as_zero = [], []
for share in shares:
    lost = order[: round(share * n_items)]
    for fill, results in ((np.nan, as_nan), (0, as_zero)):
        if fill == 0 and share == 0:
            results.append(as_nan[0])  # nothing is missing, nothing to fill
            continue
        damaged = picture.copy()
        damaged[lost] = fill
        results.append(recall({"picture": damaged, "text": text}))
    print(f"{share:4.0%} lack a picture: NaN {as_nan[-1]:.4f}, zeros {as_zero[-1]:.4f}")
text_alone, ids_alone = recall({"text": text}), recall(None)
print(f"text alone {text_alone:.4f}, no features at all {ids_alone:.4f}")

# %%
# With fewer pictures, recall falls. Rows of NaN are never worse than no pictures at all. Zeros are
# worse than NaN until nearly all pictures are gone: they make items similar that share nothing but
# a gap. This is one draw of data and of lost pictures, so the last hundredth of recall means
# nothing.

_, ax = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
ax.plot(shares, as_nan, color="#0072B2", marker="o", label="rows of NaN")
ax.plot(shares, as_zero, color="#E69F00", marker="^", label="rows of zeros")
for value, name in ((text_alone, "text alone"), (ids_alone, "no features")):
    ax.axhline(value, color="0.5", linestyle=":")
    ax.text(
        0.99, value, name, ha="right", va="bottom", color="0.3", transform=ax.get_yaxis_transform()
    )
ax.xaxis.set_major_formatter("{x:.0%}")
ax.set(xlabel="items without a picture", ylabel="recall@20 (mean over users)", ylim=(0, None))
ax.legend(frameon=False, loc="lower left")
ax.spines[["top", "right"]].set_visible(False)
plt.show()
