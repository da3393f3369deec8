"""
Items that lack a modality
==========================

Half of the items have no picture yet: what is that to cost? A row of NaN in ``item_features`` says
that an item lacks a modality. Here we take away the pictures of more and more items, and see how
well recommendations do, beside two ways out that people often take: to fill the gaps with zeros,
and to give up the modality.
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
# Data and a fixed order of loss
# ------------------------------
#
# One random order decides whose pictures go first, so that what is missing at 20 % is missing at
# 40 % too, and the curve is not moved by the draw.

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
# Take pictures away
# ------------------
#
# Pictures whose mean is far from zero make the zeros worse: they then say something definite, and
# the same of all items that lack a picture. We shift them by 3, as raw features are often not
# centred (outputs of ReLU layers are never negative).

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
# The more pictures are gone, the less there is to know, and rows of NaN never do worse than to
# leave pictures out. Zeros do worse than NaN until nearly all pictures are gone: they make items
# alike that have nothing in common but a gap. This is one draw of data and of lost pictures, so
# that the last hundredth of recall means nothing.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
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
